"""Checks of plain numbers that the performance model takes, with one wording."""

import math

from speq_sim.decoding.errors import ModelError

__all__ = ["check_choice", "check_count", "check_number"]


def check_count(what: str, value: object, low: int, high: int) -> None:
    """Refuse what is no integer from `low` to `high`.

    Raises
    ------
    ModelError
        With the value and the range.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ModelError(f"{what} is {value!r}, but must be an integer from {low} to {high}")


def check_number(what: str, value: object, low: float, high: float = math.inf) -> None:
    """Refuse what is no number from `low` to `high`.

    Raises
    ------
    ModelError
        With the value and the range.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[operator]
        bounds = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise ModelError(f"{what} is {value!r}, but must be a number {bounds}")


def check_choice(what: str, value: object, known: tuple[object, ...]) -> None:
    """Refuse what is not one of `known`.

    Raises
    ------
    ModelError
        With the choices.
    """
    if value not in known:
        raise ModelError(f"{what} is {value!r}: use one of {', '.join(map(str, known))}")
