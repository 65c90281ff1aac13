"""Longest path of single units, for scripts/measure_parts.py --delays."""

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from amaranth.hdl import Value
from amaranth.lib.wiring import In

from _parts import BASE
from _parts_synthesis import Library, black_box, without
from speq.array import Array
from speq.block import Block, module_name, modules
from speq.emission import design_rtlil
from speq.modes import MODES
from speq.parameters import Parameters
from speq.synthesis import Switches
from speq.synthesis.flow import liberty_commands, synthesis_commands
from speq.synthesis.liberty import unpack
from speq.variants import ablation
from speq.yosys import YosysError, run_yosys, verilog_from_rtlil
from speq_sim.performance.delay import UNITS, Unit

__all__ = ["delay_designs", "delay_jobs"]

SIZES: dict[str, Sequence[int]] = {
    "columns": (4, 8, 16, 32),
    "tokens": (1, 4, 8, 16),
    "rows": (4, 8, 64),
    "": (1,),
}
"""Values of the field that a unit depends on."""

FAN_OUT = (4, 16, 64, 256, 1024, 4096)
"""Registers of one enable."""

Job = tuple[str, Callable[[], float], Callable[[float], None]]
"""What a run is called, the run, and what puts its result into the record."""


def delay_jobs(
    record: dict[str, Any], designs: Sequence[Parameters], library: Library
) -> list[Job]:
    """Runs for what the record lacks of some designs.

    Parameters
    ----------
    record : dict
        ``units`` and ``fan_out`` as :class:`speq_sim.performance.delay.DelayModel` has them.
    designs : sequence of Parameters
        Variants and depths; their shapes do not matter.
    library : (Liberty, Path or None)
        Cells and constraint file.
    """
    jobs: list[Job] = []
    known = {loads for loads, _ in record["fan_out"]}
    for loads in FAN_OUT:
        if loads not in known:

            def store_load(delay: float, loads: int = loads) -> None:
                record["fan_out"].append([loads, delay])

            run = partial(_delay, _enable(loads), "top", library)
            jobs.append((f"enable of {loads}", run, store_load))
    planned: set[tuple[str, str, int]] = set()
    for design in designs:
        for unit, key, size in _wanted(design):
            pairs = record["units"].setdefault(unit.name, {}).setdefault(key, [])
            if (unit.name, key, size) in planned or size in {each for each, _ in pairs}:
                continue
            planned.add((unit.name, key, size))
            point = _point(design, unit, size)

            def store(delay: float, pairs: list[Any] = pairs, size: int = size) -> None:
                pairs.append([size, delay])
                pairs.sort()

            run = partial(_unit_delay, unit, point, library)
            jobs.append((f"{unit.name} {key}, size {size}", run, store))
    return jobs


def delay_designs() -> list[Parameters]:
    """What is measured by default: what each mode costs, and at depth 2 three of these."""
    variants = ablation(BASE)
    first = [variants[label].replace(name="part") for label in variants]
    deeper = [first[0], first[2], first[-1]]
    return [*first, *(design.replace(pipeline=2) for design in deeper)]


def _wanted(design: Parameters) -> Iterator[tuple[Unit, str, int]]:
    for unit in UNITS:
        for size in SIZES[unit.size]:
            yield unit, unit.key(design), size


def _point(design: Parameters, unit: Unit, size: int) -> Parameters:
    """The design point that a unit is measured at."""
    point = design.replace(name="part", rows=8, columns=8, port_words=8, tokens=8)
    if unit.name == "control":
        return point.replace(modes=MODES, rows=size)
    if unit.size == "columns":
        return point.replace(columns=size, port_words=2, activation_values=1 << 20)
    return point.replace(**{unit.size: size}) if unit.size else point


def _unit_delay(unit: Unit, point: Parameters, library: Library) -> float:
    array = Array(point)
    if unit.name != "control":
        block = next(each for each in modules(array) if each.stem == unit.name)
        top = "speq_delay_top"
        text = verilog_from_rtlil(design_rtlil(block)) + _instance(block, top)
        return _delay(text, top, library)
    outside = (array.column, array.row)
    left_out = {module_name(each): each for block in outside for each in modules(block)}
    text = verilog_from_rtlil(without(array, left_out)) + "".join(map(black_box, outside))
    return _delay(text, module_name(array), library)


def _instance(block: Block, top: str) -> str:
    """A module around one instance of a block: in an array it is an instance, too.

    Taken as the top by itself, a block is optimised in another order, and its path may differ by
    a tenth from what it is in an array.
    """
    ports = [("input", "clk", 1), ("input", "rst", 1)] if block.clocked else []
    for path, member, value in block.signature.flatten(block.signature.create()):
        way = "input" if member.flow is In else "output"
        ports.append((way, "__".join(map(str, path)), len(Value.cast(value))))
    declared = ", ".join(f"{way} [{width - 1}:0] {name}" for way, name, width in ports)
    connected = ", ".join(f".{name}({name})" for _, name, _ in ports)
    return f"\nmodule {top}({declared});\n  {module_name(block)} unit({connected});\nendmodule\n"


def _enable(loads: int) -> str:
    """A register with an enable, which drives all its bits."""
    ports = f"input clk, input enable, input [{loads - 1}:0] d, output reg [{loads - 1}:0] q"
    return f"module top({ports});\n  always @(posedge clk) if (enable) q <= d;\nendmodule\n"


def _delay(text: str, top: str, library: Library) -> float:
    """ABC's longest path of a flattened module in picoseconds.

    Raises
    ------
    YosysError
        If ABC says none, which it does not without a constraint file.
    """
    liberty, constraint = library
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        directory = Path(name)
        source = directory / "design.v"
        source.write_text(text, encoding="utf-8")
        commands = synthesis_commands(source, top, Switches())
        limits = constraint.resolve() if constraint else None
        commands += liberty_commands(unpack(liberty, directory), limits, directory / "cells.json")
        log = run_yosys(commands, directory=directory)
    found = [float(delay) for delay in re.findall(r"Delay\s*=\s*([0-9.]+) ps", log)]
    if not found:
        raise YosysError(f"ABC gave no delay of {top}: add a constraint file for {liberty.name}")
    return max(found)
