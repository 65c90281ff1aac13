"""What decoding costs on the hardware.

:mod:`speq_sim.performance.passes` counts the bytes that passes move, and what speculation saves of
them.
"""

from speq_sim.performance.passes import (
    Costs,
    PassCost,
    draft_bits,
    draft_cost,
    matrix_bytes,
    predicted_speedup,
)

__all__ = [
    "Costs",
    "PassCost",
    "draft_bits",
    "draft_cost",
    "matrix_bytes",
    "predicted_speedup",
]
