"""Bench of the control block: an AXI4-Lite manager, and a monitor of handshakes and jobs."""

import dataclasses
from types import SimpleNamespace

from amaranth.sim import Simulator

from speq.accelerator.control import Control
from speq.accelerator.registers import register_map
from speq.bus import Response

PATIENCE = 100
"""Cycles after which an answer counts as missing: more than a command check takes."""


@dataclasses.dataclass(frozen=True)
class Delays:
    """Cycles before each channel's valid, and before the answer is taken."""

    address: int = 0
    data: int = 0
    answer: int = 0


def job_fields(payload):
    """Fields of a job by block, as plain numbers; without bases of planes that are not read."""
    jobs = {}
    for block, _ in payload.shape():
        values = {}
        for name, _ in payload[block].shape():
            value = payload[block][name]
            if name in ("bases", "beats"):
                values |= {f"{name}_{plane}": value[plane] for plane in range(len(value))}
            else:
                values[name] = getattr(value, "value", value)
        jobs[block] = values
    fetch = jobs["fetch"]
    for plane in range(3):
        if fetch.get(f"beats_{plane}") == 0:
            del fetch[f"bases_{plane}"]
    return jobs


class Bench:
    """The block, with its environment at rest: room for jobs, nothing under way.

    Attributes
    ----------
    jobs : list
        Jobs given so far, as :func:`job_fields` reads them.
    """

    def __init__(self, parameters, block=Control):
        self.dut = block(parameters)
        self.registers = register_map(parameters)
        self.jobs = []

    def run(self, *players):
        """Play each ``async def player(bench, ctx)`` at once, to the end of all."""
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._rest)
        for player in players:
            simulator.add_testbench(self._bound(player))
        simulator.add_testbench(self._watch, background=True)
        simulator.run()

    def _bound(self, player):
        async def play(ctx):
            await player(self, ctx)

        return play

    async def _rest(self, ctx):
        for name in ("room", "drained", "closed"):
            ctx.set(getattr(self.dut, name), 1)
        ctx.set(self.dut.jobs.ready, 1)

    async def _watch(self, ctx):
        """Answers are held until they are taken; jobs are offered only with room."""
        bus, jobs = self.dut.bus, self.dut.jobs
        before = None
        ticks = ctx.tick().sample(
            bus.bvalid, bus.bready, bus.bresp, bus.rvalid, bus.rready, bus.rresp, bus.rdata,
            jobs.valid, jobs.ready, jobs.payload, self.dut.room,
        )  # fmt: skip
        async for _, _, *values, valid, ready, payload, room in ticks:
            bvalid, bready, bresp, rvalid, rready, *read = values
            if before is not None:
                assert not before.b or (bvalid, bresp) == before.b
                assert not before.r or (rvalid, *read) == before.r
            before = SimpleNamespace(
                b=(bvalid, bresp) if bvalid and not bready else None,
                r=(rvalid, *read) if rvalid and not rready else None,
            )
            assert not valid or (room and ready)
            if valid:
                self.jobs.append(job_fields(payload))

    def offset(self, register):
        return self.registers[register].offset if isinstance(register, str) else register

    async def write(self, ctx, register, value, strobe=0xF, delays=Delays()):
        """One write; returns its response."""
        bus = self.dut.bus
        addressed = filled = False
        for cycle in range(PATIENCE):
            ctx.set(bus.awaddr, self.offset(register))
            ctx.set(bus.wdata, value)
            ctx.set(bus.wstrb, strobe)
            offers = not addressed and cycle >= delays.address
            fills = not filled and cycle >= delays.data
            ctx.set(bus.awvalid, offers)
            ctx.set(bus.wvalid, fills)
            _, _, awready, wready, bvalid = await ctx.tick().sample(
                bus.awready, bus.wready, bus.bvalid
            )
            assert not bvalid, "answered before address and data are there"
            addressed |= bool(offers and awready)
            filled |= bool(fills and wready)
            if addressed and filled:
                break
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        return await self._answer(ctx, bus.bvalid, bus.bready, delays.answer, bus.bresp)

    async def read(self, ctx, register, delays=Delays()):
        """One read; returns its data, or the response if it is an error."""
        bus = self.dut.bus
        for _ in range(delays.address):
            await ctx.tick()
        ctx.set(bus.araddr, self.offset(register))
        ctx.set(bus.arvalid, 1)
        await ctx.tick().until(bus.arready)
        ctx.set(bus.arvalid, 0)
        answer = (bus.rvalid, bus.rready, delays.answer, bus.rresp, bus.rdata)
        response, data = await self._answer(ctx, *answer)
        return data if response is Response.OKAY else response

    async def _answer(self, ctx, valid, ready, delay, *values):
        for _ in range(delay):
            await ctx.tick()
        ctx.set(ready, 1)
        for _ in range(PATIENCE):
            _, _, there, *seen = await ctx.tick().sample(valid, *values)
            if there:
                ctx.set(ready, 0)
                seen[0] = Response(seen[0])
                return seen if len(seen) > 1 else seen[0]
        raise AssertionError("no answer")

    async def field(self, ctx, register, field):
        """Read a register and return one field of it."""
        return self.extract(await self.read(ctx, register), register, field)

    def extract(self, word, register, field):
        found = self.registers[register].field(field)
        return (word & found.mask) >> found.offset

    async def dump(self, ctx):
        """Every register that can be read, by name."""
        return {register.name: await self.read(ctx, register.name) for register in self.registers}

    async def command(self, ctx, *, mode=0, plain=0, keep=0, tokens=1, inputs=1, tiles=1, bases=()):
        """Write the command registers, all of them, and push."""
        await self.write(ctx, "COMMAND", mode | plain << 4 | keep << 5 | tokens << 8)
        await self.write(ctx, "INPUTS", inputs)
        await self.write(ctx, "OUTPUT_TILES", tiles)
        for plane, base in zip(("DRAFT", "MIDDLE", "LOW"), bases, strict=False):
            await self.write(ctx, f"{plane}_BASE", base & 0xFFFFFFFF)
            await self.write(ctx, f"{plane}_BASE_HIGH", base >> 32)
        await self.push(ctx)

    async def push(self, ctx):
        assert await self.write(ctx, "PUSH", 0) is Response.OKAY

    async def pulse(self, ctx, *names):
        """One cycle of one-bit inputs."""
        for name in names:
            ctx.set(getattr(self.dut, name), 1)
        await ctx.tick()
        for name in names:
            ctx.set(getattr(self.dut, name), 0)
