"""A bench for Fetch in Amaranth's simulator: a memory, jobs, and consumers of the planes."""

import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from amaranth.sim import Simulator

from speq.accelerator.fetch import Fetch
from speq.bus import Response
from speq.parameters import Parameters

BOUNDARY = 4096
Job = Sequence[tuple[int, int]]
"""Base address and AXI beats of each plane."""


class Bench:
    """Plays a design cycle by cycle, and checks the rules of the bus and of the streams.

    A beat read at address a is a / bus_bytes.

    Parameters
    ----------
    parameters : Parameters
        The design point.
    seed : int
        Of all that is random.
    asked, answered : float
        Probability per cycle that the memory takes a request, and that it gives a due beat.
    latency : (int, int)
        Least and most cycles from a request to its first beat.
    appetite : mapping of str to callable
        Whether a plane's consumer is ready in a cycle; by default always.

    Attributes
    ----------
    appetite : dict
        As above; it may be changed.
    jobs : deque
        Jobs to offer.
    stop : bool
        The port's level.
    responses : dict of int to Response
        For the n-th beat that the memory gives, from 0; others are OKAY.
    received : mapping of str to list of int
        Beats that each consumer has had.
    bursts : list of (int, int)
        Address and beats of each request taken.
    beats : list of int
        Cycles in which a beat was transferred on the bus.
    faults : list of (int, Response)
        Number of the beat and response of each pulse of `fault`.
    """

    def __init__(
        self,
        parameters: Parameters,
        *,
        seed: int = 0,
        asked: float = 1.0,
        answered: float = 1.0,
        latency: tuple[int, int] = (1, 1),
        appetite: Mapping[str, Callable[[int], bool]] | None = None,
    ) -> None:
        self.parameters = parameters
        self.random = random.Random(seed)
        self.dut = Fetch(parameters)
        self.names = [plane.name.lower() for plane in self.dut.planes]
        self.jobs: deque[Job] = deque()
        self.stop = False
        self.responses: dict[int, Response] = {}
        self.received: dict[str, list[int]] = {name: [] for name in self.names}
        self.bursts: list[tuple[int, int]] = []
        self.beats: list[int] = []
        self.faults: list[tuple[int, Response]] = []
        self.cycle = 0
        self.drained = False
        self.appetite = dict(appetite or {})
        self._asked, self._answered, self._latency = asked, answered, latency
        self._given = 0
        self._due: deque[tuple[int, int, bool]] = deque()
        """Cycle from which on, data, and whether it is the last, of the beats to come."""
        self._beat_held = False
        self._held: dict[str, int] = {}
        self._request: tuple[int, int] | None = None
        self._values: dict[int, int] = {}

    def play(self, script: Callable[["Bench"], Awaitable[None]]) -> None:
        """Run the script, which awaits :meth:`step` for each cycle."""

        async def testbench(context: object) -> None:
            self._context = context
            await script(self)

        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(testbench)
        simulator.run()

    async def step(self, cycles: int = 1) -> None:
        """Play whole cycles."""
        for _ in range(cycles):
            self._drive()
            self._observe()
            await self._context.tick()
            self.cycle += 1

    async def until(self, condition: Callable[[], bool], patience: int = 20_000) -> None:
        """Play until the condition holds."""
        end = self.cycle + patience
        while not condition():
            assert self.cycle < end, "no end"
            await self.step()

    def expected(self, name: str, jobs: Sequence[Job]) -> list[int]:
        """All beats of a plane, over the jobs."""
        plane, size = self.names.index(name), self.parameters.bus_bytes
        return [job[plane][0] // size + beat for job in jobs for beat in range(job[plane][1])]

    @property
    def outstanding(self) -> int:
        """Bursts asked for and not received, with one that is on offer."""
        return sum(last for _, _, last in self._due) + (self._request is not None)

    def _set(self, signal: object, value: object) -> None:
        if self._values.get(id(signal)) != value:
            self._values[id(signal)] = value
            self._context.set(signal, value)

    def _get(self, signal: object) -> int:
        return self._context.get(signal)

    def _drive(self) -> None:
        dut, axi = self.dut, self.dut.axi
        self._set(dut.stop, int(self.stop))
        self._set(dut.jobs.valid, int(bool(self.jobs)))
        if self.jobs:
            for plane, (base, beats) in enumerate(self.jobs[0]):
                self._set(dut.jobs.payload.bases[plane], base)
                self._set(dut.jobs.payload.beats[plane], beats)
        self._set(axi.arready, int(self.random.random() < self._asked))
        for name in self.names:
            wanted = self.appetite.get(name, lambda cycle: True)(self.cycle)
            self._set(getattr(dut, name).ready, int(wanted))
        if not self._beat_held:
            self._beat_held = (
                bool(self._due)
                and self._due[0][0] <= self.cycle
                and self.random.random() < self._answered
            )
        self._set(axi.rvalid, int(self._beat_held))
        if self._beat_held:
            _, value, last = self._due[0]
            self._set(axi.rdata, value)
            self._set(axi.rlast, int(last))
            self._set(axi.rresp, self.responses.get(self._given, Response.OKAY))

    def _observe(self) -> None:
        self._observe_requests()
        dut, axi = self.dut, self.dut.axi
        self.drained = bool(self._get(dut.drained))
        assert self.drained == (self.stop and self.outstanding == 0)
        if self.jobs and self._get(dut.jobs.ready):
            assert not self.stop
            self.jobs.popleft()
        assert self._get(dut.beat) == self._beat_held
        if self._get(dut.fault):
            assert self._beat_held
            assert not self.stop
            self.faults.append((self._given, self._get(dut.response)))
        if self._beat_held and self._get(axi.rready):
            self.beats.append(self.cycle)
            self._due.popleft()
            self._beat_held = False
            self._given += 1
        else:
            assert not self._beat_held, "a due beat was not taken at once"
        for name in self.names:
            self._observe_plane(name)

    def _observe_requests(self) -> None:
        axi, parameters = self.dut.axi, self.parameters
        before, self._request = self._request, None
        if self._get(axi.arvalid):
            self._request = (self._get(axi.araddr), self._get(axi.arlen) + 1)
        assert before is None or self._request == before, "a request was withdrawn or changed"
        if self._request is None:
            return
        assert self.outstanding <= parameters.outstanding
        if not self._get(axi.arready):
            return
        address, beats = self._request
        size = parameters.bus_bytes
        assert (1 << self._get(axi.arsize), self._get(axi.arburst)) == (size, 1)
        assert (self._get(axi.arcache), self._get(axi.arprot)) == (0b0011, 0)
        assert address % size == 0
        assert beats <= parameters.longest_burst
        assert address // BOUNDARY == (address + beats * size - 1) // BOUNDARY
        self.bursts.append(self._request)
        self._request = None
        start = self.cycle + self.random.randint(*self._latency)
        for beat in range(beats):
            self._due.append((start, address // size + beat, beat == beats - 1))

    def _observe_plane(self, name: str) -> None:
        plane = getattr(self.dut, name)
        valid, payload = self._get(plane.valid), self._get(plane.payload)
        if name in self._held and not self.stop:
            assert valid, "an offer was withdrawn"
            assert payload == self._held[name], "an offer was changed"
        self._held.pop(name, None)
        if valid and self._get(plane.ready):
            self.received[name].append(payload)
        elif valid and not self.stop:
            self._held[name] = payload
