"""Infinities and NaNs beside exact sums, which take finite values alone."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["finite", "special_sums", "to_float64"]


def to_float64(values: NDArray[np.float16]) -> NDArray[np.float64]:
    """The same numbers; NumPy's warning of signalling NaNs is not wanted."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Zeros where a value is infinite or NaN."""
    return np.where(np.isfinite(values), values, 0.0)


def special_sums(
    weights: NDArray[np.float64], activations: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sums over the columns that hold an infinity or a NaN: finite, infinite or NaN.

    IEEE arithmetic is the special-value table, and nothing finite overflows float64 here. Not a
    BLAS product, which may skip zeros and so lose infinity times zero.

    Parameters
    ----------
    weights : NDArray
        N x k float64, the columns concerned.
    activations : NDArray
        M x k float64.

    Returns
    -------
    NDArray
        M x N float64, of which only infinities and NaNs matter.
    """
    sums = np.zeros((activations.shape[0], weights.shape[0]))
    with np.errstate(invalid="ignore"):
        for token, vector in enumerate(activations):
            if weights.shape[1]:
                sums[token] = (weights * vector).sum(axis=1)
    return sums
