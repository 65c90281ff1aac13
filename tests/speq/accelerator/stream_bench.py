"""Streams of a component in Amaranth's own simulator: queues, random stalls, the streams' rules."""

import random
from collections import deque
from collections.abc import Callable, Iterable

from amaranth.hdl import Shape, Value
from amaranth.lib import data, stream, wiring
from amaranth.sim import Simulator


class Packer:
    """Payloads of one shape as numbers; many times as fast as Amaranth's constants."""

    def __init__(self, shape: data.Layout) -> None:
        self.fields = {}
        for name, field in shape:
            element, count = field.shape, None
            if isinstance(element, data.ArrayLayout):
                element, count = element.elem_shape, element.length
            self.fields[name] = (field.offset, Shape.cast(element).width, count)

    def pack(self, **values: object) -> int:
        """A number; fields that the shape lacks must be 0 or None."""
        assert not any(value for name, value in values.items() if name not in self.fields)
        number = 0
        for name, (offset, width, count) in self.fields.items():
            value = values[name]
            for place, element in enumerate([value] if count is None else value):
                assert 0 <= int(element) < 1 << width
                number |= int(element) << offset + place * width
        return number

    def unpack(self, number: int, name: str) -> list[int]:
        """Elements of an array field."""
        offset, width, count = self.fields[name]
        return [number >> offset + place * width & (1 << width) - 1 for place in range(count)]


class Source:
    """Offers queued payloads; pauses with probability `stall` per cycle between them.

    The cycles of its transfers are recorded.
    """

    def __init__(self, port: stream.Interface, payloads: Iterable[int] = (), stall: float = 0):
        self.port, self.queue, self.stall = port, deque(payloads), stall
        self.offering = False
        self.cycles: list[int] = []

    @property
    def taken(self) -> int:
        return len(self.cycles)


class Sink:
    """Takes with probability ``1 - stall`` per cycle, and records payloads and their cycles."""

    def __init__(self, port: stream.Interface, stall: float = 0):
        self.port, self.stall = port, stall
        self.payloads: list[int] = []
        self.cycles: list[int] = []
        self.open_offer: int | None = None


class StreamBench:
    """Runs a component with one source or sink at each of its streams.

    Parameters
    ----------
    dut : Component
        What is simulated; it is made of plain submodules only.
    ends : dict of Source and Sink
    seed : int
    watched : sequence of Value
        Sampled in every cycle: :attr:`samples` has a tuple per cycle.
    """

    def __init__(
        self,
        dut: wiring.Component,
        ends: dict[str, Source | Sink],
        seed: int = 0,
        watched: Iterable[Value] = (),
    ) -> None:
        self.dut, self.ends = dut, ends
        self.random = random.Random(seed)
        self.watched = tuple(watched)
        self.samples: list[tuple[int, ...]] = []

    def run(self, cycles: int, until: Callable[[], bool] = lambda: False) -> int:
        """Run until a condition holds, for `cycles` cycles at most; returns how many it took."""
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)

        async def bench(context: object) -> None:
            await self._bench(context, cycles, until)

        simulator.add_testbench(bench)
        simulator.run()
        return len(self.samples)

    async def _bench(self, context: object, cycles: int, until: Callable[[], bool]) -> None:
        ends = self.ends.values()
        sampled = [
            Value.cast(part)
            for end in ends
            for part in (end.port.valid, end.port.ready, end.port.payload)
        ]
        for cycle in range(cycles):
            for end in ends:
                self._drive(context, end)
            _, _, *values = await context.tick().sample(*sampled, *self.watched)
            self.samples.append(tuple(values[len(sampled) :]))
            for number, end in enumerate(ends):
                self._record(end, cycle, *values[3 * number : 3 * number + 3])
            if until():
                return

    def _drive(self, context: object, end: Source | Sink) -> None:
        go = self.random.random() >= end.stall
        if isinstance(end, Sink):
            context.set(end.port.ready, go)
        elif not end.offering:
            end.offering = bool(end.queue) and go
            context.set(end.port.valid, end.offering)
            # What is on the wires without valid must not matter.
            other = self.random.getrandbits(len(Value.cast(end.port.payload)))
            context.set(Value.cast(end.port.payload), end.queue[0] if end.offering else other)

    def _record(self, end: Source | Sink, cycle: int, valid: int, ready: int, payload: int) -> None:
        if isinstance(end, Source):
            if valid and ready:
                end.queue.popleft()
                end.offering = False
                end.cycles.append(cycle)
            return
        if end.open_offer is not None:
            assert valid, "an offer was withdrawn"
            assert payload == end.open_offer, "an offer was changed"
        end.open_offer = payload if valid and not ready else None
        if valid and ready:
            end.payloads.append(payload)
            end.cycles.append(cycle)
