"""Receiver and transmitter of the serial line, bit by bit."""

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.boards.uart import Receiver, Transmitter

BYTES = (0x00, 0xFF, 0x55, 0xA5, 0x01, 0x80)


def _waveform(data, bit, gap=0.0, stop=1):
    """Level of the line in each cycle; a bit lasts `bit` cycles."""
    levels = [1, 1]
    at = float(len(levels))
    for byte in data:
        for level in (0, *(byte >> place & 1 for place in range(8)), stop):
            at += bit
            levels += [level] * (round(at) - len(levels))
        at += gap
        levels += [1] * (round(at) - len(levels))
    return levels


def _receive(divisor, levels):
    """Bytes that a receiver gives for a waveform, and how many were broken."""
    receiver = Receiver(divisor)
    found, broken = [], 0

    async def bench(ctx):
        nonlocal broken
        for level in levels + [1] * (3 * divisor):
            ctx.set(receiver.rx, level)
            *_, valid, byte, bad = await ctx.tick().sample(
                receiver.o.valid, receiver.o.payload, receiver.broken
            )
            broken += bad
            if valid:
                found.append(byte)

    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found, broken


@pytest.mark.parametrize("divisor", [4, 5, 8, 13, 80])
def test_bytes_without_gaps(divisor):
    assert _receive(divisor, _waveform(BYTES, divisor)) == (list(BYTES), 0)


@pytest.mark.parametrize("divisor", [8, 16, 80])
@pytest.mark.parametrize("drift", [-0.03, 0.03])
def test_the_other_clock_may_be_3_percent_off(divisor, drift):
    levels = _waveform(BYTES, divisor * (1 + drift), gap=divisor)
    assert _receive(divisor, levels) == (list(BYTES), 0)


def test_a_clock_that_is_8_percent_off_is_too_much():
    """The bench can tell: with this drift the last data bit is sampled in its neighbour."""
    levels = _waveform(BYTES, 80 * 1.08, gap=80)
    assert _receive(80, levels) != (list(BYTES), 0)


def test_a_byte_without_stop_bit_is_broken_and_the_next_is_not():
    levels = _waveform([0x5A], 8, gap=8, stop=0) + _waveform([0xC3], 8)
    assert _receive(8, levels) == ([0xC3], 1)


def test_a_line_held_low_is_one_broken_byte():
    levels = [1, 1] + [0] * 800 + [1] * 8 + _waveform([0xC3], 8)
    assert _receive(8, levels) == ([0xC3], 1)


def test_a_short_pulse_is_no_start_bit():
    assert _receive(16, [1, 1] + [0] * 6 + [1] * 40 + _waveform([0x3C], 16)) == ([0x3C], 0)


@given(
    data=st.lists(st.integers(0, 255), min_size=1, max_size=6),
    divisor=st.integers(4, 20),
    gaps=st.integers(0, 3),
)
@settings(max_examples=15, deadline=None)
def test_what_is_transmitted_is_received(data, divisor, gaps):
    m = Module()
    m.submodules.transmitter = transmitter = Transmitter(divisor)
    m.submodules.receiver = receiver = Receiver(divisor)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    found = []

    async def source(ctx):
        for byte in data:
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            await ctx.tick().until(transmitter.i.ready)
            ctx.set(transmitter.i.valid, 0)
            if gaps:
                await ctx.tick().repeat(gaps * divisor)

    async def sink(ctx):
        while len(found) < len(data):
            *_, valid, byte, bad = await ctx.tick().sample(
                receiver.o.valid, receiver.o.payload, receiver.broken
            )
            assert not bad
            if valid:
                found.append(byte)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(source)
    simulator.add_testbench(sink)
    simulator.run()
    assert found == data


def test_bytes_are_sent_without_gaps():
    divisor, data = 5, [0x12, 0xED, 0x00]
    transmitter = Transmitter(divisor)
    levels = []

    async def bench(ctx):
        left = list(data)
        for _ in range(10 * divisor * len(data) + 10):
            ctx.set(transmitter.i.valid, bool(left))
            ctx.set(transmitter.i.payload, left[0] if left else 0)
            *_, ready, level = await ctx.tick().sample(transmitter.i.ready, transmitter.tx)
            levels.append(level)
            if left and ready:
                left.pop(0)

    simulator = Simulator(transmitter)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    begins = levels.index(0)
    # One cycle between two bytes, in which the stop bit goes on.
    wanted = []
    for byte in data:
        bits = (0, *(byte >> place & 1 for place in range(8)), 1)
        wanted += [level for level in bits for _ in range(divisor)] + [1]
    assert levels[begins : begins + len(wanted)] == wanted[: len(levels) - begins]
