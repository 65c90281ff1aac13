"""Pack a model tensor by tensor, and compare the result with its source, byte for byte."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speq.formats.dtypes import WEIGHT_TYPES
from speq.formats.errors import FormatError, InexactError
from speq.formats.exponents import Exponents
from speq.formats.int4_model import Int4Options, add_int4, quantised, same_int4
from speq.formats.packed import PackedTensor
from speq.formats.packed_reader import PackedReader
from speq.formats.packed_writer import PARTS, PackedWriter, part_shapes
from speq.formats.packing import pack_half, plain_half, to_half
from speq.formats.report import TensorReport, draft_bits_per_weight
from speq.formats.sources import Source, SourceTensor
from speq.formats.tables import Family
from speq.formats.wide import Rounding, round_to_half

__all__ = ["Options", "TensorReport", "draft_bits_per_weight", "pack_model", "verify_model"]


@dataclasses.dataclass(frozen=True)
class Options:
    """How a model is packed.

    Parameters
    ----------
    columns : bool
        Whether columns may be scaled.
    round : bool
        Whether BF16 and FP32 matrices that FP16 cannot hold are rounded to it.
    importance : mapping of str to array of float [K]
        Per tensor, the mean square of each input (:func:`speq.formats.pack`).
    int4 : Int4Options or None
        Where given, matrices become INT4 and nothing is packed: those that do not are stored plain.
    """

    columns: bool = True
    round: bool = False
    importance: Mapping[str, NDArray] = dataclasses.field(default_factory=dict)
    int4: Int4Options | None = None


def pack_model(
    source: Source,
    path: Path,
    members: Family,
    options: Options,
    *,
    step: Callable[[str], None] = lambda text: None,
    exponents: Exponents | None = None,
) -> list[TensorReport]:
    """Pack a model, one tensor in memory at a time.

    F16 matrices are packed, or stored plain where they cannot be. BF16 and F32 matrices are packed
    where powers of two make every stored weight exact in FP16; else they are rounded (if `options`
    say so), or kept as they are. Other types are kept as they are. With INT4, matrices of these
    three types are quantised; where they cannot be, or by their names, they are stored plain.

    Parameters
    ----------
    source : Source
        The model.
    path : Path
        The packed file to write: all of it or nothing.
    members : Family
        The tables.
    options : Options
        How.
    step : callable
        Called with a text before each tensor.
    exponents : Exponents, optional
        Counts of exponents to add every packed tensor to.

    Returns
    -------
    list of TensorReport
        One per tensor, in order.

    Raises
    ------
    FormatError
        If a tensor cannot be read, its importance does not fit, or two would take one name.
    """
    if any(_same(path, file) for file in source.files):
        raise FormatError(f"{path.name} is the model itself: give another name for the packed file")
    expected = [(tensor.name, tensor.dtype, tensor.shape) for tensor in source.tensors]
    reports = []
    with PackedWriter(path, members, expected) as file:
        for tensor in source.tensors:
            step(f"packing {tensor.name}")
            reports.append(_pack_one(tensor, file, members, options, exponents))
    return reports


def verify_model(
    source: Source,
    path: Path,
    reports: list[TensorReport],
    *,
    step: Callable[[str], None] = lambda text: None,
) -> None:
    """Unpack a file tensor by tensor and compare every byte with the source.

    Rounded tensors are compared with the source rounded once more, INT4 tensors with the source
    quantised once more.

    Parameters
    ----------
    source : Source
        The model.
    path : Path
        The packed file.
    reports : list of TensorReport
        What :func:`pack_model` gave.
    step : callable
        Called with a text before each tensor.

    Raises
    ------
    FormatError
        If a byte differs, or a tensor is missing.
    """
    file = PackedReader(path)
    names = {tensor.name for tensor in source.tensors}
    if names != {*file.names, *file.kept}:
        raise FormatError(f"{path.name} has other tensors than {source.name}: pack the model again")
    for tensor, report in zip(source.tensors, reports, strict=True):
        step(f"verifying {tensor.name}")
        if report.stored == "int4":
            if same_int4(tensor, report, file):
                continue
            raise FormatError(
                f"tensor {tensor.name!r} is not what its source quantises to: this is a defect of "
                f"speq; keep {path.name} and report it"
            )
        dtype = tensor.dtype if report.rounding is None else "F16"
        same = file.shape(tensor.name) == tensor.shape and file.dtype(tensor.name) == dtype
        if not same or not _equal(tensor, report, file):
            raise FormatError(
                f"tensor {tensor.name!r} does not unpack to its own bytes: this is a defect of "
                f"speq; keep {path.name} and report it"
            )


def _pack_one(
    tensor: SourceTensor,
    file: PackedWriter,
    members: Family,
    options: Options,
    exponents: Exponents | None,
) -> TensorReport:
    report = TensorReport(tensor.name, tensor.shape, tensor.dtype, "as it is", 0, 0)
    report = dataclasses.replace(report, origin=tensor.origin)
    reason = f"its type is {tensor.dtype}, and only {', '.join(WEIGHT_TYPES)} are packed"
    if tensor.dtype in WEIGHT_TYPES:
        plain = None
        if options.int4 is not None and len(tensor.shape) == 2:
            integers, plain = quantised(tensor, options.int4)
            if integers is not None:
                return add_int4(integers, report, file)
        packed, rounding, reason = _packed(tensor, members, options, plain)
        if packed is not None:
            origin = _origin(tensor, rounding)
            file.add(tensor.name, packed, origin)
            if exponents is not None and not packed.is_plain:
                exponents.add(packed, members)
            report = dataclasses.replace(report, origin=origin, rounding=rounding)
            return _of_packed(report, packed, members)
    file.keep(tensor.name, tensor.dtype, tensor.shape, tensor.load(), reason)
    size = tensor.nbytes
    return dataclasses.replace(report, stored_bytes=size, draft_bytes=size, reason=reason)


def _packed(
    tensor: SourceTensor, members: Family, options: Options, plain: str | None
) -> tuple[PackedTensor | None, Rounding | None, str]:
    """A tensor packed or plain; or None and why it must be kept as it is.

    With `plain`, which says why, it is not packed in any case.

    The tensor itself is gone from memory once it is in FP16, and is read again to be rounded.
    """
    importance = options.importance.get(tensor.name) if len(tensor.shape) == 2 else None
    why = "" if plain is None else f"{plain}; "

    def packed(values: Callable[[], NDArray]) -> PackedTensor:
        half, dtype = to_half(values())
        if plain is not None:
            if half.moved is not None:
                raise InexactError("FP16 cannot hold its values")
            return plain_half(half, dtype, members, plain)
        return pack_half(half, dtype, members, importance=importance, columns=options.columns)

    try:
        try:
            return packed(tensor.values), None, ""
        except InexactError as error:
            reason = f"{why}{error}"
        if len(tensor.shape) != 2:
            return None, None, reason
        if not options.round:
            return None, None, f"{reason}; --round rounds it to FP16"
        try:
            rounded = [*round_to_half(tensor.values())]
        except InexactError as error:
            return None, None, f"{why}{error}"
        rounding = rounded.pop()
        return packed(rounded.pop), rounding, ""
    except FormatError as error:
        raise FormatError(f"tensor {tensor.name!r}: {error}") from None


def _origin(tensor: SourceTensor, rounding: Rounding | None) -> str | None:
    parts = [tensor.origin] if tensor.origin else []
    if rounding is not None:
        parts.append(f"rounded from {tensor.dtype} to FP16")
    return ", ".join(parts) or None


def _of_packed(report: TensorReport, packed: PackedTensor, members: Family) -> TensorReport:
    if packed.is_plain:
        size = packed.plain.nbytes
        return dataclasses.replace(
            report, stored="plain", stored_bytes=size, draft_bytes=size, reason=packed.reason
        )
    sizes = {
        part: math.prod(sides) * (4 if PARTS[part] == "F32" else 1)
        for part, sides in part_shapes(*packed.shape).items()
    }
    total = sum(sizes.values())
    uses = np.bincount(packed.tables, minlength=len(members.tables))
    return dataclasses.replace(
        report,
        stored="packed",
        stored_bytes=total,
        draft_bytes=total - sizes["middle"] - sizes["low"],
        t=packed.scale.tensor,
        row_exponents=(int(packed.scale.rows.min()), int(packed.scale.rows.max())),
        columns_scaled=int(np.count_nonzero(packed.scale.columns)),
        rows_per_table=tuple(uses.tolist()),
        draft_sqnr_db=packed.draft_sqnr_db,
        middle_sqnr_db=packed.middle_sqnr_db,
    )


def _equal(tensor: SourceTensor, report: TensorReport, file: PackedReader) -> bool:
    wanted = tensor.load()
    if report.rounding is not None:
        wanted = round_to_half(tensor.typed(wanted))[0].reshape(-1).view(np.uint8)
    return np.array_equal(wanted, file.raw(tensor.name))


def _same(path: Path, other: Path) -> bool:
    return path.exists() and path.samefile(other)
