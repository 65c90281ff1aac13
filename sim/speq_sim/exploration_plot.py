"""Plot: tokens per second against transistors, by method."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from speq_sim.performance.exploration import Result
from speq_sim.performance.pareto import pareto_front

__all__ = ["plot_exploration"]

_DPI = 120
_CLOUD = {"s": 5, "alpha": 0.12, "linewidths": 0, "rasterized": True}


def plot_exploration(
    path: Path,
    results: Mapping[str, Sequence[Result]],
    *,
    title: str,
    budget: float | None = None,
    best: Result | None = None,
) -> None:
    """Draw every point, and the front of each method.

    Parameters
    ----------
    path : Path
        PNG to write.
    results : mapping of str to sequence of Result
        By what is written in the legend: a method, perhaps with its memory.
    title : str
        Written above.
    budget : float, optional
        Most transistors, drawn as a line.
    best : Result, optional
        Marked with a star.
    """
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    for number, (label, each) in enumerate(results.items()):
        colour = f"C{number}"
        axes.scatter(*_places(each), color=colour, **_CLOUD)
        # Between two designs of a front there is none: the smaller is what an area affords.
        front = _places(pareto_front(each))
        style = {"drawstyle": "steps-post", "marker": "o", "markersize": 3}
        axes.plot(*front, color=colour, label=label, **style)
    if budget is not None:
        axes.axvline(budget, color="0.4", linestyle="--", linewidth=1, label="area budget")
    if best is not None:
        axes.plot(*_places([best]), "*", color="black", markersize=12, label="best")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("transistors of logic, all units")
    axes.set_ylabel("tokens per second")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI)


def _places(results: Sequence[Result]) -> tuple[list[int], list[float]]:
    figures = [result.figures for result in results]
    return [each.transistors for each in figures], [each.tokens_per_second for each in figures]
