"""Our accelerator as an engine: jobs, units, attention on the arrays, buffers."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq.parameters import MODES, PRESETS, ParameterError
from speq_sim.decoding import ModelError
from speq_sim.performance.engine import Attention, Product
from speq_sim.performance.unit_cycles import unit_cycles
from speq_sim.performance.unit_engine import FORMS, UnitEngine

ALL = PRESETS["small"].replace(name="all", modes=MODES)
"""8 x 8, W = 8, 8 tokens, 16,384 activations."""

ONE = UnitEngine(ALL)


@pytest.mark.parametrize("form", FORMS)
def test_a_product_that_fits_is_one_job(form):
    mode, plain = FORMS[form]
    found = ONE.product(Product(64, 96, form, 5))
    job = unit_cycles(ALL, 64, 96, mode, 5, plain=plain)
    assert found.cycles == job.headers + job.tiles
    assert found.fixed == job.activations + job.fixed
    rows = {"draft": 4, "qdraft": 2, "qverify": 2}.get(form, 0) * 64
    assert found.read_bytes == 16 * job.beats + rows
    assert found.macs == 64 * 96 * 5


def test_bytes_are_the_planes():
    """Weights alone are 4, 8 and 16 bits; shifts and records come on top once."""
    sizes = {
        form: ONE.product(Product(64, 96, form, 1)).read_bytes
        for form in ("draft", "middle", "verify", "fp16")
    }
    weights = 64 * 96
    headers = sizes["middle"] - weights
    assert headers == 96 // 2 + 2 * 64
    assert sizes["verify"] == 2 * weights + headers
    assert sizes["draft"] == weights // 2 + headers + 4 * 64
    assert sizes["fp16"] == 2 * weights


def test_more_tokens_than_tiles_serve_read_the_weights_again():
    eight, nine = (ONE.product(Product(64, 96, "verify", tokens)) for tokens in (8, 9))
    assert nine.read_bytes == 2 * eight.read_bytes
    assert nine.regions == 2 * eight.regions == 6
    assert nine.streams == 3
    assert nine.macs == 64 * 96 * 9


def test_more_activations_than_the_buffer_holds_take_more_jobs():
    inputs = 4096  # 16,384 values: four tokens
    four, five = (ONE.product(Product(8, inputs, "fp16", tokens)) for tokens in (4, 5))
    assert five.read_bytes == 2 * four.read_bytes


@given(st.integers(1, 40), st.integers(1, 200), st.integers(1, 8), st.sampled_from(list(FORMS)))
def test_units_share_outputs(outputs, inputs, units, form):
    product = Product(8 * outputs * units, inputs, form, 1)
    one, several = (UnitEngine(ALL, count).product(product) for count in (1, units))
    assert several.cycles <= one.cycles
    assert several.macs == one.macs
    # Each unit reads column shifts of its own.
    shifts = math.ceil(inputs / 32) * 16
    assert one.read_bytes <= several.read_bytes <= one.read_bytes + (units - 1) * shifts


def test_many_tokens_are_bound_by_computing():
    loaded, computed = (ONE.product(Product(64, 96, "draft", tokens)) for tokens in (1, 8))
    assert loaded.bound == "port"
    wide = UnitEngine(ALL.replace(port_words=16, columns=16, tokens=16))
    assert wide.product(Product(64, 96, "draft", 16)).bound == "compute"
    assert computed.cycles >= loaded.cycles


def test_attention_by_hand():
    # 10 positions and heads of 12: tiles of 8 x 8, 2 down and 2 across, for scores and for values.
    attention = Attention(heads=6, kv_heads=2, head_dim=12, tokens=2, positions=10)
    found = ONE.attention(attention)
    assert found.macs == 2 * 10 * 12 * 2 * 6
    assert found.read_bytes == 2 * 10 * 12 * 2 * 2
    # Six queries a tile, fewer than the eight cycles that loading it takes.
    assert found.cycles == 2 * (4 + 4) * 8
    assert found.bound == "port"


def test_attention_of_many_queries_loads_tiles_again_but_not_memory():
    one, many = (
        ONE.attention(Attention(heads=8, kv_heads=2, head_dim=8, tokens=tokens, positions=16))
        for tokens in (2, 3)
    )
    assert one.read_bytes == many.read_bytes
    assert one.cycles == 2 * 4 * 8  # eight queries: as long as loading
    assert many.cycles == 2 * 4 * 2 * 8  # twelve: two passes of six


@pytest.mark.parametrize(("bits", "words"), [(16, 1), (8, 2), (4, 4)])
def test_quantised_keys_load_faster(bits, words):
    found = ONE.attention(Attention(2, 2, 8, 1, 16, bits))
    scales = 0 if bits == 16 else 2 * 2 * 16 * 2
    assert found.read_bytes == 2 * 16 * 2 * 8 * bits // 8 + scales
    assert found.cycles == 2 * 4 * max(8 / words, 1)


def test_lanes_and_rates():
    assert UnitEngine(ALL, 3).vector_lanes == 24
    assert UnitEngine(ALL, 3, lanes=5).vector_lanes == 5
    assert UnitEngine(ALL, 3).port_bytes_per_second == 3 * 16 * 500e6
    assert UnitEngine(ALL, 3).name == "3 x all"
    # Of one unit's port, however many there are: 8 GB/s.
    for units in (1, 3):
        fed = [UnitEngine(ALL, units).units_fed_by(rate * 1e9) for rate in (1, 8, 20)]
        assert fed == [1, 1, 3]


def test_refusals():
    with pytest.raises(ModelError, match="units is 0, but must be an integer from 1 to 1024"):
        UnitEngine(ALL, 0)
    with pytest.raises(ModelError, match="vector lanes is 0"):
        UnitEngine(ALL, 1, lanes=0)
    with pytest.raises(ModelError, match="design 'all' reads no weights of form 'int3'"):
        ONE.product(Product(8, 8, "int3", 1))
    lacking = UnitEngine(PRESETS["small"])
    with pytest.raises(ParameterError, match="mode 'qdraft' is not built into design 'small'"):
        lacking.product(Product(8, 8, "qdraft", 1))
    assert dataclasses.replace(lacking, units=2).product(Product(8, 8, "draft", 1)).macs == 64
