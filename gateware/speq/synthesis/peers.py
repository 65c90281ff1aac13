"""Floating-point units of other projects, measured with the library-free flow, to compare with."""

import dataclasses

__all__ = ["PEERS", "Peer"]


@dataclasses.dataclass(frozen=True)
class Peer:
    """A published unit.

    Parameters
    ----------
    name : str
        Project and unit.
    transistors : int
        Combinational transistors by the flow of :mod:`speq.synthesis.flow` (Yosys 0.70, flattened,
        default multipliers). The units are combinational: no flip-flops are in it.
    does : str
        What one unit computes per cycle.
    """

    name: str
    transistors: int
    does: str


PEERS: tuple[Peer, ...] = (
    Peer(
        "Berkeley HardFloat Release 1, FP16 x FP16 + FP32",
        33_898,
        "one multiply-add, rounded to FP32 at every step",
    ),
    Peer(
        "OpenHW CVFPU, FP16 fused multiply-add",
        18_072,
        "one multiply-add, rounded to FP16 at every step",
    ),
)
"""The units a lane of a row stands in for; both without registers."""
