"""Cocotb tests of the whole unit: stops, resets and back-pressure at any moment."""

import itertools
import os
import random

import cocotb
import pytest
from unit_workload import DESIGN, activations, packed

from speq_sim.benches.accelerator.faults import FaultBench, blocking
from speq_sim.benches.axi import AxiResetError, Uniform
from speq_sim.host import DeviceError
from speq_sim.host.reference import job_of
from speq_sim.jobs import expected

OUTPUTS, INPUTS = 8, 32
MANY = activations(2, INPUTS, seed=2)
ONE = activations(1, INPUTS, seed=3)

LONG = 10_000
"""Cycles for which a bus is held up in the middle of its traffic."""

MOMENTS = int(os.environ.get("SPEQ_MOMENTS", "4"))
"""Moments at which each kind of stop comes."""


def fill(bench, stored, others=2):
    """Queue a job of each mode, and as many more as are wanted."""
    bench.submit(stored, "verify", MANY)
    for number in range(others):
        keep = number % 2 == 1
        values = MANY if number < 2 else ONE
        bench.submit(stored, ("draft", "verify")[number % 2], values, keep=keep)


def moments(kind, longest):
    """Cycles at which to disturb, spread over a time, and different for each kind."""
    step = longest / MOMENTS
    generator = random.Random(f"{cocotb.RANDOM_SEED} {kind}")
    return [int(step * (number + generator.random())) for number in range(MOMENTS)]


@cocotb.test()
@cocotb.parametrize(kind=["smooth", "slow results", "slow activations", "slow memory"])
@blocking
def stops_at_any_moment(bench: FaultBench, kind: str):
    """While loading, computing and sending; the next jobs are right, and nothing is left over."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.sink_pauses.share = 0.8 * (kind == "slow results")
    bench.source_pauses.share = 0.8 * (kind == "slow activations")
    bench.memory_gap.share = 0.7 * (kind == "slow memory")
    if kind == "slow memory":
        bench.transport.memory.latency = Uniform(1, 60, 1)
    for moment in moments(kind, 400):
        fill(bench, stored)
        bench.wait(moment)
        bench.device.stop()
        bench.stopped("STOPPED")
        bench.resume()
        bench.submit(stored, "draft", ONE)
        bench.finish()
        bench.collect()


@cocotb.test()
@blocking
def stops_in_every_cycle_of_a_short_job(bench: FaultBench):
    stored = bench.store(packed(4, 5, seed=2))
    step = 1 if MOMENTS > 4 else 5
    for moment in range(0, 90, step):
        bench.submit(stored, "verify", MANY[:, :5])
        bench.wait(moment)
        bench.device.stop()
        bench.stopped("STOPPED")
        bench.resume()
        bench.run(stored, "draft", ONE[:, :5])


@cocotb.test()
@blocking
def a_stop_with_a_full_queue(bench: FaultBench):
    """All its jobs are forgotten; there is room for as many again."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.memory_gap.shut = True
    for _ in range(2):
        while bench.registers.read("STATUS", "room"):
            bench.submit(stored, "draft", MANY)
            bench.wait(5)
        queued = bench.left
        assert queued > DESIGN.queue_depth
        bench.device.stop()
        bench.wait(100)
        assert bench.registers.read("STATUS", "stopping") == 1  # a read is under way
        bench.memory_gap.shut = False
        bench.stopped("STOPPED")
        bench.resume()
        bench.memory_gap.shut = True
    bench.memory_gap.shut = False
    bench.run(stored, "verify", MANY)


@cocotb.test()
@blocking
def stop_and_resume_mean_nothing_at_the_wrong_time(bench: FaultBench):
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.registers.write("CONTROL", resume=1)
    bench.submit(stored, "verify", MANY)
    bench.registers.write("CONTROL", resume=1)
    with pytest.raises(DeviceError, match="runs"):
        bench.device.resume()
    bench.finish()
    bench.collect()
    for _ in range(3):
        bench.device.stop()
    bench.stopped("STOPPED")
    bench.device.stop()
    bench.wait(10)
    assert bench.registers.read("STATUS", "stopped") == 1
    bench.resume()
    bench.run(stored, "draft", ONE)


@cocotb.test()
@blocking
def the_host_library_tells_which_jobs_were_lost(bench: FaultBench):
    """Jobs that were done before the stop are collected, the others are errors; no mix-up."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.submit(stored, "draft", MANY)
    bench.finish()
    bench.sink_pauses.shut = True
    fill(bench, stored, others=1)
    bench.until(lambda: bench.dut.m_axis_tvalid.value == 1, "results")
    bench.device.stop()
    bench.sink_pauses.shut = False
    bench.stopped("STOPPED")
    assert bench.collect().raw.shape == (2, OUTPUTS)
    for _ in range(2):
        with pytest.raises(DeviceError, match=r"stopped \(STOPPED\)"):
            bench.collect()
    with pytest.raises(DeviceError, match="no job"):
        bench.collect()
    bench.resume()
    bench.run(stored, "draft", MANY)


@cocotb.test()
@blocking
def what_was_not_collected_is_forgotten_by_resume(bench: FaultBench):
    """Neither activations still to be sent nor results that came are taken for the next job's."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    bench.submit(stored, "draft", MANY)
    bench.finish()
    bench.source_pauses.shut = True
    bench.submit(stored, "verify", MANY)
    bench.submit(stored, "draft", ONE)
    bench.device.stop()
    bench.stopped("STOPPED")
    bench.source_pauses.shut = False
    bench.resume()
    bench.submit(stored, "verify", ONE)
    bench.finish()
    result = bench.collect()
    assert result.raw.shape == (1, OUTPUTS)
    wanted = expected(job_of(stored.tensor, "verify", ONE), DESIGN)
    assert result.raw.tobytes() == wanted.tobytes()


