"""Packing a tensor: choose powers of two, tables and alpha, make planes; and back, bit for bit."""

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.formats.cells import LOW_MIDDLE
from speq.formats.codec import Planes, decode, encoder, fill_planes, from_planes, row_blocks
from speq.formats.errors import FormatError
from speq.formats.moments import MAX_SHIFT, Choice, choose, moments
from speq.formats.scale import (
    Scale,
    apply_scale,
    column_candidate,
    column_rescue,
    rows_below_two,
    spare_shifts,
    undo_scale,
    why_plain,
)
from speq.formats.tables import Family, family

__all__ = ["COLUMN_GAIN_DB", "PackedTensor", "pack", "unpack"]

COLUMN_GAIN_DB = 0.25
"""Least gain in SQNR for which columns are scaled: their shifts coarsen blocks of activations."""

BASELINE = "bsfp"
"""Family that no fitted one may do worse than."""

CONTROLS = ("truncate", "speq", BASELINE)
"""Families that are packed however ill they fit: they are there to be compared with."""

_COLUMN_GAIN = 10 ** (COLUMN_GAIN_DB / 10)

_SAMPLE_ROWS = 256
"""Rows of a tensor, about, by which the gain of scaling its columns is judged first."""

_ROUNDING = 1e-9
"""Share of a tensor's energy by which two errors may differ and count as equal."""


@dataclasses.dataclass(frozen=True)
class PackedTensor:
    """A packed matrix [N, K], or a tensor of any shape stored plain.

    Parameters
    ----------
    family : str
        Name of the family that packed it.
    shape : tuple of int
        Shape of the tensor.
    planes : Planes or None
        Draft, middle and low plane; None when stored plain.
    scale : Scale or None
        Powers of two t, r[n], c[k]; None when stored plain.
    tables : array of uint8 [N] or None
        Index of each row's table.
    alpha : array of float32 [N] or None
        Scale of each row's draft result (epilogue).
    plain : array of uint16 or None
        FP16 patterns of a tensor stored plain, in its shape.
    reason : str or None
        Why it is stored plain.
    draft_sqnr_db, middle_sqnr_db : float or None
        Signal to quantisation noise of the draft weights `v' * alpha` and of the middle values,
        against the exact weights, in dB; infinite where they are exact, None when stored plain.
    """

    family: str
    shape: tuple[int, ...]
    planes: Planes | None = None
    scale: Scale | None = None
    tables: NDArray[np.uint8] | None = None
    alpha: NDArray[np.float32] | None = None
    plain: NDArray[np.uint16] | None = None
    reason: str | None = None
    draft_sqnr_db: float | None = None
    middle_sqnr_db: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the tensor is stored as FP16 only."""
        return self.plain is not None


def pack(
    weights: ArrayLike,
    members: Family,
    *,
    scale: Scale | None = None,
    importance: ArrayLike | None = None,
    columns: bool = True,
) -> PackedTensor:
    """Pack a tensor.

    Every row takes the power of two, at or a little below the largest that is exact, and the
    table of least squared error, and the alpha of least squares. Columns are scaled only where
    that gains at least :data:`COLUMN_GAIN_DB`. A tensor is stored plain if it is no matrix, holds
    Inf or NaN, has no exact scale, or would be drafted worse than by ``bsfp`` (unless the family
    is one of :data:`CONTROLS`).

    Parameters
    ----------
    weights : array of float16, or of uint16 patterns
        The tensor, of any shape.
    members : Family
        The tables.
    scale : Scale, optional
        Powers of two to use instead of the choice described above.
    importance : array of float [K], optional
        Weight of each input's squared error (mean square of its activation); by default all 1.
    columns : bool
        Whether columns may be scaled at all.

    Returns
    -------
    PackedTensor
        From which :func:`unpack` returns the same bytes, whatever the tensor.

    Raises
    ------
    FormatError
        If `weights` are neither FP16 nor uint16, or a given scale or importance does not fit.
    """
    bits = _patterns(weights)
    reason = why_plain(bits)
    if reason is not None:
        return _plain(bits, members, reason)
    importance = _importance(importance, bits.shape[1])
    scales = [scale] if scale else _candidates(bits, members, importance, columns)
    if not scales:
        return _plain(bits, members, "no exact power of two brings it below 2")
    best = _trial(bits, members, scales[0], importance, fixed=scale is not None)
    baseline = best.baseline
    for candidate in scales[1:]:
        found = _trial(bits, members, candidate, importance, fixed=False)
        baseline = min(baseline, found.baseline)
        if found.error * _COLUMN_GAIN < best.error:
            best = found
    slack = _ROUNDING * best.energy
    if scale is None and members.name not in CONTROLS and best.error > baseline + slack:
        text = f"{BASELINE} would draft it with less error than {members.name}"
        return _plain(bits, members, text)
    return _packed(bits, members, best, importance)


def unpack(packed: PackedTensor, members: Family) -> NDArray[np.float16]:
    """The tensor that was packed, byte for byte.

    Parameters
    ----------
    packed : PackedTensor
        Result of :func:`pack`.
    members : Family
        The family it was packed with.

    Raises
    ------
    FormatError
        If the parts of `packed` do not belong together or to the family.
    """
    if packed.is_plain:
        return packed.plain.view(np.float16)
    stored = decode(from_planes(packed.planes), members, packed.tables)
    return undo_scale(stored, packed.scale).view(np.float16)


@dataclasses.dataclass(frozen=True)
class _Trial:
    """Outcome of one candidate scale; errors are in units of the original weights."""

    scale: Scale
    stored: NDArray[np.uint16]
    choice: Choice
    error: float
    baseline: float
    energy: float


def _candidates(
    bits: NDArray[np.uint16],
    members: Family,
    importance: NDArray[np.float64] | None,
    columns: bool,
) -> list[Scale]:
    """Row powers of two alone; and with columns evened out, if a sample of rows gains by it.

    If rows alone are not exact, columns are scaled as little as makes them so.
    """
    even = np.zeros(bits.shape[1], dtype=np.int8)
    rows = rows_below_two(bits, even)
    if not columns:
        return [] if rows is None else [Scale.of(rows, even)]
    if rows is None:
        rescue = column_rescue(bits)
        rows = None if rescue is None else rows_below_two(bits, rescue)
        return [] if rows is None else [Scale.of(rows, rescue)]
    found = [Scale.of(rows, even)]
    uneven = column_candidate(bits)
    if uneven is None:
        return found
    sample = slice(None, None, max(1, len(bits) // _SAMPLE_ROWS))
    lower = rows_below_two(bits[sample], uneven)
    if lower is None:
        return found
    errors = [
        _trial(bits[sample], members, scale, importance, fixed=False).error
        for scale in (Scale.of(rows[sample], even), Scale.of(lower, uneven))
    ]
    if errors[1] * _COLUMN_GAIN < errors[0]:
        lower = rows_below_two(bits, uneven)
        found += [] if lower is None else [Scale.of(lower, uneven)]
    return found


def _trial(
    bits: NDArray[np.uint16],
    members: Family,
    scale: Scale,
    importance: NDArray[np.float64] | None,
    *,
    fixed: bool,
) -> _Trial:
    """Choose each row's shift, table and alpha at a scale (with `fixed`, no shift)."""
    stored = apply_scale(bits, scale)
    sums = moments(stored, _stored_importance(scale, importance))
    if fixed:
        allowed = np.zeros(len(bits), dtype=np.int64)
    else:
        spare = spare_shifts(bits, scale.row_exponents, scale.columns)
        above = scale.row_exponents + 64
        allowed = np.clip(np.minimum(spare, above), 0, MAX_SHIFT)
    choice = choose(sums, members, allowed)
    back = 4.0 ** -scale.row_exponents.astype(np.float64)
    baseline = choose(sums, family(BASELINE), allowed)
    return _Trial(
        scale,
        stored,
        choice,
        float(choice.error @ back),
        float(baseline.error @ back),
        float(sums.energy @ back),
    )


