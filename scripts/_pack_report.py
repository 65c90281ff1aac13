"""What scripts/pack_weights.py prints of a packed model: a row per tensor, and a summary."""

from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

import _cli
from speq.formats.report import TensorReport


def show(figures: dict[str, Any], reports: list[TensorReport]) -> None:
    """Print the report."""
    table = Table(title=f"{escape(figures['output'])}, family {figures['family']}")
    quantised = figures["int4"] is not None
    if quantised:
        middle = (("scales", "left"), ("INT4 dB", "right"))
    else:
        middle = (
            ("t + r", "right"), ("rows per table", "left"),
            ("draft dB", "right"), ("middle dB", "right"),
        )  # fmt: skip
    for column, justify in (("tensor", "left"), ("shape", "right"), *middle, ("remark", "left")):
        table.add_column(column, justify=justify)
    for report in reports:
        row = int4_cells(report) if quantised else cells(report)
        table.add_row(*(escape(text) for text in row))
    _cli.console.print(table)
    stored = figures["tensors_stored"]
    lines = [
        f"{stored['int4']} tensors INT4, " * quantised
        + f"{stored['packed']} tensors packed, " * (not quantised)
        + f"{stored['plain']} plain FP16, {stored['as it is']} as they are, "
        f"{figures['tensors_rounded']} rounded to FP16; a draft pass reads "
        f"{figures['draft_bits_per_weight']:.2f} bits per weight over the whole model",
        f"{figures['input_bytes'] / 1e6:.1f} MB to {figures['output_bytes'] / 1e6:.1f} MB in "
        f"{figures['seconds']:.1f} s ({figures['gb_per_s']:.3f} GB/s of FP16); peak memory "
        f"{figures['peak_memory_bytes'] / 1e6:.0f} MB, largest tensor "
        f"{figures['largest_tensor_bytes'] / 1e6:.1f} MB",
        *figures["remarks"],
    ]
    if figures["verified"]:
        rounded = ", those rounded to their rounded ones" if figures["tensors_rounded"] else ""
        again = "; INT4 is what the source quantises to" if stored["int4"] else ""
        lines.append(f"verified: every tensor unpacks to the same bytes{rounded}{again}")
    for line in lines:
        _cli.console.print(escape(line), highlight=False, soft_wrap=True)


def cells(report: TensorReport) -> list[str]:
    """The row of a tensor in the printed table."""
    label, remarks = _label(report), _remarks(report)
    if report.stored != "packed":
        return [*label, "", "", "", "", ", ".join(remarks)]
    if report.columns_scaled:
        remarks.append(f"{report.columns_scaled} columns scaled")
    low, high = (report.t + row for row in report.row_exponents)
    places = f"{low}" if low == high else f"{low}..{high}"
    uses = " ".join(map(str, report.rows_per_table))
    ratios = [_decibels(report.draft_sqnr_db), _decibels(report.middle_sqnr_db)]
    return [*label, places, uses, *ratios, ", ".join(remarks)]


def int4_cells(report: TensorReport) -> list[str]:
    """The row of a tensor in the printed table of an INT4 model."""
    label, remark = _label(report), ", ".join(_remarks(report))
    if report.stored != "int4":
        return [*label, "", "", remark]
    scales = f"per {report.group} inputs" if report.group else "per row"
    return [*label, scales, _decibels(report.int4_sqnr_db), remark]


def _label(report: TensorReport) -> list[str]:
    name = "".join(letter if letter.isprintable() else "?" for letter in report.name)
    return [name, "x".join(map(str, report.shape))]


def _remarks(report: TensorReport) -> list[str]:
    remarks = [report.origin] if report.origin else []
    if report.rounding is not None:
        remarks.append(f"largest relative error {report.rounding.largest_relative_error:.1e}")
    return remarks if report.reason is None else [f"{report.stored}: {report.reason}", *remarks]


def _decibels(ratio: float) -> str:
    return f"{ratio:.2f}" if np.isfinite(ratio) else "exact"
