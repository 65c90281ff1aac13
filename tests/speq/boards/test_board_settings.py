"""Settings of boards: what they refuse, and what follows from them."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq.boards.settings import BOARDS, MAX_BAUD_ERROR, BoardSettings
from speq.parameters import PRESETS, ParameterError

PLAIN = {"clock_mhz": 80.0, "baud": 1_000_000, "memory_bytes": 65_536}


def test_figures():
    settings = BoardSettings(**PLAIN, idle_us=100.0)
    assert settings.divisor == 80
    assert settings.idle_cycles == 8000


@pytest.mark.parametrize("board", BOARDS)
def test_boards_have_exact_baud_rates(board):
    settings = BOARDS[board]
    assert settings.divisor * settings.baud == settings.clock_mhz * 1e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clock_mhz": 0}, "clock_mhz is 0"),
        ({"clock_mhz": True}, "clock_mhz is True"),
        ({"baud": "fast"}, "baud is 'fast'"),
        ({"baud": 25_000_000}, "use 20000000 or less"),
        ({"baud": 18_000_000}, "misses by 10.0%: use 20000000"),
        ({"memory_bytes": 65_535}, "memory_bytes is 65535"),
        ({"memory_bytes": 512}, "memory_bytes is 512"),
        ({"memory_bytes": 1 << 25}, "memory_bytes is 33554432"),
        ({"memory_bytes": 4096.0}, "memory_bytes is 4096.0"),
        ({"idle_us": 1.0}, "20 bits"),
    ],
)
def test_refused(change, message):
    with pytest.raises(ParameterError, match=message):
        BoardSettings(**(PLAIN | change))


def test_memory_beyond_the_addresses():
    settings = BoardSettings(**(PLAIN | {"memory_bytes": 1 << 17}))
    with pytest.raises(ParameterError, match="set address_bits to 17"):
        settings.check_design(PRESETS["tiny"].replace(address_bits=16))
    settings.check_design(PRESETS["tiny"].replace(address_bits=17))


@given(clock=st.floats(1, 200), baud=st.integers(9600, 3_000_000))
def test_a_legal_divisor_is_near(clock, baud):
    try:
        settings = dataclasses.replace(BoardSettings(**PLAIN), clock_mhz=clock, baud=baud)
    except ParameterError:
        return
    assert settings.divisor >= 4
    assert abs(settings.divisor / (clock * 1e6) * baud - 1) <= MAX_BAUD_ERROR
