"""BF16 and FP32 weights in FP16: exactly, by a power of two per row, or rounded where asked.

A row is first moved by `p[n]` so that FP16 holds it exactly; packing then works on FP16 patterns
as ever and adds `p[n]` to the row exponent it chooses. BF16 has 8 significant bits, fewer than
FP16's 11, so only the span of a row's exponents can be too large. FP32 has 24.
"""

import dataclasses

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from speq.formats.codec import row_blocks
from speq.formats.errors import FormatError, InexactError
from speq.formats.scale import LAST_BIT, ROW_EXPONENTS, Scale

__all__ = ["Half", "Rounding", "as_half", "round_to_half", "widen"]

SIGNIFICANT_BITS = 11
"""Significant bits of FP16."""

_TOP_EXPONENT = 15
"""Exponent of the highest bit that FP16 holds."""

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_BLOCK_WEIGHTS = 1 << 18
"""Weights handled at a time, so that intermediate arrays stay in the cache."""

_NONE = 1 << 12
"""Stands for the exponent of a bit that zero does not have."""


@dataclasses.dataclass(frozen=True)
class Half:
    """FP16 patterns of a tensor.

    Parameters
    ----------
    bits : array of uint16
        Patterns of ``w[n,k] * 2**moved[n]``, in the tensor's shape.
    moved : array of int64 [N] or None
        p[n], -64..63; None where FP16 holds the weights themselves.
    """

    bits: NDArray[np.uint16]
    moved: NDArray[np.int64] | None = None


def as_half(weights: NDArray) -> Half:
    """A tensor in FP16, exactly.

    Parameters
    ----------
    weights : array of float32 or bfloat16
        The tensor, of any shape.

    Raises
    ------
    InexactError
        If FP16 holds the weights neither as they are nor, of a matrix, with each row moved by a
        power of two.
    FormatError
        If the type is another.
    """
    bits = _unmoved(weights)
    if bits is not None:
        return Half(bits)
    why = _why_not(weights)
    if why is not None:
        raise InexactError(f"FP16 cannot hold its values, and {why}")
    tops, bottoms = _bit_exponents(weights)
    live = tops > -_NONE
    moved = np.maximum(-tops, LAST_BIT - bottoms)
    # Packing lowers the row's exponent again by what this leaves at 2 or above.
    moved = np.clip(moved, *ROW_EXPONENTS)
    short = live & ((bottoms + moved < LAST_BIT) | (tops + moved > _TOP_EXPONENT))
    if np.any(short):
        row = int(np.argmax(short))
        raise InexactError(
            f"row {row} spans 2**{int(tops[row])} to 2**{int(bottoms[row])} (its lowest bit), "
            f"which no power of two brings into FP16"
        )
    moved[~live] = moved[live].min()
    bits = np.empty(weights.shape, dtype=np.uint16)
    for rows in row_blocks(np.arange(len(weights)), weights.shape[1]):
        powers = np.exp2(moved[rows].astype(np.float32))[:, None]
        bits[rows] = (_single(weights[rows]) * powers).astype(np.float16).view(np.uint16)
    return Half(bits, moved)


@dataclasses.dataclass(frozen=True)
class Rounding:
    """What rounding to FP16 cost.

    Parameters
    ----------
    largest_relative_error : float
        Largest `|rounded - w| / |w|` over the weights that are not zero; 1 where one became zero.
    sqnr_db : float
        Energy of the weights over that of the errors, in dB.
    """

    largest_relative_error: float
    sqnr_db: float


def round_to_half(weights: NDArray) -> tuple[NDArray[np.float16], Rounding]:
    """A matrix in FP16, each weight rounded to nearest, ties to even.

    Parameters
    ----------
    weights : array of float32 or bfloat16 [N, K]

    Raises
    ------
    InexactError
        If it is no matrix, holds Inf or NaN, or a weight beyond FP16's largest number.
    """
    why = _why_not(weights)
    if why is not None:
        raise InexactError(why)
    halves = np.empty(weights.shape, dtype=np.float16)
    worst, energy, noise = 0.0, 0.0, 0.0
    for rows in row_blocks(np.arange(len(weights)), weights.shape[1]):
        exact = _single(weights[rows]).astype(np.float64)
        with np.errstate(over="ignore"):
            # FP32 itself, not the FP64 copy, is rounded: once, to nearest even.
            halves[rows] = _single(weights[rows]).astype(np.float16)
        errors = np.abs(halves[rows].astype(np.float64) - exact)
        if not np.all(np.isfinite(errors)):
            raise InexactError("it holds weights beyond FP16's largest number, 65504")
        sizes = np.abs(exact)
        relative = np.divide(errors, sizes, out=np.zeros_like(errors), where=sizes > 0)
        worst = max(worst, float(relative.max(initial=0)))
        energy += float(np.einsum("nk,nk->", exact, exact))
        noise += float(np.einsum("nk,nk->", errors, errors))
    ratio = 10 * np.log10(energy / noise) if noise > 0 else np.inf
    return halves, Rounding(worst, float(ratio))


