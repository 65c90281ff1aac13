"""The control block: faults, stopping and resuming, interrupts, performance counters."""

import itertools
import random

import pytest
from control_bench import Bench

from speq.accelerator.layouts import ActivationFault
from speq.accelerator.registers import COUNTER_BITS, Fault, Interrupt, Rejection
from speq.bus import Response
from speq.parameters import PRESETS
from speq_sim.proofs.mutation import mutated_module

TINY = PRESETS["tiny"]
GOOD = {"tokens": 2, "inputs": 40, "tiles": 3, "bases": (64, 0x800, 0x2000)}
STOP, RESUME, CLEAR = 1, 2, 4


def play(*players, block=None):
    bench = Bench(TINY) if block is None else Bench(TINY, block)
    bench.run(*players)
    return bench


# Stopping ---------------------------------------------------------------------------------------


async def cause(bench, ctx, fault):
    """Let the unit stop for a reason; ends in the cycle after the one in which it is seen."""
    dut = bench.dut
    match fault:
        case Fault.READ_SLVERR | Fault.READ_DECERR:
            ctx.set(dut.response, Response[fault.name.removeprefix("READ_")])
            await bench.pulse(ctx, "read_fault")
        case Fault.ACTIVATION_SHORT | Fault.ACTIVATION_LONG:
            ctx.set(dut.activation_fault, ActivationFault[fault.name.removeprefix("ACTIVATION_")])
            await ctx.tick()
        case Fault.STOPPED:
            await bench.write(ctx, "CONTROL", STOP)


async def status(bench, ctx):
    word = await bench.read(ctx, "STATUS")
    return tuple(bench.extract(word, "STATUS", name) for name in ("stopping", "stopped"))


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
def test_the_unit_stops_drains_and_resumes(fault):
    async def player(bench, ctx):
        dut = bench.dut
        await bench.command(ctx, **GOOD)
        await bench.push(ctx)
        ctx.set(dut.drained, 0)
        ctx.set(dut.closed, 0)
        assert not ctx.get(dut.stop)
        await cause(bench, ctx, fault)
        assert ctx.get(dut.stop)
        assert not ctx.get(dut.reset_engine)
        assert await bench.field(ctx, "FAULT", "code") == fault

        # Neither alone is enough, nor does a resume that comes too early do anything.
        for drained, closed in ((0, 1), (1, 0), (0, 0)):
            ctx.set(dut.drained, drained)
            ctx.set(dut.closed, closed)
            await bench.write(ctx, "CONTROL", RESUME)
            assert await status(bench, ctx) == (1, 0)
            assert (ctx.get(dut.stop), ctx.get(dut.reset_engine)) == (1, 0)
        await bench.push(ctx)
        assert await bench.field(ctx, "REJECTION", "code") == Rejection.STOPPED

        ctx.set(dut.drained, 1)
        ctx.set(dut.closed, 1)
        await ctx.tick()
        assert (ctx.get(dut.stop), ctx.get(dut.reset_engine)) == (1, 1)
        assert await status(bench, ctx) == (0, 1)
        # What is reset loses its fault; nothing that happens now has a meaning.
        ctx.set(dut.activation_fault, ActivationFault.NONE)
        ctx.set(dut.drained, 0)
        ctx.set(dut.closed, 0)
        await bench.pulse(ctx, "done", "read_fault")
        assert await status(bench, ctx) == (0, 1)
        assert await bench.field(ctx, "STATUS", "pending") == 0
        assert await bench.read(ctx, "JOBS_COMPLETED") == 0
        assert await bench.field(ctx, "FAULT", "code") == fault
        await bench.push(ctx)
        assert await bench.field(ctx, "REJECTION", "code") == Rejection.STOPPED
        assert await bench.read(ctx, "REJECTIONS") == 2

        await bench.write(ctx, "CONTROL", RESUME)
        assert (ctx.get(dut.stop), ctx.get(dut.reset_engine)) == (0, 0)
        assert await status(bench, ctx) == (0, 0)
        assert await bench.field(ctx, "FAULT", "code") == Fault.NONE
        await bench.push(ctx)
        assert await bench.field(ctx, "STATUS", "pending") == 1

    assert len(play(player).jobs) == 3


def test_an_idle_unit_is_stopped_two_cycles_after_the_cause():
    async def player(bench, ctx):
        dut = bench.dut
        ctx.set(dut.read_fault, 1)
        ctx.set(dut.response, Response.DECERR)
        seen = []
        for _ in range(4):
            await ctx.tick()
            seen.append((ctx.get(dut.stop), ctx.get(dut.reset_engine)))
        assert seen == [(1, 0), (1, 1), (1, 1), (1, 1)]

    play(player)


FAULTS = [fault for fault in Fault if fault is not Fault.NONE]


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FAULTS, 2)))
def test_the_first_cause_is_kept(first, second):
    async def player(bench, ctx):
        ctx.set(bench.dut.closed, 0)
        await cause(bench, ctx, first)
        await cause(bench, ctx, second)
        assert await bench.field(ctx, "FAULT", "code") == first
        expected = first is not Fault.STOPPED
        assert await bench.field(ctx, "IRQ_PENDING", "fault") == expected

    play(player)


