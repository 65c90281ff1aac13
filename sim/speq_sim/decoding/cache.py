"""Keys and values of the positions that a model has seen."""

import numpy as np
from numpy.typing import DTypeLike, NDArray

from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError

__all__ = ["KVCache"]


class KVCache:
    """Keys and values of every layer, position by position.

    Positions from `length` on are free. Cutting the cache back forgets rejected tokens; the
    positions that are then computed again overwrite what was there.

    Parameters
    ----------
    config : LlamaConfig
        The model.
    capacity : int, optional
        Most positions; by default the model's context.
    dtype : dtype
        Type of the stored elements.

    Raises
    ------
    ModelError
        If the capacity is beyond the context.
    """

    def __init__(
        self,
        config: LlamaConfig,
        capacity: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        capacity = config.context if capacity is None else capacity
        if not 1 <= capacity <= config.context:
            raise ModelError(
                f"a cache of {capacity} positions was asked for, but the model's context is "
                f"{config.context}: give 1 to {config.context}"
            )
        shape = (config.layers, config.kv_heads, capacity, config.head_dim)
        self._keys = np.zeros(shape, dtype=dtype)
        self._values = np.zeros(shape, dtype=dtype)
        self._length = 0

    @property
    def capacity(self) -> int:
        """Most positions."""
        return self._keys.shape[2]

    @property
    def length(self) -> int:
        """Positions that are filled in every layer."""
        return self._length

    def reserve(self, count: int) -> None:
        """See that `count` more positions fit.

        Raises
        ------
        ModelError
            If they do not.
        """
        if self._length + count > self.capacity:
            raise ModelError(
                f"{count} tokens behind {self._length} positions do not fit into a cache of "
                f"{self.capacity}: give a shorter prompt, or a larger cache"
            )

    def write(self, layer: int, keys: NDArray, values: NDArray) -> tuple[NDArray, NDArray]:
        """Store the next positions of one layer, behind `length`, which stays.

        Parameters
        ----------
        layer : int
        keys, values : NDArray
            [T, kv heads, D]; keys are turned by their positions.

        Returns
        -------
        tuple of NDArray
            Keys and values [kv heads, length + T, D] of all positions of the layer: views.
        """
        end = self._length + len(keys)
        self._keys[layer, :, self._length : end] = keys.swapaxes(0, 1)
        self._values[layer, :, self._length : end] = values.swapaxes(0, 1)
        return self._keys[layer, :, :end], self._values[layer, :, :end]

    def advance(self, count: int) -> None:
        """Count positions that all layers have written."""
        self._length += count

    def cut(self, length: int) -> None:
        """Forget all positions from `length` on.

        Raises
        ------
        ModelError
            If there are fewer.
        """
        if not 0 <= length <= self._length:
            raise ModelError(f"a cache of {self._length} positions cannot be cut to {length}")
        self._length = length
