"""Area and longest path of a design in the cells of one Liberty library."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from speq.synthesis.cells import cell_mix
from speq.synthesis.paths import CriticalPath, critical_path, module_delays
from speq.yosys import YosysError

__all__ = ["LibraryArea", "library_area"]


@dataclasses.dataclass(frozen=True)
class LibraryArea:
    """Area in the cells of one Liberty library.

    Parameters
    ----------
    library : str
        Name the library gives itself.
    area : float
        Sum over all cells, in the library's own unit (square micrometres in all those we name).
    sequential_area : float
        The flip-flops' part of it.
    cells : dict of str to int
        Number of cells by type.
    delay_ps : float or None
        Longest combinational path by ABC's estimate, without wires, in picoseconds; None without a
        constraint file. Neither a flip-flop's delay nor its setup time is in it.
    constraint : str or None
        Name of the constraint file that ABC sized the gates under.
    clock_ps : float or None
        Clock period that ABC sized the gates for, in picoseconds; None if it had none.
    path : CriticalPath or None
        Where the longest path runs.
    nand2_area : float or None
        Area of the library's smallest NAND2; one gate equivalent.
    module_delays : dict of str to float
        Longest path of each module in picoseconds, where the hierarchy is kept.
    """

    library: str
    area: float
    sequential_area: float
    cells: dict[str, int]
    delay_ps: float | None
    constraint: str | None
    clock_ps: float | None = None
    path: CriticalPath | None = None
    nand2_area: float | None = None
    module_delays: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def slack_ps(self) -> float | None:
        """Clock period less the longest path; None without either."""
        if self.clock_ps is None or self.delay_ps is None:
            return None
        return round(self.clock_ps - self.delay_ps, 2)

    @property
    def gate_equivalents(self) -> float | None:
        """Area over that of a NAND2; None if the library has none."""
        return round(self.area / self.nand2_area, 1) if self.nand2_area else None

    @property
    def mix(self) -> dict[str, int]:
        """Number of cells by class (:mod:`speq.synthesis.cells`)."""
        return cell_mix(self.cells)

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            **dataclasses.asdict(self),
            "slack_ps": self.slack_ps,
            "gate_equivalents": self.gate_equivalents,
            "mix": self.mix,
        }


def library_area(
    library: str,
    statistics: Mapping[str, Any],
    log: str,
    registers: str,
    *,
    constraint: str | None,
    clock_ps: float | None,
    nand2_area: float | None,
) -> LibraryArea:
    """Read what Yosys and ABC say about a mapped netlist.

    Parameters
    ----------
    library : str
        Name of the library.
    statistics : mapping
        Parsed ``stat -json -liberty``.
    log : str
        What ABC printed.
    registers : str
        The flip-flops as RTLIL, before ABC.
    constraint, clock_ps, nand2_area
        As in :class:`LibraryArea`.

    Raises
    ------
    YosysError
        If the library gave no areas.
    """
    design = statistics["design"]
    if "area" not in design:
        raise YosysError(f"library {library} gave no areas: are these its cell files?")
    delays = module_delays(log)
    cells = {
        cell: number
        for cell, number in design["num_cells_by_type"].items()
        if not cell.startswith("$scopeinfo")
    }
    return LibraryArea(
        library=library,
        area=float(design["area"]),
        sequential_area=float(design.get("sequential_area", 0.0)),
        cells=cells,
        delay_ps=max(delays.values(), default=None),
        constraint=constraint,
        clock_ps=clock_ps,
        path=critical_path(log, registers),
        nand2_area=nand2_area,
        module_delays=delays if len(delays) > 1 else {},
    )