@pytest.mark.parametrize("reads", [False, True])
def test_of_causes_in_one_cycle_the_read_comes_first_and_the_request_last(reads):
    async def player(bench, ctx):
        dut = bench.dut
        bus = dut.bus
        ctx.set(dut.closed, 0)
        # The request acts in the cycle after its address and data are taken.
        ctx.set(bus.awaddr, bench.offset("CONTROL"))
        ctx.set(bus.wdata, STOP)
        for name in ("awvalid", "wvalid", "wstrb", "bready"):
            ctx.set(getattr(bus, name), 1)
        await ctx.tick()
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        ctx.set(dut.activation_fault, ActivationFault.LONG)
        if reads:
            ctx.set(dut.response, Response.SLVERR)
            ctx.set(dut.read_fault, 1)
        await ctx.tick()
        assert ctx.get(dut.stop)
        wanted = Fault.READ_SLVERR if reads else Fault.ACTIVATION_LONG
        assert await bench.field(ctx, "FAULT", "code") == wanted

    play(player)


def test_a_level_that_outlasts_resume_stops_the_unit_again():
    async def player(bench, ctx):
        await cause(bench, ctx, Fault.ACTIVATION_LONG)
        await ctx.tick()
        await bench.write(ctx, "CONTROL", RESUME)
        await ctx.tick().repeat(3)
        assert ctx.get(bench.dut.reset_engine)
        assert await bench.field(ctx, "FAULT", "code") == Fault.ACTIVATION_LONG

    play(player)


def test_a_command_under_check_when_the_unit_stops_is_rejected():
    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        await bench.push(ctx)
        assert await bench.field(ctx, "REJECTION", "code") == Rejection.STOPPED
        assert await bench.field(ctx, "STATUS", "pending") == 0

    async def fault(bench, ctx):
        await ctx.tick().until(bench.dut.jobs.valid)
        await ctx.tick().repeat(15)
        await bench.pulse(ctx, "read_fault")

    assert len(play(player, fault).jobs) == 1


def test_a_stop_at_any_moment_of_a_push_leaves_either_a_job_or_a_rejection():
    outcomes = set()
    for wait in (0, 10, *range(20, 31)):

        async def player(bench, ctx):
            await bench.command(ctx, **GOOD)
            await bench.push(ctx)
            rejections = await bench.read(ctx, "REJECTIONS")
            assert len(bench.jobs) - 1 + rejections == 1
            await ctx.tick().repeat(5)
            assert await status(bench, ctx) == (0, 1)
            assert await bench.field(ctx, "STATUS", "pending") == 0
            await bench.write(ctx, "CONTROL", RESUME)
            await bench.push(ctx)
            assert await bench.field(ctx, "STATUS", "pending") == 1
            outcomes.add(rejections)

        async def fault(bench, ctx, wait=wait):
            await ctx.tick().until(bench.dut.jobs.valid)
            await ctx.tick().repeat(wait + 1)
            await bench.pulse(ctx, "read_fault")

        play(player, fault)
    assert outcomes == {0, 1}


def test_keep_is_rejected_after_a_stop():
    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        await bench.command(ctx, **(GOOD | {"keep": 1}))
        assert await bench.read(ctx, "REJECTIONS") == 0
        await bench.write(ctx, "CONTROL", STOP)
        await bench.write(ctx, "CONTROL", RESUME)
        await bench.push(ctx)
        assert await bench.field(ctx, "REJECTION", "code") == Rejection.KEEP

    assert len(play(player).jobs) == 2


def test_control_reads_as_zero_and_resume_alone_does_nothing():
    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        await bench.write(ctx, "CONTROL", RESUME)
        await bench.write(ctx, "CONTROL", STOP, strobe=0b1110)
        assert await bench.read(ctx, "CONTROL") == 0
        assert await status(bench, ctx) == (0, 0)
        assert await bench.field(ctx, "STATUS", "pending") == 1

    play(player)


# Interrupts -------------------------------------------------------------------------------------


async def event(bench, ctx, which):
    match which:
        case Interrupt.DONE:
            await bench.pulse(ctx, "done")
        case Interrupt.FAULT:
            ctx.set(bench.dut.closed, 0)
            await bench.pulse(ctx, "read_fault")
        case Interrupt.REJECTED:
            await bench.push(ctx)
        case Interrupt.STOPPED:
            await bench.write(ctx, "CONTROL", STOP)
            await ctx.tick()


