"""Integer sums in accumulators of limited width, which wrap."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["integer_products", "wrapped"]


def wrapped(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The number of `bits` bits in two's complement that is congruent to each value.

    Parameters
    ----------
    values : NDArray of int64
    bits : int
        1..64.
    """
    unused = np.int64(64 - bits)
    return (values << unused) >> unused


def integer_products(
    weights: NDArray[np.int64], activations: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Dot products of integers modulo ``2**64``.

    Whatever narrower accumulator they are for: wrapping commutes with addition and multiplication,
    so it may be done once at the end.

    Parameters
    ----------
    weights : NDArray of int64, shape (N, K)
    activations : NDArray of int64, shape (M, K)

    Returns
    -------
    NDArray of int64, shape (M, N)

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    if weights.ndim != 2 or activations.ndim != 2 or weights.shape[1] != activations.shape[1]:
        raise ValueError(
            f"weights have the shape {weights.shape} and activations {activations.shape}: give "
            f"(N, K) and (M, K) with the same K"
        )
    return activations @ weights.T
