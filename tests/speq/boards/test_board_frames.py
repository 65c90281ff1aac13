"""Frames: what is taken, what is given up, and what is sent."""

from binascii import crc_hqx

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.boards.frames import FrameReceiver, FrameSender
from speq.boards.protocol import CRC_INITIAL, REQUEST_SYNC, RESPONSE_SYNC

IDLE = 40
PAYLOADS = st.binary(max_size=12)


def _frame(sync, sequence, code, payload):
    body = bytes([sequence, code, len(payload)]) + payload
    return bytes([sync]) + body + crc_hqx(body, CRC_INITIAL).to_bytes(2, "big")


def _received(events):
    """Requests that a receiver takes. An event is bytes, a number of idle cycles, or "broken"."""
    receiver = FrameReceiver(IDLE)
    found, dropped = [], 0

    async def bench(ctx):
        nonlocal dropped

        async def cycle(byte=None, broken=0):
            nonlocal dropped
            ctx.set(receiver.bytes.valid, byte is not None)
            ctx.set(receiver.bytes.payload, byte or 0)
            ctx.set(receiver.broken, broken)
            *_, done, gone = await ctx.tick().sample(receiver.done, receiver.dropped)
            dropped += gone
            if done:
                await take()

        async def take():
            ctx.set(receiver.hold, 1)
            ctx.set(receiver.bytes.valid, 0)
            payload = []
            for place in range(ctx.get(receiver.length)):
                ctx.set(receiver.address, place)
                await ctx.tick()
                payload.append(ctx.get(receiver.data))
            ctx.set(receiver.hold, 0)
            found.append((ctx.get(receiver.sequence), ctx.get(receiver.code), bytes(payload)))

        for event in events:
            if event == "broken":
                await cycle(broken=1)
            elif isinstance(event, int):
                for _ in range(event):
                    await cycle()
            else:
                for byte in event:
                    await cycle(byte)
                    await cycle()
        for _ in range(4):
            await cycle()

    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found, dropped


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), PAYLOADS), max_size=3))
@settings(max_examples=15, deadline=None)
def test_requests_one_after_the_other(requests):
    events = [_frame(REQUEST_SYNC, *request) for request in requests]
    assert _received(events) == (requests, 0)


def test_the_longest_request():
    request = (7, 5, bytes(range(255)))
    assert _received([_frame(REQUEST_SYNC, *request)]) == ([request], 0)


@given(payload=PAYLOADS, place=st.integers(0, 17), flip=st.integers(1, 255))
@settings(max_examples=30, deadline=None)
def test_no_changed_frame_is_taken(payload, place, flip):
    """Nor does it keep the next one from being taken, once the line was idle."""
    broken = bytearray(_frame(REQUEST_SYNC, 1, 2, payload))
    broken[place % len(broken)] ^= flip
    after = (3, 4, b"after")
    found, _ = _received([bytes(broken), IDLE + 2, _frame(REQUEST_SYNC, *after)])
    assert found == [after]


@given(garbage=st.binary(min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_no_garbage_hangs_it(garbage):
    after = (3, 4, b"after")
    found, _ = _received([garbage, IDLE + 2, _frame(REQUEST_SYNC, *after)])
    assert found[-1:] == [after]


@pytest.mark.parametrize("kept", [1, 2, 3, 4, 6, 8])
def test_a_frame_that_stops_is_dropped(kept):
    frame = _frame(REQUEST_SYNC, 1, 2, b"abc")
    after = (3, 4, b"")
    found, dropped = _received([frame[:kept], IDLE + 2, _frame(REQUEST_SYNC, *after)])
    assert found == [after]
    assert dropped == 1


def test_a_gap_shorter_than_the_idle_time_does_no_harm():
    request = (1, 2, b"abc")
    frame = _frame(REQUEST_SYNC, *request)
    assert _received([frame[:5], IDLE - 4, frame[5:]]) == ([request], 0)


def test_a_broken_byte_drops_the_frame():
    frame = _frame(REQUEST_SYNC, 1, 2, b"abc")
    after = (3, 4, b"")
    found, dropped = _received([frame[:5], "broken", _frame(REQUEST_SYNC, *after)])
    assert found == [after]
    assert dropped == 1


def test_a_broken_byte_between_frames_is_nothing():
    request = (3, 4, b"")
    assert _received(["broken", _frame(REQUEST_SYNC, *request)]) == ([request], 0)


@given(
    sequence=st.integers(0, 255),
    status=st.integers(0, 255),
    payload=PAYLOADS,
    pauses=st.integers(0, 3),
)
@settings(max_examples=20, deadline=None)
def test_answers(sequence, status, payload, pauses):
    sender = FrameSender()
    sent = bytearray()

    async def bench(ctx):
        for place, byte in enumerate(payload):
            ctx.set(sender.write, 1)
            ctx.set(sender.write_address, place)
            ctx.set(sender.write_data, byte)
            await ctx.tick()
        ctx.set(sender.write, 0)
        ctx.set(sender.sequence, sequence)
        ctx.set(sender.status, status)
        ctx.set(sender.length, len(payload))
        for _ in range(2):  # the same answer may be asked for again
            sent.clear()
            ctx.set(sender.start, 1)
            await ctx.tick()
            ctx.set(sender.start, 0)
            while ctx.get(sender.busy):
                ctx.set(sender.bytes.ready, 1)
                *_, valid, byte = await ctx.tick().sample(sender.bytes.valid, sender.bytes.payload)
                if valid:
                    sent.append(byte)
                ctx.set(sender.bytes.ready, 0)
                for _ in range(pauses):
                    await ctx.tick()

    simulator = Simulator(sender)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert sent == _frame(RESPONSE_SYNC, sequence, status, payload)
