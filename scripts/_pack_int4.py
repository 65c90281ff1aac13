"""INT4 in scripts/pack_weights.py: its arguments, its figures, and a comparison of schemes."""

import argparse
import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray
from rich.table import Table

import _cli
from speq.formats import QuantisationError, quantise_int4
from speq.formats.int4 import CLIPS
from speq.formats.int4_model import FP16_NAMES, Int4Options
from speq.formats.report import TensorReport
from speq.formats.sources import open_source

SCHEMES = tuple((group, clip) for group in (0, 128) for clip in CLIPS)
"""Groups and clips that are compared."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what concerns INT4."""
    parser.add_argument(
        "--int4", action="store_true",
        help="quantise matrices to INT4 with FP16 scales, as QSpec does, instead of packing them",
    )  # fmt: skip
    parser.add_argument(
        "--group", metavar="N", type=int,
        help="with --int4: inputs that share a scale, a multiple of 4 such as 128 (0: a row)",
    )  # fmt: skip
    parser.add_argument(
        "--clip", choices=CLIPS,
        help="with --int4: scale by the largest weight (none), or search for the scale of least "
        "squared error (mse)",
    )  # fmt: skip
    parser.add_argument(
        "--fp16", metavar="PATTERN", action="append",
        help="with --int4: leave matrices of such names in FP16; may be repeated, and replaces "
        f"{' '.join(FP16_NAMES)} (give '' to leave none)",
    )  # fmt: skip
    parser.add_argument(
        "--compare", action="store_true",
        help="with --int4: write nothing; quantise IN with scales per row and per 128 inputs, "
        "without and with clipping, and compare",
    )  # fmt: skip


def options(arguments: argparse.Namespace) -> Int4Options | None:
    """How the arguments want a model quantised, or None.

    Raises
    ------
    ValueError
        If arguments do not go together.
    """
    chosen = {
        "--group": arguments.group, "--clip": arguments.clip, "--fp16": arguments.fp16,
    }  # fmt: skip
    if not arguments.int4:
        for name, value in chosen.items():
            if value is not None:
                raise ValueError(f"{name} is for INT4: add --int4, or leave {name} out")
        return None
    for name in ("importance", "no_columns", "plot"):
        if getattr(arguments, name):
            text = "--" + name.replace("_", "-")
            raise ValueError(f"{text} is for packing: leave it out with --int4")
    names = FP16_NAMES if arguments.fp16 is None else tuple(arguments.fp16)
    return Int4Options(arguments.group or 0, arguments.clip or "none", names)


def figures(chosen: Int4Options | None, reports: list[TensorReport]) -> dict[str, Any] | None:
    """What the report says of INT4 as a whole."""
    if chosen is None:
        return None
    found = [report for report in reports if report.stored == "int4"]
    return {
        "group": chosen.group,
        "clip": chosen.clip,
        "fp16_names": list(chosen.fp16_names),
        "weights": sum(report.weights for report in found),
        "bytes": sum(report.stored_bytes for report in found),
        "sqnr_db": _summary([report.int4_sqnr_db for report in found]),
    }


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Quantise every matrix of a model by every scheme: time, size and SQNR.

    Raises
    ------
    ValueError
        If arguments do not go together.
    """
    if not arguments.int4 or arguments.input is None or arguments.output is not None:
        raise ValueError("--compare writes no file: give --int4 and IN alone")
    if arguments.group is not None or arguments.clip is not None:
        raise ValueError("--compare tries all schemes: leave out --group and --clip")
    chosen, source = options(arguments), open_source(arguments.input)
    tensors = [tensor for tensor in source.tensors if chosen.covers(tensor)]
    outcomes, refused = [], []
    with _cli.progress(len(tensors), "quantising") as step:
        for tensor in tensors:
            step(f"quantising {tensor.name}")
            try:
                outcomes.append(_outcomes(tensor.values()))
            except QuantisationError as error:
                refused.append({"name": tensor.name, "reason": str(error)})
    weights = sum(outcome[0].weights for outcome in outcomes)
    schemes = [
        {
            "group": group,
            "clip": clip,
            "seconds": round(sum(outcome.seconds for outcome in column), 2),
            "bits_per_weight": round(8 * sum(outcome.nbytes for outcome in column) / weights, 4),
            "sqnr_db": _summary([outcome.sqnr_db for outcome in column]),
        }
        for (group, clip), column in zip(SCHEMES, zip(*outcomes, strict=True), strict=False)
    ]
    found = {
        "input": source.name,
        "matrices": len(outcomes),
        "weights": weights,
        "schemes": schemes,
        "refused": refused,
    }
    _show(found)
    return found


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """What one scheme made of one matrix."""

    weights: int
    nbytes: int
    seconds: float
    sqnr_db: float


def _outcomes(values: NDArray) -> list[_Outcome]:
    """Outcome of each scheme."""
    found = []
    for group, clip in SCHEMES:
        start = time.perf_counter()
        integers = quantise_int4(values, group, clip)
        seconds = time.perf_counter() - start
        size = integers.plane.nbytes + integers.scale.nbytes
        found.append(_Outcome(values.size, size, seconds, integers.sqnr_db))
    return found


def _summary(ratios: Sequence[float]) -> dict[str, float] | None:
    """Least, mean and largest of ratios in dB, those without any error left out."""
    finite = [ratio for ratio in ratios if math.isfinite(ratio)]
    if not finite:
        return None
    parts = {"least": min(finite), "mean": sum(finite) / len(finite), "largest": max(finite)}
    return {key: round(value, 2) for key, value in parts.items()}


def _show(found: dict[str, Any]) -> None:
    """Print the comparison."""
    title = f"{found['matrices']} matrices, {found['weights'] / 1e6:.1f} million weights"
    table = Table(title=title)
    for column in ("scales", "clip", "bits", "dB least", "mean", "largest", "seconds"):
        table.add_column(column, justify="left" if column in ("scales", "clip") else "right")
    for row in found["schemes"]:
        ratios = [f"{value:.2f}" for value in (row["sqnr_db"] or {}).values()] or [""] * 3
        scales = f"per {row['group']} inputs" if row["group"] else "per row"
        bits, seconds = f"{row['bits_per_weight']:.3f}", f"{row['seconds']:.1f}"
        table.add_row(scales, row["clip"], bits, *ratios, seconds)
    _cli.console.print(table)
    for row in found["refused"]:
        _cli.console.print(f"refused: {row['name']}: {row['reason']}", markup=False)
