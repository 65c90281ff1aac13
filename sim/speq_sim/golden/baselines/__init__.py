"""Golden models of the baselines OliVe and Tender, in NumPy.

Written from the definitions in ``docs/baselines.md``; no circuit is imported.

* :mod:`~speq_sim.golden.baselines.abfloat`: OliVe's format of outliers;
* :mod:`~speq_sim.golden.baselines.pairs`: outlier-victim pairs, decoded and encoded;
* :mod:`~speq_sim.golden.baselines.olive`: OliVe's quantiser, and its matrix product;
* :mod:`~speq_sim.golden.baselines.tender`: Tender's quantiser, and its matrix product;
* :mod:`~speq_sim.golden.baselines.accumulators`: integer sums that wrap.
"""

from speq_sim.golden.baselines import olive, tender

__all__ = ["olive", "tender"]
