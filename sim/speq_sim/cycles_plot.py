"""Plot: cycles that were predicted against those that were measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

__all__ = ["plot_cycles"]


def plot_cycles(path: Path, points: Mapping[str, Sequence[tuple[int, int]]]) -> None:
    """Draw both against each other, and the error below.

    Parameters
    ----------
    path : Path
        PNG to write.
    points : mapping
        Measured and predicted cycles of each point, by what is told apart (a mode).
    """
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    both, errors = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    every = [measured for of_name in points.values() for measured, _ in of_name]
    ends = (min(every), max(every))
    both.plot(ends, ends, color="grey", linewidth=1, zorder=0)
    for name, of_name in points.items():
        measured = [point[0] for point in of_name]
        both.scatter(measured, [point[1] for point in of_name], s=16, alpha=0.7, label=name)
        off = [100 * (predicted / cycles - 1) for cycles, predicted in of_name]
        errors.scatter(measured, off, s=12, alpha=0.7)
    both.set(xscale="log", yscale="log", ylabel="predicted cycles")
    both.legend(title="mode")
    errors.axhline(0, color="grey", linewidth=1, zorder=0)
    errors.set(ylim=(-3.2, 3.2), xlabel="measured cycles", ylabel="error, %")
    for panel in (both, errors):
        panel.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
