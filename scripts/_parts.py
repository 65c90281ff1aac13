"""Synthesis of single modules, for scripts/measure_parts.py: each circuit once, others left out."""

import dataclasses
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Value
from amaranth.lib.wiring import In

from speq.accumulate import Accumulate
from speq.array import Array
from speq.baselines.array import BaselineArray
from speq.baselines.parameters import PRESETS as BASELINES
from speq.baselines.parameters import BaselineParameters
from speq.block import Block, module_name, modules
from speq.emission import design_rtlil
from speq.loader import Loader
from speq.parameters import Parameters
from speq.pe import ProcessingElement
from speq.reduce import Reduce
from speq.row import Row
from speq.synthesis import Count, Liberty, Switches
from speq.synthesis.flow import liberty_commands, library_free_commands, synthesis_commands
from speq.synthesis.liberty import unpack
from speq.synthesis.transistors import count_cells
from speq.yosys import run_yosys, verilog_from_rtlil
from speq_sim.performance.area_parts import BASELINE_PARTS, IN_ROW, PARTS, Part, shape_of

__all__ = [
    "ROW_COLUMNS",
    "Library",
    "Task",
    "baseline_tasks",
    "flat_row",
    "measure_task",
    "plan",
    "rows_of",
    "variants",
]

Figures = list[float]
"""In the order of :data:`speq_sim.performance.area_fit.FIGURES`."""

Library = tuple[Liberty, Path | None]

BASE = Parameters(name="part", rows=8, columns=8, port_words=8, tokens=8)

SHAPES: tuple[tuple[int, int, int, int], ...] = (
    (8, 8, 8, 8),
    (4, 4, 4, 4),
    (16, 8, 16, 1),
    (8, 16, 4, 2),
    (16, 16, 16, 8),
    (32, 32, 32, 8),
    (64, 64, 16, 16),
)
"""R, C, W, M at which parts that depend on the shape are measured; the first for all parts."""

REDUCE_COLUMNS = (2, 4, 8, 16, 32, 64)

ACCUMULATE: tuple[tuple[int, int], ...] = (
    *((8, tokens) for tokens in (1, 2, 4, 8, 16, 32, 64)),
    *((columns, tokens) for columns in (4, 64) for tokens in (1, 8)),
)
"""C and M."""

VARIANTS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    ((), ("bfp6",)),
    (("draft",), ("fp16", "bfp12x2", "bfp6", "bfp8", "bfp12")),
    (("middle",), ("bfp6",)),
    (("draft", "middle"), ("fp16", "bfp6")),
    (("qdraft", "qverify"), ("fp16", "bfp6")),
    (("draft", "qdraft", "qverify"), ("fp16", "bfp6")),
    (("draft", "middle", "qdraft", "qverify"), ("fp16", "bfp12x2", "bfp6")),
)
"""Modes beside VERIFY, and formats of draft activations."""

FAMILIES = ("fitted-4", "spare-1")
"""Code tables."""

_SMALLER: dict[type[Block], set[str]] = {
    Reduce: {"reduce"},
    Accumulate: {"accumulate"},
    ProcessingElement: {"pe", "multiplier"},
    Loader: {"decoder", "middle_decoder", "unpacker", "loader"},
}
"""Blocks that hold these parts, and are emitted sooner than the whole array."""

ROW_COLUMNS = (8, 4, 16)
"""C of the rows that are flattened: the first for each variant, all for the FP16-only one."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Parts of one design point to measure in one run.

    Parameters
    ----------
    top : type of Block
        What is emitted.
    design : Parameters or BaselineParameters
        The design point.
    parts : tuple of Part
        The parts that are wanted; all other modules without wanted ones below are left out.
    """

    top: type[Block]
    design: Parameters | BaselineParameters
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        names = ", ".join(part.name for part in self.parts)
        return f"{self.parts[0].key(self.design)} {self.design.rows}x{self.design.columns}: {names}"


def variants() -> Iterator[Parameters]:
    """Every variant that is measured, with each family."""
    lanes = {"fp16": 1, "bfp12x2": 2}
    for family, (modes, formats) in product(FAMILIES, VARIANTS):
        for form in formats:
            yield BASE.replace(
                modes=("verify", *modes),
                draft_lanes=lanes.get(form, 4),
                draft_activations=form.removesuffix("x2"),
                family=family,
            )


