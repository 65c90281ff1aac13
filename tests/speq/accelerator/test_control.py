"""The control block: registers over AXI4-Lite, jobs, counters, interrupts, stopping."""

import random

import pytest
from control_bench import Bench, Delays

from speq.accelerator.registers import Access, Rejection, register_map
from speq.bus import Response
from speq.parameters import MODES, PRESETS

TINY = PRESETS["tiny"]

DESIGNS = {
    "tiny": TINY,
    "small": PRESETS["small"],
    "server": PRESETS["server"].replace(address_bits=64),
    "verify_only": TINY.verify_only(),
    "lanes_1": TINY.replace(draft_lanes=1, tokens=1, address_bits=24),
    "all_modes": TINY.replace(modes=MODES),
}


def play(parameters, *players):
    """Run each ``async def player(bench, ctx)`` on one block; returns the bench."""
    bench = Bench(parameters)
    bench.run(*players)
    return bench


# Registers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DESIGNS)
def test_after_reset_constants_are_there_and_all_else_is_zero(name):
    async def player(bench, ctx):
        values = await bench.dump(ctx)
        room = bench.registers["STATUS"].field("room").mask
        assert values == {
            register.name: register.value | (room if register.name == "STATUS" else 0)
            for register in bench.registers
        }

    play(DESIGNS[name], player)


@pytest.mark.parametrize("name", ["tiny", "verify_only"])
def test_where_no_register_is_accesses_fail_and_change_nothing(name):
    async def player(bench, ctx):
        taken = {register.offset for register in bench.registers}
        before = await bench.dump(ctx)
        for offset in range(0, 4096, 4):
            if offset not in taken and (offset < 0x100 or offset % 52 == 0 or offset == 4092):
                assert await bench.write(ctx, offset, 0xFFFFFFFF) is Response.SLVERR
                assert await bench.read(ctx, offset) is Response.SLVERR
        assert await bench.dump(ctx) == before

    assert play(DESIGNS[name], player).jobs == []


def test_writes_to_what_is_only_read_change_nothing():
    async def player(bench, ctx):
        before = await bench.dump(ctx)
        for register in bench.registers:
            if all(field.access is Access.READ_ONLY for field in register.fields):
                assert await bench.write(ctx, register.name, 0xFFFFFFFF) is Response.OKAY
        assert await bench.dump(ctx) == before

    play(TINY, player)


def test_the_lowest_address_bits_are_ignored():
    async def player(bench, ctx):
        offset = bench.offset("INPUTS")
        await bench.write(ctx, offset + 3, 1234)
        assert await bench.read(ctx, offset + 1) == 1234

    play(TINY, player)


def written_registers(parameters):
    """The registers that keep what is written, with the bits that do."""
    masks = {
        register.name: sum(
            field.mask for field in register.fields if field.access is Access.READ_WRITE
        )
        for register in register_map(parameters)
    }
    return {name: mask for name, mask in masks.items() if mask}


def random_delays(source):
    return Delays(*(source.choice([0, 0, 0, 1, 2, 5]) for _ in range(3)))


@pytest.mark.parametrize("name", DESIGNS)
def test_writes_change_the_bytes_that_they_name(name):
    source = random.Random(name)
    masks = written_registers(DESIGNS[name])
    values = dict.fromkeys(masks, 0)

    async def player(bench, ctx):
        for _ in range(100):
            register, strobe = source.choice(list(masks)), source.choice([0xF, *range(16)])
            value = source.getrandbits(32)
            mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
            mask &= masks[register]
            values[register] = values[register] & ~mask | value & mask
            delays = random_delays(source)
            assert await bench.write(ctx, register, value, strobe, delays) is Response.OKAY
            assert await bench.read(ctx, register, random_delays(source)) == values[register]
        dump = await bench.dump(ctx)
        assert {register: dump[register] for register in masks} == values

    play(DESIGNS[name], player)


def test_reads_and_writes_do_not_disturb_each_other():
    source = random.Random("both")
    masks = written_registers(TINY)
    history = {register: [0] for register in masks}

    async def writer(bench, ctx):
        for _ in range(200):
            register = source.choice(list(masks))
            history[register].append(source.getrandbits(32) & masks[register])
            delays = random_delays(source)
            await bench.write(ctx, register, history[register][-1], delays=delays)

    async def reader(bench, ctx):
        for _ in range(200):
            register = source.choice(list(masks))
            # The last value that is known may be under way still.
            known = max(len(history[register]) - 2, 0)
            seen = await bench.read(ctx, register, random_delays(source))
            assert seen in history[register][known:]

    play(TINY, writer, reader)


