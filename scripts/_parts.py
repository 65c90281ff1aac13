"""What scripts/measure_parts.py measures: each circuit of each part once, at some shapes."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from speq.accumulate import Accumulate
from speq.accumulate_segments import AccumulateSegments
from speq.array import Array
from speq.baselines.array import BaselineArray
from speq.baselines.parameters import PRESETS as BASELINES
from speq.baselines.parameters import BaselineParameters
from speq.block import Block
from speq.loader import Loader
from speq.parameters import Parameters
from speq.pe import ProcessingElement
from speq.reduce import Reduce
from speq_sim.performance.area_parts import BASELINE_PARTS, PARTS, Part, shape_of

__all__ = [
    "ROW_COLUMNS",
    "Task",
    "baseline_tasks",
    "plan",
    "rows_of",
    "variants",
]

BASE = Parameters(name="part", rows=8, columns=8, port_words=8, tokens=8, pipeline=1)

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
    (("draft", "middle"), ("fp16", "bfp12x2", "bfp6")),
    (("qdraft", "qverify"), ("fp16", "bfp6")),
    (("draft", "qdraft", "qverify"), ("fp16", "bfp12x2", "bfp6")),
    (("draft", "middle", "qdraft", "qverify"), ("fp16", "bfp12x2", "bfp6")),
)
"""Modes beside VERIFY, and formats of draft activations."""

FAMILIES = ("fitted-4", "spare-1")
"""Code tables."""

_SMALLER: dict[type[Block], set[str]] = {
    ProcessingElement: {"pe", "multiplier"},
    Loader: {"decoder", "middle_decoder", "unpacker", "loader"},
}
"""Blocks that hold these parts, and are emitted sooner than the whole array."""

ROW_COLUMNS = (4, 8, 16)
"""C of the rows that are flattened, the last for the FP16-only one alone."""


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
    points: list[tuple[type[Block], Parameters, list[Part]]] = []
    for depth in sorted({design.pipeline for design in designs}):
        base = BASE.replace(pipeline=depth)
        accumulator = AccumulateSegments if base.carry_saves else Accumulate
        points += [
            (Reduce, base.replace(columns=columns, port_words=2), [named["reduce"]])
            for columns in REDUCE_COLUMNS
        ]
        points += [
            (accumulator, base.replace(columns=columns, tokens=tokens), [named["accumulate"]])
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
            smaller = (block for block, has in _SMALLER.items() if names <= has)
            smallest = next(smaller, top) if top is Array else top
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
