"""Exact powers of two that bring a tensor below 2.

A stored weight is `v[n,k] = w[n,k] * 2**(t + r[n] + c[k])` with `|v| < 2`, and exact: its lowest
set bit stays at or above 2**-24, the last subnormal bit of FP16. `c[k]` is -15..0 and `t + r[n]`
is -64..63 (docs/numerics.md). Some tensors have no such scale; they are stored plain.
"""

import dataclasses
import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.formats.codec import row_blocks
from speq.formats.errors import FormatError

__all__ = [
    "COLUMN_EXPONENTS",
    "LAST_BIT",
    "ROW_EXPONENTS",
    "Scale",
    "apply_scale",
    "bit_exponents",
    "column_candidate",
    "column_rescue",
    "rows_below_two",
    "spare_shifts",
    "undo_scale",
    "why_plain",
]

ROW_EXPONENTS = (-64, 63)
"""Least and largest row exponent `t + r[n]`."""

COLUMN_EXPONENTS = (-15, 0)
"""Least and largest column exponent `c[k]`."""

LAST_BIT = -24
"""Exponent of the last subnormal bit of FP16."""

_NONE = 64
"""Stands for the exponent of a bit that zero does not have."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """Powers of two of a matrix [N, K].

    Parameters
    ----------
    tensor : int
        t.
    rows : array of int8 [N]
        r[n]; t + r[n] is -64..63.
    columns : array of int8 [K]
        c[k], -15..0.

    Raises
    ------
    FormatError
        If an exponent is outside its range.
    """

    tensor: int
    rows: NDArray[np.int8]
    columns: NDArray[np.int8]

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", _int8(self.rows, "row exponents r"))
        object.__setattr__(self, "columns", _int8(self.columns, "column exponents c"))
        _check_range("t + r[n]", self.row_exponents, ROW_EXPONENTS)
        _check_range("c[k]", self.columns, COLUMN_EXPONENTS)

    @property
    def row_exponents(self) -> NDArray[np.int64]:
        """t + r[n] of each row."""
        return self.rows.astype(np.int64) + int(self.tensor)

    @classmethod
    def of(cls, row_exponents: ArrayLike, columns: ArrayLike) -> "Scale":
        """Split row exponents t + r[n]: t is the commonest, so that most of r is zero."""
        exponents = np.asarray(row_exponents, dtype=np.int64)
        values, counts = np.unique(exponents, return_counts=True)
        tensor = int(values[np.argmax(counts)]) if len(values) else 0
        return cls(tensor, exponents - tensor, columns)


def why_plain(bits: NDArray[np.uint16]) -> str | None:
    """Why a tensor must be stored plain whatever the scale, or None."""
    if bits.ndim != 2:
        return f"it has {bits.ndim} dimensions, and only matrices are packed"
    if bits.size == 0:
        return "it is empty"
    if np.any((bits & np.uint16(0x7C00)) == np.uint16(0x7C00)):
        return "it holds Inf or NaN"
    return None


def rows_below_two(
    bits: NDArray[np.uint16],
    columns: NDArray[np.int8] | None = None,
    moved: NDArray[np.int64] | None = None,
) -> NDArray[np.int64] | None:
    """Largest exact row exponents that keep every row below 2, given column exponents.

    Parameters
    ----------
    bits : array of uint16 [N, K]
        Finite FP16 patterns.
    columns : array of int8 [K], optional
        Column exponents; none are all zero.
    moved : array of int64 [N], optional
        Powers of two that the rows hold already: the sum stays -64..63.

    Returns
    -------
    array of int64 [N] or None
        `t + r[n]` (less `moved`). A row of zeros gets the least exponent of the others. None if a
        row has no exact exponent: it reaches 2 and has a bit that would fall below 2**-24, or
        would have to go below 2**-64.
    """
    top, _ = bit_exponents()
    magnitude = bits & np.uint16(0x7FFF)
    live = magnitude.any(axis=1)
    if columns is None or not np.any(columns):
        exponents = -top[magnitude.max(axis=1)].astype(np.int64)
        shrunk = exponents < 0
    else:
        exponents = -(top[bits] + columns.astype(np.int8)).max(axis=1).astype(np.int64)
        shrunk = np.ones(len(bits), dtype=bool)
    exponents[~live] = exponents[live].min() if np.any(live) else 0
    least, most = (limit - (0 if moved is None else moved) for limit in ROW_EXPONENTS)
    if np.any(live & (exponents < least)):
        return None
    exponents = np.clip(exponents, least, most)
    tested = np.flatnonzero(shrunk & live)
    if np.any(spare_shifts(bits[tested], exponents[tested], columns) < 0):
        return None
    return exponents


def spare_shifts(
    bits: NDArray[np.uint16], exponents: NDArray[np.int64], columns: NDArray[np.int8] | None = None
) -> NDArray[np.int64]:
    """How many powers of two each row can be stored lower than `exponents` and stay exact.

    Rows of zeros can by 64 or more. Negative: the row is not exact even at `exponents`.
    """
    _, bottom = bit_exponents()
    lowest = np.empty(len(bits), dtype=np.int64)
    for rows in row_blocks(np.arange(len(bits)), bits.shape[1]):
        places = bottom[bits[rows]]
        lowest[rows] = (places if columns is None else places + columns).min(axis=1)
    return lowest + exponents - LAST_BIT


def column_rescue(
    bits: NDArray[np.uint16], moved: NDArray[np.int64] | None = None
) -> NDArray[np.int8] | None:
    """Least column scaling that makes rows exact which have no exact exponent of their own.

    Such a row holds both a weight of 2 or above and one whose lowest bit is too low to go down.
    Only the columns of the large weights are stored lower; the row stays as high as its low bits
    need. Whether all rows are exact with these columns is for :func:`rows_below_two` to say.

    Parameters
    ----------
    bits : array of uint16 [N, K]
        Finite FP16 patterns.
    moved : array of int64 [N], optional
        Powers of two that the rows hold already.

    Returns
    -------
    array of int8 [K] or None
        None if a column would have to go lower than -15.
    """
    top, _ = bit_exponents()
    least = np.broadcast_to(ROW_EXPONENTS[0] - (0 if moved is None else moved), len(bits))
    excess = np.zeros(bits.shape[1], dtype=np.int64)
    for rows in row_blocks(np.arange(len(bits)), bits.shape[1]):
        tops = top[bits[rows]].astype(np.int64)
        exponents = -tops.max(axis=1)
        needed = np.maximum(exponents - spare_shifts(bits[rows], exponents), least[rows])
        short = np.flatnonzero(needed > exponents)
        over = (tops[short] + needed[short, None]).max(axis=0, initial=0)
        np.maximum(excess, over, out=excess)
    if excess.max(initial=0) > -COLUMN_EXPONENTS[0]:
        return None
    return (-np.maximum(excess, 0)).astype(np.int8)


def column_candidate(bits: NDArray[np.uint16]) -> NDArray[np.int8] | None:
    """Column exponents that even out the columns' root mean squares, as far as exactness allows.

    Returns
    -------
    array of int8 [K] or None
        None if the columns are alike to within a power of two, or no exact choice is left.
    """
    power = np.zeros(bits.shape[1])
    for rows in row_blocks(np.arange(len(bits)), bits.shape[1]):
        values = bits[rows].view(np.float16).astype(np.float32)
        power += np.einsum("nk,nk->k", values, values)
    if not np.any(power > 0):
        return None
    power[power <= 0] = power[power > 0].min()
    level = 0.5 * np.log2(power)
    wanted = -np.rint(level - np.quantile(level, 0.1))
    columns = np.clip(wanted, *COLUMN_EXPONENTS).astype(np.int8)
    return _raise_until_exact(bits, columns)


def _raise_until_exact(
    bits: NDArray[np.uint16], columns: NDArray[np.int8]
) -> NDArray[np.int8] | None:
    """Raise column exponents until every weight is exact; None when nothing but zeros is left.

    Raising a column can lower a row's exponent, so it is repeated until nothing changes; every
    round raises an exponent towards 0, which bounds the number of rounds.
    """
    top, bottom = bit_exponents()
    tops, bottoms = top[bits], bottom[bits]
    while np.any(columns):
        needed = np.full(bits.shape[1], -_NONE, dtype=np.int16)
        for rows in row_blocks(np.arange(len(bits)), bits.shape[1]):
            exponents = -(tops[rows] + columns).max(axis=1)
            lacking = LAST_BIT - bottoms[rows].astype(np.int16) - exponents[:, None]
            np.maximum(needed, lacking.max(axis=0), out=needed)
        raised = np.clip(np.maximum(columns, needed), *COLUMN_EXPONENTS).astype(np.int8)
        if np.array_equal(raised, columns):
            return columns if np.all(needed <= columns) else None
        columns = raised
    return None


def apply_scale(bits: NDArray[np.uint16], scale: Scale) -> NDArray[np.uint16]:
    """Stored patterns [N, K] of original patterns [N, K].

    Raises
    ------
    FormatError
        If a stored weight would reach 2 or lose a bit: the scale is not exact for this tensor.
    """
    stored = _shift(bits, scale, +1)
    if np.any(stored & np.uint16(0x4000)):
        raise FormatError(
            "the scale is not exact for this tensor: a stored weight would reach 2 or lose bits "
            "below 2**-24; choose other exponents, or store the tensor plain"
        )
    return stored


def undo_scale(stored: NDArray[np.uint16], scale: Scale) -> NDArray[np.uint16]:
    """Original patterns of stored patterns: the inverse of :func:`apply_scale`.

    Raises
    ------
    FormatError
        If a weight leaves FP16: the exponents do not belong to these weights.
    """
    bits = _shift(stored, scale, -1)
    if np.any((bits & np.uint16(0x7FFF)) == np.uint16(_INEXACT)):
        raise FormatError(
            "a stored weight leaves FP16 when its scale is undone: the exponents do not belong to "
            "these planes"
        )
    return bits


_INEXACT = 0x7FFF
"""Magnitude that marks a pattern whose scaled value FP16 cannot hold: a NaN, with bit 14 set."""


def _shift(bits: NDArray[np.uint16], scale: Scale, sign: int) -> NDArray[np.uint16]:
    """Patterns times ``2**(sign * (t + r[n] + c[k]))``; inexact ones become a mark."""
    if bits.shape != (len(scale.rows), len(scale.columns)):
        raise FormatError(
            f"a scale of {len(scale.rows)} rows and {len(scale.columns)} columns does not fit a "
            f"tensor of shape {bits.shape}"
        )
    result = np.empty_like(bits)
    exponents = scale.row_exponents
    groups = [np.flatnonzero(scale.columns == column) for column in np.unique(scale.columns)]
    for exponent in np.unique(exponents):
        rows = np.flatnonzero(exponents == exponent)
        for block in np.array_split(rows, max(1, rows.size * bits.shape[1] >> 18)):
            if len(groups) == 1:
                power = sign * int(exponent + scale.columns[0])
                result[block] = shifted_patterns(power)[bits[block]]
                continue
            for columns in groups:
                power = sign * int(exponent + scale.columns[columns[0]])
                place = np.ix_(block, columns)
                result[place] = shifted_patterns(power)[bits[place]]
    return result


@functools.lru_cache(maxsize=128)
def shifted_patterns(power: int) -> NDArray[np.uint16]:
    """Each of the 65,536 FP16 patterns times ``2**power``, or the mark where that is inexact."""
    patterns = np.arange(1 << 16, dtype=np.uint16)
    values = patterns.view(np.float16).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.ldexp(values, power)
        halves = scaled.astype(np.float16)
    exact = np.isfinite(values) & (halves.astype(np.float64) == scaled)
    result = np.where(exact, halves.view(np.uint16), np.uint16(_INEXACT))
    result.flags.writeable = False
    return result


@functools.cache
def bit_exponents() -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Exponents of the highest and the lowest set bit of each FP16 pattern's value."""
    patterns = np.arange(1 << 16, dtype=np.uint16)
    values = np.abs(patterns.view(np.float16).astype(np.float64))
    values[~np.isfinite(values)] = 0
    units = np.ldexp(values, -LAST_BIT).astype(np.int64)
    top = np.full(1 << 16, -_NONE, dtype=np.int8)
    bottom = np.full(1 << 16, _NONE, dtype=np.int8)
    live = units > 0
    top[live] = np.frexp(units[live].astype(np.float64))[1] - 1 + LAST_BIT
    lowest = (units & -units)[live].astype(np.float64)
    bottom[live] = np.frexp(lowest)[1] - 1 + LAST_BIT
    return top, bottom


def _int8(values: ArrayLike, what: str) -> NDArray[np.int8]:
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise FormatError(
            f"{what} must be a vector of whole numbers, not {values.dtype} of shape {values.shape}"
        )
    _check_range(what, values, (-128, 127))
    return values.astype(np.int8)


def _check_range(what: str, values: NDArray, limits: tuple[int, int]) -> None:
    if values.size and not (values.min() >= limits[0] and values.max() <= limits[1]):
        worst = int(values.min() if values.min() < limits[0] else values.max())
        raise FormatError(f"{what} is {worst}, outside {limits[0]}..{limits[1]}")
