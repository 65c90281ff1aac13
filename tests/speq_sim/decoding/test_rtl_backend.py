"""A toy model whose linear layers run in the compiled accelerator: every logit is the golden one's.

The memory answers late and out of step, and every bus stalls.
"""

import json

import numpy as np
import pytest
from decoding_models import random_model

from speq.accelerator.emission import emit
from speq.formats import family, pack
from speq.formats.packing import PackedTensor
from speq.parameters import Parameters
from speq_sim.benches.accelerator.compiled_unit import CompiledUnit, build_unit
from speq_sim.benches.accelerator.plan import Memory
from speq_sim.decoding import (
    Fixed,
    GoldenBackend,
    Llama,
    ModelError,
    PackedLayer,
    PackedLayers,
    plain,
    speculate,
)
from speq_sim.decoding.rtl_backend import Meter, Pass, RtlBackend, RtlLayers, draft_format
from speq_sim.host import Device

DESIGN = Parameters(
    name="toy",
    rows=4,
    columns=4,
    port_words=2,
    tokens=3,
    family="fitted-8",
    burst_beats=8,
    activation_values=128,
)
"""Its buffer holds two tokens of 56 inputs, and three of 32."""

WEIGHTS = random_model(7, layers=1, hidden=32, head_dim=8, intermediate=56, vocabulary=19)
PROMPT = (3, 17, 0, 8)
COUNT = 7


def tensors():
    """All packed but one, which is plain."""
    members = family(DESIGN.family)
    found = {name: pack(values, members) for name, values in WEIGHTS.matrices.items()}
    bits = WEIGHTS.matrices["layer.0.k"].view(np.uint16)
    found["layer.0.k"] = PackedTensor(members.name, bits.shape, plain=bits, reason="test")
    return found


@pytest.fixture(scope="module")
def unit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unit")
    files = emit(DESIGN, folder)
    side_car = json.loads(files.side_car.read_text())
    library = build_unit(files.verilog, side_car, folder / "build", "-O0")
    made = CompiledUnit(library, side_car, Memory(3, 40, 2), stalls=0.1, seed=4)
    return made, Device(made, side_car)


@pytest.fixture(scope="module")
def layers(unit):
    return RtlLayers(unit[1], tensors())


class Recorded:
    """A back end that keeps what goes in and what comes out."""

    def __init__(self, inner):
        self.inner = inner
        self.products = []

    def multiply(self, name, x):
        found = self.inner.multiply(name, x)
        self.products.append((name, x.copy(), found.copy()))
        return found


def golden(mode, recipe=None):
    members = family(DESIGN.family)
    packed = {name: PackedLayer.of(tensor, members) for name, tensor in tensors().items()}
    return GoldenBackend(PackedLayers(packed), mode, draft_format(DESIGN), recipe)


def assert_same(found, wanted):
    assert len(found) == len(wanted) > 0
    for (name, x, result), (other, same_x, expected) in zip(found, wanted, strict=True):
        assert name == other
        np.testing.assert_array_equal(x.view(np.uint32), same_x.view(np.uint32))
        assert result.dtype == expected.dtype == np.float32
        np.testing.assert_array_equal(result.view(np.uint32), expected.view(np.uint32))


def test_plain_decoding_is_that_of_the_golden_model(layers):
    found, wanted = Recorded(RtlBackend(layers, "verify")), Recorded(golden("verify"))
    tokens = plain(Llama(WEIGHTS, found), PROMPT, COUNT)
    assert tokens == plain(Llama(WEIGHTS, wanted), PROMPT, COUNT)
    assert len(tokens) == COUNT
    assert_same(found.products, wanted.products)