def plan(designs: Sequence[Parameters], known: Mapping[str, Any]) -> list[Task]:
    """What is not known yet of the parts of some designs, each circuit once.

    Parameters
    ----------
    designs : sequence of Parameters
        Variants; their shapes do not matter.
    known : mapping
        Lists of measurements by part and key.
    """
    named = {part.name: part for part in PARTS}
    points: list[tuple[type[Block], Parameters, list[Part]]] = [
        (Reduce, BASE.replace(columns=columns, port_words=2), [named["reduce"]])
        for columns in REDUCE_COLUMNS
    ]
    points += [
        (Accumulate, BASE.replace(columns=columns, tokens=tokens), [named["accumulate"]])
        for columns, tokens in ACCUMULATE
    ]
    others = [part for part in PARTS if part.name not in ("reduce", "accumulate")]
    for rows, columns, words, tokens in SHAPES:
        shape = {"rows": rows, "columns": columns, "port_words": words, "tokens": tokens}
        points += [
            (Array, design.replace(**shape, activation_values=1 << 20), others)
            for design in designs
        ]
    tasks, seen = [], {_place(part, key, row) for part, key, row in _all(known)}
    for top, design, parts in points:
        wanted = []
        for part in parts:
            place = _place(part, part.key(design), rows_of(design))
            if part.count(design) and place not in seen:
                seen.add(place)
                wanted.append(part)
        if wanted:
            names = {part.name for part in wanted}
            smallest = next((block for block, has in _SMALLER.items() if names <= has), top)
            tasks.append(Task(smallest, design, tuple(wanted)))
    return tasks


def baseline_tasks(known: Mapping[str, Any]) -> list[Task]:
    """Baselines of which something is not known."""
    points = [
        preset.replace(rows=size, columns=size) for preset in BASELINES.values() for size in (4, 16)
    ]
    seen = {_place(part, key, row) for part, key, row in _all(known, BASELINE_PARTS)}
    tasks = []
    for design in points:
        parts = tuple(
            part
            for part in BASELINE_PARTS
            if _place(part, part.key(design), rows_of(design)) not in seen
        )
        seen |= {_place(part, part.key(design), rows_of(design)) for part in parts}
        if parts:
            tasks.append(Task(BaselineArray, design, parts))
    return tasks


def rows_of(design: Parameters | BaselineParameters) -> list[int]:
    """The sizes of a record: R, C, W, M, G."""
    shape = shape_of(design)
    return [int(shape.get(size, 0)) for size in ("R", "C", "W", "M", "G")]


def _all(
    known: Mapping[str, Any], parts: Sequence[Part] = PARTS
) -> Iterator[tuple[Part, str, list[float]]]:
    for part in parts:
        for key, rows in known.get(part.name, {}).items():
            for row in rows:
                yield part, key, row


def _place(part: Part, key: str, row: Sequence[float]) -> tuple[Any, ...]:
    """What tells two measurements apart: a part of one size needs one."""
    sizes = dict(zip(("R", "C", "W", "M", "G"), row, strict=False))
    return part.name, key, *(sizes[size] for size in part.sizes)


def measure_task(task: Task, library: Library) -> dict[str, Figures]:
    """Figures of one instance of each part, without the modules inside it."""
    top = task.top(task.design)
    own = _own_figures(top, {part.name for part in task.parts}, library)
    if task.top is not BaselineArray:
        return {part.name: own[part.name] for part in task.parts}
    rest = {"border": _add(own["border"], own.get("decoder", [0.0] * 5))}
    rest |= {name: own[name] for name in ("sequencer", "stage", "array")}
    found = {part.name: rest[part.name] for part in task.parts if part.name != "pe"}
    if "pe" in {part.name for part in task.parts}:
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
        text = verilog_from_rtlil(design_rtlil(top) if boxes is None else _without(top, boxes))
        ports = "".join(_black_box(block) for block in (boxes or {}).values())
        source.write_text(text + ports, encoding="utf-8")
        switches = Switches(flatten=boxes is None)
        free, mapped = directory / "free.json", directory / "mapped.json"
        commands = synthesis_commands(source, module_name(top), switches)
        commands += ["design -save gates", *library_free_commands(free), "design -load gates"]
        resolved = constraint.resolve() if constraint else None
        commands += liberty_commands(unpack(liberty, directory), resolved, mapped)
        run_yosys(commands, directory=directory)
        return json.loads(free.read_text()), json.loads(mapped.read_text())


def _without(top: Block, boxes: Mapping[str, Block]) -> str:
    """RTLIL of a block and those below it, but for the boxes and what only they hold."""
    texts = [
        rtlil.convert(block, name=module_name(block), emit_src=False)
        for block in modules(top)
        if module_name(block) not in boxes
    ]
    return re.sub(
        r"\\speq_\w+(?:\.\w+)+", lambda name: name.group().replace(".", "_"), "\n".join(texts)
    )


def _black_box(block: Block) -> str:
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
