"""Fits: the figures of a part at any shape, from those at the shapes measured."""

import dataclasses

import numpy as np

from speq.synthesis.transistors import ENABLE_TRANSISTORS, FLIP_FLOP_TRANSISTORS
from speq_sim.performance.area_parts import Part, Shape

__all__ = ["FIGURES", "SIZES", "Fit", "fit_part"]

FIGURES: tuple[str, ...] = (
    "combinational_transistors",
    "flip_flops",
    "enabled_flip_flops",
    "area",
    "sequential_area",
)
"""Figures of a part: the first three library-free, the others in cells of the file's library."""

SIZES: tuple[str, ...] = ("R", "C", "W", "M", "G")
"""Sizes of the shape that a record has before its figures; 0 where a baseline has none."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """One circuit of a part.

    Parameters
    ----------
    terms : tuple of str
        What its figures are linear in.
    coefficients : tuple of tuple of float
        By figure, one for each term.
    ranges : tuple of (str, int, int)
        Sizes that matter, with the least and the largest measured.
    residual : float
        Largest relative error in transistors at the sizes measured.
    """

    terms: tuple[str, ...]
    coefficients: tuple[tuple[float, ...], ...]
    ranges: tuple[tuple[str, int, int], ...]
    residual: float

    def at(self, shape: Shape) -> list[float]:
        """The figures of one instance."""
        values = [shape[term] for term in self.terms]
        return [
            sum(c * v for c, v in zip(of_figure, values, strict=True))
            for of_figure in self.coefficients
        ]

    def beyond(self, shape: Shape) -> list[str]:
        """Sizes out of the measured range."""
        return [
            f"{s} = {shape[s]:g}" for s, low, high in self.ranges if not low <= shape[s] <= high
        ]


def fit_part(part: Part, rows: list[list[float]]) -> Fit:
    """Least squares in the part's terms; no more measurements than terms are met exactly.

    Parameters
    ----------
    part : Part
        Names the terms.
    rows : list of list of float
        One measurement each: :data:`SIZES`, then :data:`FIGURES`.

    Raises
    ------
    ValueError
        If a row has another length.
    """
    numbers = np.array(rows, dtype=float)
    if numbers.ndim != 2 or numbers.shape[1] != len(SIZES) + len(FIGURES):
        raise ValueError(f"{part.name} has records that are not {len(SIZES) + len(FIGURES)} long")
    sizes, figures = numbers[:, : len(SIZES)].astype(int), numbers[:, len(SIZES) :]
    columns = dict(zip(SIZES, sizes.T, strict=True))
    bits = {f"log2 {name}": [(int(n) - 1).bit_length() for n in c] for name, c in columns.items()}
    terms = columns | bits | {"1": np.ones(len(rows)), "M > 1": columns["M"] > 1}
    matrix = np.array([terms[term] for term in part.terms], dtype=float).T
    coefficients = np.linalg.lstsq(matrix, figures, rcond=None)[0]
    weights = np.array([1, FLIP_FLOP_TRANSISTORS, ENABLE_TRANSISTORS, 0, 0])
    measured = figures @ weights
    errors = np.abs(matrix @ coefficients @ weights - measured) / np.maximum(measured, 1)
    ranges = tuple((s, int(columns[s].min()), int(columns[s].max())) for s in part.sizes)
    return Fit(
        part.terms,
        tuple(map(tuple, coefficients.T.tolist())),
        ranges,
        float(errors.max()),
    )
