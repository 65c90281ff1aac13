"""Plot: acceptance by codec and model, with intervals."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from speq_sim.decoding.evaluation.summary import ALL

__all__ = ["plot_acceptance"]

_WIDTH = 0.38


def plot_acceptance(path: Path, models: Mapping[str, Any]) -> None:
    """Draw bars of acceptance in the loop and of agreement, best first, one panel a model.

    Parameters
    ----------
    path : Path
        PNG to write.
    models : mapping
        ``models`` of a record; codecs without a summary are left out.
    """
    drawn = {
        name: {label: each["summary"][ALL] for label, each in codecs.items() if "summary" in each}
        for name, codecs in ((name, each["codecs"]) for name, each in models.items())
    }
    for name, codecs in drawn.items():
        best = sorted(codecs, key=lambda codec: -(codecs[codec]["acceptance"]["value"] or 0))
        drawn[name] = {codec: codecs[codec] for codec in best}
    most = max((len(codecs) for codecs in drawn.values()), default=1)
    size = (max(6.0, 1.5 + 0.7 * most), 3.2 * max(len(drawn), 1))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(max(len(drawn), 1), squeeze=False)[:, 0]
    for axes, (name, codecs) in zip(panels, drawn.items(), strict=False):
        for offset, key, label in (
            (-0.5, "acceptance", "in the loop"),
            (0.5, "agreement", "agreement"),
        ):
            values = [codecs[codec][key] for codec in codecs]
            heights = np.array([each["value"] or 0 for each in values])
            low = [
                height - _or(each["low"], height)
                for each, height in zip(values, heights, strict=True)
            ]
            high = [
                _or(each["high"], height) - height
                for each, height in zip(values, heights, strict=True)
            ]
            places = np.arange(len(codecs)) + offset * _WIDTH
            # An interval of percentiles may leave out the estimate, by a rounding.
            axes.bar(
                places, heights, _WIDTH, yerr=np.maximum([low, high], 0), capsize=2, label=label
            )
        axes.set_xticks(range(len(codecs)), codecs, rotation=30, ha="right")
        axes.set_ylim(0, 1)
        axes.set_ylabel("share of tokens")
        axes.set_title(name)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(loc="upper right", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
