"""Composed areas beside flattened ones, for scripts/measure_parts.py --check."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speq.baselines.parameters import BaselineParameters
from speq.parameters import PRESETS, Parameters
from speq.variants import VERIFY_ONLY, ablation, by_activation_format
from speq_sim.performance.area import AreaModel, ArrayArea

__all__ = ["LIMIT", "checks", "flattened", "large"]

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"

FILES = (
    "ablation-tiny.json",
    "ablation-small.json",
    "area-small-spare.json",
    "activation-formats.json",
    "baselines.json",
)
"""Records of flattened runs."""

LIMIT = 0.03
"""Largest error of a composed figure that is accepted."""

LARGE = (16, 32, 64, 128)
"""Rows and columns of the arrays that are composed only."""

_FIGURES = ("transistors", "flip_flops", "area")

Design = Parameters | BaselineParameters


def flattened() -> Iterator[tuple[str, Design, dict[str, float | None]]]:
    """Designs that were flattened and measured, each once: file, design, figures.

    Raises
    ------
    OSError
        If one of :data:`FILES` is missing.
    """
    seen: set[str] = set()
    for name in FILES:
        record = json.loads((RESULTS / name).read_text(encoding="utf-8"))
        for each in _records(record):
            design = _design(each["design"])
            text = str(design.replace(name="same"))
            if text not in seen:
                seen.add(text)
                yield name, design, {figure: each.get(figure) for figure in _FIGURES}


def _records(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The arrays of a record."""
    if "formats" in record:
        designs = by_activation_format(PRESETS["small"])
        for label, figures in record["formats"].items():
            yield {"design": designs[label].as_dict(), **figures}
    elif "designs" in record:
        yield from record["designs"]
    elif "variants" in record:
        yield from record["variants"].values()
    else:
        yield from (each for each in (record, record.get("against")) if each)


def _design(fields: dict[str, Any]) -> Design:
    return BaselineParameters(**fields) if "kind" in fields else Parameters.from_mapping(fields)


def compose(model: AreaModel, design: Design) -> ArrayArea:
    """The area of either kind of array."""
    if isinstance(design, BaselineParameters):
        return model.baseline_area(design)
    return model.area(design)


def checks(model: AreaModel) -> list[dict[str, Any]]:
    """Every flattened run, the composed figures, and their relative errors."""
    result = []
    for source, design, flat in flattened():
        found = compose(model, design)
        composed = {
            "transistors": found.transistors,
            "flip_flops": found.flip_flops,
            "area": round(found.area),
        }
        error = {
            figure: None if flat[figure] is None else round(value / flat[figure] - 1, 5)
            for figure, value in composed.items()
        }
        known = [abs(value) for value in error.values() if value is not None]
        result.append(
            {
                "design": f"{design.name} {design.rows}x{design.columns}",
                "source": source,
                "flattened": flat,
                "composed": composed,
                "error": error,
                "within_3_percent": max(known) <= LIMIT,
            }
        )
    return result


def large(model: AreaModel) -> list[dict[str, Any]]:
    """Arrays that are too large to flatten: FP16-only, with DRAFT of four lanes, with all modes."""
    result = []
    for size in LARGE:
        base = Parameters(
            name=f"array{size}",
            rows=size,
            columns=size,
            port_words=min(size, 64),
            tokens=8,
            activation_values=1 << 17,
        )
        variants = ablation(base)
        for label in (VERIFY_ONLY, "+draft(4)", "all"):
            begun = time.perf_counter()
            found = model.area(variants[label])
            seconds = time.perf_counter() - begun
            result.append(
                {
                    "shape": f"{size}x{size}",
                    "variant": label,
                    "microseconds": round(1e6 * seconds),
                    **found.as_dict(),
                }
            )
    return result
