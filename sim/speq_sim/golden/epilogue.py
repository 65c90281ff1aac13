"""The epilogue: FP32 results of the array times the scales of their rows and tokens.

Written from ``docs/epilogue.md``. Every step is one operation of NumPy on float32, which rounds to
nearest even, honours subnormals and never fuses.
"""

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.checks import check_format
from speq_sim.golden.rounding import CANONICAL_NAN, RESULT_TYPES, ResultFormat

__all__ = ["scale_results"]


def scale_results(
    values: NDArray[np.float32],
    row_scales: NDArray[np.float32],
    token_scales: NDArray[np.float32],
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """Scale each group's values by its row, add the groups up in order, scale by the token.

    Parameters
    ----------
    values : NDArray, G x M x N
        What the array gives for each group of inputs, token and output.
    row_scales : NDArray, N x G
        Scale of each output in each group.
    token_scales : NDArray, M
        Scale of each token.
    result_format : str
        ``"fp32"`` or ``"fp16"``; the latter rounds once more.

    Returns
    -------
    NDArray
        M x N float32 or float16; every NaN is the canonical one.

    Raises
    ------
    TypeError
        If an array is not float32.
    ValueError
        If shapes do not fit, there is no group, or the format is unknown.
    """
    check_format(result_format)
    groups, tokens, outputs = _shape_of(values)
    _check("row_scales", row_scales, (outputs, groups), "N x G")
    _check("token_scales", token_scales, (tokens,), "M")
    with np.errstate(all="ignore"):
        total = values[0] * row_scales[:, 0]
        for group in range(1, groups):
            total = total + values[group] * row_scales[:, group]
        total = total * token_scales[:, None]
        result = total.astype(RESULT_TYPES[result_format])
    patterns = result.view(np.dtype(f"u{result.itemsize}"))
    patterns[np.isnan(result)] = CANONICAL_NAN[result_format]
    return result


def _shape_of(values: NDArray[np.float32]) -> tuple[int, int, int]:
    if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.ndim != 3:
        raise TypeError(
            f"values are {_kind(values)}, but must be a float32 array of G x M x N: give one of "
            f"G = 1 for a matrix without groups"
        )
    if not values.shape[0]:
        raise ValueError("values have no group: give at least one")
    return values.shape


def _check(name: str, array: NDArray[np.float32], shape: tuple[int, ...], meaning: str) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise TypeError(
            f"{name} are {_kind(array)}, but must be a float32 array: convert them with "
            f"numpy.asarray(..., dtype=numpy.float32)"
        )
    if array.shape != shape:
        raise ValueError(
            f"{name} are of shape {array.shape}, but must be {meaning} = {shape} beside these "
            f"values"
        )


def _kind(array: object) -> str:
    return f"{getattr(array, 'dtype', type(array).__name__)} of shape {np.shape(array)}"
