"""The designs that no other beats, and the best that an area affords."""

from collections.abc import Iterable, Sequence

from speq_sim.performance.exploration import Result

__all__ = ["best_within", "pareto_front", "smallest_as_fast", "thinned"]


def pareto_front(results: Iterable[Result]) -> list[Result]:
    """Results for which there is none both smaller (or equal) and faster (or equal).

    Of equals in transistors and tokens per second the one with the least on-chip memory is kept,
    then the first by key: so the front is the same in whatever order results come.

    Returns
    -------
    list of Result
        From small and slow to large and fast.
    """
    front: list[Result] = []
    for result in sorted(results, key=_by_area):
        if not front or _speed(result) > _speed(front[-1]):
            front.append(result)
    return front


def best_within(results: Iterable[Result], transistors: float | None = None) -> Result | None:
    """The fastest result that an area affords; of equals the smallest.

    Parameters
    ----------
    results : iterable of Result
        Those to choose from.
    transistors : float, optional
        Most transistors of logic; no limit by default.

    Returns
    -------
    Result or None
        None if none is small enough.
    """
    fitting = (
        each for each in results if transistors is None or each.figures.transistors <= transistors
    )
    return min(fitting, key=lambda each: (-_speed(each), *_by_area(each)), default=None)


def smallest_as_fast(results: Iterable[Result], tokens_per_second: float) -> Result | None:
    """The smallest result that is so fast; of equals the fastest. None if none is."""
    fitting = (each for each in results if _speed(each) >= tokens_per_second)
    return min(fitting, key=_by_area, default=None)


def thinned(front: Sequence[Result], gain: float) -> list[Result]:
    """A front without results that bring less than a gain, such as 0.01, over the one before.

    The fastest result is always kept.
    """
    kept: list[Result] = []
    for result in front:
        if not kept or _speed(result) >= (1 + gain) * _speed(kept[-1]):
            kept.append(result)
    return kept if not front or kept[-1] is front[-1] else [*kept, front[-1]]


def _speed(result: Result) -> float:
    return result.figures.tokens_per_second


def _by_area(result: Result) -> tuple[int, float, int, str]:
    figures = result.figures
    return figures.transistors, -_speed(result), figures.sram_bits, result.point.key
