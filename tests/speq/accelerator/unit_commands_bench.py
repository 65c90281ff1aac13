"""Cocotb tests of the whole unit: each reason for which a command is rejected."""

import dataclasses

import cocotb
import numpy as np
import pytest
from unit_workload import DESIGN, activations, packed, plain

from speq.formats.image import Extent
from speq.parameters import MODES
from speq_sim.benches.accelerator.faults import FaultBench, Stored, blocking
from speq_sim.host import DeviceError

OUTPUTS, INPUTS = 8, 32
MANY = activations(2, INPUTS, seed=2)
ONE = activations(1, INPUTS, seed=3)


class Claim(Extent):
    """Sizes that no matrix has."""

    tiles: int | None = None

    def __post_init__(self):
        pass

    @property
    def output_tiles(self):
        return super().output_tiles if self.tiles is None else self.tiles


def claim(stored: Stored, **changes) -> Stored:
    """A matrix that is said to be of other sizes, or elsewhere."""
    bases = changes.pop("bases", stored.matrix.bases)
    tiles = changes.pop("tiles", None)
    sizes = {"outputs": OUTPUTS, "inputs": INPUTS, "plain": stored.matrix.extent.plain} | changes
    extent = Claim(DESIGN, **sizes)
    object.__setattr__(extent, "tiles", tiles)
    return Stored(stored.tensor, dataclasses.replace(stored.matrix, extent=extent, bases=bases))


def refused(bench, reason, stored, mode, tokens, *, keep=False):
    """The host library names the reason, and nothing else comes of it."""
    zeros = np.zeros((tokens, stored.matrix.extent.inputs), np.float16)
    before = bench.registers.read("STATUS", "pending")
    bursts = len(bench.transport.memory.monitor.bursts)
    with pytest.raises(DeviceError, match=rf"\({reason}\)"):
        bench.device.submit(stored.matrix, mode, None if keep else zeros, tokens=tokens)
    see_refusal(bench, reason)
    if not before:
        bench.wait(30)
        assert bench.registers.read("STATUS", "pending") == 0
        assert len(bench.transport.memory.monitor.bursts) == bursts, "a dropped command reads"
    assert bench.transport.source.empty, "activations of a dropped command were sent"


def see_refusal(bench, reason):
    """REJECTION, REJECTIONS and the interrupt say so; then both codes are cleared."""
    bench.rejected += 1
    registers = bench.registers
    assert registers.code("REJECTION", "code") == reason
    assert registers.read("REJECTIONS") == bench.rejected
    assert registers.read("IRQ_PENDING", "rejected") == 1
    assert bench.dut.irq.value == 1
    registers.write("REJECTION", code=15)
    registers.write("IRQ_PENDING", rejected=1)
    assert registers.code("REJECTION", "code") == "NONE"
    assert registers.read("IRQ_PENDING", "rejected") == 0


