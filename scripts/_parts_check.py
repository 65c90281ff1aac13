"""Composed areas and paths beside flattened ones, for scripts/measure_parts.py --check."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

from speq.baselines.parameters import BaselineParameters
from speq.parameters import MAX_PIPELINE, PRESETS, Parameters
from speq.variants import VERIFY_ONLY, ablation, by_activation_format
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.area import AreaModel, ArrayArea
from speq_sim.performance.delay import ArrayDelay, DelayModel

__all__ = ["LIMIT", "checks", "flattened", "large", "row_checks"]

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"

FILES = (
    "ablation-tiny-pipeline-1.json",
    "ablation-small-pipeline-1.json",
    "area-small-spare.json",
    "activation-formats.json",
    "baselines.json",
)
"""Records of flattened runs."""

LIMIT = 0.03
"""Largest error of a composed area, or count, that is accepted."""

DELAY_LIMIT = 0.04
"""Largest error of a composed path that is accepted: the noise of mapping is nearly as large.

Flattened arrays of 8 x 8 whose slowest unit is the same circuit differ by 3.3 %.
"""

LARGE = (16, 32, 64, 128)
"""Rows and columns of the arrays that are composed only."""

_FIGURES = ("transistors", "flip_flops", "area", "delay_ps")

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
                first = (each.get("libraries") or [{}])[0]
                yield name, design, {f: each.get(f, first.get(f)) for f in _FIGURES}


def _records(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The arrays of a record."""
    if "formats" in record:
        small = PRESETS["small"].replace(pipeline=record.get("design", {}).get("pipeline", 1))
        designs = by_activation_format(small)
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


def delay_of(model: DelayModel, design: Design) -> ArrayDelay | None:
    """The longest path of an array, None of a baseline and where a unit was never measured."""
    if isinstance(design, BaselineParameters):
        return None
    with suppress(ModelError):
        return model.delay(design)
    return None


def checks(areas: AreaModel, delays: DelayModel) -> list[dict[str, Any]]:
    """Every flattened run, the composed figures, and their relative errors."""
    result = []
    for source, design, flat in flattened():
        found, path = compose(areas, design), delay_of(delays, design)
        composed: dict[str, int | None] = {
            "transistors": found.transistors,
            "flip_flops": found.flip_flops,
            "area": round(found.area),
            "delay_ps": path and round(path.delay_ps),
        }
        error = {
            figure: value and flat[figure] and round(value / flat[figure] - 1, 5)
            for figure, value in composed.items()
        }
        path_error = error["delay_ps"]
        sizes = [abs(error[f]) for f in _FIGURES if f != "delay_ps" and error[f] is not None]
        result.append(
            {
                "design": f"{design.name} {design.rows}x{design.columns}",
                "source": source,
                "flattened": flat,
                "composed": composed,
                "slowest": path and path.slowest,
                "error": error,
                "within_3_percent": max(sizes) <= LIMIT,
                "delay_within_3_percent": path_error and abs(path_error) <= LIMIT,
                "accepted": max(sizes) <= LIMIT and abs(path_error or 0) <= DELAY_LIMIT,
            }
        )
    return result


def row_checks(delays: DelayModel) -> list[dict[str, Any]]:
    """Flattened rows of each depth that was measured, and composed ones: their longest paths."""
    record = json.loads((RESULTS / "depths-small.json").read_text(encoding="utf-8"))
    result = []
    for depth, each in record["depths"].items():
        flat = each["libraries"].get(delays.library, {}).get("delay_ps")
        design = Parameters.from_mapping(record["design"]).replace(pipeline=int(depth))
        with suppress(ModelError):
            found = delays.row(design)
            error = flat and round(found.delay_ps / flat - 1, 5)
            row = {"pipeline": design.pipeline, "flattened_ps": flat, "error": error}
            result.append({"source": "depths-small.json"} | row | found.as_dict())
    return result


def large(areas: AreaModel, delays: DelayModel) -> list[dict[str, Any]]:
    """Arrays that are too large to flatten: FP16-only, with DRAFT of four lanes, with all modes.

    At every depth of the pipeline at which parts or units were measured.
    """
    result = []
    for size, depth in product(LARGE, range(1, MAX_PIPELINE + 1)):
        base = Parameters(
            name=f"array{size}",
            rows=size,
            columns=size,
            port_words=min(size, 64),
            tokens=8,
            pipeline=depth,
            activation_values=1 << 17,
        )
        variants = ablation(base)
        for label in (VERIFY_ONLY, "+draft(4)", "all"):
            figures: dict[str, Any] = {}
            begun = time.perf_counter()
            with suppress(ModelError):
                figures |= areas.area(variants[label]).as_dict()
            with suppress(ModelError):
                figures |= delays.delay(variants[label]).as_dict()
            seconds = time.perf_counter() - begun
            if figures:
                first = {"shape": f"{size}x{size}", "variant": label, "pipeline": depth}
                result.append(first | {"microseconds": round(1e6 * seconds)} | figures)
    return result
