"""Bands: a figure at all combinations of assumptions."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from speq_sim.decoding.errors import ModelError

__all__ = ["Band", "Point", "sweep"]

Axes = Mapping[str, Sequence[Any]]
"""Assumptions by name, and the values that they may have."""


@dataclasses.dataclass(frozen=True)
class Point:
    """A figure under assumptions."""

    assumptions: Mapping[str, Any]
    value: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"value": self.value, "assumptions": dict(self.assumptions)}


@dataclasses.dataclass(frozen=True)
class Band:
    """A figure at all combinations of assumptions, at least one.

    Parameters
    ----------
    points : tuple of Point
        All with the same names of assumptions.
    """

    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if not self.points:
            raise ModelError("a band has no points: give each assumption a value")

    @property
    def low(self) -> Point:
        """The least."""
        return min(self.points, key=lambda point: point.value)

    @property
    def high(self) -> Point:
        """The greatest."""
        return max(self.points, key=lambda point: point.value)

    def __contains__(self, value: float) -> bool:
        return self.low.value <= value <= self.high.value

    def where(self, **assumptions: Any) -> "Band":
        """The points with these values.

        Raises
        ------
        ModelError
            If there are none.
        """
        wanted = assumptions.items()
        return Band(
            tuple(
                point
                for point in self.points
                if all(point.assumptions[name] == value for name, value in wanted)
            )
        )

    def by_assumption(self) -> dict[str, dict[str, list[float]]]:
        """Least and greatest figure for each value of each assumption."""
        found: dict[str, dict[str, list[float]]] = {}
        for name in self.points[0].assumptions:
            values = dict.fromkeys(point.assumptions[name] for point in self.points)
            found[name] = {}
            for value in values:
                part = self.where(**{name: value})
                found[name][str(value)] = [part.low.value, part.high.value]
        return found

    def beside(self, reported: float) -> dict[str, Any]:
        """How the band lies to a reported figure: whether it holds it, and where it is nearest."""
        nearest = min(self.points, key=lambda point: abs(point.value - reported))
        return {
            "reported": reported,
            "within": reported in self,
            "share_of_points_at_or_above": sum(point.value >= reported for point in self.points)
            / len(self.points),
            "nearest": nearest.as_dict(),
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON values: the ends with their assumptions, and the range by each assumption."""
        return {
            "low": self.low.as_dict(),
            "high": self.high.as_dict(),
            "points": len(self.points),
            "by_assumption": self.by_assumption(),
        }


def sweep(axes: Axes, figure: Callable[..., float]) -> Band:
    """A figure at all combinations.

    Parameters
    ----------
    axes : mapping
        Names of assumptions, which are `figure`'s arguments, and their values.
    figure : callable
        Takes one value of each.

    Raises
    ------
    ModelError
        If an assumption has no values.
    """
    return Band(tuple(Point(assumed, figure(**assumed)) for assumed in combinations(axes)))


def combinations(axes: Axes) -> Iterator[dict[str, Any]]:
    """All of them, the last assumption the fastest to change."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))