def refusals(bench, stored, words):
    """Commands that the host library can be brought to give, and why each is wrong."""
    bases = stored.matrix.bases
    beat, end = DESIGN.bus_bytes, 1 << DESIGN.address_bits
    yield "TOKENS", stored, "draft", 0
    yield "TOKENS", stored, "verify", DESIGN.tokens + 1
    yield "TOKENS", stored, "verify", 255
    yield "INPUTS", claim(stored, inputs=0), "draft", 1
    yield "INPUTS", claim(stored, inputs=65_537), "draft", 1
    yield "INPUTS", claim(words, inputs=65_537), "verify", 1
    yield "OUTPUT_TILES", claim(stored, outputs=0), "draft", 1
    yield "OUTPUT_TILES", claim(stored, tiles=1 << 20), "verify", 1
    yield "OUTPUT_TILES", claim(stored, tiles=(1 << 32) - 1), "verify", 1
    yield "BUFFER", claim(stored, inputs=DESIGN.activation_values + 1), "draft", 1
    yield "BUFFER", claim(stored, inputs=DESIGN.activation_values // 2 + 1), "verify", 2
    yield "BUFFER", claim(words, inputs=65_536), "verify", 1
    for plane in range(3):
        moved = [base + (plane == number) for number, base in enumerate(bases)]
        yield "MISALIGNED", claim(stored, bases=tuple(moved)), "verify", 1
        moved[plane] = bases[plane] + beat // 2
        yield "MISALIGNED", claim(stored, bases=tuple(moved)), "verify", 1
        moved[plane] = end - (stored.matrix.extent.beats[plane] - 1) * beat
        yield "ADDRESS", claim(stored, bases=tuple(moved)), "verify", 1
        moved[plane] = end
        yield "ADDRESS", claim(stored, bases=tuple(moved)), "verify", 1
        moved[plane] = (1 << 63) + bases[plane]
        yield "ADDRESS", claim(stored, bases=tuple(moved)), "verify", 1
    yield "ADDRESS", claim(stored, tiles=(1 << 20) - 1), "draft", 1
    yield "ADDRESS", claim(words, bases=(end - beat,)), "verify", 1


@cocotb.test()
@blocking
def rejections_of_an_idle_unit(bench: FaultBench):
    stored, words = bench.store(packed(OUTPUTS, INPUTS)), bench.store(plain(OUTPUTS, INPUTS))
    refused(bench, "KEEP", stored, "draft", 1, keep=True)
    for reason, wrong, mode, tokens in refusals(bench, stored, words):
        refused(bench, reason, wrong, mode, tokens)
    bench.run(stored, "verify", MANY)


@cocotb.test()
@blocking
def rejections_while_jobs_run(bench: FaultBench):
    """What is dropped leaves the jobs before and after it as they are."""
    stored, words = bench.store(packed(OUTPUTS, INPUTS)), bench.store(plain(OUTPUTS, INPUTS))
    wrong = list(refusals(bench, stored, words))
    bench.sink_pauses.share = 0.5
    for start in range(0, len(wrong), 4):
        bench.submit(stored, "draft", MANY)
        for reason, where, mode, tokens in wrong[start : start + 4]:
            refused(bench, reason, where, mode, tokens)
        bench.submit(stored, "verify", MANY, keep=True)
        bench.finish()


@cocotb.test()
@blocking
def what_is_just_within_the_limits_is_a_job(bench: FaultBench):
    inputs = DESIGN.activation_values
    stored, words = bench.store(packed(5, inputs)), bench.store(plain(5, inputs))
    bench.run(stored, "draft", activations(1, inputs))
    bench.run(words, "verify", activations(1, inputs))
    half = packed(3, inputs // DESIGN.tokens)
    # The last region ends with the address space.
    end = 1 << DESIGN.address_bits
    stored = bench.store(half)
    size = stored.matrix.extent.beats[2] * DESIGN.bus_bytes
    low = bench.transport.regions[stored.matrix.bases[2]]
    bench.transport.write_memory(end - size, low)
    matrix = dataclasses.replace(stored.matrix, bases=(*stored.matrix.bases[:2], end - size))
    bench.run(Stored(half, matrix), "verify", activations(DESIGN.tokens, inputs // DESIGN.tokens))


@cocotb.test()
@blocking
def bases_that_are_not_read_may_be_anything(bench: FaultBench):
    stored, words = bench.store(packed(OUTPUTS, INPUTS)), bench.store(plain(OUTPUTS, INPUTS))
    nowhere = (1 << 64) - 1
    away = dataclasses.replace(stored.matrix, bases=(stored.matrix.bases[0], nowhere, nowhere))
    bench.run(Stored(stored.tensor, away), "draft", ONE)
    bench.run(words, "verify", MANY)  # the other bases are still as the draft left them


@cocotb.test()
@blocking
def keep_needs_the_same_shape_as_the_job_before(bench: FaultBench):
    stored, narrow = bench.store(packed(OUTPUTS, INPUTS)), bench.store(packed(4, 31, seed=2))
    bench.submit(stored, "draft", MANY)
    refused(bench, "KEEP", stored, "verify", 1, keep=True)
    refused(bench, "KEEP", narrow, "verify", 2, keep=True)
    bench.submit(stored, "verify", MANY, keep=True)
    bench.finish()
    bench.submit(stored, "draft", MANY, keep=True)  # a job that kept is a job before, too
    bench.finish()
    bench.device.stop()
    bench.stopped("STOPPED")
    bench.resume()
    refused(bench, "KEEP", stored, "verify", 2, keep=True)
    bench.run(stored, "verify", MANY)
    bench.reset()
    refused(bench, "KEEP", stored, "verify", 2, keep=True)


@cocotb.test()
@blocking
def modes_that_are_not_built_in(bench: FaultBench):
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.run(stored, "verify", MANY)
    registers = bench.registers
    built_in = {MODES.index(mode) for mode in DESIGN.modes}
    for mode in set(range(16)) - built_in:
        registers.write("COMMAND", mode=mode, tokens=1)
        registers.write("PUSH", any=1)
        see_refusal(bench, "MODE")
    for mode in built_in - {MODES.index("verify")}:
        registers.write("COMMAND", mode=mode, plain=1, tokens=1)
        registers.write("PUSH", any=1)
        see_refusal(bench, "PLAIN")
    bench.run(stored, "draft", ONE)


@cocotb.test()
@blocking
def a_full_queue(bench: FaultBench):
    """It rejects until a job is done; no job is lost or done twice."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.sink_pauses.shut = True
    jobs = 0
    while bench.registers.read("STATUS", "room"):
        bench.submit(stored, "draft", MANY)
        bench.wait(300)
        jobs += 1
        assert jobs < 10, "room without end"
    assert jobs > DESIGN.queue_depth
    assert bench.registers.read("STATUS", "pending") == jobs
    for _ in range(3):
        bench.registers.write("PUSH", any=1)
        see_refusal(bench, "QUEUE_FULL")
    bench.sink_pauses.shut = False
    bench.submit(stored, "verify", ONE)  # the host library waits for room
    bench.finish()
    assert bench.completed == jobs + 1


@cocotb.test()
@blocking
def commands_while_stopped(bench: FaultBench):
    stored, words = bench.store(packed(OUTPUTS, INPUTS)), bench.store(plain(OUTPUTS, INPUTS))
    bench.submit(stored, "draft", MANY)
    bench.device.stop()
    bench.stopped("STOPPED")
    refused(bench, "STOPPED", stored, "draft", 1)
    refused(bench, "STOPPED", claim(words, inputs=0), "verify", 0)  # before all other reasons
    bench.resume()
    bench.run(stored, "draft", MANY)
