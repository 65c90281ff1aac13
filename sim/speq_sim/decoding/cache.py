"""Keys and values of the positions that a model has seen."""

import itertools
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError

__all__ = ["KVCache"]


class KVCache:
    """Keys and values of every layer, slot by slot.

    Slots from `length` on are free. Cutting the cache back forgets rejected tokens; what is then
    computed again overwrites what was there.

    Slots are usually positions. Behind them there may be a tree: every slot follows a parent, sees
    only its ancestors, and has the position behind its parent's. :meth:`keep` makes one path of
    the tree positions again. (Keys are turned by position, so that moving them changes nothing.)

    Parameters
    ----------
    config : LlamaConfig
        The model.
    capacity : int, optional
        Most positions; by default the model's context.
    dtype : dtype
        Type of the stored elements.
    spare : int
        More slots, for the nodes of trees that are beside the longest path.

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
        spare: int = 0,
    ) -> None:
        capacity = config.context if capacity is None else capacity
        if not 1 <= capacity <= config.context:
            raise ModelError(
                f"a cache of {capacity} positions was asked for, but the model's context is "
                f"{config.context}: give 1 to {config.context}"
            )
        slots = capacity + spare
        shape = (config.layers, config.kv_heads, slots, config.head_dim)
        self._config = config
        self._keys = np.zeros(shape, dtype=dtype)
        self._values = np.zeros(shape, dtype=dtype)
        self._parents = np.arange(-1, slots - 1)
        self._positions = np.arange(slots)
        self._capacity = capacity
        self._length = 0
        # All slots below this one follow the slot before them.
        self._trunk = sys.maxsize

    @property
    def config(self) -> LlamaConfig:
        """The model's architecture."""
        return self._config

    @property
    def capacity(self) -> int:
        """Most positions."""
        return self._capacity

    @property
    def length(self) -> int:
        """Slots that are filled in every layer: positions, if there is no tree."""
        return self._length

    def copy(self, capacity: int | None = None, spare: int = 0) -> "KVCache":
        """A cache of its own that holds the same.

        Parameters
        ----------
        capacity : int, optional
            Its most positions; by default those of this one.
        spare : int
            Its spare slots.

        Raises
        ------
        ModelError
            If it would hold less than this one holds, or is beyond the context.
        """
        capacity = self._capacity if capacity is None else capacity
        filled = slice(self._length)
        if capacity + spare < self._length:
            raise ModelError(
                f"{self._length} positions do not fit into a copy of {capacity}: give it more"
            )
        found = KVCache(self._config, capacity, self._keys.dtype, spare)
        found._keys[:, :, filled] = self._keys[:, :, filled]
        found._values[:, :, filled] = self._values[:, :, filled]
        found._parents[filled] = self._parents[filled]
        found._positions[filled] = self._positions[filled]
        found._length, found._trunk = self._length, self._trunk
        return found

    def reserve(self, count: int, parents: Sequence[int] | None = None) -> NDArray[np.int64]:
        """See that `count` more tokens fit, and note what each of them follows.

        Parameters
        ----------
        count : int
            Tokens, which take the next slots.
        parents : sequence of int, optional
            The slot that each follows: one before its own, or -1 if there is nothing before. By
            default each follows the slot before.

        Returns
        -------
        NDArray
            int64 [count]: their positions.

        Raises
        ------
        ModelError
            If they do not fit, or follow what is not before them.
        """
        start, end = self._length, self._length + count
        if parents is None:
            parents = range(start - 1, end - 1)
        elif len(parents) != count or any(
            not -1 <= parent < slot for slot, parent in enumerate(parents, start)
        ):
            raise ModelError(
                f"parents {list(parents)} are no tree of {count} tokens behind {start} slots: name "
                f"for each token a slot before its own"
            )
        positions: list[int] = []
        for parent in parents:
            before = self._positions[parent] if parent < start else positions[parent - start]
            positions.append(int(before) + 1 if parent >= 0 else 0)
        if max(positions) >= self._capacity or end > len(self._positions):
            raise ModelError(
                f"{count} tokens behind {start} positions do not fit into a cache of "
                f"{self._capacity}: give a shorter prompt, or a larger cache"
            )
        self._parents[start:end] = parents
        self._positions[start:end] = positions
        beside = (slot for slot, parent in enumerate(parents, start) if parent != slot - 1)
        if self._trunk >= start:
            self._trunk = next(beside, sys.maxsize)
        return self._positions[start:end].copy()

    def seen(self, slot: int) -> slice | NDArray[np.int64]:
        """Slots that a slot sees, in the order of their positions, itself last."""
        if slot < self._trunk:
            return slice(slot + 1)
        nodes = []
        while slot >= self._trunk:
            nodes.append(slot)
            slot = int(self._parents[slot])
        return np.concatenate([np.arange(slot + 1), nodes[::-1]])

    def write(self, layer: int, keys: NDArray, values: NDArray) -> tuple[NDArray, NDArray]:
        """Store the next slots of one layer, behind `length`, which stays.

        Parameters
        ----------
        layer : int
        keys, values : NDArray
            [T, kv heads, D]; keys are turned by their positions.

        Returns
        -------
        tuple of NDArray
            Keys and values [kv heads, length + T, D] of all slots of the layer: views.
        """
        end = self._length + len(keys)
        self._keys[layer, :, self._length : end] = keys.swapaxes(0, 1)
        self._values[layer, :, self._length : end] = values.swapaxes(0, 1)
        return self._keys[layer, :, :end], self._values[layer, :, :end]

    def advance(self, count: int) -> None:
        """Count slots that all layers have written."""
        self._length += count

    def cut(self, length: int) -> None:
        """Forget all slots from `length` on.

        Raises
        ------
        ModelError
            If there are fewer.
        """
        if not 0 <= length <= self._length:
            raise ModelError(f"a cache of {self._length} positions cannot be cut to {length}")
        self._length = length

    def keep(self, start: int, path: Sequence[int]) -> None:
        """Keep, of the slots from `start` on, those of one path alone; they move to `start`.

        Parameters
        ----------
        start : int
            Slots before it are positions.
        path : sequence of int
            Slots, each the parent of the next one; the first follows slot ``start - 1``.

        Raises
        ------
        ModelError
            If they are no path.
        """
        nodes = [start - 1, *path]
        follows = all(
            start <= slot < self._length and self._parents[slot] == parent
            for parent, slot in itertools.pairwise(nodes)
        )
        if not (0 <= start <= min(self._trunk, self._length) and follows):
            raise ModelError(
                f"slots {list(path)} are no path behind {start} positions of the cache"
            )
        kept = slice(start, start + len(path))
        if list(path) != list(range(kept.start, kept.stop)):
            self._keys[:, :, kept] = self._keys[:, :, list(path)]
            self._values[:, :, kept] = self._values[:, :, list(path)]
        self._parents[kept] = np.arange(kept.start - 1, kept.stop - 1)
        self._positions[kept] = np.arange(kept.start, kept.stop)
        self._length, self._trunk = kept.stop, sys.maxsize
