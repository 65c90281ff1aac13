"""Drivers and a contract monitor for ready/valid streams, for cocotb 2.

Each class binds to the ports ``<stem>__payload``, ``<stem>__valid`` and ``<stem>__ready`` of a
design. Signals are sampled at the rising clock edge, before the flip-flops change, and driven right
after it. While ``rst`` is high nothing is transferred and nothing is checked.

The four rules of a stream (Amaranth, "Data streams") and where they are held:

1. A transfer happens on each cycle with valid and ready: :class:`StreamMonitor` records it.
2. Once valid, a payload stays valid and unchanged until its transfer: :class:`StreamMonitor`.
3. A producer does not wait for ready before asserting valid: a :class:`StreamSink` with
   ``ready_after_valid`` would starve, and :func:`probe_ready` catches a combinational path.
4. A consumer may change ready at any time: :class:`StreamSink` does, with a pause iterator.
"""

import random
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

import cocotb
from cocotb.handle import LogicArrayObject, LogicObject
from cocotb.triggers import FallingEdge, RisingEdge, Timer

__all__ = [
    "StreamMonitor",
    "StreamRuleError",
    "StreamSink",
    "StreamSource",
    "probe_ready",
    "random_pauses",
]


class StreamRuleError(AssertionError):
    """A stream broke one of its rules."""


def random_pauses(generator: random.Random, probability: float) -> Iterator[bool]:
    """Endless pauses: True with `probability` on average, in runs of random length up to 8."""
    while True:
        pause = generator.random() < probability
        yield from repeat(pause, generator.randint(1, 8))


class _Stream:
    """Ports of one stream."""

    def __init__(self, dut: Any, stem: str) -> None:
        self.stem = stem
        self.clock: LogicObject = dut.clk
        self.reset: LogicObject = dut.rst
        self.payload: LogicArrayObject = getattr(dut, f"{stem}__payload")
        self.valid: LogicObject = getattr(dut, f"{stem}__valid")
        self.ready: LogicObject = getattr(dut, f"{stem}__ready")


class StreamSource(_Stream):
    """Producer: sends queued payloads in order.

    Parameters
    ----------
    dut : handle
        The design.
    stem : str
        Name of the stream.
    pauses : iterable of bool, optional
        One per cycle without an open offer; where True, the next payload is held back.
    """

    def __init__(self, dut: Any, stem: str, pauses: Iterable[bool] = repeat(False)) -> None:
        super().__init__(dut, stem)
        self._queue: deque[int] = deque()
        self._pauses = iter(pauses)
        self.valid.value = 0
        self.payload.value = 0
        cocotb.start_soon(self._run())

    def send(self, payloads: Iterable[int]) -> None:
        """Queue payloads."""
        self._queue.extend(payloads)

    def clear(self) -> None:
        """Forget what is queued."""
        self._queue.clear()

    @property
    def empty(self) -> bool:
        """Whether everything queued has been taken or is on the port."""
        return not self._queue

    async def _run(self) -> None:
        edge = RisingEdge(self.clock)
        offering = False
        while True:
            await edge
            if self.reset.value:
                if offering:
                    self.valid.value = 0
                offering = False
                continue
            if offering and not self.ready.value:
                continue
            paused = next(self._pauses)
            if self._queue and not paused:
                self.payload.value = self._queue.popleft()
                if not offering:
                    self.valid.value = 1
                offering = True
            elif offering:
                self.valid.value = 0
                offering = False


class StreamSink(_Stream):
    """Consumer: asserts ready; a :class:`StreamMonitor` records what is transferred.

    Parameters
    ----------
    dut : handle
        The design.
    stem : str
        Name of the stream.
    pauses : iterable of bool, optional
        One per cycle; where True, ready is low.
    ready_after_valid : bool
        Assert ready only when valid was seen on the cycle before: progress then proves that the
        producer does not wait for ready.
    """

    def __init__(
        self,
        dut: Any,
        stem: str,
        pauses: Iterable[bool] = repeat(False),
        ready_after_valid: bool = False,
    ) -> None:
        super().__init__(dut, stem)
        self._pauses = iter(pauses)
        self._ready_after_valid = ready_after_valid
        self.ready.value = 0
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        edge = RisingEdge(self.clock)
        ready = False
        while True:
            await edge
            wanted = not next(self._pauses)
            if self._ready_after_valid and wanted:
                wanted = not ready and self.valid.value == 1
            if wanted != ready:
                self.ready.value = wanted
                ready = wanted


class StreamMonitor(_Stream):
    """Observer: checks the rules, records transfers and counts cycles.

    Attributes
    ----------
    payloads : list of int
        Payloads transferred since :meth:`restart`.
    cycles : list of int
        Cycle of each transfer, counted from :meth:`restart`.
    stalls : int
        Cycles with valid and without ready.
    idle : int
        Cycles with ready and without valid.
    """

    def __init__(self, dut: Any, stem: str) -> None:
        super().__init__(dut, stem)
        self.restart()
        cocotb.start_soon(self._run())

    def restart(self) -> None:
        """Count and record anew from here."""
        self.payloads: list[int] = []
        self.cycles: list[int] = []
        self.stalls = 0
        self.idle = 0
        self._cycle = 0

    def counts(self) -> dict[str, int | None]:
        """Transfers, stall and idle cycles, first and last cycle of a transfer."""
        return {
            "transfers": len(self.cycles),
            "stall_cycles": self.stalls,
            "idle_cycles": self.idle,
            "first_cycle": self.cycles[0] if self.cycles else None,
            "last_cycle": self.cycles[-1] if self.cycles else None,
        }

    async def _run(self) -> None:
        edge = RisingEdge(self.clock)
        open_offer: int | None = None
        while True:
            await edge
            if self.reset.value:
                open_offer = None
                continue
            valid, ready = self._bit("valid"), self._bit("ready")
            payload = self._sample() if valid else None
            if open_offer is not None and payload != open_offer:
                self._fail(
                    f"the offer {open_offer:#x} was replaced by {payload:#x} before its transfer"
                    if valid
                    else f"the offer {open_offer:#x} was withdrawn before its transfer"
                )
            if valid and ready:
                self.payloads.append(payload)
                self.cycles.append(self._cycle)
                open_offer = None
            elif valid:
                self.stalls += 1
                open_offer = payload
            elif ready:
                self.idle += 1
            self._cycle += 1

    def _bit(self, name: str) -> bool:
        try:
            return bool(getattr(self, name).value)
        except ValueError:
            self._fail(f"{name} is {getattr(self, name).value} after reset")

    def _sample(self) -> int:
        value = self.payload.value
        try:
            return int(value)
        except ValueError:
            self._fail(f"the payload {value} has undefined bits while valid")

    def _fail(self, what: str) -> None:
        raise StreamRuleError(f"stream {self.stem}, cycle {self._cycle}: {what}")


async def probe_ready(dut: Any, stem: str) -> None:
    """Invert ready for a moment in the middle of every cycle; valid must not follow (rule 3)."""
    stream = _Stream(dut, stem)
    while True:
        await FallingEdge(stream.clock)
        valid, ready = stream.valid.value, stream.ready.value
        stream.ready.value = not ready
        await Timer(1, "step")
        if stream.valid.value != valid:
            raise StreamRuleError(f"stream {stem}: valid depends combinationally on ready")
        stream.ready.value = ready
