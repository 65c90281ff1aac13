"""Synthesis of single modules, for scripts/measure_parts.py: the wanted ones, others left out."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Value
from amaranth.lib.wiring import In

from _parts import Task
from speq.baselines.array import BaselineArray
from speq.block import Block, module_name, modules
from speq.emission import design_rtlil
from speq.parameters import Parameters
from speq.row import Row
from speq.synthesis import Count, Liberty, Switches
from speq.synthesis.flow import liberty_commands, library_free_commands, synthesis_commands
from speq.synthesis.liberty import unpack
from speq.synthesis.transistors import count_cells
from speq.yosys import run_yosys, verilog_from_rtlil
from speq_sim.performance.area_parts import BASELINE_PARTS, IN_ROW, PARTS

__all__ = ["Library", "black_box", "flat_row", "measure_task", "without"]

Figures = list[float]
"""In the order of :data:`speq_sim.performance.area_fit.FIGURES`."""

Library = tuple[Liberty, Path | None]
"""A cell library and its constraint file."""


def measure_task(task: Task, library: Library) -> dict[str, Figures]:
    """Figures of one instance of each part, without the modules inside it."""
    top = task.top(task.design)
    wanted = {part.name for part in task.parts}
    if task.top is not BaselineArray:
        own = _own_figures(top, wanted, library)
        return {name: own[name] for name in wanted}
    own = _own_figures(top, {"border", "decoder", "sequencer"}, library)
    rest = {"border": _add(own["border"], own.get("decoder", [0.0] * 5))}
    rest |= {name: own[name] for name in ("sequencer", "stage", "array")}
    found = {name: rest[name] for name in wanted - {"pe"}}
    if "pe" in wanted:
        # A small PE alone is mapped for its own delay: its share of a flattened array counts.
        flat = flat_figures(top, library)
        for part in BASELINE_PARTS[1:]:
            number = part.count(task.design)
            flat = _add(flat, [-number * figure for figure in rest[part.name]])
        found["pe"] = [round(figure / task.design.multipliers, 3) for figure in flat]
    return found


def flat_row(design: Parameters, library: Library) -> float:
    """Area of a flattened row over that of its parts, each mapped alone."""
    row = Row(design)
    own = _own_figures(row, set(IN_ROW), library)
    whole = sum(
        own[part.name][3] * (design.columns if part.name in ("pe", "multiplier") else 1)
        for part in PARTS
        if part.name in IN_ROW
    )
    return round(flat_figures(row, library)[3] / whole, 5)


def flat_figures(top: Block, library: Library) -> Figures:
    """Figures of a flattened block."""
    free, mapped = _synthesise(top, library)
    count = count_cells(free["design"]["num_cells_by_type"])
    return _figures(count, mapped["design"])


def _own_figures(top: Block, wanted: set[str], library: Library) -> dict[str, Figures]:
    """Figures of the modules of a block, without the modules inside them, by short name."""
    kept = _names_with(top, wanted)
    boxes = {module_name(block): block for block in modules(top) if module_name(block) not in kept}
    free, mapped = _synthesise(top, library, boxes=boxes)
    prefix = f"speq_{top.parameters.name}"
    areas = {name.removeprefix("\\"): each for name, each in mapped["modules"].items()}
    found: dict[str, Figures] = {}
    for escaped, record in free["modules"].items():
        name = escaped.removeprefix("\\")
        if name in boxes:
            continue
        inside = {cell.removeprefix("\\"): n for cell, n in record["num_cells_by_type"].items()}
        cells = {cell: n for cell, n in inside.items() if not cell.startswith(prefix)}
        own = dict(areas[name])
        for child, number in inside.items():
            for figure in ("area", "sequential_area"):
                if child in areas:
                    taken = number * areas[child].get(figure, 0.0)
                    own[figure] = own.get(figure, 0.0) - taken
        short = "array" if name == prefix else name.removeprefix(f"{prefix}_")
        short = "stages" if short.startswith("stage_") else short
        figures = _figures(count_cells(cells), own)
        found[short] = _add(found[short], figures) if short in found else figures
    if any(found.get("row", [])):
        raise ValueError("a row has cells of its own: it must become a part of the model")
    return found


def _names_with(top: Block, wanted: set[str]) -> set[str]:
    """Names of the modules that are wanted, or have one below that is."""
    kept: set[str] = set()
    for block in modules(top):
        below = any(module_name(part) in kept for part in block.parts)
        if block is top or below or block.stem in wanted:
            kept.add(module_name(block))
    return kept


def _synthesise(
    top: Block, library: Library, *, boxes: Mapping[str, Block] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Statistics of the library-free netlist and of that in the library.

    The hierarchy is dissolved, or kept with some blocks as black boxes, of which only the ports are
    emitted.
    """
    liberty, constraint = library
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        directory = Path(name)
        source = directory / "design.v"
        text = verilog_from_rtlil(design_rtlil(top) if boxes is None else without(top, boxes))
        ports = "".join(black_box(block) for block in (boxes or {}).values())
        source.write_text(text + ports, encoding="utf-8")
        switches = Switches(flatten=boxes is None)
        free, mapped = directory / "free.json", directory / "mapped.json"
        commands = synthesis_commands(source, module_name(top), switches)
        commands += ["design -save gates", *library_free_commands(free), "design -load gates"]
        resolved = constraint.resolve() if constraint else None
        commands += liberty_commands(unpack(liberty, directory), resolved, mapped)
        run_yosys(commands, directory=directory)
        return json.loads(free.read_text()), json.loads(mapped.read_text())


def without(top: Block, boxes: Mapping[str, Block]) -> str:
    """RTLIL of a block and those below it, but for the boxes and what only they hold."""
    texts = [
        rtlil.convert(block, name=module_name(block), emit_src=False)
        for block in modules(top)
        if module_name(block) not in boxes
    ]
    return re.sub(
        r"\\speq_\w+(?:\.\w+)+", lambda name: name.group().replace(".", "_"), "\n".join(texts)
    )


def black_box(block: Block) -> str:
    """Verilog of a block's ports."""
    interface = block.signature.create()
    ports = ["input clk", "input rst"] if block.clocked else []
    for path, member, value in block.signature.flatten(interface):
        way = "input" if member.flow is In else "output"
        width = len(Value.cast(value))
        ports.append(f"{way} [{width - 1}:0] {'__'.join(map(str, path))}")
    return f"\n(* blackbox *)\nmodule {module_name(block)}({', '.join(ports)});\nendmodule\n"


def _figures(count: Count, mapped: Mapping[str, Any]) -> Figures:
    return [
        count.combinational_transistors,
        count.flip_flops,
        count.enabled_flip_flops,
        round(mapped.get("area", 0.0), 3),
        round(mapped.get("sequential_area", 0.0), 3),
    ]


def _add(left: Figures, right: Figures) -> Figures:
    return [a + b for a, b in zip(left, right, strict=True)]
