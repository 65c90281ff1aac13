"""Dividers of PLLs against the limits of the chips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq.boards.pll import MAX_CLOCK_ERROR, ecp5_pll, ice40_clock
from speq.parameters import ParameterError


def test_ulx3s_at_80_mhz():
    pll = ecp5_pll(25.0, 80.0)
    assert (pll.feedback, pll.output) == (32, 10)
    assert pll.vco_mhz == 800.0
    assert pll.output_mhz == 80.0


@given(wanted=st.floats(1, 500), pin=st.sampled_from([12.0, 25.0, 100.0]))
def test_ecp5_dividers_are_legal(wanted, pin):
    try:
        pll = ecp5_pll(pin, wanted)
    except ParameterError:
        return
    assert 1 <= pll.feedback <= 128
    assert 1 <= pll.output <= 128
    assert 400 <= pin * pll.feedback <= 800
    assert pll.output_mhz == pin * pll.feedback / pll.output
    assert abs(pll.output_mhz / wanted - 1) <= MAX_CLOCK_ERROR


@pytest.mark.parametrize("wanted", [25.0, 40.0, 50.0, 60.0, 75.0, 80.0, 85.0, 90.0, 100.0, 120.0])
def test_usual_clocks_from_25_mhz(wanted):
    assert ecp5_pll(25.0, wanted).output_mhz == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [(2.0, "clock is 2 MHz"), (500.0, "clock is 500 MHz"), (260.0, "nearest is")],
)
def test_ecp5_refuses(wanted, message):
    with pytest.raises(ParameterError, match=message):
        ecp5_pll(25.0, wanted)


def test_ecp5_refuses_a_slow_pin():
    with pytest.raises(ParameterError, match="input is 8 MHz"):
        ecp5_pll(8.0, 80.0)


@pytest.mark.parametrize(("wanted", "power"), [(12.0, 0), (6.0, 1), (3.0, 2), (0.375, 5)])
def test_icebreaker_divides(wanted, power):
    clock = ice40_clock(12.0, wanted)
    assert clock.divide == power
    assert clock.feedback is None


def test_icebreaker_at_24_mhz():
    """As icepll -i 12 -o 24: DIVF 63, DIVQ 5, FILTER_RANGE 1."""
    clock = ice40_clock(12.0, 24.0)
    assert clock.output_mhz == 24.0
    assert 533 <= 12 * (clock.feedback + 1) <= 1066
    assert 12 * (clock.feedback + 1) / 2**clock.output == 24.0
    assert clock.filter_range == 1


@pytest.mark.parametrize("wanted", [13.0, 5.0, 300.0])
def test_icebreaker_refuses(wanted):
    with pytest.raises(ParameterError):
        ice40_clock(12.0, wanted)
