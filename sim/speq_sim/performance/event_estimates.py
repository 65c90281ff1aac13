"""What independent event runs say of a figure: an estimate and its confidence interval."""

import dataclasses
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.checks import check_count
from speq_sim.performance.events import EventRun

__all__ = ["LEAST_RUNS", "Estimate", "Interval", "estimate", "repeat"]

LEAST_RUNS = 10
"""Fewer runs say too little of their own spread."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure and the confidence interval around it."""

    value: float
    low: float
    high: float

    def __contains__(self, figure: float) -> bool:
        return self.low <= figure <= self.high


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What the runs say.

    Attributes
    ----------
    seconds_per_token : Interval
        Seconds between two tokens of a sequence.
    tokens_per_round : Interval
        Tokens that a round gives a sequence.
    """

    seconds_per_token: Interval
    tokens_per_round: Interval


def repeat(
    run: Callable[[np.random.SeedSequence], EventRun], times: int, seed: int = 0
) -> list[EventRun]:
    """Independent runs: each with a seed of its own, all from one.

    Parameters
    ----------
    run : callable
        Makes a run of a seed: ``lambda seed: simulate(draft, time, rounds=500, seed=seed)``.
    times : int
        1 or more.
    seed : int
        The same one gives the same runs.
    """
    check_count("runs", times, 1, 1 << 32)
    return [run(each) for each in np.random.SeedSequence(seed).spawn(times)]


def estimate(runs: Sequence[EventRun], confidence: float = 0.99) -> Estimate:
    """Estimate figures, which are ratios of sums, from independent runs of the same setting.

    With sums y and x of n runs, the ratio is ``r = mean(y) / mean(x)``, and its variance that of
    the mean of ``(y - r x) / mean(x)`` (the ratio estimator). The interval has Student's t of n - 1
    degrees of freedom.

    Parameters
    ----------
    runs : sequence of EventRun
        :data:`LEAST_RUNS` or more.
    confidence : float
        Above 0, below 1.

    Raises
    ------
    ModelError
        If there are too few runs, or the confidence is out of its range.
    """
    if len(runs) < LEAST_RUNS:
        raise ModelError(
            f"{len(runs)} runs are too few for an interval: give {LEAST_RUNS} or more (repeat)"
        )
    if not 0 < confidence < 1:
        raise ModelError(f"a confidence of {confidence!r} is none: give more than 0, less than 1")
    tokens = [run.tokens for run in runs]
    return Estimate(
        _ratio([run.sequence_seconds for run in runs], tokens, confidence),
        _ratio(tokens, [run.sequence_rounds for run in runs], confidence),
    )


def _ratio(above: Sequence[float], below: Sequence[float], confidence: float) -> Interval:
    y, x = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    value = float(y.mean() / x.mean())
    error = float((y - value * x).std(ddof=1) / x.mean() / np.sqrt(len(x)))
    reach = _student_t((1 + confidence) / 2, len(x) - 1) * error
    return Interval(value, value - reach, value + reach)


def _student_t(chance: float, freedom: int) -> float:
    """Quantile of Student's t by the expansion in 1 / `freedom` around the normal one's.

    Abramowitz and Stegun, 26.7.5, to the fourth term.
    """
    z = NormalDist().inv_cdf(chance)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))