def test_speculation_is_that_of_the_golden_model_and_cycles_are_counted(unit, layers):
    simulated, device = unit
    recipe = {"layer.0.down": "verify"}
    meter = Meter(device, lambda: simulated.counts().cycles)
    begun = simulated.counts()
    found = [
        Recorded(RtlBackend(layers, "verify", meter=meter)),
        Recorded(RtlBackend(layers, "draft", recipe, meter)),
    ]
    wanted = [Recorded(golden("verify")), Recorded(golden("draft", recipe))]
    rounds, expected = [
        speculate(*(Llama(WEIGHTS, each) for each in backends), PROMPT, COUNT, Fixed(4)).rounds
        for backends in (found, wanted)
    ]
    assert rounds == expected
    assert sum(len(each.tokens) for each in rounds) == COUNT
    for each, same in zip(found, wanted, strict=True):
        assert_same(each.products, same.products)
    ended = simulated.counts()
    passes = meter.passes
    assert meter.passes == passes
    assert sum(each.cycles for each in passes) <= ended.cycles - begun.cycles
    assert sum(each.beats for each in passes) == ended.beats - begun.beats
    drafted = [each for each in passes if each.mode == "draft"]
    verified = [each for each in passes if each.mode == "verify"]
    assert len(passes) == len(drafted) + len(verified)
    assert len(drafted) == sum(each.drafted for each in rounds)
    # The first is of the prompt, which may have no head.
    assert [each.tokens for each in verified] == [
        len(PROMPT) - 1,
        *(each.drafted + 1 for each in rounds),
    ]
    assert all(each.products == len(WEIGHTS.matrices) for each in passes[1:])
    assert all(each.words < each.busy_cycles < each.cycles for each in passes)
    assert all(each.port_busy == each.words / each.cycles for each in passes)


def test_a_pass_ends_where_a_layer_comes_again_or_the_mode_changes(unit, layers):
    simulated, device = unit
    meter = Meter(device, lambda: simulated.counts().cycles)
    assert meter.passes == []
    one = {mode: RtlBackend(layers, mode, meter=meter) for mode in ("verify", "draft")}
    x = np.ones((2, 32), np.float32)
    order = [("verify", "q"), ("verify", "o"), ("verify", "q"), ("draft", "o"), ("draft", "o")]
    for mode, part in order:
        one[mode].multiply(f"layer.0.{part}", x)
    found = meter.passes
    assert [(each.mode, each.products) for each in found] == [
        ("verify", 2),
        ("verify", 1),
        ("draft", 1),
        ("draft", 1),
    ]
    assert all(isinstance(each, Pass) and each.tokens == 2 for each in found)
    # q and o have 32 x 32 weights each, a word for each or for four of them, two words a cycle.
    assert [each.words for each in found] == [2 * 32 * 16, 32 * 16, 32 * 4, 32 * 4]


def test_inputs_are_rounded_to_fp16(layers):
    x = np.array([[1.0009766, 7e4, 1e-8, -0.0] * 8], dtype=np.float32)
    for mode in ("verify", "draft"):
        found = RtlBackend(layers, mode).multiply("layer.0.q", x)
        np.testing.assert_array_equal(found, golden(mode).multiply("layer.0.q", x))


def test_what_does_not_fit_is_named(unit, layers):
    _, device = unit
    with pytest.raises(ModelError, match=r"'toy' does not run packed .* mode 'middle': use one of"):
        RtlBackend(layers, "middle")
    with pytest.raises(ModelError, match="mode 'qdraft'"):
        RtlBackend(layers, "verify", {"head": "qdraft"})
    with pytest.raises(ModelError, match=r"layer 'layer\.9\.q' is not among"):
        RtlBackend(layers, "verify", {"layer.9.q": "draft"})
    with pytest.raises(ModelError, match=r"layer 'layer\.9\.q' is not among"):
        RtlBackend(layers, "verify").multiply("layer.9.q", np.ones((1, 32), np.float32))
    deep = {"head": np.ones((4, 130), np.float16)}
    with pytest.raises(ModelError, match=r"'head' has 130 inputs, 144 with .* 128: raise activat"):
        RtlLayers.pack(device, deep)
    assert dict(layers) == {name: layers[name] for name in WEIGHTS.matrices}
    assert len(layers) == len(WEIGHTS.matrices)


def test_results_must_be_fp32(unit, monkeypatch):
    _, device = unit
    monkeypatch.setattr(device, "parameters", DESIGN.replace(result_format="fp16"))
    with pytest.raises(ModelError, match="are fp16, and decoding takes them unrounded"):
        RtlLayers(device, {})
