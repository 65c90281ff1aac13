"""The real inputs of every linear layer."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq_sim.decoding.backends import Backend
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.rotation import RotatedBackend, Rotation
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["CaptureBackend", "capture"]


class CaptureBackend:
    """Keeps what goes into each linear layer, and passes it on.

    Within a :class:`speq_sim.decoding.rotation.RotatedBackend` it sees rotated inputs, which are
    what the array is given then.

    Parameters
    ----------
    inner : Backend
        Does the work.
    """

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self._seen: dict[str, list[NDArray[np.float16]]] = {}

    def multiply(self, name: str, x: NDArray) -> NDArray:
        """Keep `x` in FP16 and apply the layer to it."""
        with np.errstate(over="ignore"):  # beyond 65504 is Inf, as in the array
            self._seen.setdefault(name, []).append(x.astype(np.float16))
        return self._inner.multiply(name, x)

    def inputs(self) -> dict[str, NDArray[np.float16]]:
        """All inputs so far, [tokens, K] by name of the layer, in the order of the calls."""
        return {name: np.concatenate(parts) for name, parts in self._seen.items()}


def capture(
    weights: LlamaWeights, backend: Backend, tokens: ArrayLike, rotation: Rotation | None = None
) -> dict[str, NDArray[np.float16]]:
    """Run tokens through a model and keep what goes into its linear layers.

    Parameters
    ----------
    weights : LlamaWeights
        The model.
    backend : Backend
        Holds its matrices, folded by `rotation` if there is one.
    tokens : array_like
        [T] token numbers.
    rotation : Rotation, optional
        Online rotation: inputs are kept as they are after it.

    Returns
    -------
    dict of str to NDArray
        float16 [T, K] by name of the layer, rounded as the array takes them.
    """
    watched = CaptureBackend(backend)
    outer = watched if rotation is None else RotatedBackend(watched, rotation)
    model = Llama(weights, outer)
    model.forward(tokens, model.cache(len(np.asarray(tokens))))
    return watched.inputs()
