"""OliVe: quantisation into outlier-victim pairs, and matrix products of them."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.baselines.accumulators import integer_products, wrapped
from speq_sim.golden.baselines.pairs import Keep, decode, encode

__all__ = ["Quantised", "matmul", "quantise"]

FACTORS = np.arange(75, 251, 2) / 100
"""Thresholds that are tried, in units of three standard deviations (from the authors' code)."""


@dataclasses.dataclass(frozen=True)
class Quantised:
    """A matrix in outlier-victim pairs along its rows.

    Attributes
    ----------
    slots : NDArray of int64, shape (rows, K)
        K is even; an odd one was padded.
    scales : NDArray of float64, shape (rows,) or (1,)
        Worth of one integer step, per row or for the tensor.
    bits : int
        4 or 8.
    """

    slots: NDArray[np.int64]
    scales: NDArray[np.float64]
    bits: int

    @property
    def values(self) -> NDArray[np.float64]:
        """The quantised matrix, padding included."""
        return decode(self.slots, self.bits) * self.scales[:, None]


def quantise(
    matrix: NDArray[np.floating], bits: int, *, per_row: bool, keep: Keep = "larger"
) -> Quantised:
    """Quantise with the scale of least squared error.

    A threshold T is ``3 * sigma`` times each of 0.75, 0.77 ... 2.49, with sigma the standard
    deviation; one step is worth ``T / 2**(bits - 1)``. The error counts victims and all.

    Parameters
    ----------
    matrix : NDArray, shape (rows, K)
        Weights (N, K) or activations (M, K), finite.
    bits : int
        4 or 8.
    per_row : bool
        One scale per row, as for weights, each of whose rows is an output channel; or one for the
        tensor, as for activations.
    keep : str
        Which of two outliers in a pair survives.

    Notes
    -----
    Threshold, search and granularity are those of the authors' repository, where the grid for 4
    bits ends its normal range at 8 steps; the same with 8 bits is our inference.
    """
    matrix = np.asarray(matrix, np.float64)
    padded = np.pad(matrix, ((0, 0), (0, matrix.shape[1] % 2)))
    axis = 1 if per_row else None
    sigma = np.atleast_1d(matrix.std(axis=axis))
    sigma = np.where(sigma > 0, sigma, 1.0)
    best = np.full(sigma.shape, np.inf)
    scales = np.ones(sigma.shape)
    for factor in FACTORS:
        scale = 3 * sigma * factor / (1 << (bits - 1))
        slots = encode(padded / scale[:, None], bits, keep)
        squares = (decode(slots, bits) * scale[:, None] - padded) ** 2
        error = np.atleast_1d(squares.sum(axis=axis))
        scales = np.where(error < best, scale, scales)
        best = np.minimum(error, best)
    return Quantised(encode(padded / scales[:, None], bits, keep), scales, bits)


def matmul(
    weights: NDArray[np.integer],
    activations: NDArray[np.integer],
    bits: int,
    accumulator_bits: int = 32,
) -> NDArray[np.int64]:
    """Dot products of slots, exact modulo ``2**accumulator_bits``.

    Parameters
    ----------
    weights, activations : NDArray of int
        Slots, (N, K) and (M, K), K even.
    bits : int
        4 or 8.
    accumulator_bits : int
        Width of the accumulators; sums are the representatives in two's complement.

    Returns
    -------
    NDArray of int64, shape (M, N)
        To be multiplied by the scales of both.
    """
    products = integer_products(decode(weights, bits), decode(activations, bits))
    return wrapped(products, accumulator_bits)
