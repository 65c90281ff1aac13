"""Back ends: what multiplies by the matrices of a model.

A model sends every matrix product through a back end, by the name of the linear layer, and does
everything else itself. So one model runs on BLAS, on the golden model of the array or on the array,
and a wrapper sees or changes what goes in.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Backend", "FastBackend", "WideBackend"]


class Backend(Protocol):
    """What a model asks of a back end."""

    def multiply(self, name: str, x: NDArray) -> NDArray:
        """Apply a linear layer.

        Parameters
        ----------
        name : str
            Name of the layer, as in :class:`speq_sim.decoding.weights.LlamaWeights`.
        x : NDArray
            [tokens, K], in the model's type.

        Returns
        -------
        NDArray
            [tokens, N]: ``x @ W.T``, by the arithmetic of the back end.
        """
        ...


class FastBackend:
    """FP16 weights times FP16 activations, summed in FP32 by BLAS: for statistics.

    Inputs are rounded to FP16 (nearest even), as the array takes them; products of two FP16 numbers
    are exact in FP32. Sums round in an order that BLAS chooses and that may change with the number
    of tokens.

    Parameters
    ----------
    matrices : mapping of str to NDArray
        float16 [N, K] by name. Kept as float32: 4 bytes a weight.
    """

    def __init__(self, matrices: Mapping[str, NDArray[np.float16]]) -> None:
        self._matrices = {name: values.astype(np.float32) for name, values in matrices.items()}

    def multiply(self, name: str, x: NDArray) -> NDArray[np.float32]:
        """``float16(x) @ W.T`` [tokens, N], in float32."""
        # Beyond 65504 is Inf, and Inf times zero is NaN, as in the array.
        with np.errstate(over="ignore", invalid="ignore"):
            rounded = x.astype(np.float16).astype(np.float32)
            return rounded @ self._matrices[name].T


class WideBackend:
    """Float64 without any rounding of inputs: what others are compared with.

    Parameters
    ----------
    matrices : mapping of str to NDArray
        [N, K] of any floating-point type, by name. Kept as float64.
    """

    def __init__(self, matrices: Mapping[str, NDArray]) -> None:
        self._matrices = {name: values.astype(np.float64) for name, values in matrices.items()}

    def multiply(self, name: str, x: NDArray) -> NDArray[np.float64]:
        """``x @ W.T`` [tokens, N], in float64."""
        return x.astype(np.float64) @ self._matrices[name].T