def widen(bits: NDArray[np.uint16], dtype: str, scale: Scale | None = None) -> NDArray:
    """FP16 patterns in a wider type, after undoing a scale.

    Parameters
    ----------
    bits : array of uint16
        FP16 patterns; a matrix [N, K] where there is a scale.
    dtype : {"BF16", "F32"}
        Type to give.
    scale : Scale, optional
        Powers of two that the patterns hold.

    Raises
    ------
    FormatError
        If a value is not exact in BF16: the patterns are not those of a BF16 tensor.
    """
    result = np.empty(bits.shape, dtype=_BFLOAT16 if dtype == "BF16" else np.float32)
    if scale is None:
        flat, source = result.reshape(-1), bits.reshape(-1)
        for start in range(0, flat.size, _BLOCK_WEIGHTS):
            block = slice(start, start + _BLOCK_WEIGHTS)
            flat[block] = _typed(source[block].view(np.float16).astype(np.float32), dtype)
        return result
    undo_columns = np.exp2(-scale.columns.astype(np.float32))
    undo_rows = np.exp2(-scale.row_exponents.astype(np.float32))[:, None]
    for rows in row_blocks(np.arange(len(bits)), bits.shape[1]):
        values = bits[rows].view(np.float16).astype(np.float32)
        # Both products are exact: 2**-87 to 2**80 are normal numbers of FP32.
        values *= undo_rows[rows]
        values *= undo_columns
        result[rows] = _typed(values, dtype)
    return result


def _unmoved(weights: NDArray) -> NDArray[np.uint16] | None:
    """FP16 patterns of a tensor that FP16 holds bit for bit, or None."""
    flat = weights.reshape(-1)
    bits = np.empty(flat.shape, dtype=np.uint16)
    for start in range(0, flat.size, _BLOCK_WEIGHTS):
        block = slice(start, start + _BLOCK_WEIGHTS)
        exact = _single(flat[block])
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            halves = exact.astype(np.float16)
            back = halves.astype(np.float32)
        if not np.array_equal(back.view(np.uint32), exact.view(np.uint32)):
            return None
        bits[block] = halves.view(np.uint16)
    return bits.reshape(weights.shape)


def _why_not(weights: NDArray) -> str | None:
    """Why rows cannot be moved or rounded, whatever their values."""
    if weights.ndim != 2:
        return f"it has {weights.ndim} dimensions: only matrices are scaled"
    for rows in row_blocks(np.arange(len(weights)), weights.shape[1]):
        if not np.all(np.isfinite(_single(weights[rows]))):
            return "it holds Inf or NaN"
    return None


def _bit_exponents(weights: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exponents of the highest and the lowest set bit in each row.

    Raises
    ------
    InexactError
        If a weight has more significant bits than FP16.
    """
    tops = np.full(len(weights), -_NONE, dtype=np.int64)
    bottoms = np.full(len(weights), _NONE, dtype=np.int64)
    for rows in row_blocks(np.arange(len(weights)), weights.shape[1]):
        bits = _single(weights[rows]).view(np.uint32)
        field = (bits >> 23).astype(np.int32) & 0xFF
        units = (bits & 0x7FFFFF).astype(np.int32) | ((field > 0).astype(np.int32) << 23)
        place = np.maximum(field, 1) - 150
        live = units > 0
        top = np.where(live, place + np.frexp(units.astype(np.float32))[1] - 1, -_NONE)
        lowest = np.frexp((units & -units).astype(np.float32))[1] - 1
        bottom = np.where(live, place + lowest, _NONE)
        broad = live & (top - bottom >= SIGNIFICANT_BITS)
        if np.any(broad):
            row, column = (int(index) for index in np.argwhere(broad)[0])
            used = int(top[row, column] - bottom[row, column]) + 1
            raise InexactError(
                f"FP16 cannot hold its values: the weight at row {int(rows[row])}, column {column} "
                f"has {used} significant bits, and FP16 has {SIGNIFICANT_BITS}"
            )
        tops[rows], bottoms[rows] = top.max(axis=1), bottom.min(axis=1)
    return tops, bottoms


def _single(weights: NDArray) -> NDArray[np.float32]:
    """FP32 of FP32 or BF16, by bits: a NaN keeps its payload."""
    if weights.dtype == np.float32:
        return np.ascontiguousarray(weights)
    if weights.dtype != _BFLOAT16:
        raise FormatError(f"weights have dtype {weights.dtype}, but must be float32 or bfloat16")
    return (np.ascontiguousarray(weights).view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _typed(values: NDArray[np.float32], dtype: str) -> NDArray:
    """FP32 values in their type, by bits."""
    if dtype == "F32":
        return values
    bits = values.view(np.uint32)
    if np.any(bits & 0xFFFF):
        raise FormatError(
            "a weight has more significant bits than BF16: the planes are damaged, or of a tensor "
            "of another type"
        )
    return (bits >> 16).astype(np.uint16).view(_BFLOAT16)