# Resets -----------------------------------------------------------------------------------------


def under_way(bench, what):
    """Whether something is half through."""
    transport = bench.transport
    return {
        "burst": transport.memory.monitor.mid_burst,
        "request": bench.dut.m_axi_arvalid.value == 1,
        "activations": bool(transport.source_monitor.open_packet.beats),
        "results": bool(transport.sink.monitor.open_packet.beats),
        "offer": bench.dut.m_axis_tvalid.value == 1,
    }[what]


@cocotb.test()
@cocotb.parametrize(what=["burst", "request", "activations", "results", "offer"])
@blocking
def resets_in_the_middle(bench: FaultBench, what: str):
    stored = bench.store(packed(OUTPUTS, INPUTS))
    for extra in range(2):
        bench.sink_pauses.share = 0.7
        bench.source_pauses.share = 0.9 * (what == "activations")
        fill(bench, stored)
        bench.until(lambda: under_way(bench, what), what)
        bench.wait(extra)
        bench.reset()
        bench.see_power_up()
        bench.run(stored, "verify", MANY)


@cocotb.test()
@blocking
def resets_at_any_moment(bench: FaultBench):
    stored = bench.store(packed(OUTPUTS, INPUTS))
    for moment in moments("reset", 400):
        fill(bench, stored)
        bench.wait(moment)
        bench.reset()
        bench.run(stored, "draft", ONE)


@cocotb.test()
@blocking
def resets_while_stopping_and_stopped(bench: FaultBench):
    stored = bench.store(packed(OUTPUTS, INPUTS))
    for pause in (0, 1, 2, 5, 200):
        bench.sink_pauses.shut = True
        fill(bench, stored)
        bench.until(lambda: under_way(bench, "offer"), "results")
        bench.device.stop()
        bench.wait(pause)
        bench.sink_pauses.shut = pause < 100
        bench.wait(pause)
        bench.sink_pauses.shut = False
        bench.reset()
        bench.see_power_up()
        bench.run(stored, "verify", MANY)


@cocotb.test()
@blocking
def resets_during_a_command(bench: FaultBench):
    """The write to PUSH takes some thirty cycles; a reset ends it unanswered."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    offset = bench.side_car["registers"]["registers"]["PUSH"]["offset"]
    for cycles in range(1, 26, 6):
        bench.run(stored, "draft", ONE)
        bench.transport.reset_after(cycles)
        with pytest.raises(AxiResetError):
            bench.transport.write(offset, 1)
        bench.reset()
        bench.run(stored, "verify", MANY)


# Back-pressure ----------------------------------------------------------------------------------


@cocotb.test()
@cocotb.parametrize(which=["results", "activations", "memory", "addresses"])
@blocking
def a_bus_is_held_up_for_long(bench: FaultBench, which: str):
    """Once before and once in the middle of its traffic; nothing is lost, nothing comes twice."""
    stored = bench.store(packed(OUTPUTS, INPUTS))
    valve = {
        "results": bench.sink_pauses,
        "activations": bench.source_pauses,
        "memory": bench.memory_gap,
        "addresses": bench.address_gap,
    }[which]
    valve.shut = True
    fill(bench, stored)
    bench.wait(LONG // 10)
    see_held_up(bench, which)
    valve.shut = False
    bench.wait(40)
    valve.shut = True
    bench.wait(10)
    before = traffic(bench)
    bench.wait(LONG)
    assert traffic(bench)[which] == before[which], "traffic on a bus that is held up"
    valve.shut = False
    bench.finish()
    assert (bench.completed, bench.voids) == (3, 0)
    bench.run(stored, "draft", ONE)


def traffic(bench):
    """Transfers of each bus."""
    transport = bench.transport
    return {
        "results": transport.sink.monitor.transfers,
        "activations": transport.source_monitor.transfers,
        "memory": transport.memory.monitor.beats,
        "addresses": len(transport.memory.monitor.bursts),
    }


def see_held_up(bench, which):
    """Nothing passed, and registers are served all the same."""
    assert traffic(bench)[which] == 0
    assert bench.registers.read("STATUS", "pending") == 3
    assert bench.registers.code("FAULT", "code") == "NONE"
    assert bench.registers.read("JOBS_COMPLETED") == 0


@cocotb.test()
@blocking
def registers_answer_a_slow_master(bench: FaultBench):
    stored = bench.store(packed(OUTPUTS, INPUTS))
    generator = random.Random(5)
    delays = iter(lambda: generator.randrange(8), None)
    bench.transport.registers.delays = delays
    bench.submit(stored, "verify", MANY)
    bench.submit(stored, "draft", ONE)
    bench.device.stop()
    bench.stopped("STOPPED")
    bench.resume()
    bench.run(stored, "draft", ONE)
    bench.transport.registers.delays = itertools.repeat(0)
