"""Rooflines: bytes and peaks by hand, and what efficiency means."""

import pytest
from performance_toys import TOY

from speq_sim.decoding import ModelError
from speq_sim.performance.dram import Dram
from speq_sim.performance.engine import Attention, Product
from speq_sim.performance.gpu import FORMS, GPUS, RooflineEngine, infinite
from speq_sim.performance.machine import Machine
from speq_sim.performance.transformer import PassSpec

A100 = GPUS["a100-80gb"]


def test_by_hand():
    engine = RooflineEngine("toy", fp16=1e9, int8=2e9, int4=4e9)
    fp16, w4a4 = (engine.product(Product(10, 64, form, 3)) for form in ("fp16", "w4a4"))
    assert (fp16.read_bytes, fp16.cycles) == (10 * 64 * 2, pytest.approx(10 * 64 * 3))
    assert (w4a4.read_bytes, w4a4.cycles) == (10 * 32 + 20, pytest.approx(480))
    assert (fp16.mode, w4a4.mode) == ("verify", "int4")
    grouped = engine.product(Product(10, 128, "int4", 1))
    assert grouped.read_bytes == 10 * (64 + 2)
    assert engine.attention(Attention(2, 1, 4, 3, 5)).cycles == pytest.approx(240)


def test_peaks_are_half_the_operations():
    engine = RooflineEngine.of(A100)
    assert engine.fp16 == 156e12
    assert engine.int4 == 4 * engine.fp16


@pytest.mark.parametrize("tokens", [1, 1000])
def test_efficiency_slows_reading_and_computing_alike(tokens):
    spec = PassSpec(TOY, "w4a16", tokens)
    whole, half = (
        Machine(RooflineEngine("toy", 1e6, 1e6, 1e6, kernel_efficiency=shares), Dram.ideal(1e6))
        for shares in ((), (("w4a16", 0.5),))
    )

    def seconds(machine):
        """Of the products alone."""
        work = [(machine.engine.product(each), n) for each, n in spec.products().items()]
        return sum(n * max(w.read_bytes / 1e6, w.cycles / machine.engine.clock_hz) for w, n in work)

    assert seconds(half) == pytest.approx(2 * seconds(whole))


def test_overhead_is_paid_for_each_product():
    engine = RooflineEngine("toy", 1e30, 1e30, 1e30, overhead_seconds=1e-6)
    found = Machine(engine, Dram.ideal(1e30)).time(PassSpec(TOY, "fp16"))
    assert found.seconds == pytest.approx(15e-6)


def test_an_infinite_engine_leaves_the_memory():
    found = Machine(infinite(), Dram.ideal(1e9)).time(PassSpec(TOY, "fp16"))
    assert found.by_bound["compute"] == 0
    assert found.by_bound["memory"] == pytest.approx(found.seconds, rel=1e-2)


@pytest.mark.parametrize("form", FORMS)
def test_more_tokens_read_no_more_weights(form):
    engine = RooflineEngine.of(A100)
    one, many = (engine.product(Product(100, 100, form, tokens)) for tokens in (1, 50))
    assert many.read_bytes == one.read_bytes
    assert many.cycles == pytest.approx(50 * one.cycles)


def test_refusals():
    with pytest.raises(ModelError, match="kernel efficiency of fp16 is 0, but must be a share"):
        RooflineEngine.of(A100, {"fp16": 0})
    with pytest.raises(ModelError, match="reads no weights of form 'w2'"):
        RooflineEngine.of(A100).product(Product(8, 8, "w2", 1))
    with pytest.raises(ModelError, match="reads no weights of form 'w2'"):
        RooflineEngine.of(A100, {"w2": 0.5})
    with pytest.raises(ModelError, match="int8 MACs per second is 0"):
        RooflineEngine("none", 1.0, 0, 1.0)
