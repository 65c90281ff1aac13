"""Exact sums of products of integers, by error-free splitting and float64 matrix products.

An integer operand is split into *pieces*, digits to the base ``2**bits``, so small that the
float64 product of two matrices of pieces is exact: every partial sum of a dot product, in whatever
order the BLAS library forms it and with or without fused multiply-adds, is an integer of magnitude
at most ``2**53``, which float64 holds. The matrices of partial sums are then added as integers.

The idea is the error-free splitting of Ozaki, Ogita, Oishi and Rump, "Error-free transformations of
matrix multiplication by using fast routines of matrix multiplication and its applications", 2012.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Split", "Wide", "exact_sums", "split_integers"]

BLOCK_ELEMENTS = 1 << 15
"""Weights converted at a time: their pieces stay in a second-level cache."""


@dataclasses.dataclass(frozen=True)
class Split:
    """How the operands of one mode are split.

    Parameters
    ----------
    bits : int
        Width of a digit; pieces are balanced digits to the base ``2**bits``.
    weight_pieces, activation_pieces : int
        Number of pieces of an operand. The top piece takes what is left, so it may be wider.
    products : int
        Longest dot product of pieces that is certain to be exact in float64.
    """

    bits: int
    weight_pieces: int
    activation_pieces: int
    products: int


@dataclasses.dataclass(frozen=True)
class Wide:
    """Matrix of 128-bit two's complement integers ``high * 2**64 + low``.

    Parameters
    ----------
    high : NDArray
        int64.
    low : NDArray
        uint64, of the same shape.
    """

    high: NDArray[np.int64]
    low: NDArray[np.uint64]


def split_integers(
    values: NDArray[np.float64], bits: int, pieces: int
) -> list[NDArray[np.float64]]:
    """Split integers into balanced digits, lowest first.

    Each rest is an integer of magnitude at most ``2**(bits*i - 1)``, a multiple of the lowest bit
    of its value, hence as exact in float64 as the value; so is each quotient before rounding.

    Parameters
    ----------
    values : NDArray
        float64, integers exact in it.
    bits : int
        Width of a digit.
    pieces : int
        Number of digits; the last one is not bounded by the base.

    Returns
    -------
    list of NDArray
        ``pieces`` float64 arrays ``p`` of integers with ``values == sum of p[i] * 2**(bits*i)``.
        All but the last have magnitude at most ``2**(bits - 1)``.
    """
    rest = values
    found = []
    for index in range(pieces - 1, 0, -1):
        digit = np.rint(rest * 2.0 ** (-bits * index))
        rest = rest - digit * 2.0 ** (bits * index)
        found.append(digit)
    return [rest, *reversed(found)]


def exact_sums(
    weights: NDArray,
    to_integers: Callable[[NDArray], NDArray[np.float64]],
    activations: NDArray[np.float64],
    split: Split,
) -> Wide:
    """``activations @ to_integers(weights).T`` without any rounding.

    Parameters
    ----------
    weights : NDArray
        N x K, of any type.
    to_integers : callable
        Maps a block of `weights` to float64 integers.
    activations : NDArray
        M x K float64 integers.
    split : Split
        The splitting; the caller answers for its bounds.

    Returns
    -------
    Wide
        M x N sums.
    """
    outputs, depth = weights.shape
    tokens = activations.shape[0]
    orders = split.weight_pieces + split.activation_pieces - 1
    # One int64 matrix per power of the base: at most 3 products of pieces of at most 2**53 each
    # and K / products <= 8 parts (VERIFY, the worst case) keep it below 2**58.
    totals = np.zeros((orders, tokens, outputs), dtype=np.int64)
    for start in range(0, depth, split.products):
        columns = slice(start, min(start + split.products, depth))
        pieces = split_integers(activations[:, columns], split.bits, split.activation_pieces)
        present = [index for index, piece in enumerate(pieces) if piece.any()]
        if not present:
            continue
        stacked = np.concatenate([pieces[index] for index in present])
        step = max(1, BLOCK_ELEMENTS // (columns.stop - columns.start))
        for row in range(0, outputs, step):
            rows = slice(row, row + step)
            integers = to_integers(weights[rows, columns])
            digits = split_integers(integers, split.bits, split.weight_pieces)
            for order, digit in enumerate(digits):
                partial = (stacked @ digit.T).astype(np.int64)
                for place, index in enumerate(present):
                    part = partial[place * tokens : (place + 1) * tokens]
                    totals[order + index, :, rows] += part
    return _combine(totals, split.bits)


def _combine(totals: NDArray[np.int64], bits: int) -> Wide:
    """Sum of ``totals[i] * 2**(bits*i)``; both splits keep ``bits*i`` at 60 or less."""
    high = np.zeros(totals.shape[1:], dtype=np.int64)
    low = np.zeros(totals.shape[1:], dtype=np.uint64)
    for index, total in enumerate(totals):
        shift = bits * index
        addend = total.view(np.uint64) << np.uint64(shift)
        low += addend
        high += (total >> (64 - shift) if shift else total >> 63) + (low < addend)
    return Wide(high, low)
