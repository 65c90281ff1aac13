"""Golden model: what the array must compute, bit for bit, in NumPy.

Written from ``docs/numerics.md`` alone; no circuit is imported and no circuit was consulted.

* :func:`verify`, :func:`verify_packed`: exact dot products of FP16 weights, rounded once;
* :func:`draft`: the same of 4-bit draft weights and block-floating-point activations;
* :func:`block_floating_point`: the activations a draft pass sees.
"""

from speq_sim.golden.blocks import BlockFloat, block_floating_point
from speq_sim.golden.modes import draft, verify, verify_packed

__all__ = ["BlockFloat", "block_floating_point", "draft", "verify", "verify_packed"]
