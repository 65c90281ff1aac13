"""Cocotb tests of the AXI models on the toys: of the reader, and of the loop (``loop_...``)."""

import itertools
import os
import random
import time

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from toy_axi import (
    ADDRESS,
    BURSTS,
    LENGTH,
    Fault,
)

from speq_sim.benches.axi import (
    AxiLiteMaster,
    AxiMemory,
    AxiResetError,
    AxiStreamSink,
    AxiStreamSource,
    Burst,
    Fixed,
    Response,
    Uniform,
)
from speq_sim.benches.streams import random_pauses

PATIENCE = 3000
NEVER = itertools.repeat(False)
MEMORY = random.Random(5).randbytes(1 << 16)


def pauses(seed: int, probability: float = 0.4):
    return random_pauses(random.Random(seed), probability)


async def reset(dut, fault: Fault = Fault.none) -> None:
    dut.fault.value = int(fault)
    dut.aresetn.value = 0
    Clock(dut.aclk, 10, "ns").start()
    await ClockCycles(dut.aclk, 4)
    dut.aresetn.value = 1


class Reader:
    """The reader between its three models."""

    def __init__(self, dut, *, pause_results=NEVER, **memory) -> None:
        self.dut = dut
        self.memory = AxiMemory(dut, contents=memory.pop("contents", MEMORY), **memory)
        self.registers = AxiLiteMaster(dut)
        self.sink = AxiStreamSink(dut, pauses=pause_results)
        self.beat_bytes = self.memory.beat_bytes

    async def start(self, address: int, beats: int, bursts: int) -> None:
        for register, value in ((ADDRESS, address), (LENGTH, beats - 1), (BURSTS, bursts)):
            assert await self.registers.write(register, value) is Response.OKAY

    async def packets(self, count: int) -> list:
        for _ in range(PATIENCE + 4 * len(MEMORY) // self.beat_bytes):
            if len(self.sink.packets) == count:
                return self.sink.packets
            await RisingEdge(self.dut.aclk)
        raise AssertionError(f"deadlock: {len(self.sink.packets)} of {count} packets")

    async def read(self, address: int, beats: int, bursts: int) -> list:
        await self.start(address, beats, bursts)
        return await self.packets(bursts)


def expected(address: int, length: int) -> bytes:
    return MEMORY[address : address + length]


@cocotb.test()
@cocotb.parametrize(
    memory=[
        "ideal",
        "slow",
        "gaps",
        "paused",
        "shy",
    ]
)
async def reads(dut, memory: str):
    options = {
        "ideal": {},
        "slow": {"latency": Uniform(5, 60, seed=3), "outstanding": 4},
        "gaps": {"gap": pauses(1), "address_gap": pauses(2)},
        "paused": {"gap": pauses(3), "pause_results": pauses(4)},
        "shy": {"ready_after_valid": True},
    }[memory]
    bench = Reader(dut, **options)
    await reset(dut)
    longest = min(256, 4096 // bench.beat_bytes)
    for address, beats, bursts in ((0x400, 16, 20), (0x2000, 1, 50), (0x3000, longest, 2)):
        bench.sink.monitor.restart()
        bench.memory.monitor.restart()
        packets = await bench.read(address, beats, bursts)
        size = beats * bench.beat_bytes
        data = b"".join(packet.to_bytes(bench.beat_bytes) for packet in packets)
        assert data == expected(address, bursts * size)
        assert all(len(packet.beats) == beats for packet in packets)
        assert not any(user for packet in packets for user in packet.users)
        monitor = bench.memory.monitor
        asked = [(burst.address, burst.beats) for burst in monitor.bursts]
        assert asked == [(address + index * size, beats) for index in range(bursts)]
        assert monitor.beats == beats * bursts
        assert monitor.bytes_read(address, address + bursts * size) == bursts * size
        assert monitor.bytes_read(address + 8, address + 16) == 8
        assert monitor.bytes_read(0, address) == 0
        if memory == "slow":
            assert monitor.most_outstanding == min(bursts, 4)
        parts = monitor.beats + monitor.stalls + monitor.waiting + monitor.idle
        assert parts == monitor.cycles


@cocotb.test()
async def an_ideal_memory_loses_no_cycle(dut):
    bench = Reader(dut, latency=Fixed(8))
    await reset(dut)
    await bench.read(0, 16, 40)
    monitor = bench.memory.monitor
    assert monitor.beats == 640
    assert monitor.last_beat - monitor.first_beat == 639
    assert monitor.first_beat - monitor.bursts[0].cycle == 8
    assert monitor.stalls == 0


@cocotb.test()
@cocotb.parametrize(cycles=[1, 2, 7, 100])
async def a_latency_is_what_was_asked_for(dut, cycles: int):
    bench = Reader(dut, latency=Fixed(cycles))
    await reset(dut)
    for index in range(3):
        monitor = bench.memory.monitor
        monitor.restart()
        bench.sink.monitor.restart()
        await bench.read(index * 64, 4, 1)
        assert monitor.first_beat - monitor.bursts[0].cycle == cycles
        assert monitor.last_beat - monitor.first_beat == 3


@cocotb.test()
async def latencies_of_bursts_overlap(dut):
    drawn = []
    draw = Uniform(20, 200, seed=9)

    def latency() -> int:
        drawn.append(draw())
        return drawn[-1]

    bench = Reader(dut, latency=latency, outstanding=8)
    await reset(dut)
    await bench.read(0, 16, 60)
    monitor = bench.memory.monitor
    due = 0
    for burst, wait in zip(monitor.bursts, drawn, strict=True):
        due = max(due, burst.cycle + wait) + burst.beats
    assert monitor.last_beat == due - 1, "each burst begins once it is due and the last has ended"
    assert monitor.most_outstanding == 8
    assert min(drawn) >= 20
    assert max(drawn) <= 200


@cocotb.test()
async def outstanding_bounds_what_is_accepted(dut):
    bench = Reader(dut, latency=Fixed(50), outstanding=3)
    await reset(dut)
    await bench.start(0, 2, 12)
    await ClockCycles(dut.aclk, 30)
    assert len(bench.memory.monitor.bursts) == 3
    await bench.packets(12)
    assert bench.memory.monitor.most_outstanding == 3


@cocotb.test()
async def faults_come_on_their_beats(dut):
    size = len(dut.m_axi_rdata) // 8
    faults = {(5 * size + 1, 5 * size + 2): Response.SLVERR, (7 * size, 9 * size): Response.DECERR}
    contents = {0: MEMORY[: 64 * size], 96 * size: MEMORY[96 * size : 100 * size]}
    bench = Reader(dut, contents=contents, faults=faults, gap=pauses(8))
    await reset(dut)
    packets = await bench.read(0, 16, 7)
    users = [user for packet in packets for user in packet.users]
    wanted = [0] * 112
    wanted[5] = Response.SLVERR
    wanted[7] = wanted[8] = Response.DECERR
    wanted[64:96] = [Response.DECERR] * 32
    wanted[100:] = [Response.DECERR] * 12
    assert users == wanted
    poison = int.from_bytes(b"\xa5" * size, "little")
    for index, beat in enumerate(beat for packet in packets for beat in packet.beats):
        right = int.from_bytes(expected(index * size, size), "little")
        assert beat == (poison if wanted[index] else right)


@cocotb.test()
async def a_reset_in_a_burst_forgets_it(dut):
    bench = Reader(dut, latency=Fixed(10))
    await reset(dut)
    await bench.start(0, 64, 4)
    for wait in (5, 20, 40):
        await ClockCycles(dut.aclk, wait)
        dut.aresetn.value = 0
        await ClockCycles(dut.aclk, 3)
        assert dut.m_axi_rvalid.value == 0
        assert dut.m_axi_arready.value == 0
        dut.aresetn.value = 1
        bench.sink.monitor.restart()
        bench.memory.monitor.restart()
        packets = await bench.read(0x800, 8, 2)
        data = b"".join(packet.to_bytes(bench.beat_bytes) for packet in packets)
        assert data == expected(0x800, 16 * bench.beat_bytes)
        assert [burst.address for burst in bench.memory.monitor.bursts] == [
            0x800,
            0x800 + 8 * bench.beat_bytes,
        ]
        bench.sink.monitor.restart()
        await bench.start(0, 64, 4)


@cocotb.test()
async def registers_are_written_and_read(dut):
    generator = random.Random(2)
    master = AxiLiteMaster(dut)
    await reset(dut)
    values = [0, 0]
    for step in range(120):
        if step == 20:
            master.delays = iter(lambda: generator.randrange(6), None)
        index, value, strobes = (
            generator.randrange(2),
            generator.randbytes(4),
            generator.randrange(16),
        )
        written = cocotb.start_soon(
            master.write(4 * index, int.from_bytes(value, "little"), strobes)
        )
        other = 1 - index
        assert await master.read(4 * other) == (values[other], Response.OKAY)
        assert await written is Response.OKAY
        old = values[index].to_bytes(4, "little")
        merged = bytes(value[i] if strobes >> i & 1 else old[i] for i in range(4))
        values[index] = int.from_bytes(merged, "little")
        assert await master.read(4 * index) == (values[index], Response.OKAY)
    assert await master.write(12, 1) is Response.SLVERR
    assert await master.read(16) == (0, Response.DECERR)
    assert (master.monitor.writes, master.monitor.reads) == (121, 241)


async def ended_by_reset(access) -> bool:
    try:
        await access
    except AxiResetError:
        return True
    return False


@cocotb.test()
async def a_reset_ends_a_register_access(dut):
    master = AxiLiteMaster(dut, delays=itertools.repeat(10))
    await reset(dut)
    for access in (lambda: master.write(0, 1), lambda: master.read(0)):
        for wait in (3, 12, 18):
            pending = cocotb.start_soon(ended_by_reset(access()))
            await ClockCycles(dut.aclk, wait)
            dut.aresetn.value = 0
            await ClockCycles(dut.aclk, 2)
            dut.aresetn.value = 1
            assert await pending
            assert await master.write(0, 5) is Response.OKAY
            assert await master.read(0) == (5, Response.OKAY)


@cocotb.test()
async def wrong_parameters_are_refused(dut):
    with pytest.raises(ValueError, match="the region at 0x4 overlaps the one that ends at 0x8"):
        AxiMemory(dut, contents={0: bytes(8), 4: bytes(8)})
    with pytest.raises(ValueError, match="0 outstanding bursts: a memory accepts at least 1"):
        AxiMemory(dut, outstanding=0)
    await Timer(1)


@cocotb.test()
@cocotb.parametrize(paused=["nothing", "both", "shy"])
async def loop_carries_packets(dut, paused: str):
    source = AxiStreamSource(dut, pauses=pauses(1, 0.4 * (paused == "both")))
    sink = AxiStreamSink(
        dut, pauses=pauses(2, 0.4 * (paused == "both")), ready_after_valid=paused == "shy"
    )
    await reset(dut)
    size = source.beat_bytes
    generator = random.Random(3)
    sent = [generator.randbytes(generator.randint(1, 20 * size)) for _ in range(30)]
    for packet in sent:
        source.send(packet)
    for packet in sent:
        padded = packet + bytes(-len(packet) % size)
        received = await sink.recv()
        assert received.to_bytes(size) == padded
        assert received.users == [beat & 1 for beat in received.beats]
    await source.drained()
    counts = sink.monitor.counts()
    assert counts["packets"] == 30
    if paused == "nothing":
        assert counts["stall_cycles"] == 0
        assert counts["last_cycle"] - counts["first_cycle"] + 1 == counts["transfers"]
    else:
        assert counts["stall_cycles"] > 100


@cocotb.test()
async def loop_leaves_a_packet_open(dut):
    source, sink = AxiStreamSource(dut), AxiStreamSink(dut)
    await reset(dut)
    source.send([1, 2, 3], last=False)
    await ClockCycles(dut.aclk, 20)
    assert source.empty
    assert sink.packets == []
    assert sink.monitor.open_packet.beats == [1, 2, 3]
    source.send([4])
    assert (await sink.recv()).beats == [1, 2, 3, 4]
    source.send([5], last=False)
    source.send(range(100))
    await ClockCycles(dut.aclk, 20)
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 2)
    source.send([7, 8])
    dut.aresetn.value = 1
    assert (await sink.recv()).beats == [7, 8], "what came before the reset is forgotten"


@cocotb.test()
async def speed(dut):
    """Not a check: cycles per second of processor time, with a reader that is always ready."""
    bursts = int(os.environ["BURSTS"])
    memory = AxiMemory(dut, contents=bytes(bursts * 16 * 32), latency=Fixed(8))
    master = AxiLiteMaster(dut)
    dut.m_axis_tready.value = 1
    await reset(dut)
    await master.write(LENGTH, 15)
    began = time.process_time()
    await master.write(BURSTS, bursts)
    while memory.monitor.beats < bursts * 16:
        await ClockCycles(dut.aclk, 1000)
    seconds = time.process_time() - began
    dut._log.info(f"{memory.monitor.counts()} {memory.monitor.cycles / seconds:.0f} cycles/s")
    assert isinstance(memory.monitor.bursts[0], Burst)