@pytest.mark.parametrize("which", list(Interrupt))
def test_each_event_interrupts_if_it_is_enabled(which):
    async def player(bench, ctx):
        irq, bit = bench.dut.irq, 1 << which
        await bench.write(ctx, "INPUTS", 40)
        await bench.write(ctx, "IRQ_ENABLE", 0xF & ~bit)
        await event(bench, ctx, which)
        assert await bench.read(ctx, "IRQ_PENDING") == bit
        assert not ctx.get(irq)
        await bench.write(ctx, "IRQ_ENABLE", bit)
        await ctx.tick()
        assert ctx.get(irq)
        await bench.write(ctx, "IRQ_PENDING", 0xF & ~bit)
        await ctx.tick()
        assert ctx.get(irq)
        await bench.write(ctx, "IRQ_PENDING", bit)
        await ctx.tick()
        assert not ctx.get(irq)
        assert await bench.read(ctx, "IRQ_PENDING") == 0

    play(player)


def test_an_event_while_its_bit_is_cleared_is_kept():
    async def player(bench, ctx):
        await bench.pulse(ctx, "done")
        bus = bench.dut.bus
        ctx.set(bus.awaddr, bench.offset("IRQ_PENDING"))
        ctx.set(bus.wdata, 0xF)
        for name in ("awvalid", "wvalid", "wstrb", "bready"):
            ctx.set(getattr(bus, name), 1)
        await ctx.tick()
        ctx.set(bus.awvalid, 0)
        ctx.set(bus.wvalid, 0)
        # The write acts in this cycle.
        await bench.pulse(ctx, "done")
        assert await bench.read(ctx, "IRQ_PENDING") == 1 << Interrupt.DONE

    play(player)


# Performance counters ---------------------------------------------------------------------------


def test_counters_count_cycles_with_a_job_and_what_happens_in_them():
    source = random.Random("counters")

    async def player(bench, ctx):
        dut = bench.dut
        await bench.command(ctx, **GOOD)
        await ctx.tick().repeat(10)
        await bench.pulse(ctx, "done")
        # The push answered, or not, some cycles after the job began: start over.
        await bench.write(ctx, "CONTROL", CLEAR)
        assert [await bench.read(ctx, name) for name in ("CYCLES", "BEATS", "WORDS")] == [0] * 3
        beats = words = 0
        for _ in range(200):
            beat, word = source.randrange(2), source.randrange(3) == 0
            ctx.set(dut.beat, beat)
            ctx.set(dut.word, word)
            await ctx.tick()
            beats, words = beats + beat, words + word
        ctx.set(dut.beat, 0)
        ctx.set(dut.word, 0)
        assert await bench.read(ctx, "CYCLES") == 0
        assert await bench.read(ctx, "BEATS") == beats
        assert await bench.read(ctx, "WORDS") == words

    play(player)


def test_cycles_are_those_from_the_job_to_its_end():
    times = {}

    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        await ctx.tick().repeat(20)
        ctx.set(bench.dut.done, 1)
        times["done"] = times["now"]
        await ctx.tick()
        ctx.set(bench.dut.done, 0)
        await ctx.tick().repeat(7)
        assert await bench.read(ctx, "CYCLES") == times["done"] - times["job"]

    async def clock(bench, ctx):
        for now in itertools.count():
            times["now"] = now
            if ctx.get(bench.dut.jobs.valid):
                times["job"] = now
            await ctx.tick()
            if "done" in times and now > times["done"] + 20:
                break

    play(clock, player)


@pytest.mark.parametrize("name", ["BEATS", "WORDS"])
def test_the_upper_part_is_that_of_the_last_read_of_the_lower_one(name):
    """From three below the carry: no simulation counts so far."""
    start = (1 << 32) - 3
    near = mutated_module(
        "speq.accelerator.control",
        "count = Signal(COUNTER_BITS, name=name)",
        f"count = Signal(COUNTER_BITS, name=name, init={start})",
    )

    async def player(bench, ctx):
        pulse = name.lower().removesuffix("s")
        assert await bench.read(ctx, name) == start
        for _ in range(5):
            await bench.pulse(ctx, pulse)
        assert await bench.read(ctx, f"{name}_HIGH") == 0
        assert await bench.read(ctx, name) == 2
        assert await bench.read(ctx, f"{name}_HIGH") == 1
        # Nor does reading another counter touch it.
        await bench.read(ctx, "CYCLES")
        assert await bench.read(ctx, f"{name}_HIGH") == 1
        await bench.write(ctx, "CONTROL", CLEAR)
        assert await bench.read(ctx, f"{name}_HIGH") == 1
        assert await bench.read(ctx, name) == 0
        assert await bench.read(ctx, f"{name}_HIGH") == 0

    play(player, block=near.Control)


def test_counters_wrap():
    full = mutated_module(
        "speq.accelerator.control",
        "count = Signal(COUNTER_BITS, name=name)",
        f"count = Signal(COUNTER_BITS, name=name, init={(1 << COUNTER_BITS) - 1})",
    )

    async def player(bench, ctx):
        assert await bench.read(ctx, "BEATS") == (1 << 32) - 1
        assert await bench.read(ctx, "BEATS_HIGH") == (1 << 16) - 1
        await bench.pulse(ctx, "beat")
        assert await bench.read(ctx, "BEATS") == 0
        assert await bench.read(ctx, "BEATS_HIGH") == 0

    play(player, block=full.Control)
