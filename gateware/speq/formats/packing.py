"""Packing a tensor: choose powers of two, tables and alpha, make planes; and back, bit for bit."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.formats.cells import LOW_MIDDLE
from speq.formats.codec import Planes, encode, encoder, fill_planes, row_blocks
from speq.formats.compensation import NO_MOMENTS
from speq.formats.drafted import (
    BASELINE,
    Drafted,
    baseline_output_error,
    compensated,
    finish,
    stored_importance,
    trial,
)
from speq.formats.dtypes import NUMPY_TYPES, WIDE
from speq.formats.errors import FormatError, InexactError
from speq.formats.packed import PackedTensor, unpack
from speq.formats.scale import Scale, column_candidate, column_rescue, rows_below_two, why_plain
from speq.formats.tables import Family
from speq.formats.wide import Half, as_half

__all__ = [
    "COLUMN_GAIN_DB",
    "PackedTensor",
    "pack",
    "pack_half",
    "plain_half",
    "to_half",
    "unpack",
]

COLUMN_GAIN_DB = 0.25
"""Least gain in SQNR for which columns are scaled: their shifts coarsen blocks of activations."""

CONTROLS = ("truncate", "speq", BASELINE)
"""Families that are packed however ill they fit: they are there to be compared with."""

_COLUMN_GAIN = 10 ** (COLUMN_GAIN_DB / 10)

_SAMPLE_ROWS = 256
"""Rows of a tensor, about, by which the gain of scaling its columns is judged first."""

_ROUNDING = 1e-9
"""Share of a tensor's energy by which two errors may differ and count as equal."""


def pack(
    weights: ArrayLike,
    members: Family,
    *,
    scale: Scale | None = None,
    importance: ArrayLike | None = None,
    columns: bool = True,
    second_moments: NDArray[np.floating] | None = None,
) -> PackedTensor:
    """Pack a tensor.

    Every row takes the power of two, at or a little below the largest that is exact, and the
    table of least squared error, and the alpha of least squares. Columns are scaled only where
    that gains at least :data:`COLUMN_GAIN_DB`. A tensor is stored plain if it is no matrix, holds
    Inf or NaN, has no exact scale, or would be drafted worse than by ``bsfp`` (unless the family
    is one of :data:`CONTROLS`).

    BF16 and FP32 are packed alike where FP16 holds every stored weight exactly. Where it holds the
    stored weights alone, and not the tensor's own, there is no plain form to compare with
    ``bsfp``: it is packed whatever its error.

    Parameters
    ----------
    weights : array of float16, bfloat16 or float32, or of uint16 patterns of FP16
        The tensor, of any shape.
    members : Family
        The tables.
    scale : Scale, optional
        Powers of two to use instead of the choice described above.
    importance : array of float [K], optional
        Weight of each input's squared error (mean square of its activation); by default all 1.
    columns : bool
        Whether columns may be scaled at all.
    second_moments : array [K, K], optional
        Mean of ``x x^T`` over inputs x. With a family that has spare codes, codes are chosen so
        that errors cancel (:mod:`speq.formats.compensation`), and errors are those of the output;
        with others only the diagonal serves, as `importance`.

    Returns
    -------
    PackedTensor
        From which :func:`unpack` returns the same bytes, whatever the tensor.

    Raises
    ------
    FormatError
        If `weights` are of another type, or a given scale, importance or second moments do not fit.
    InexactError
        If `weights` are BF16 or FP32 and would have to be stored plain, but FP16 cannot hold them.
    """
    half, dtype = to_half(weights)
    return pack_half(
        half,
        dtype,
        members,
        scale=scale,
        importance=importance,
        columns=columns,
        second_moments=second_moments,
    )


def pack_half(
    half: Half,
    dtype: str,
    members: Family,
    *,
    scale: Scale | None = None,
    importance: ArrayLike | None = None,
    columns: bool = True,
    second_moments: NDArray[np.floating] | None = None,
) -> PackedTensor:
    """Pack what :func:`to_half` gave, so that wide weights need not stay in memory.

    Parameters, result and errors are those of :func:`pack`.
    """
    bits, moved = half.bits, half.moved
    reason = why_plain(bits)
    if reason is not None:
        return plain_half(half, dtype, members, reason)
    second_moments = _second_moments(second_moments, bits.shape[1])
    if second_moments is not None and importance is None:
        importance = np.diag(second_moments)
    importance = _importance(importance, bits.shape[1])
    if not members.has_spare:
        second_moments = None
    spare = second_moments is not None
    if scale is None:
        scales = _candidates(half, members, importance, columns, spare=spare)
    else:
        scales = [_moved(scale, None if moved is None else -moved)]
    if not scales:
        return plain_half(half, dtype, members, "no exact power of two brings it below 2")
    best = trial(half, members, scales[0], importance, fixed=scale is not None, spare=spare)
    baseline = best.baseline
    for candidate in scales[1:]:
        found = trial(half, members, candidate, importance, fixed=False, spare=spare)
        baseline = min(baseline, found.baseline)
        if found.error * _COLUMN_GAIN < best.error:
            best = found
    drafted = finish(half, best)
    error, energy = best.error, best.energy
    if spare:
        drafted, error, energy = compensated(drafted, members, second_moments, importance)
        baseline = baseline_output_error(half, scales, second_moments, fixed=scale is not None)
    # Moved rows have no FP16 of their own to fall back on.
    free = scale is None and moved is None and members.name not in CONTROLS
    if free and error > baseline + _ROUNDING * energy:
        text = f"{BASELINE} would draft it with less error than {members.name}"
        return plain_half(half, dtype, members, text)
    return _packed(half, dtype, members, drafted, importance)


