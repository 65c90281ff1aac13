"""Block memory: bursts and bytes against a model, with stalls."""

import random

import pytest
from amaranth.sim import Simulator

from speq.boards.memory import BlockMemory
from speq.boards.settings import BoardSettings
from speq.bus import Response
from speq.parameters import Parameters

SIZE = 1024
SETTINGS = BoardSettings(clock_mhz=80.0, baud=1_000_000, memory_bytes=SIZE)


def _design(words):
    return Parameters(
        rows=1,
        columns=words,
        port_words=words,
        modes=("verify",),
        address_bits=16,
        activation_values=words * 4,
    )


class _Bench:
    """Drives both sides of a memory; the model is a plain array of bytes."""

    def __init__(self, words, seed, stalls):
        self.memory = BlockMemory(_design(words), SETTINGS)
        self.beat = 2 * words
        self.random = random.Random(seed)
        self.stalls = stalls
        self.model = bytearray(SIZE)
        self.cycles = 0

    def run(self, *benches):
        simulator = Simulator(self.memory)
        simulator.add_clock(1e-6)
        for bench in benches:
            simulator.add_testbench(bench)
        simulator.run()

    async def fill(self, ctx):
        for address in range(SIZE):
            self.model[address] = self.random.randrange(256)
            await self.write(ctx, address, self.model[address])
        for _ in range(2):  # the last byte is on its way
            await ctx.tick()

    async def write(self, ctx, address, value):
        link = self.memory.link
        ctx.set(link.write, 1)
        ctx.set(link.address, address)
        ctx.set(link.data, value)
        await ctx.tick().until(link.taken)
        ctx.set(link.write, 0)

    async def read(self, ctx, address):
        link = self.memory.link
        ctx.set(link.read, 1)
        ctx.set(link.address, address)
        await ctx.tick().until(link.taken)
        ctx.set(link.read, 0)
        value, *_ = await ctx.tick().sample(link.value).until(link.valid)
        return value

    async def burst(self, ctx, beat, length):
        """Ask for a burst, whose address is in beats."""
        axi = self.memory.axi
        ctx.set(axi.arvalid, 1)
        ctx.set(axi.araddr, beat * self.beat)
        ctx.set(axi.arlen, length - 1)
        await ctx.tick().until(axi.arready)
        ctx.set(axi.arvalid, 0)

    async def beats(self, ctx, bursts):
        """Take the answers to bursts, which must be what the model says."""
        axi = self.memory.axi
        for beat, length in bursts:
            for number in range(length):
                ready = 0
                while not ready:
                    ready = int(self.random.random() >= self.stalls)
                    ctx.set(axi.rready, ready)
                    *_, valid, data, last, response = await ctx.tick().sample(
                        axi.rvalid, axi.rdata, axi.rlast, axi.rresp
                    )
                    self.cycles += 1
                    ready = ready and valid
                place = (beat + number) * self.beat
                wanted = Response.OKAY if beat * self.beat < SIZE else Response.DECERR
                assert response == wanted
                assert last == (number == length - 1)
                if wanted == Response.OKAY:
                    assert data == int.from_bytes(self.model[place : place + self.beat], "little")


@pytest.mark.parametrize("words", [2, 8])
@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_bursts_while_the_link_reads(words, stalls):
    bench = _Bench(words, seed=1, stalls=stalls)
    beats = SIZE // bench.beat
    bursts = []
    for _ in range(30):
        beat = bench.random.randrange(beats)
        bursts.append((beat, bench.random.randint(1, min(16, beats - beat))))
    bursts.append((beats, 3))  # beyond the memory
    bursts.append((0, 4))

    async def master(ctx):
        await bench.fill(ctx)
        for burst in bursts:
            await bench.burst(ctx, *burst)

    async def taker(ctx):
        await bench.beats(ctx, bursts)

    async def host(ctx):
        await ctx.tick().until(bench.memory.axi.arvalid)
        for _ in range(40):
            address = bench.random.randrange(SIZE)
            assert await bench.read(ctx, address) == bench.model[address]

    bench.run(master, taker, host)


def test_a_beat_per_cycle_across_bursts():
    bench = _Bench(2, seed=2, stalls=0.0)
    bursts = [(0, 64), (64, 64), (10, 16), (128, 64)]

    async def master(ctx):
        await bench.fill(ctx)
        for burst in bursts:
            await bench.burst(ctx, *burst)

    async def taker(ctx):
        await ctx.tick().until(bench.memory.axi.rvalid)
        ctx.set(bench.memory.axi.rready, 1)
        # This first beat was seen above and is still there.
        await bench.beats(ctx, bursts)

    bench.run(master, taker)
    assert bench.cycles == sum(length for _, length in bursts)


def test_a_byte_is_written_alone():
    bench = _Bench(4, seed=3, stalls=0.0)

    async def host(ctx):
        await bench.fill(ctx)
        await bench.write(ctx, 21, bench.model[21] ^ 0xFF)
        found = [await bench.read(ctx, address) for address in range(16, 32)]
        wanted = bench.model[16:32]
        wanted[5] ^= 0xFF
        assert bytes(found) == wanted

    bench.run(host)
