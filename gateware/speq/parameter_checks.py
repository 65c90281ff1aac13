"""Checks of single values of a design point: each refusal names the value and the mend."""

from typing import Any

__all__ = [
    "ParameterError",
    "check_choice",
    "check_dsp",
    "check_int",
    "check_name",
    "check_port",
    "check_quarters",
    "is_number",
    "powers_of_two",
]


class ParameterError(ValueError):
    """An illegal design point. The message names the value and the mend."""


def is_number(value: Any) -> bool:
    """Whether a value is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_name(value: Any) -> None:
    """Refuse a name that cannot be part of a Verilog module's."""
    if not isinstance(value, str) or not value.isascii() or not value.isidentifier():
        raise ParameterError(
            f"name is {value!r}, but becomes part of a Verilog module name: use letters, digits "
            f"and underscores, starting with a letter"
        )


def check_int(field: str, value: Any, low: int, high: int) -> None:
    """Refuse anything but a whole number within a range."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ParameterError(f"{field} is {value!r}, but must be a whole number {low}..{high}")


def check_choice(field: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Refuse what is not among the choices."""
    if isinstance(value, bool) or value not in choices:
        raise ParameterError(
            f"{field} is {value!r}, but must be one of {', '.join(map(str, choices))}"
        )


def check_port(words: int, rows: int, columns: int) -> None:
    """Refuse a port whose transfers do not fill rows and tiles evenly."""
    if words % columns and columns % words:
        raise ParameterError(
            f"port_words is {words}, which neither divides columns = {columns} nor is a multiple "
            f"of it: a transfer must fill part of one row or whole rows"
        )
    if (rows * columns) % words:
        raise ParameterError(
            f"port_words is {words}, which does not divide rows * columns = {rows * columns}: "
            f"a tile must load in whole transfers"
        )


def check_quarters(load_cycles: int) -> None:
    """Refuse a design with weights below 16 bits whose tiles do not load in four quarters."""
    if load_cycles % 4:
        raise ParameterError(
            f"rows * columns / port_words is {load_cycles}, but must be a multiple of 4 in a "
            f'design with modes beyond "verify", whose transfers each bring a quarter of four '
            f"times as many words: raise rows or lower port_words"
        )


def check_dsp(pipeline: int, deepest: int, lanes: int, activation_format: str) -> None:
    """Refuse what the units for FPGAs cannot be built with."""
    if pipeline != deepest:
        raise ParameterError(
            f'pipeline is {pipeline}, but target "fpga" has stages of its own: set pipeline to '
            f"{deepest}, or choose another target"
        )
    if lanes == 4 and activation_format != "bfp6":
        raise ParameterError(
            f'draft_activations is {activation_format!r}, but with target "fpga" and four lanes a '
            f'DSP block adds two products of 6-bit magnitudes: use "bfp6", fewer draft_lanes, or '
            f"another target"
        )


def powers_of_two(largest: int) -> tuple[int, ...]:
    """1, 2, 4, ... up to `largest`."""
    return tuple(1 << bit for bit in range(largest.bit_length()))