# Jobs -------------------------------------------------------------------------------------------

GOOD = {"tokens": 2, "inputs": 40, "tiles": 3, "bases": (0x1_0000_0040, 0x800, 0x2000)}


@pytest.mark.parametrize("name", DESIGNS)
def test_a_pushed_command_is_a_job(name):
    p = DESIGNS[name]
    tokens = min(2, p.tokens)
    bases = (0x380, 0x800, 0x2000) if p.address_bits < 32 else (0x1_0000_0380, 0x800, 0x2000)

    async def player(bench, ctx):
        await bench.command(
            ctx, tokens=tokens, inputs=40, tiles=3, bases=bases[: 3 if p.packs else 1]
        )
        assert await bench.read(ctx, "REJECTIONS") == 0
        assert await bench.field(ctx, "STATUS", "busy") == 1
        assert await bench.field(ctx, "STATUS", "pending") == 1

    (job,) = play(p, player).jobs
    groups = -(-40 // p.group_inputs)
    assert job["load"]["groups"] == groups
    assert job["results"]["output_tiles"] == 3
    assert job["fetch"]["bases_0"] == bases[0]
    if p.packs:
        assert job["play"]["mode"] == 0
        assert job["fetch"]["bases_1"] == bases[1]
        assert job["fetch"]["bases_2"] == bases[2]
        assert job["fetch"]["beats_2"] == 6 * groups * p.load_cycles
    else:
        assert job["fetch"]["beats_0"] == 3 * groups * p.load_cycles


def test_the_next_command_need_only_change_what_differs():
    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        await bench.write(ctx, "COMMAND", 0b01, strobe=0b0001)
        await bench.push(ctx)
        await bench.push(ctx)
        assert await bench.field(ctx, "STATUS", "pending") == 3

    first, second, third = play(TINY, player).jobs
    assert second == third
    assert (first["play"]["mode"], second["play"]["mode"]) == (0, 1)
    assert second["load"] == first["load"]
    assert second["fetch"]["beats_1"] == second["fetch"]["beats_2"] == 0


def test_any_value_pushes_but_no_byte_does_not():
    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        await bench.write(ctx, "PUSH", 0xFFFFFFFF)
        await bench.write(ctx, "PUSH", 0, strobe=0b1000)
        assert len(bench.jobs) == 3
        await bench.write(ctx, "PUSH", 1, strobe=0)
        assert await bench.read(ctx, "PUSH") == 0

    assert len(play(TINY, player).jobs) == 3


def test_a_push_is_answered_with_its_verdict_known():
    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        assert len(bench.jobs) == 1
        await bench.write(ctx, "INPUTS", 0)
        await bench.push(ctx)
        # Known in the very next read, which is under way as the write is answered.
        assert await bench.field(ctx, "REJECTION", "code") == Rejection.INPUTS
        assert await bench.read(ctx, "REJECTIONS") == 1

    assert len(play(TINY, player).jobs) == 1


def test_reads_go_on_and_writes_wait_while_a_command_is_checked():
    times = {}

    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        bus = bench.dut.bus
        # Address and data of a second push wait behind the first, for as long as it takes.
        for name, value in (("awaddr", bench.offset("PUSH")), ("wstrb", 1), ("bready", 1)):
            ctx.set(getattr(bus, name), value)
        ctx.set(bus.awvalid, 1)
        ctx.set(bus.wvalid, 1)
        taken = answers = 0
        for cycle in range(2 * 40):
            _, _, awready, wready, bvalid = await ctx.tick().sample(
                bus.awready, bus.wready, bus.bvalid
            )
            assert awready == wready
            taken += awready and taken < 2
            if bvalid:
                answers += 1
                times[answers] = cycle
            if taken == 2:
                ctx.set(bus.awvalid, 0)
                ctx.set(bus.wvalid, 0)
        assert taken == answers == 2

    async def reader(bench, ctx):
        reads = 0
        while len(times) < 2:
            await bench.read(ctx, "STATUS")
            reads += 1
        assert reads > 20

    assert len(play(TINY, player, reader).jobs) == 3
    assert times[2] - times[1] > 20


def test_a_full_queue_rejects_at_once():
    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        ctx.set(bench.dut.room, 0)
        ctx.set(bench.dut.jobs.ready, 0)
        await bench.push(ctx)
        assert await bench.field(ctx, "STATUS", "room") == 0
        assert await bench.field(ctx, "REJECTION", "code") == Rejection.QUEUE_FULL
        ctx.set(bench.dut.room, 1)
        ctx.set(bench.dut.jobs.ready, 1)
        await bench.push(ctx)
        assert await bench.field(ctx, "STATUS", "room") == 1
        assert await bench.field(ctx, "STATUS", "pending") == 2

    assert len(play(TINY, player).jobs) == 2


def test_pending_jobs_never_overflow_their_count():
    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        for _ in range(254):
            await bench.push(ctx)
        assert await bench.read(ctx, "REJECTIONS") == 0
        assert await bench.field(ctx, "STATUS", "pending") == 255
        assert await bench.field(ctx, "STATUS", "room") == 0
        await bench.push(ctx)
        assert await bench.field(ctx, "REJECTION", "code") == Rejection.QUEUE_FULL
        assert await bench.field(ctx, "STATUS", "pending") == 255

    assert len(play(TINY, player).jobs) == 255


REJECTED = {
    Rejection.MODE: {"mode": 2},
    Rejection.PLAIN: {"mode": 1, "plain": 1},
    Rejection.TOKENS: {"tokens": 0},
    Rejection.INPUTS: {"inputs": 65537},
    Rejection.OUTPUT_TILES: {"tiles": 1 << 20},
    Rejection.BUFFER: {"inputs": 65536},
    Rejection.KEEP: {"keep": 1},
    Rejection.MISALIGNED: {"bases": (4, 0, 0)},
    Rejection.ADDRESS: {"bases": (0, 0, 1 << 63)},
}


def test_a_rejected_command_is_counted_and_the_last_reason_kept():
    async def player(bench, ctx):
        for count, (reason, changes) in enumerate(REJECTED.items(), 1):
            await bench.command(ctx, **(GOOD | changes))
            assert await bench.field(ctx, "REJECTION", "code") == reason
            assert await bench.read(ctx, "REJECTIONS") == count
            assert await bench.field(ctx, "STATUS", "busy") == 0
        # Zeros, or ones beside the field, clear nothing; a one in any bit of it clears all.
        await bench.write(ctx, "REJECTION", 0xFFFFFFF0)
        await bench.write(ctx, "REJECTION", 0xFFFFFFFF, strobe=0b1110)
        assert await bench.field(ctx, "REJECTION", "code") == Rejection.ADDRESS
        await bench.write(ctx, "REJECTION", 1)
        assert await bench.field(ctx, "REJECTION", "code") == Rejection.NONE
        assert await bench.read(ctx, "REJECTIONS") == len(REJECTED)
        assert await bench.field(ctx, "IRQ_PENDING", "rejected") == 1

    assert play(TINY, player).jobs == []


def test_completed_jobs_are_counted():
    async def player(bench, ctx):
        for _ in range(3):
            await bench.command(ctx, **GOOD)
        await bench.pulse(ctx, "done")
        await bench.pulse(ctx, "done")
        assert await bench.field(ctx, "STATUS", "pending") == 1
        assert await bench.read(ctx, "JOBS_COMPLETED") == 2
        await bench.pulse(ctx, "done")
        assert await bench.field(ctx, "STATUS", "busy") == 0

    play(TINY, player)


def test_a_job_may_end_in_the_cycle_in_which_another_begins():
    async def player(bench, ctx):
        await bench.command(ctx, **GOOD)
        await bench.push(ctx)
        assert await bench.field(ctx, "STATUS", "pending") == 1
        assert await bench.read(ctx, "JOBS_COMPLETED") == 1

    async def finisher(bench, ctx):
        jobs = bench.dut.jobs
        await ctx.tick().until(jobs.valid)
        # The second job is offered now.
        while not ctx.get(jobs.valid):
            await ctx.tick()
        await bench.pulse(ctx, "done")

    play(TINY, player, finisher)
