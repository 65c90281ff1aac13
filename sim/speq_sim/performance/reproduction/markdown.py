"""Tables in Markdown, and how figures are written in them."""

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["markdown", "numbers", "or_none"]


def markdown(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; columns of numbers are set to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    columns = list(zip(*(heads, *cells), strict=True))
    rules = [
        "---:" if all(cell[:1].isdigit() or cell in ("-", "none") for cell in column[1:]) else "---"
        for column in columns
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rules, *cells))


def numbers(pair: Sequence[float]) -> str:
    """A range, or one number where both ends are written alike."""
    low, high = (f"{each:.2f}" for each in pair)
    return low if low == high else f"{low} to {high}"


def or_none(value: float | None) -> str:
    """A needed value, or that there is none."""
    return "none" if value is None else f"{value:.2f}"
