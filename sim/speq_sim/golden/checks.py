"""Checks of what the golden model is given. Each message names the argument and the mend."""

import numpy as np
from numpy.typing import NDArray

from speq.parameters import MAX_PRODUCTS
from speq_sim.golden.rounding import RESULT_TYPES

__all__ = [
    "check_activations",
    "check_depth",
    "check_exponents",
    "check_format",
    "check_integers",
    "check_lanes",
    "check_nibbles",
    "check_shifts",
    "check_weights",
]


def check_activations(activations: NDArray[np.float16]) -> None:
    """Require M x K float16."""
    _check_matrix("activations", activations, np.float16)


def check_weights(name: str, weights: NDArray, dtype: type) -> None:
    """Require N x K of `dtype`."""
    _check_matrix(name, weights, dtype)


def check_depth(weights: NDArray, activations: NDArray) -> None:
    """Require the same K on both sides, within what a sum can hold."""
    if weights.shape[1] != activations.shape[1]:
        raise ValueError(
            f"weights have K = {weights.shape[1]} columns and activations {activations.shape[1]}: "
            f"give both the same K"
        )
    if weights.shape[1] > MAX_PRODUCTS:
        raise ValueError(
            f"K is {weights.shape[1]}, but an exact sum holds {MAX_PRODUCTS} products at most: "
            f"split the matrix along k"
        )


def check_format(result_format: str) -> None:
    """Require a known result format."""
    if result_format not in RESULT_TYPES:
        raise ValueError(
            f"result_format is {result_format!r}, but must be one of {', '.join(RESULT_TYPES)}"
        )


def check_lanes(lanes: int) -> None:
    """Require a possible number of draft lanes."""
    if lanes not in (1, 2, 4):
        raise ValueError(f"lanes is {lanes!r}, but must be 1, 2 or 4")


def check_nibbles(nibbles: NDArray[np.uint8]) -> None:
    """Require N x K uint8 below 16."""
    _check_matrix("nibbles", nibbles, np.uint8)
    if nibbles.size and nibbles.max() > 15:
        raise ValueError(f"nibbles reach {nibbles.max()}, but a weight of 4 bits is 0..15")


def check_shifts(shifts: NDArray[np.integer] | None, depth: int) -> NDArray[np.int64]:
    """Require s[k], K integers 0..15; None gives zeros."""
    return check_integers("column shifts", shifts, depth, 0, 15)


def check_exponents(exponents: NDArray[np.integer] | None, outputs: int) -> NDArray[np.int64]:
    """Require t + r[n], N integers -64..63; None gives zeros."""
    return check_integers("row exponents", exponents, outputs, -64, 63)


def check_integers(
    name: str, values: NDArray[np.integer] | None, length: int, least: int, most: int
) -> NDArray[np.int64]:
    """Require a vector of integers within a range, as int64; None gives zeros."""
    if values is None:
        return np.zeros(length, dtype=np.int64)
    array = np.asarray(values)
    if array.shape != (length,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"{name} are {array.dtype} of shape {array.shape}, but must be {length} integers"
        )
    if length and not least <= array.min() <= array.max() <= most:
        raise ValueError(
            f"{name} reach from {array.min()} to {array.max()}, but must lie in {least}..{most}"
        )
    return array.astype(np.int64)


def _check_matrix(name: str, array: NDArray, dtype: type) -> None:
    wanted = np.dtype(dtype)
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != wanted:
        kind = getattr(array, "dtype", type(array).__name__)
        raise TypeError(
            f"{name} are {kind} of shape {np.shape(array)}, but must be a two-dimensional "
            f"{wanted} array: convert them with numpy.asarray(..., dtype=numpy.{wanted})"
        )