def _packed(
    bits: NDArray[np.uint16],
    members: Family,
    trial: _Trial,
    importance: NDArray[np.float64] | None,
) -> PackedTensor:
    choice = trial.choice
    scale, stored = trial.scale, trial.stored
    if np.any(choice.shift):
        scale = Scale.of(scale.row_exponents - choice.shift, scale.columns)
        stored = apply_scale(bits, scale)
    rows, columns = bits.shape
    half = (columns + 1) // 2
    planes = Planes(
        np.empty((rows, half), np.uint8),
        np.empty((rows, half), np.uint8),
        np.empty((rows, columns), np.uint8),
    )
    for index in np.unique(choice.table):
        words = encoder(members.tables[index])
        for block in row_blocks(np.flatnonzero(choice.table == index), columns):
            fill_planes(planes, block, words[stored[block]])
    middle = _middle_error(stored, _stored_importance(scale, importance))
    back = 4.0 ** -scale.row_exponents.astype(np.float64)
    return PackedTensor(
        family=members.name,
        shape=bits.shape,
        planes=planes,
        scale=scale,
        tables=choice.table,
        alpha=choice.alpha.astype(np.float32),
        draft_sqnr_db=_decibels(trial.energy, trial.error),
        middle_sqnr_db=_decibels(trial.energy, float(middle @ back)),
    )


def _middle_error(
    stored: NDArray[np.uint16], importance: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Squared error of each row's middle values, in units of the stored weights."""
    patterns = np.arange(1 << 14, dtype=np.uint16)
    exact = patterns.view(np.float16).astype(np.float64)
    middle = ((patterns & 0x3F00) | np.uint16(LOW_MIDDLE)).view(np.float16).astype(np.float64)
    squares = ((exact - middle) ** 2).astype(np.float32)
    weight = np.ones(stored.shape[1]) if importance is None else importance
    weight = weight.astype(np.float32)
    result = np.empty(len(stored))
    for rows in row_blocks(np.arange(len(stored)), stored.shape[1]):
        errors = squares[stored[rows] & np.uint16(0x3FFF)]
        result[rows] = np.einsum("nk,k->n", errors, weight)
    return result


def _stored_importance(
    scale: Scale, importance: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Weight of a stored weight's squared error: 2**(-2c) undoes its column's power of two."""
    if not np.any(scale.columns):
        return importance
    weight = 4.0 ** -scale.columns.astype(np.float64)
    return weight if importance is None else weight * importance


def _plain(bits: NDArray[np.uint16], members: Family, reason: str) -> PackedTensor:
    return PackedTensor(members.name, bits.shape, plain=bits.copy(), reason=reason)


def _patterns(weights: ArrayLike) -> NDArray[np.uint16]:
    weights = np.ascontiguousarray(weights) if np.ndim(weights) else np.asarray(weights)
    if weights.dtype == np.float16:
        return weights.view(np.uint16)
    if weights.dtype == np.uint16:
        return weights
    raise FormatError(
        f"weights have dtype {weights.dtype}, but must be float16 (or uint16 patterns): convert "
        f"them where that is exact"
    )


def _importance(values: ArrayLike | None, columns: int) -> NDArray[np.float64] | None:
    if values is None:
        return None
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (columns,) or not np.all(np.isfinite(values)) or np.any(values < 0):
        raise FormatError(
            f"importance must be {columns} finite numbers of 0 or more, one per input, not an "
            f"array of shape {values.shape}"
        )
    return values


def _decibels(signal: float, noise: float) -> float:
    if noise <= 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
