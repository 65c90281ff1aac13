"""The library-free measure of area: transistors of a netlist of NAND2, NOR2, NOT and D flip-flops.

It needs no cell library, is reproducible to the transistor on any machine with the same Yosys, and
is the measure in which the published peers are known.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from speq.yosys import YosysError

__all__ = [
    "ENABLE_TRANSISTORS",
    "FLIP_FLOP_TRANSISTORS",
    "GATE_TRANSISTORS",
    "Count",
    "count_cells",
]

GATE_TRANSISTORS: dict[str, int] = {"$_NOT_": 2, "$_NAND_": 4, "$_NOR_": 4}
"""Transistors of the static CMOS gate of each combinational cell that the flow maps to."""

FLIP_FLOP_TRANSISTORS = 24
"""Transistors of a plain D flip-flop: a static master-slave pair of transmission-gate latches.

Two latches of two transmission gates and two inverters each (16), two local clock inverters (4),
an input and an output inverter (4). Reset and initial values are not in it: the flow turns the
first into gates, which are counted as gates, and drops the last.
"""

ENABLE_TRANSISTORS = 12
"""What an enable adds to a flip-flop: a multiplexer of three NAND2 gates that keeps the old value.

It belongs to the sequential cell, as in cell libraries that have flip-flops with enable.
"""

_FLIP_FLOP = "$_DFF_P_"
_ENABLED_FLIP_FLOP = "$_DFFE_PP_"
_NOT_HARDWARE = {"$scopeinfo", "$print", "$check"}


@dataclasses.dataclass(frozen=True)
class Count:
    """Cells of a netlist, in the library-free measure.

    Parameters
    ----------
    combinational_transistors : int
        Transistors of all NAND2, NOR2 and NOT gates.
    flip_flops : int
        D flip-flops, bits of mapped memories among them.
    enabled_flip_flops : int
        Those of them that have an enable.
    """

    combinational_transistors: int = 0
    flip_flops: int = 0
    enabled_flip_flops: int = 0

    @property
    def flip_flop_transistors(self) -> int:
        """Transistors of all flip-flops and their enables."""
        return (
            self.flip_flops * FLIP_FLOP_TRANSISTORS + self.enabled_flip_flops * ENABLE_TRANSISTORS
        )

    @property
    def transistors(self) -> int:
        """Transistors over combinational and sequential cells together."""
        return self.combinational_transistors + self.flip_flop_transistors

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.combinational_transistors + other.combinational_transistors,
            self.flip_flops + other.flip_flops,
            self.enabled_flip_flops + other.enabled_flip_flops,
        )

    def __mul__(self, times: int) -> "Count":
        return Count(
            self.combinational_transistors * times,
            self.flip_flops * times,
            self.enabled_flip_flops * times,
        )

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "transistors": self.transistors,
            "combinational_transistors": self.combinational_transistors,
            "flip_flop_transistors": self.flip_flop_transistors,
            "flip_flops": self.flip_flops,
            "enabled_flip_flops": self.enabled_flip_flops,
        }


def count_cells(cells: Mapping[str, int]) -> Count:
    """Count a mapped netlist.

    Parameters
    ----------
    cells : mapping of str to int
        Number of cells by type, submodules left out.

    Raises
    ------
    YosysError
        If a cell is neither a gate of :data:`GATE_TRANSISTORS` nor a D flip-flop: leaving it
        out would understate the area.
    """
    combinational = flip_flops = enabled = 0
    for cell, number in cells.items():
        if cell in GATE_TRANSISTORS:
            combinational += number * GATE_TRANSISTORS[cell]
        elif cell in (_FLIP_FLOP, _ENABLED_FLIP_FLOP):
            flip_flops += number
            enabled += number if cell == _ENABLED_FLIP_FLOP else 0
        elif cell not in _NOT_HARDWARE:
            raise YosysError(
                f"{number} cells of type {cell} are left after mapping, and have no transistor "
                f"count: the design must be built of gates and clocked flip-flops alone"
            )
    return Count(combinational, flip_flops, enabled)
