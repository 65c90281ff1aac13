"""Which tensors of a model become INT4, and how (docs/format.md, INT4 tensors)."""

import dataclasses
from fnmatch import fnmatchcase

from speq.formats.dtypes import WEIGHT_TYPES
from speq.formats.errors import QuantisationError
from speq.formats.int4 import Int4Tensor, check_scheme, quantise_int4
from speq.formats.packed_reader import PackedReader
from speq.formats.packed_writer import PackedWriter
from speq.formats.report import TensorReport
from speq.formats.sources import SourceTensor

__all__ = ["FP16_NAMES", "Int4Options", "add_int4", "quantised", "same_int4"]

FP16_NAMES: tuple[str, ...] = (
    "*embed*",
    "*embd*",
    "*wte.weight",
    "*wpe.weight",
    "*lm_head*",
    "output.weight",
)
"""Patterns of the names of embeddings and LM heads in Hugging Face's models and in GGUF."""


@dataclasses.dataclass(frozen=True)
class Int4Options:
    """How a model is quantised to INT4.

    Parameters
    ----------
    group, clip
        As in :func:`speq.formats.quantise_int4`.
    fp16_names : tuple of str
        Patterns (``*``, ``?``, ``[...]``) of the names of matrices that stay FP16.
    """

    group: int = 0
    clip: str = "none"
    fp16_names: tuple[str, ...] = FP16_NAMES

    def __post_init__(self) -> None:
        check_scheme(self.group, self.clip)

    def covers(self, tensor: SourceTensor) -> bool:
        """Whether a tensor is a matrix of weights that does not stay FP16."""
        weights = tensor.dtype in WEIGHT_TYPES and len(tensor.shape) == 2
        return weights and self.why_fp16(tensor.name) is None

    def why_fp16(self, name: str) -> str | None:
        """Why a matrix stays FP16 by its name, or None."""
        for pattern in self.fp16_names:
            if fnmatchcase(name, pattern):
                return f"its name matches {pattern!r}, so it stays FP16"
        return None


def quantised(tensor: SourceTensor, options: Int4Options) -> tuple[Int4Tensor | None, str | None]:
    """A matrix in INT4, read now; or None and why it stays FP16."""
    reason = options.why_fp16(tensor.name)
    if reason is not None:
        return None, reason
    try:
        return quantise_int4(tensor.values(), options.group, options.clip), None
    except QuantisationError as error:
        return None, f"it cannot be INT4: {error}"


def add_int4(integers: Int4Tensor, report: TensorReport, file: PackedWriter) -> TensorReport:
    """Write an INT4 tensor, and fill in what its report has so far."""
    parts = [report.origin] if report.origin else []
    origin = ", ".join([*parts, f"quantised from {report.dtype} to INT4"])
    file.add(report.name, integers, origin)
    size = integers.plane.nbytes + integers.scale.nbytes
    return dataclasses.replace(
        report,
        stored="int4",
        stored_bytes=size,
        draft_bytes=size,
        origin=origin,
        group=integers.group,
        clip=integers.clip,
        int4_sqnr_db=integers.sqnr_db,
    )


def same_int4(tensor: SourceTensor, report: TensorReport, file: PackedReader) -> bool:
    """Whether a file holds the scheme of a report and what its source quantises to once more."""
    found = file.tensor(tensor.name)
    if not isinstance(found, Int4Tensor) or found.shape != tensor.shape:
        return False
    if (found.group, found.clip) != (report.group, report.clip):
        return False
    wanted, _ = quantised(tensor, Int4Options(report.group, report.clip, fp16_names=()))
    return wanted is not None and all(
        getattr(found, part).tobytes() == getattr(wanted, part).tobytes()
        for part in ("plane", "scale")
    )
