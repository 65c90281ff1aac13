"""Where the area goes: transistors of every module of a hierarchical netlist."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from speq.synthesis.transistors import Count, count_cells

__all__ = ["Part", "parts_of"]


@dataclasses.dataclass(frozen=True)
class Part:
    """One module of a design.

    Parameters
    ----------
    module : str
        Its name.
    instances : int
        How many of it the whole design holds.
    own : Count
        Cells of one instance, without the modules inside it.
    inclusive : Count
        Cells of one instance, with the modules inside it.
    """

    module: str
    instances: int
    own: Count
    inclusive: Count

    @property
    def total(self) -> Count:
        """Own cells of all instances: over all parts these add up to the design."""
        return self.own * self.instances

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "module": self.module,
            "instances": self.instances,
            "own_cells_of_all_instances": self.total.as_dict(),
            "one_instance_with_submodules": self.inclusive.as_dict(),
        }


def parts_of(statistics: Mapping[str, Any], top: str) -> tuple[Part, ...]:
    """Read the parts from ``stat -json`` of a netlist that kept its hierarchy.

    Parameters
    ----------
    statistics : mapping
        The parsed JSON.
    top : str
        Name of the top module.

    Returns
    -------
    tuple of Part
        Largest total first.
    """
    modules = {
        name.removeprefix("\\"): record["num_cells_by_type"]
        for name, record in statistics["modules"].items()
    }
    own: dict[str, Count] = {}
    children: dict[str, dict[str, int]] = {}
    for name, cells in modules.items():
        inside = {cell.removeprefix("\\"): number for cell, number in cells.items()}
        children[name] = {cell: number for cell, number in inside.items() if cell in modules}
        own[name] = count_cells(
            {cell: number for cell, number in inside.items() if cell not in modules}
        )
    instances = dict.fromkeys(modules, 0)
    inclusive: dict[str, Count] = {}

    def visit(name: str, times: int) -> Count:
        instances[name] += times
        total = own[name]
        for child, number in children[name].items():
            total += visit(child, times * number) * number
        inclusive[name] = total
        return total

    visit(top, 1)
    parts = (
        Part(name, instances[name], own[name], inclusive[name])
        for name in modules
        if instances[name]
    )
    return tuple(sorted(parts, key=lambda part: (-part.total.transistors, part.module)))
