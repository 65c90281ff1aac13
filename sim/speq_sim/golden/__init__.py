"""Golden model: what the array must compute, bit for bit, in NumPy.

Written from ``docs/numerics.md`` alone; no circuit is imported and no circuit was consulted.

* :func:`verify`, :func:`verify_packed`: exact dot products of FP16 weights, rounded once;
* :func:`middle`: the same of weights whose low byte is at its midpoint;
* :func:`draft`: the same of 4-bit draft weights and draft activations;
* :func:`integer_draft`, :func:`integer_verify`: the same of INT4 weights, QDRAFT and QVERIFY;
* :func:`block_floating_point`, :class:`BlockFormat`, :func:`block_format`: activations as passes
  of 4-bit weights see them;
* :func:`quantise_activations`: INT4 activations for QDRAFT;
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

__all__ = [
    "INTEGERS",
    "BlockFloat",
    "BlockFormat",
    "block_floating_point",
    "block_format",
    "draft",
    "integer_draft",
    "integer_verify",
    "middle",
    "middle_values",
    "nibbles_of",
    "quantise_activations",
    "qverify_format",
    "scale_results",
    "verify",
    "verify_packed",
]
