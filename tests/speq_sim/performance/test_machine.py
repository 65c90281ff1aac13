"""Time of a pass: pieces that overlap, pieces that add up, links."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from performance_toys import TOY, ToyEngine, bytes_alone

from speq_sim.decoding import ModelError
from speq_sim.performance.dram import Dram
from speq_sim.performance.dram_presets import DRAMS
from speq_sim.performance.link import LINKS, Link
from speq_sim.performance.machine import BOUNDS, Machine
from speq_sim.performance.transformer import PassSpec

SPEC = PassSpec(TOY, "fp16", tokens=2, context=6)


def test_without_computing_time_is_bytes():
    machine = bytes_alone(4.0)
    found = machine.time(SPEC)
    assert found.by_bound["memory"] == pytest.approx(found.total_bytes / 4)
    assert found.seconds == pytest.approx(found.total_bytes / 4 + machine.dram.latency_seconds)
    assert found.limited_by == "memory"
    matrices = 2 * (2 * 8 * 8 + 2 * 4 * 8 + 3 * 12 * 8) + 20 * 8
    assert found.read_bytes["weights"] == 2 * matrices
    assert found.read_bytes["kv"] == 2 * 8 * 8 * 2  # layers, positions, K and V of 4, FP16
    assert found.macs == {"verify": 2 * matrices + 2 * SPEC.attention.macs}


def test_without_bytes_time_is_computing_and_fixed_cycles():
    found = Machine(ToyEngine(rate=8.0, fixed=3.0), Dram.ideal(1e30)).time(SPEC)
    assert found.seconds == pytest.approx(found.macs["verify"] / 8 + 15 * 3)
    assert found.by_bound["fixed"] == pytest.approx(15 * 3)
    assert found.limited_by == "compute"


def test_vector_operations_come_on_top():
    machine = Machine(ToyEngine(rate=1e30, vector_lanes=4), Dram.ideal(1e30))
    assert machine.time(SPEC).seconds == pytest.approx(SPEC.vector_operations / 4)


@given(st.floats(0.01, 100), st.floats(1, 1000), st.floats(0, 10))
def test_bounds_add_up_and_no_piece_is_faster_than_any_of_its_limits(rate, bandwidth, fixed):
    found = Machine(ToyEngine(rate, fixed), Dram.ideal(bandwidth)).time(SPEC)
    assert set(found.by_bound) == set(BOUNDS)
    assert sum(found.by_bound.values()) == pytest.approx(found.seconds)
    reading, computing = found.total_bytes / bandwidth, found.macs["verify"] / rate
    assert found.seconds >= max(reading, computing) * (1 - 1e-9)
    assert found.seconds <= (reading + computing + 15 * fixed) * (1 + 1e-9) + 1 / bandwidth


@given(st.integers(1, 8), st.integers(0, 100), st.integers(1, 8), st.sampled_from(sorted(DRAMS)))
def test_more_work_never_takes_less_time(tokens, context, batch, memory):
    machine = Machine(ToyEngine(5.0, clock_hz=1e9), DRAMS[memory])
    one = machine.time(PassSpec(TOY, "fp16", tokens, context, batch)).seconds
    for more in ({"tokens": tokens + 1}, {"context": context + 1}, {"batch": batch + 1}):
        spec = dataclasses.replace(PassSpec(TOY, "fp16", tokens, context, batch), **more)
        assert machine.time(spec).seconds >= one


def test_devices_pay_for_their_links():
    link = Link("toy", 100.0, 0.5)
    one, two = (
        Machine(ToyEngine(rate=1e30), Dram.ideal(1.0), devices, link).time(SPEC)
        for devices in (1, 2)
    )
    assert one.by_bound["link"] == one.link_bytes == 0
    vector, logits = 2 * 8 * 2, 2 * 20 * 4
    # Two devices: everything to each other in one step is the better of the two.
    reduce = min(2 * 0.5 * vector / 100 + 2 * 0.5, vector / 100 + 0.5)
    assert two.by_bound["link"] == pytest.approx(4 * reduce + 0.5 * logits / 100 + 0.5)
    assert two.link_bytes == 4 * vector + logits
    assert two.read_bytes["weights"] == one.read_bytes["weights"] / 2


def test_a_ring_wins_with_long_vectors_and_one_step_with_short_ones():
    link = Link("toy", 1.0, 1.0)
    assert link.all_reduce_seconds(1000, 8) == pytest.approx(2 * 7 / 8 * 1000 + 14)
    assert link.all_reduce_seconds(1, 8) == pytest.approx(8)
    assert link.all_reduce_seconds(5, 1) == link.gather_seconds(5, 1) == 0.0
    assert LINKS["ideal"].all_reduce_seconds(1 << 20, 8) < 1e-9


def test_refusals():
    with pytest.raises(ModelError, match="devices is 0, but must be an integer from 1 to 1024"):
        Machine(ToyEngine(), Dram.ideal(1.0), devices=0)
    with pytest.raises(ModelError, match="bits of keys and values is 5"):
        Machine(ToyEngine(), Dram.ideal(1.0), kv_bits=5)
    with pytest.raises(ModelError, match="bytes per second of a link is 0, but must be a number"):
        Link("none", 0, 0.0)
    with pytest.raises(ModelError, match="latency of a link in seconds is -1"):
        Link("none", 1.0, -1)
