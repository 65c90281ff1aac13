"""Cocotb tests of the whole unit: faults of reads and of packets of activations."""

import itertools

import cocotb
from unit_workload import DESIGN, activations, int4, packed, plain

from speq.parameters import MODES
from speq_sim.benches.accelerator.faults import FaultBench, blocking
from speq_sim.benches.axi import Fixed, Response

OUTPUTS, INPUTS = 8, 32
MATRICES = {"plain": plain, "qdraft": int4, "qverify": int4}
MANY = activations(2, INPUTS, seed=2)
ONE = activations(1, INPUTS, seed=3)


def fail_beat(bench, stored, plane, beat, response):
    """Let one beat of a plane, or all from there to its end, answer a fault; returns the key."""
    address = stored.beat_address(plane, beat)
    bench.transport.memory.faults[address, address + 1] = response
    return address, address + 1


def fault_name(response):
    return f"READ_{response.name}"


def recover(bench, *jobs):
    """Resume; jobs pushed then are right."""
    bench.resume()
    for stored, mode, values in jobs:
        bench.submit(stored, mode, values)
    bench.finish()
    for _ in jobs:
        bench.collect()


@cocotb.test()
@cocotb.parametrize(mode=[*MODES, "plain"], plane=[0, 1, 2])
@blocking
def read_errors_of_each_beat(bench: FaultBench, mode: str, plane: int):
    """First, middle and last beat; either response; then the same job is right."""
    if mode != "plain" and mode not in DESIGN.modes:
        return
    stored = bench.store(MATRICES.get(mode, packed)(OUTPUTS, INPUTS))
    job = stored, "verify" if mode == "plain" else mode, MANY
    if plane >= stored.matrix.extent.planes_read(job[1]):
        return
    beats = stored.matrix.extent.beats[plane]
    for number, beat in enumerate((0, 1, beats // 2, beats - 2, beats - 1)):
        response = (Response.SLVERR, Response.DECERR)[number % 2]
        fail_beat(bench, stored, plane, beat, response)
        bench.submit(*job)
        bench.stopped(fault_name(response))
        bench.transport.memory.faults.clear()
        recover(bench, job)


@cocotb.test()
@blocking
def read_errors_in_every_beat_of_a_job(bench: FaultBench):
    """The first of them is told, even if others of another kind follow at once."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    for low, high in ((0, 1), (1, 0)):
        codes = (Response.SLVERR, Response.DECERR)
        fail_beat(bench, stored, 0, 3, codes[low])
        fail_beat(bench, stored, 0, 4, codes[high])
        fail_beat(bench, stored, 2, 0, codes[high])
        bench.transport.memory.latency = Fixed(20)
        bench.submit(stored, "draft", MANY)
        bench.stopped(fault_name(codes[low]))
        bench.transport.memory.faults.clear()
        recover(bench, (stored, "draft", ONE))


@cocotb.test()
@blocking
def a_read_error_stays_until_it_is_removed(bench: FaultBench):
    good, bad = bench.store(packed(OUTPUTS, INPUTS)), bench.store(packed(5, 7, seed=2))
    key = fail_beat(bench, bad, 2, 1, Response.DECERR)
    for _ in range(3):
        bench.submit(bad, "verify", MANY[:, :7])
        bench.stopped("READ_DECERR")
        recover(bench, (good, "verify", MANY), (bad, "draft", ONE[:, :7]))
    del bench.transport.memory.faults[key]
    bench.run(bad, "verify", MANY[:, :7])


@cocotb.test()
@blocking
def outside_of_all_memory_is_a_decode_error(bench: FaultBench):
    stored = bench.store(packed(OUTPUTS, INPUTS))
    contents = dict(bench.transport.regions)
    bench.transport.memory.load({})
    bench.submit(stored, "draft", ONE)
    bench.stopped("READ_DECERR")
    bench.transport.memory.load(contents)
    recover(bench, (stored, "draft", ONE))


def taking(monitor, beats):
    """Pauses of a sink that takes so many beats of a packet, and no more."""
    while True:
        yield True  # so the monitor has seen a transfer before the next may come
        yield len(monitor.open_packet.beats) >= beats


@cocotb.test()
@cocotb.parametrize(taken=range(8))
@blocking
def read_error_while_results_of_the_job_before_leave(bench: FaultBench, taken: int):
    """Results wait after some beats; the fault of the next job's first read comes meanwhile."""
    good, bad = bench.store(packed(OUTPUTS, INPUTS)), bench.store(packed(4, 16, seed=2))
    monitor = bench.transport.sink.monitor
    fail_beat(bench, bad, 0, 0, Response.SLVERR)
    bench.transport.sink.pauses = taking(monitor, taken)
    bench.submit(good, "verify", MANY)
    bench.until(lambda: len(monitor.open_packet.beats) == taken, f"{taken} beats of results")
    bench.until(lambda: bench.dut.m_axis_tvalid.value == 1, "result on the bus")
    bench.submit(bad, "draft", ONE[:, :16])
    bench.wait(100)
    status = bench.registers
    assert status.read("STATUS", "stopping") == 1, "not stopping, or stopped with an open packet"
    assert status.read("STATUS", "stopped") == 0
    bench.device.stop()  # too late to be the cause
    assert status.code("FAULT", "code") == "READ_SLVERR"
    assert len(monitor.open_packet.beats) == taken
    bench.transport.sink.pauses = bench.sink_pauses
    bench.stopped("READ_SLVERR")
    whole = 2 * 2 * 2  # output tiles, tokens, beats
    assert (bench.completed, bench.voids) == ((1, 0) if taken == whole - 1 else (0, 1))
    bench.transport.memory.faults.clear()
    recover(bench, (bad, "draft", ONE[:, :16]), (good, "verify", MANY))


def send_beats(bench, values, beats, *, last=True):
    """Send the first beats of a packet; more than there are, if `beats` says so."""
    words = bench.parameters.port_words
    data = [0x3C00] * (words * 64)
    for token, row in enumerate(values):
        width = -(-len(row) // words) * words
        data[token * width : token * width + len(row)] = row.view("uint16").tolist()
    packed_beats = [
        sum(data[beat * words + word] << 16 * word for word in range(words))
        for beat in range(beats)
    ]
    bench.transport.source.send(packed_beats, last=last)


@cocotb.test()
@cocotb.parametrize(beats=[1, 2, 8, 9, 14, 15])
@blocking
def activations_too_short(bench: FaultBench, beats: int):
    """TLAST in a beat that is not the last; the next packet is that of the next job."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.submit(stored, "verify", MANY, send=False)
    send_beats(bench, MANY, beats)
    bench.stopped("ACTIVATION_SHORT")
    recover(bench, (stored, "verify", MANY), (stored, "draft", ONE))


@cocotb.test()
@cocotb.parametrize(extra=[1, 2, 9, None])
@blocking
def activations_too_long(bench: FaultBench, extra: int | None):
    """No TLAST in the last beat; what follows is swallowed up to TLAST, even after resume."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.submit(stored, "verify", MANY, send=False)
    send_beats(bench, MANY, 16 + (extra or 0), last=extra is not None)
    bench.stopped("ACTIVATION_LONG")
    if extra is None:
        bench.resume()
        bench.submit(stored, "draft", ONE, send=False)
        send_beats(bench, MANY, 5)
        send_beats(bench, ONE, 8)
        bench.finish()
        bench.collect()
    else:
        recover(bench, (stored, "verify", MANY), (stored, "draft", ONE))


@cocotb.test()
@blocking
def a_packet_at_fault_does_not_hurt_the_job_before(bench: FaultBench):
    """A good job's results may still leave, whole or void, when the next packet is too short."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    voids = 0
    for pause in (0, 30, 60, 90, 120, 150):
        bench.submit(stored, "verify", MANY)
        bench.submit(stored, "draft", ONE, send=False)
        bench.wait(pause)
        send_beats(bench, ONE, 3)
        bench.stopped("ACTIVATION_SHORT")
        voids += bench.voids
        recover(bench, (stored, "draft", ONE))
    assert voids, "no pause let the fault come while results left: change them"


@cocotb.test()
@blocking
def activations_never_sent(bench: FaultBench):
    """Nothing happens, for as long as it takes; a stop ends it, and the next job is right."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.submit(stored, "verify", MANY, send=False)
    bench.submit(stored, "verify", MANY, send=False)
    bench.wait(2000)
    assert bench.registers.read("STATUS", "pending") == 2
    assert bench.registers.code("FAULT", "code") == "NONE"
    assert bench.transport.sink.monitor.transfers == 0
    bench.device.stop()
    bench.stopped("STOPPED")
    recover(bench, (stored, "verify", MANY), (stored, "draft", ONE))


@cocotb.test()
@blocking
def faults_at_the_same_time(bench: FaultBench):
    """A read error, a short packet and a stop within a few cycles: the first of them is told."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    told = set()
    for read_at, packet_at in itertools.product((0, 2, 4, 7), (0, 2, 4, 9)):
        fail_beat(bench, stored, 0, 0, Response.SLVERR)
        bench.memory_gap.shut = True
        bench.submit(stored, "verify", MANY, send=False)
        bench.wait(10)
        for cycle in range(8):
            bench.memory_gap.shut = bench.memory_gap.shut and cycle != read_at
            if cycle == packet_at:
                send_beats(bench, MANY, 1)
            bench.wait(1)
        bench.device.stop()
        code = bench.registers.code("FAULT", "code")
        told.add(code)
        if packet_at == 9:
            send_beats(bench, MANY, 1)
        bench.stopped(code)
        bench.transport.memory.faults.clear()
        recover(bench, (stored, "verify", MANY))
    assert told == {"READ_SLVERR", "ACTIVATION_SHORT", "STOPPED"}, f"told only {told}"


@cocotb.test()
@blocking
def a_plain_job_after_a_packed_one(bench: FaultBench):
    """It has no records of its own, and must not use those of the job before."""
    coded, words = bench.store(packed(OUTPUTS, INPUTS)), bench.store(plain(OUTPUTS, INPUTS))
    for mode in ("draft", "verify"):
        bench.submit(coded, mode, MANY)
        bench.submit(words, "verify", MANY, keep=True)
    bench.finish()
