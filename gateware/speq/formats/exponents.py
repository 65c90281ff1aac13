"""Counts of exponents before and after scaling, and their picture."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speq.formats.codec import Planes, decode, from_planes, row_blocks
from speq.formats.packed import PackedTensor
from speq.formats.scale import bit_exponents
from speq.formats.tables import Family

__all__ = ["Exponents", "plot_exponents"]

BIAS = 15
"""Bias of FP16's exponent."""

LOWEST, HIGHEST = -96, 96
"""Range of biased exponents that are told apart; none of a packed tensor lies beyond it."""


@dataclasses.dataclass
class Exponents:
    """How many weights have each exponent, before and after scaling.

    The biased exponent of a weight is ``floor(log2|w|) + 15``, as in FP16; below 1 it goes on
    where FP16 has subnormals.

    Attributes
    ----------
    before, after : array of int64
        Weights with each biased exponent LOWEST..HIGHEST.
    zeros : int
        Weights that are zero.
    """

    before: NDArray[np.int64] = dataclasses.field(default_factory=lambda: _none())
    after: NDArray[np.int64] = dataclasses.field(default_factory=lambda: _none())
    zeros: int = 0

    def add(self, packed: PackedTensor, members: Family) -> None:
        """Count the weights of a packed matrix."""
        tops = bit_exponents()[0]
        places = packed.scale.row_exponents
        for rows in row_blocks(np.arange(packed.shape[0]), packed.shape[1]):
            planes = packed.planes
            block = Planes(planes.draft[rows], planes.middle[rows], planes.low[rows])
            stored = decode(from_planes(block), members, packed.tables[rows])
            live = (stored & np.uint16(0x7FFF)) > 0
            after = tops[stored].astype(np.int64)
            before = after - places[rows][:, None] - packed.scale.columns
            self.zeros += int(live.size - np.count_nonzero(live))
            for counts, found in ((self.after, after), (self.before, before)):
                counts += np.bincount(found[live] + BIAS - LOWEST, minlength=len(counts))

    def as_dict(self) -> dict[str, dict[str, int] | int]:
        """Counts by biased exponent, without those that no weight has."""
        found = {
            name: {str(i + LOWEST): int(counts[i]) for i in np.flatnonzero(counts)}
            for name, counts in (("before", self.before), ("after", self.after))
        }
        return found | {"zeros": self.zeros}


def plot_exponents(exponents: Exponents, title: str, path: Path) -> Path:
    """Draw both histograms, one above the other.

    Parameters
    ----------
    exponents : Exponents
        The counts.
    title : str
        What they are of.
    path : Path
        PNG file to write.

    Returns
    -------
    Path
        `path`.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import PercentFormatter

    total = max(int(exponents.before.sum()) + exponents.zeros, 1)
    used = np.flatnonzero(exponents.before + exponents.after)
    first, last = (used[0], used[-1]) if used.size else (-LOWEST, -LOWEST)
    axis = np.arange(first, last + 1) + LOWEST
    figure, panels = pyplot.subplots(2, figsize=(9.5, 5.2), sharex=True, layout="constrained")
    for panel, counts, what, colour in (
        (panels[0], exponents.before, "before scaling", "#999999"),
        (
            panels[1],
            exponents.after,
            "stored: below 2, so bit 14 is 0",
            "#0072B2",
        ),
    ):
        panel.bar(axis, counts[first : last + 1] / total, width=0.86, color=colour)
        panel.axvline(BIAS + 0.5, color="#D55E00", linewidth=1.2)
        panel.set_title(what, loc="left", fontsize=10)
        panel.set_ylabel("weights")
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
    panels[1].set_xlabel(
        f"biased exponent of FP16, below 1 as if it went on; zeros: {exponents.zeros / total:.2%}"
    )
    figure.suptitle(f"Exponents of {title}", x=0.01, ha="left")
    temporary = path.with_suffix(".part.png")
    try:
        # Without the metadata the bytes depend on the figures and the version alone.
        figure.savefig(temporary, dpi=150, metadata={"Software": None})
        temporary.replace(path)
    finally:
        pyplot.close(figure)
        temporary.unlink(missing_ok=True)
    return path


def _none() -> NDArray[np.int64]:
    return np.zeros(HIGHEST - LOWEST + 1, dtype=np.int64)
