"""Golden model: what the array must compute, bit for bit, in NumPy.

Written from ``docs/numerics.md`` alone; no circuit is imported and no circuit was consulted.

* :func:`verify`, :func:`verify_packed`: exact dot products of FP16 weights, rounded once;
* :func:`middle`: the same of weights whose low byte is at its midpoint;
* :func:`draft`: the same of 4-bit draft weights and draft activations;
* :func:`integer_draft`, :func:`integer_verify`: the same of INT4 weights, QDRAFT and QVERIFY;
* :func:`block_floating_point`, :class:`BlockFormat`, :func:`block_format`: activations as passes
  of 4-bit weights see them;
* :func:`quantise_activations`: INT4 activations for QDRAFT;
* :class:`Prepared`, made by :func:`prepare_verify` and its like: a matrix kept for many products,
  with the same results, faster;
* :func:`scale_results`: the epilogue behind the array, from ``docs/epilogue.md``.
"""

from speq_sim.golden.blocks import (
    BlockFloat,
    BlockFormat,
    block_floating_point,
    block_format,
    qverify_format,
)
from speq_sim.golden.epilogue import scale_results
from speq_sim.golden.int4 import INTEGERS, nibbles_of, quantise_activations
from speq_sim.golden.modes import middle, middle_values, verify, verify_packed
from speq_sim.golden.nibbles import draft, integer_draft, integer_verify
from speq_sim.golden.prepared import Prepared, multiply_groups
from speq_sim.golden.preparing import (
    prepare_draft,
    prepare_integers,
    prepare_middle,
    prepare_verify,
)

__all__ = [
    "INTEGERS",
    "BlockFloat",
    "BlockFormat",
    "Prepared",
    "block_floating_point",
    "block_format",
    "draft",
    "integer_draft",
    "integer_verify",
    "middle",
    "middle_values",
    "multiply_groups",
    "nibbles_of",
    "prepare_draft",
    "prepare_integers",
    "prepare_middle",
    "prepare_verify",
    "quantise_activations",
    "qverify_format",
    "scale_results",
    "verify",
    "verify_packed",
]
