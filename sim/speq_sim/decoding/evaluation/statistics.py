"""Estimates with 95 % intervals, by resampling prompts.

Positions of one prompt are not independent, so prompts are what is drawn, with replacement, and
within each kind, as the numbers of prompts of each kind are chosen and not random.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["RESAMPLES", "Estimate", "difference", "draws", "median", "ratio"]

RESAMPLES = 2000
"""Sets of prompts that are drawn."""

SEED = 20261121

Estimate = dict[str, float | None]
"""``value``, ``low`` and ``high``; None where there is nothing to estimate from."""


def draws(kinds: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.int64]:
    """Indices of prompts [resamples, prompts], drawn with replacement within each kind.

    Parameters
    ----------
    kinds : sequence of str
        Kind of each prompt.
    resamples : int
    seed : int
        The same seed and kinds give the same indices.
    """
    random = np.random.default_rng(seed)
    labels = np.asarray(kinds)
    found = np.empty((resamples, len(labels)), dtype=np.int64)
    for kind in dict.fromkeys(kinds):
        places = np.flatnonzero(labels == kind)
        found[:, places] = places[random.integers(len(places), size=(resamples, len(places)))]
    return found


def ratio(numerators: ArrayLike, denominators: ArrayLike, drawn: NDArray[np.int64]) -> Estimate:
    """``sum(numerators) / sum(denominators)`` over prompts.

    Parameters
    ----------
    numerators, denominators : array_like
        [prompts].
    drawn : NDArray
        Of :func:`draws` for these prompts.
    """
    top, bottom = _both(numerators, denominators)
    return _estimate(_quotient(top.sum(), bottom.sum()), lambda: _ratios(top, bottom, drawn), drawn)


def difference(
    first: tuple[ArrayLike, ArrayLike],
    second: tuple[ArrayLike, ArrayLike],
    drawn: NDArray[np.int64],
) -> Estimate:
    """A ratio minus another one of the same prompts, each time of the same draw.

    Parameters
    ----------
    first, second : tuple of array_like
        Numerators and denominators, [prompts] each.
    drawn : NDArray
        Of :func:`draws` for these prompts.
    """
    one, other = _both(*first), _both(*second)
    value = _quotient(one[0].sum(), one[1].sum()) - _quotient(other[0].sum(), other[1].sum())
    return _estimate(value, lambda: _ratios(*one, drawn) - _ratios(*other, drawn), drawn)


def median(values: Sequence[NDArray[np.float64]], drawn: NDArray[np.int64]) -> Estimate:
    """Median over all positions of all prompts.

    Parameters
    ----------
    values : sequence of NDArray
        The values of each prompt, one or more in all.
    drawn : NDArray
        Of :func:`draws` for these prompts.
    """

    def medians() -> NDArray[np.float64]:
        return np.array(
            [np.median(np.concatenate([values[index] for index in row])) for row in drawn]
        )

    return _estimate(float(np.median(np.concatenate(values))), medians, drawn)


def _both(top: ArrayLike, bottom: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)


def _quotient(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom else float("nan")


def _ratios(
    top: NDArray[np.float64], bottom: NDArray[np.float64], drawn: NDArray[np.int64]
) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return top[drawn].sum(axis=1) / bottom[drawn].sum(axis=1)


def _estimate(
    value: float, resampled: Callable[[], NDArray[np.float64]], drawn: NDArray[np.int64]
) -> Estimate:
    found: Estimate = {"value": None, "low": None, "high": None}
    if not np.isfinite(value):
        return found
    found["value"] = round(value, 6)
    # One prompt says nothing of the spread.
    if drawn.shape[1] > 1:
        low, high = np.nanpercentile(resampled(), [2.5, 97.5])
        found |= {"low": round(float(low), 6), "high": round(float(high), 6)}
    return found
