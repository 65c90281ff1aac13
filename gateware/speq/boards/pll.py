"""Clocks of boards: dividers of the PLLs of Lattice's ECP5 and iCE40 UltraPlus.

Pure Python, like :mod:`speq.parameters`.
"""

import dataclasses
import math

from speq.parameters import ParameterError

__all__ = ["MAX_CLOCK_ERROR", "Ecp5Pll", "Ice40Clock", "ecp5_pll", "ice40_clock"]

MAX_CLOCK_ERROR = 0.005
"""Largest deviation of a clock from the one that is wanted."""

_ECP5_INPUT = (10.0, 400.0)
_ECP5_VCO = (400.0, 800.0)
_ECP5_OUTPUT = (3.125, 400.0)
_ECP5_DIVIDER = 128
"""ECP5 and ECP5-5G Family Data Sheet (FPGA-DS-02012), sysCLOCK PLL timing; megahertz."""

_ICE40_INPUT = (10.0, 133.0)
_ICE40_VCO = (533.0, 1066.0)
_ICE40_OUTPUT = (16.0, 275.0)
_ICE40_FEEDBACK, _ICE40_OUTPUT_POWER = 128, 6
"""iCE40 UltraPlus Family Data Sheet (FPGA-DS-02008), sysCLOCK PLL timing; megahertz."""

_ICE40_FILTER = (17.0, 26.0, 44.0, 66.0, 101.0)
"""Bounds of the phase detector's frequency for each FILTER_RANGE from 1 on, as icepll has them."""

_SLOWEST_DIVIDED = 5
"""Power of two by which a clock is divided at most without a PLL."""


@dataclasses.dataclass(frozen=True)
class Ecp5Pll:
    """Dividers of an EHXPLLL that compares its input, undivided, with CLKOP; CLKOS is the clock.

    Attributes
    ----------
    feedback, output : int
        CLKOP_DIV and CLKOS_DIV.
    vco_mhz, output_mhz : float
        Of the oscillator, and of CLKOS.
    """

    feedback: int
    output: int
    vco_mhz: float
    output_mhz: float


@dataclasses.dataclass(frozen=True)
class Ice40Clock:
    """How a clock is made from a pin of an iCE40.

    Attributes
    ----------
    output_mhz : float
    divide : int
        Power of two by which a counter divides the pin's clock; 0 is the pin itself.
    feedback, output : int or None
        DIVF and DIVQ of an SB_PLL40_PAD in simple feedback with DIVR = 0; None without a PLL.
    filter_range : int or None
        FILTER_RANGE.
    """

    output_mhz: float
    divide: int = 0
    feedback: int | None = None
    output: int | None = None
    filter_range: int | None = None


def ecp5_pll(input_mhz: float, output_mhz: float) -> Ecp5Pll:
    """Dividers for a clock, those with the least error, and of these the fastest oscillator.

    Raises
    ------
    ParameterError
        If a frequency is beyond the PLL's limits, or none near enough can be made.
    """
    _check_range("input", input_mhz, _ECP5_INPUT)
    _check_range("clock", output_mhz, _ECP5_OUTPUT)
    found = []
    first, last = math.ceil(_ECP5_VCO[0] / input_mhz), math.floor(_ECP5_VCO[1] / input_mhz)
    for feedback in range(max(first, 1), min(last, _ECP5_DIVIDER) + 1):
        vco = input_mhz * feedback
        divider = min(max(round(vco / output_mhz), 1), _ECP5_DIVIDER)
        found.append(Ecp5Pll(feedback, divider, vco, vco / divider))
    return _nearest(found, output_mhz, lambda pll: -pll.vco_mhz)


def ice40_clock(input_mhz: float, output_mhz: float) -> Ice40Clock:
    """The pin's clock if that will do, or divided by a power of two; else by a PLL.

    Raises
    ------
    ParameterError
        If neither comes near enough.
    """
    divided = [Ice40Clock(input_mhz / (1 << power), power) for power in range(_SLOWEST_DIVIDED + 1)]
    if output_mhz < _ICE40_OUTPUT[0] or output_mhz == input_mhz:
        return _nearest(divided, output_mhz, lambda clock: clock.divide)
    _check_range("input", input_mhz, _ICE40_INPUT)
    _check_range("clock", output_mhz, _ICE40_OUTPUT)
    filter_range = 1 + sum(input_mhz >= bound for bound in _ICE40_FILTER)
    made = [
        Ice40Clock(input_mhz * (feedback + 1) / (1 << output), 0, feedback, output, filter_range)
        for feedback in range(_ICE40_FEEDBACK)
        if _ICE40_VCO[0] <= input_mhz * (feedback + 1) <= _ICE40_VCO[1]
        for output in range(1, _ICE40_OUTPUT_POWER + 1)
    ]
    return _nearest(made, output_mhz, lambda clock: clock.feedback)


def _check_range(what: str, value: float, limits: tuple[float, float]) -> None:
    if not limits[0] <= value <= limits[1]:
        raise ParameterError(
            f"the PLL's {what} is {value:g} MHz, but must be {limits[0]:g} to {limits[1]:g} MHz"
        )


def _nearest(found: list, wanted: float, preference: object) -> object:
    """The clock with the least error."""
    if not found:
        raise ParameterError(f"no divider makes a clock of {wanted:g} MHz from this input")
    best = min(found, key=lambda clock: (abs(clock.output_mhz / wanted - 1), preference(clock)))
    if abs(best.output_mhz / wanted - 1) > MAX_CLOCK_ERROR:
        raise ParameterError(
            f"a clock of {wanted:g} MHz cannot be made here: the nearest is "
            f"{best.output_mhz:.6g} MHz"
        )
    return best