def to_half(weights: ArrayLike) -> tuple[Half, str]:
    """FP16 patterns of weights, exactly, and the name of their type.

    Raises
    ------
    FormatError
        If the type is none that is packed.
    InexactError
        If FP16 cannot hold BF16 or FP32 weights, as they are or with each row moved.
    """
    weights = np.ascontiguousarray(weights) if np.ndim(weights) else np.asarray(weights)
    if weights.dtype == np.uint16:
        return Half(weights), "F16"
    if weights.dtype == np.float16:
        return Half(weights.view(np.uint16)), "F16"
    for dtype in WIDE:
        if weights.dtype == NUMPY_TYPES[dtype]:
            return as_half(weights), dtype
    raise FormatError(
        f"weights have dtype {weights.dtype}, but must be float16, bfloat16 or float32 (or uint16 "
        f"patterns of FP16): convert them where that is exact"
    )


def plain_half(half: Half, dtype: str, members: Family, reason: str) -> PackedTensor:
    """Store plain what :func:`to_half` gave.

    Raises
    ------
    InexactError
        If FP16 holds it only with rows moved.
    """
    if half.moved is not None:
        raise InexactError(f"FP16 cannot hold its values, and {reason}")
    bits = half.bits
    return PackedTensor(members.name, bits.shape, plain=bits.copy(), reason=reason, dtype=dtype)


def _candidates(
    half: Half,
    members: Family,
    importance: NDArray[np.float64] | None,
    columns: bool,
    *,
    spare: bool,
) -> list[Scale]:
    """Row powers of two alone; and with columns evened out, if a sample of rows gains by it.

    If rows alone are not exact, columns are scaled as little as makes them so.
    """
    bits, moved = half.bits, half.moved
    even = np.zeros(bits.shape[1], dtype=np.int8)
    rows = rows_below_two(bits, even, moved)
    if not columns:
        return [] if rows is None else [Scale.of(rows, even)]
    if rows is None:
        rescue = column_rescue(bits, moved)
        rows = None if rescue is None else rows_below_two(bits, rescue, moved)
        return [] if rows is None else [Scale.of(rows, rescue)]
    found = [Scale.of(rows, even)]
    uneven = column_candidate(bits)
    if uneven is None:
        return found
    step = max(1, len(bits) // _SAMPLE_ROWS)
    sample = Half(bits[::step], None if moved is None else moved[::step])
    lower = rows_below_two(sample.bits, uneven, sample.moved)
    if lower is None:
        return found
    errors = [
        trial(sample, members, scale, importance, fixed=False, spare=spare).error
        for scale in (Scale.of(rows[::step], even), Scale.of(lower, uneven))
    ]
    if errors[1] * _COLUMN_GAIN < errors[0]:
        lower = rows_below_two(bits, uneven, moved)
        found += [] if lower is None else [Scale.of(lower, uneven)]
    return found


def _packed(
    half: Half,
    dtype: str,
    members: Family,
    drafted: Drafted,
    importance: NDArray[np.float64] | None,
) -> PackedTensor:
    scale, stored, codes = drafted.scale, drafted.stored, drafted.codes
    rows, columns = stored.shape
    nibbles = (columns + 1) // 2
    planes = Planes(
        np.empty((rows, nibbles), np.uint8),
        np.empty((rows, nibbles), np.uint8),
        np.empty((rows, columns), np.uint8),
    )
    for index in np.unique(drafted.tables):
        words = encoder(members.tables[index])
        for block in row_blocks(np.flatnonzero(drafted.tables == index), columns):
            if codes is None:
                fill_planes(planes, block, words[stored[block]])
            else:
                tables = drafted.tables[block]
                fill_planes(planes, block, encode(stored[block], members, tables, codes[block]))
    middle = _middle_error(stored, stored_importance(scale, importance))
    return PackedTensor(
        family=members.name,
        shape=stored.shape,
        planes=planes,
        scale=_moved(scale, half.moved),
        tables=drafted.tables,
        alpha=drafted.alpha.astype(np.float32),
        dtype=dtype,
        draft_sqnr_db=_decibels(drafted.energy, drafted.error),
        middle_sqnr_db=_decibels(drafted.energy, float(middle @ drafted.back)),
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


def _moved(scale: Scale, moved: NDArray[np.int64] | None) -> Scale:
    """A scale of rows that hold powers of two already, with these added."""
    return scale if moved is None else Scale.of(scale.row_exponents + moved, scale.columns)


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


def _second_moments(
    values: NDArray[np.floating] | None, columns: int
) -> NDArray[np.float64] | None:
    if values is None:
        return None
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (columns, columns) or not np.all(np.isfinite(values)):
        raise FormatError(
            f"second moments must be {columns} x {columns} finite numbers, not an array of shape "
            f"{values.shape}: measure them at the inputs of this layer"
        )
    largest = float(np.diag(values).max())
    close = {"rtol": 1e-3, "atol": 1e-6 * largest}
    symmetric = largest >= 0 and np.allclose(values, values.T, **close)
    # No product of two inputs is larger on average than the larger of their squares.
    if not symmetric or np.any(np.diag(values) < 0) or np.abs(values).max() > 1.01 * largest:
        raise FormatError(NO_MOMENTS)
    # Only ratios count: their scale is taken away, lest FP32 overflow.
    return np.ldexp(0.5 * values + 0.5 * values.T, -math.frexp(largest)[1])


def _decibels(signal: float, noise: float) -> float:
    if noise <= 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
