"""What would have to be so: an equation solved for one unknown."""

from collections.abc import Callable

from speq_sim.performance.checks import check_number

__all__ = ["needed"]

_HALVINGS = 60


def needed(
    figure: Callable[[float], float], reported: float, low: float, high: float
) -> float | None:
    """Where a monotonic figure reaches what was reported, by bisection.

    Parameters
    ----------
    figure : callable
        Continuous and monotonic between `low` and `high`.
    reported : float
        The value to reach.
    low, high : float
        Ends of what the unknown may be.

    Returns
    -------
    float or None
        The unknown; None if the figure does not reach the value between the ends.
    """
    check_number("upper end", high, low)
    rising = figure(high) >= figure(low)
    bottom, top = (low, high) if rising else (high, low)
    if not figure(bottom) <= reported <= figure(top):
        return None
    for _ in range(_HALVINGS):
        middle = (bottom + top) / 2
        if figure(middle) < reported:
            bottom = middle
        else:
            top = middle
    return (bottom + top) / 2
