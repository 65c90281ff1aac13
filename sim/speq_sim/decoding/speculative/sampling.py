"""From logits to probabilities, and from probabilities to a token."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq_sim.decoding.errors import ModelError

__all__ = ["checked_logits", "draw", "probabilities"]


def checked_logits(logits: ArrayLike) -> NDArray:
    """The logits as an array.

    Raises
    ------
    ModelError
        If one is NaN.
    """
    values = np.asarray(logits)
    if np.isnan(values).any():
        raise ModelError(
            "a logit is NaN, so no token can be chosen: the weights are damaged, or an activation "
            "is beyond what FP16 can hold"
        )
    return values


def probabilities(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """``softmax(logits / temperature)`` over the last axis, in float64.

    Parameters
    ----------
    logits : array_like
        [..., V], finite or -Inf (a token that never comes).
    temperature : float
        Above 0.

    Raises
    ------
    ModelError
        If a logit is NaN, or the temperature is not a finite number above 0.
    """
    if not 0 < temperature < np.inf:
        raise ModelError(f"a temperature of {temperature} cannot be sampled: give more than 0")
    values = checked_logits(logits).astype(np.float64)
    # The greatest is taken away first, so that no temperature makes all exponents overflow.
    with np.errstate(over="ignore"):
        shares = np.exp((values - values.max(axis=-1, keepdims=True)) / temperature)
    return shares / shares.sum(axis=-1, keepdims=True)


def draw(weights: NDArray[np.float64], random: np.random.Generator) -> int:
    """A token with probability in proportion to its weight, never one of weight 0.

    Parameters
    ----------
    weights : NDArray
        [V], 0 or more, not all 0; they need not sum to 1.
    random : Generator
        Gives one number.
    """
    possible = np.flatnonzero(weights)
    edges = np.cumsum(weights[possible])
    found = np.searchsorted(edges, random.random() * edges[-1], side="right")
    # The product may round up to the last edge.
    return int(possible[min(found, len(possible) - 1)])
