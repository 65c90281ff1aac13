"""What grew since the recorded baselines: figures compared entry by entry, and said in Markdown.

Pure: nothing is measured here. ``scripts/check_baselines.py`` measures, ``baselines/*.json`` holds
what was recorded (docs/regression.md).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

__all__ = ["REFRESH", "TOLERANCES", "Change", "Comparison", "compare"]

TOLERANCES: dict[str, float] = {"transistors": 0.02, "flip_flops": 0.02, "cycles": 0.0}
"""By figure: how much more, relative to the record, is no regression."""

REFRESH = "python scripts/check_baselines.py --refresh"
"""What writes the records anew."""

Figures = Mapping[str, Mapping[str, int]]
"""By entry, such as ``tiny-all-p1/pe``, and by figure, one of :data:`TOLERANCES`."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One figure that is not as recorded.

    Parameters
    ----------
    entry : str
        What was measured.
    figure : str
        One of :data:`TOLERANCES`.
    recorded, measured : int or None
        The two values; None where an entry is only in the other.

    Raises
    ------
    ValueError
        If the figure is unknown, if a value is negative, or if nothing changed.
    """

    entry: str
    figure: str
    recorded: int | None
    measured: int | None

    def __post_init__(self) -> None:
        if self.figure not in TOLERANCES:
            raise ValueError(
                f"figure is {self.figure!r}, but must be one with a tolerance: use one of "
                f"{', '.join(TOLERANCES)}"
            )
        for name in ("recorded", "measured"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} is {value}, but must be 0 or more: use a count")
        if self.recorded == self.measured:
            raise ValueError(
                f"{self.entry} has {self.figure} {self.measured} before and after, which is no "
                f"change: leave it out"
            )

    @property
    def ratio(self) -> float | None:
        """Relative change, such as 0.021 for 2.1 % more; None if a value is missing or was 0."""
        if not self.recorded or self.measured is None:
            return None
        return self.measured / self.recorded - 1

    @property
    def fails(self) -> bool:
        """Whether it is a regression: more than tolerated, or an entry without its counterpart."""
        if self.recorded is None or self.measured is None:
            return True
        return self.measured > self.recorded * (1 + TOLERANCES[self.figure])

    @property
    def improves(self) -> bool:
        """Whether there is less of it."""
        both = self.recorded is not None and self.measured is not None
        return both and self.measured < self.recorded

    def row(self) -> str:
        """A line of a Markdown table: entry, figure, recorded, measured, change, verdict."""
        cells = [self.entry, self.figure.replace("_", "-"), _number(self.recorded)]
        cells += [_number(self.measured), self._arrow(), self._verdict()]
        return f"| {' | '.join(cells)} |"

    def _arrow(self) -> str:
        if self.recorded is None:
            return "new"
        if self.measured is None:
            return "gone"
        by = self.measured - self.recorded
        share = "" if self.ratio is None else f" ({100 * self.ratio:+.1f} %)"
        return f"{'▲' if by > 0 else '▼'} {by:+,}{share}"

    def _verdict(self) -> str:
        if self.recorded is None or self.measured is None:
            return "**not in both**"
        if self.fails:
            return "**regression**"
        return "improvement" if self.improves else "tolerated"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A record beside what was measured now.

    Parameters
    ----------
    title : str
        What the figures are, such as ``area``.
    entries : int
        How many entries were compared.
    changes : tuple of Change
        Figures that differ, in the order of the measurement, entries that are gone last.
    designs : tuple of str
        Sentences on designs whose parameters are not those of the record.
    notes : tuple of str
        Sentences on what else is different, such as a tool's version; no failure by themselves.
    """

    title: str
    entries: int
    changes: tuple[Change, ...] = ()
    designs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether nothing regressed, and record and measurement have the same designs."""
        return not self.designs and not any(change.fails for change in self.changes)

    def markdown(self) -> str:
        """Summary, table of the figures that changed (none without any), and what to do."""
        failing = sum(change.fails for change in self.changes)
        better = sum(change.improves for change in self.changes)
        tolerated = len(self.changes) - failing - better
        summary = (
            f"{'✅' if self.passes else '❌'} {self.entries} entries; figures: {failing} regressed "
            f"or not in both, {tolerated} grew within the tolerance, {better} improved"
        )
        lines = [f"### Baselines: {self.title}", "", summary]
        if self.changes:
            head = "| entry | figure | recorded | measured | change | |"
            lines += ["", head, "|---|---|---:|---:|---:|---|"]
            lines += [change.row() for change in self.changes]
        hints = [*self.designs, *self.notes, *self._hints()]
        if hints:
            lines += ["", *(f"- {hint}" for hint in hints)]
        return "\n".join(lines) + "\n"

    def _hints(self) -> list[str]:
        hints = []
        if self.designs or any(None in (c.recorded, c.measured) for c in self.changes):
            hints.append(
                f"If the set of designs or units changed on purpose, record it: `{REFRESH}`."
            )
        if any(
            change.fails and None not in (change.recorded, change.measured)
            for change in self.changes
        ):
            hints.append(
                f"Make what regressed smaller or faster again; if it is worth its price, say so in "
                f"the commit and record it: `{REFRESH}`."
            )
        if any(change.improves for change in self.changes):
            hints.append(f"Record what improved, so that it is kept: `{REFRESH}`.")
        return hints


def compare(record: Mapping[str, Any], current: Mapping[str, Any], title: str) -> Comparison:
    """Compare a measurement with a record.

    Parameters
    ----------
    record, current : mapping
        ``designs`` (parameters by name), ``figures`` (:data:`Figures`) and ``versions`` (by tool).
        Of the designs, parameters that the record does not have yet are left out of the comparison.
    title : str
        What the figures are.

    Raises
    ------
    ValueError
        If one of them lacks any of the three, or has a figure without a tolerance.
    """
    for name, each in (("record", record), ("measurement", current)):
        for key in ("designs", "figures", "versions"):
            if not isinstance(each.get(key), Mapping):
                raise ValueError(
                    f"the {name} of {title} has no {key}: write it anew with {REFRESH}"
                )
    before, after = record["figures"], current["figures"]
    changes = [
        Change(entry, figure, before.get(entry, {}).get(figure), after.get(entry, {}).get(figure))
        for entry in (*after, *(entry for entry in before if entry not in after))
        for figure in {**after.get(entry, {}), **before.get(entry, {})}
        if before.get(entry, {}).get(figure) != after.get(entry, {}).get(figure)
    ]
    return Comparison(
        title,
        len({**before, **after}),
        tuple(changes),
        tuple(_designs(record["designs"], current["designs"])),
        tuple(_versions(record["versions"], current["versions"])),
    )


def _designs(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    found = []
    for name in {**after, **before}:
        if name not in before:
            found.append(f"Design `{name}` is not in the record.")
        elif name not in after:
            found.append(f"Design `{name}` of the record is not measured any more.")
        else:
            missing = object()
            other = [
                f"{key} was {value!r}, is {after[name].get(key)!r}"
                for key, value in before[name].items()
                if after[name].get(key, missing) != value
            ]
            if other:
                found.append(f"Design `{name}` has other parameters: {'; '.join(other)}.")
    return found


def _versions(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [
        f"Recorded with {tool} {version}, measured with {after.get(tool, 'none')}: figures may "
        f"differ by that alone."
        for tool, version in before.items()
        if after.get(tool) != version
    ]


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
