"""What became of a model's tensors when it was packed."""

import dataclasses
import math
from typing import Any

from speq.formats.wide import Rounding

__all__ = ["TensorReport", "draft_bits_per_weight"]


@dataclasses.dataclass(frozen=True)
class TensorReport:
    """What became of one tensor.

    Parameters
    ----------
    name : str
    shape : tuple of int
    dtype : str
        Type in the source, by its safetensors name.
    stored : {"packed", "int4", "plain", "as it is"}
        In planes; quantised; as FP16; or in its own type, which the array cannot run.
    stored_bytes, draft_bytes : int
        Bytes in the packed file, without the header; and those of them that a draft pass reads.
    reason : str or None
        Why it is neither packed nor INT4.
    origin : str or None
        What was done to it before, such as "de-quantised Q4_1".
    rounding : Rounding or None
        What rounding to FP16 cost, where it was rounded.
    t : int or None
        Power of two of the tensor.
    row_exponents : tuple of int or None
        Least and largest r[n].
    columns_scaled : int or None
        Columns with a power of two of their own.
    rows_per_table : tuple of int or None
        Rows that use each table.
    draft_sqnr_db, middle_sqnr_db : float or None
        As in :class:`speq.formats.PackedTensor`.
    group, clip : optional
        As in :class:`speq.formats.Int4Tensor`.
    int4_sqnr_db : float or None
        Its ``sqnr_db``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: str
    stored_bytes: int
    draft_bytes: int
    reason: str | None = None
    origin: str | None = None
    rounding: Rounding | None = None
    t: int | None = None
    row_exponents: tuple[int, int] | None = None
    columns_scaled: int | None = None
    rows_per_table: tuple[int, ...] | None = None
    draft_sqnr_db: float | None = None
    middle_sqnr_db: float | None = None
    group: int | None = None
    clip: str | None = None
    int4_sqnr_db: float | None = None

    @property
    def weights(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def as_dict(self) -> dict[str, Any]:
        """JSON values; what does not apply is left out, and an exact ratio (infinite) is None."""
        found: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if isinstance(value, Rounding):
                value = dataclasses.asdict(value) | {"sqnr_db": _finite(value.sqnr_db)}
            found[field.name] = _finite(value) if field.name.endswith("_db") else value
        return found


def draft_bits_per_weight(reports: list[TensorReport]) -> float:
    """Bits that a draft pass reads per element, over every tensor of the model.

    A packed tensor counts its draft plane, alpha, tables and exponents; all others count whole, so
    INT4 ones their nibbles and scales.
    """
    weights = sum(report.weights for report in reports)
    return 8 * sum(report.draft_bytes for report in reports) / max(weights, 1)


def _finite(value: float) -> float | None:
    """A ratio for JSON: two decimals, None where it is infinite (no error at all)."""
    return round(value, 2) if math.isfinite(value) else None
