"""Online Hadamard rotation of the inputs of o and down, as in QuaRot and QSpec.

A rotated layer stores ``W' = W R`` and multiplies it by ``x' = x R``. R is orthogonal, so
``x' W'.T = x W.T``: the function stays, but no single element of x' carries an outlier of x. R is
block-diagonal, with orthonormal Hadamard blocks of one order along the inputs.
"""

import enum
from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike, NDArray

from speq_sim.decoding.backends import Backend
from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.hadamard import factor, hadamard_transform

__all__ = ["AttentionRotation", "RotatedBackend", "Rotation"]


class AttentionRotation(enum.StrEnum):
    """What is rotated before o."""

    NONE = "none"
    """Nothing."""

    HEAD = "head"
    """Each head by itself: blocks of order D."""

    ALL = "all"
    """All heads together: one block of order heads * D. If both are powers of two, it is the
    product of QuaRot's transforms, one within each head (folded into v there) and one across heads
    (online, also in QSpec)."""


class Rotation:
    """Which linear layers are rotated, and by what.

    Parameters
    ----------
    config : LlamaConfig
        The model.
    attention : AttentionRotation
        What is rotated before o.
    down : bool
        Whether the input of down is rotated, by one block of order I.

    Raises
    ------
    ModelError
        If no Hadamard transform of an order is known. The message names the order.
    """

    def __init__(
        self,
        config: LlamaConfig,
        attention: AttentionRotation = AttentionRotation.ALL,
        down: bool = True,
    ) -> None:
        self._orders: dict[str, int] = {}
        if attention is not AttentionRotation.NONE:
            whole = attention is AttentionRotation.ALL
            self._orders["o"] = config.attention_width if whole else config.head_dim
        if down:
            self._orders["down"] = config.intermediate
        for part, order in self._orders.items():
            try:
                factor(order)
            except ModelError as error:
                raise ModelError(f"the inputs of {part!r} cannot be rotated: {error}") from None

    def order(self, name: str) -> int | None:
        """Order of the blocks along the inputs of a linear layer; None if it is not rotated."""
        return self._orders.get(name.rpartition(".")[2])

    def apply(self, name: str, values: NDArray) -> NDArray:
        """``values @ R`` for the R of a linear layer; `values` as they are if it is not rotated.

        Parameters
        ----------
        name : str
            Name of the layer.
        values : NDArray
            [..., K], float32 or float64: its activations, or its weights.
        """
        order = self.order(name)
        if order is None:
            return values
        return hadamard_transform(values.reshape(-1, order)).reshape(values.shape)

    def fold(
        self, matrices: Mapping[str, NDArray], dtype: DTypeLike = np.float16
    ) -> dict[str, NDArray]:
        """Rotated weights ``W R``, computed in float64 and rounded once; others as they are.

        Parameters
        ----------
        matrices : mapping of str to NDArray
            [N, K] by name.
        dtype : dtype
            Type of the rotated matrices.
        """
        return {
            name: values
            if self.order(name) is None
            else self.apply(name, values.astype(np.float64)).astype(dtype)
            for name, values in matrices.items()
        }


class RotatedBackend:
    """Rotates activations on their way to a back end that holds folded weights.

    Parameters
    ----------
    inner : Backend
        Multiplies by the matrices that :meth:`Rotation.fold` gave.
    rotation : Rotation
        The same.
    """

    def __init__(self, inner: Backend, rotation: Rotation) -> None:
        self._inner = inner
        self._rotation = rotation

    def multiply(self, name: str, x: NDArray) -> NDArray:
        """Apply a linear layer to x R, which is computed in the type of `x`."""
        return self._inner.multiply(name, self._rotation.apply(name, x))
