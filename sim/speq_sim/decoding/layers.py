"""The parts of a Llama layer that are not matrix products with weights.

Every function works in the type of its first argument, and on each token by itself: what a token
gets does not depend on the tokens beside it, to the last bit.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speq_sim.decoding.config import RopePairing

__all__ = ["attend", "rms_norm", "rope_angles", "rotate_positions", "swiglu"]


def rms_norm(x: NDArray, gain: NDArray, epsilon: float) -> NDArray:
    """``x / sqrt(mean(x**2) + epsilon) * gain`` over the last axis.

    Parameters
    ----------
    x : NDArray
        [tokens, H].
    gain : NDArray
        [H].
    epsilon : float
    """
    mean = np.mean(x * x, axis=-1, keepdims=True)
    return x / np.sqrt(mean + x.dtype.type(epsilon)) * gain.astype(x.dtype)


def rope_angles(positions: NDArray[np.integer], head_dim: int, theta: float) -> NDArray[np.float64]:
    """Angles ``p * theta**(-2*i / D)`` [positions, D/2], for i = 0 .. D/2 - 1."""
    frequencies = theta ** (-2.0 * np.arange(head_dim // 2) / head_dim)
    return positions[:, None] * frequencies


def rotate_positions(x: NDArray, angles: NDArray[np.float64], pairing: RopePairing) -> NDArray:
    """Turn the pairs of every head by the angles of its position.

    Parameters
    ----------
    x : NDArray
        [tokens, heads, D].
    angles : NDArray
        [tokens, D/2]. Sine and cosine are taken in float64, then rounded to the type of `x`.
    pairing : RopePairing
        Which elements (a, b) make a pair; they become ``(a cos - b sin, a sin + b cos)``.
    """
    cos = np.cos(angles).astype(x.dtype)[:, None, :]
    sin = np.sin(angles).astype(x.dtype)[:, None, :]
    if pairing is RopePairing.INTERLEAVED:
        first, second = slice(0, None, 2), slice(1, None, 2)
    else:
        half = x.shape[-1] // 2
        first, second = slice(0, half), slice(half, None)
    a, b = x[..., first], x[..., second]
    turned = np.empty_like(x)
    turned[..., first] = a * cos - b * sin
    turned[..., second] = a * sin + b * cos
    return turned


def attend(
    queries: NDArray,
    keys: NDArray,
    values: NDArray,
    seen: Sequence[slice | NDArray[np.int64]] | None = None,
) -> NDArray:
    """Grouped-query attention of the last tokens to all that they see.

    Parameters
    ----------
    queries : NDArray
        [T, heads, D], of the last T slots.
    keys, values : NDArray
        [kv heads, slots, D], of all slots.
    seen : sequence of slice or NDArray, optional
        T: the slots that each token sees, in the order of their positions. By default all up to
        its own.

    Returns
    -------
    NDArray
        [T, heads * D].
    """
    tokens, heads, head_dim = queries.shape
    kv_heads, slots, _ = keys.shape
    if seen is None:
        seen = [slice(slots - tokens + token + 1) for token in range(tokens)]
    grouped = queries.reshape(tokens, kv_heads, heads // kv_heads, head_dim)
    scale = queries.dtype.type(head_dim**-0.5)
    mixed = np.empty_like(grouped)
    # Token by token over what it sees alone: BLAS may sum in another order for another shape, and
    # this shape is the same however many tokens come together, and on whichever slots they lie.
    for token, places in enumerate(seen):
        scores = (grouped[token] * scale) @ _rows(keys, places).swapaxes(1, 2)
        mixed[token] = _softmax(scores) @ _rows(values, places)
    return mixed.reshape(tokens, heads * head_dim)


def _rows(x: NDArray, places: slice | NDArray[np.int64]) -> NDArray:
    """Slots of [kv heads, slots, D], each head's rows behind one another in memory."""
    return x[:, places] if isinstance(places, slice) else x.take(places, axis=1)


def _softmax(scores: NDArray) -> NDArray:
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shares / shares.sum(axis=-1, keepdims=True)


def swiglu(gate: NDArray, up: NDArray) -> NDArray:
    """``gate / (1 + exp(-gate)) * up``, all [tokens, I]."""
    with np.errstate(over="ignore"):  # exp of a very negative gate: the quotient is 0
        return gate / (1 + np.exp(-gate)) * up
