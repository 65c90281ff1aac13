"""What a pass asks for: by hand on a toy model, and cut over devices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from performance_toys import TOY

from speq_sim.decoding import ModelError
from speq_sim.performance.engine import Product
from speq_sim.performance.models import MODELS
from speq_sim.performance.transformer import PassSpec, recipe_of


def macs(spec: PassSpec) -> int:
    return sum(n * each.outputs * each.inputs * each.tokens for each, n in spec.products().items())


def test_products_by_hand():
    found = PassSpec(TOY, "draft", tokens=3, batch=2, recipe=recipe_of({"head": "verify"}))
    assert found.products() == {
        Product(8, 8, "draft", 6): 4,  # q and o of both layers
        Product(4, 8, "draft", 6, keep=True): 4,  # k and v
        Product(12, 8, "draft", 6): 2,  # gate
        Product(12, 8, "draft", 6, keep=True): 2,  # up
        Product(8, 12, "draft", 6): 2,  # down
        Product(20, 8, "verify", 6): 1,
    }


def test_attention_and_bytes_by_hand():
    spec = PassSpec(TOY, "fp16", tokens=3, context=10, batch=2)
    # Scores and values: 13 positions, 3 tokens, 4 heads of 2.
    assert spec.attention.macs == 2 * 13 * 3 * 4 * 2
    assert spec.written_bytes == 2 * 3 * 2 * (2 * 2 * 2) * 2  # layers, tokens, batch, K and V, FP16
    assert spec.other_bytes == 5 * 8 * 4 + 6 * 8 * 2
    layer = 10 * 8 + 3 * 6 * 2 + 6 * 12 + 5 * 4 * 13
    assert spec.vector_operations == 6 * (2 * layer + 4 * 8 + 20)


def test_quantised_keys_and_values_have_a_scale_each():
    spec = PassSpec(TOY, "fp16", kv_bits=8)
    assert spec.written_bytes == 2 * 2 * 2 * (2 + 2)


def test_a_recipe_names_a_matrix_a_part_or_the_head():
    spec = PassSpec(TOY, "draft", recipe=recipe_of({"layer.1.down": "verify", "k": "middle"}))
    forms = {}
    for each, count in spec.products().items():
        forms[each.form] = forms.get(each.form, 0) + count
    assert forms == {"draft": 12, "verify": 1, "middle": 2}
    with pytest.raises(ModelError, match=r"names 'layer\.2\.down', which the model has not"):
        PassSpec(TOY, "draft", recipe=recipe_of({"layer.2.down": "verify"}))


@pytest.mark.parametrize("name", MODELS)
def test_products_are_all_weights(name):
    config = MODELS[name]
    weights = sum(n * k for n, k in config.matrix_shapes().values())
    assert macs(PassSpec(config, "fp16")) == weights


@pytest.mark.parametrize("devices", [2, 4, 8])
@pytest.mark.parametrize("name", ["llama-2-7b", "llama-3-70b"])
def test_devices_share_the_work_evenly_where_sizes_divide(name, devices):
    whole, part = PassSpec(MODELS[name], "fp16"), PassSpec(MODELS[name], "fp16", devices=devices)
    assert devices * macs(part) == macs(whole)
    assert devices * part.attention.macs == whole.attention.macs
    assert devices * part.written_bytes == whole.written_bytes


@given(st.integers(1, 16), st.integers(1, 9), st.integers(0, 50))
def test_no_device_does_less_than_its_share(devices, tokens, context):
    whole = PassSpec(TOY, "fp16", tokens, context)
    part = PassSpec(TOY, "fp16", tokens, context, devices=devices)
    assert devices * macs(part) >= macs(whole)
    assert macs(part) <= macs(whole)
    assert devices * part.attention.macs >= whole.attention.macs


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": 0}, "tokens of a pass is 0, but must be an integer from 1"),
        ({"context": -1}, "context is -1"),
        ({"batch": 1.5}, r"batch is 1\.5"),
        ({"kv_bits": 7}, "bits of keys and values is 7: use one of 16, 8, 4"),
        ({"devices": 0}, "devices is 0"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ModelError, match=message):
        PassSpec(TOY, "fp16", **change)
