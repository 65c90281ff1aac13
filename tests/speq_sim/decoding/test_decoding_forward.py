"""The forward pass against a reference in loops, and its independence of how tokens are split."""

import dataclasses

import decoding_reference as reference
import numpy as np
import pytest
from decoding_models import TOKENS, interleaved, random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from speq_sim.decoding import FastBackend, Llama, ModelError, WideBackend, greedy
from speq_sim.decoding.layers import attend, rms_norm, swiglu


class TokenwiseBackend:
    """Float32, each token by itself."""

    def __init__(self, matrices):
        self.matrices = {name: values.astype(np.float32) for name, values in matrices.items()}

    def multiply(self, name, x):
        return np.stack([self.matrices[name] @ row for row in x])


def wide(weights):
    return Llama(weights, WideBackend(weights.matrices), np.float64)


def fast(weights):
    return Llama(weights, FastBackend(weights.matrices))


def run(model, tokens, splits=()):
    cache = model.cache()
    parts = np.split(np.array(tokens), sorted(splits))
    return np.concatenate([model.forward(part, cache) for part in parts if part.size])


@pytest.mark.parametrize("pairs", ["halves", "interleaved"])
@pytest.mark.parametrize("changes", [{}, {"tied_head": True}, {"kv_heads": 1}, {"kv_heads": 4}])
def test_logits_equal_the_reference(changes, pairs):
    weights = random_model(1, **changes)
    if pairs == "interleaved":
        weights = interleaved(weights)
    expected = np.array(reference.logits(weights, TOKENS))
    np.testing.assert_allclose(run(wide(weights), TOKENS), expected, rtol=0, atol=1e-12)


def test_the_order_of_rows_and_the_pairing_belong_together():
    weights = random_model(2)
    expected = run(wide(weights), TOKENS)
    turned = interleaved(weights)
    np.testing.assert_allclose(run(wide(turned), TOKENS), expected, rtol=0, atol=1e-12)
    wrong = dataclasses.replace(turned, config=weights.config)
    assert np.abs(run(wide(wrong), TOKENS) - expected).max() > 0.1


def test_rounding_to_half_is_all_that_fast_adds():
    # Two roundings of relative error below 2**-11 meet each of the 15 products; as independent
    # errors they come to about sqrt(30) * 2**-11 / sqrt(3) of the logits, 0.0016. (Weights are
    # FP16 already, which leaves half of it.)
    weights = random_model(3)
    expected = run(wide(weights), TOKENS)
    error = run(fast(weights), TOKENS) - expected
    relative = np.sqrt(np.mean(error**2) / np.mean(expected**2))
    assert 1e-5 < relative < 0.0016


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 + 2.0**-11, 1.0),
        (1 + 3 * 2.0**-11, 1 + 2.0**-9),
        (2.0**-24, 2.0**-24),
        (65519.0, 65504.0),
        (-65520.0, -np.inf),
    ],
)
def test_fast_rounds_inputs_to_half(value, expected):
    backend = FastBackend({"a": np.array([[1.0], [2.0**-4]], dtype=np.float16)})
    found = backend.multiply("a", np.array([[value]], dtype=np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[expected, expected / 16]])


@settings(max_examples=25)
@given(st.sets(st.integers(1, len(TOKENS) * 3 - 1)), st.integers(0, 3))
def test_logits_are_the_same_bits_however_tokens_are_split(splits, seed):
    weights = random_model(seed)
    model = Llama(weights, TokenwiseBackend(weights.matrices))
    tokens = TOKENS * 3
    np.testing.assert_array_equal(run(model, tokens, splits), run(model, tokens))


def test_one_by_one_equals_together_on_the_fast_back_end():
    model = fast(random_model(4))
    together, single = run(model, TOKENS), run(model, TOKENS, range(1, len(TOKENS)))
    # BLAS sums in another order, which may turn a rounding to FP16: 2**-11 of a single input.
    np.testing.assert_allclose(single, together, rtol=0, atol=0.01)
    model = wide(random_model(4))
    together, single = run(model, TOKENS), run(model, TOKENS, range(1, len(TOKENS)))
    np.testing.assert_allclose(single, together, rtol=0, atol=1e-12)


def test_later_tokens_do_not_change_earlier_logits():
    model = wide(random_model(5))
    changed = (*TOKENS[:5], 1, 2, 3)
    first, second = run(model, TOKENS), run(model, changed)
    np.testing.assert_allclose(first[:5], second[:5], rtol=0, atol=1e-12)
    assert np.abs(first[5:] - second[5:]).max() > 0.1


def test_a_cut_cache_forgets():
    weights = random_model(6)
    model = Llama(weights, TokenwiseBackend(weights.matrices))
    cache = model.cache()
    model.forward([*TOKENS, 1, 2, 3], cache)
    cache.cut(len(TOKENS))
    again = model.forward([9, 10], cache)
    np.testing.assert_array_equal(again, run(model, [*TOKENS, 9, 10])[-2:])
    assert cache.length == len(TOKENS) + 2


def test_greedy_takes_the_likeliest_token_each_time():
    model = wide(random_model(7))
    found = greedy(model, TOKENS, 6)
    assert len(found) == 6
    for end in range(6):
        expected = run(model, (*TOKENS, *found[:end]))[-1].argmax()
        assert found[end] == expected
    assert greedy(model, TOKENS, 0) == []


def test_parts_of_a_layer_by_hand():
    x = np.array([[3.0, -4.0]])
    np.testing.assert_allclose(rms_norm(x, np.array([1.0, 2.0]), 0.0), x * [1, 2] / 12.5**0.5)
    np.testing.assert_allclose(rms_norm(np.zeros((1, 2)), np.ones(2), 1e-5), np.zeros((1, 2)))
    gate = np.array([[0.0, 2.0, -1e4, 1e4]], dtype=np.float32)
    expected = [[0, 2 / (1 + np.exp(-2)), 0, 1e4]]
    np.testing.assert_allclose(swiglu(gate, np.ones_like(gate)), expected, rtol=1e-6)
    # One token sees one value, whatever the scores; scores of a thousand do not overflow.
    keys, values = np.full((1, 2, 2), 1000.0), np.array([[[1.0, 2.0], [3.0, 6.0]]])
    found = attend(np.full((2, 1, 2), 1000.0), keys, values)
    np.testing.assert_allclose(found, [[1, 2], [2, 4]])


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "one or more integers"),
        ([1.5], "one or more integers"),
        ([[1]], "one or more integers"),
        ([61], "token 61 is not of the vocabulary, 0 to 60"),
        ([-1], "token -1 is not of the vocabulary"),
        (list(range(5)), "5 tokens behind 0 positions do not fit into a cache of 4"),
    ],
)
def test_wrong_tokens_are_refused(tokens, message):
    model = wide(random_model())
    with pytest.raises(ModelError, match=message):
        model.forward(tokens, model.cache(4))


@pytest.mark.parametrize("capacity", [0, 65])
def test_a_cache_stays_within_the_context(capacity):
    with pytest.raises(ModelError, match=f"cache of {capacity} positions.*context is 64"):
        wide(random_model()).cache(capacity)


def test_a_cache_is_cut_to_positions_it_has():
    with pytest.raises(ModelError, match="a cache of 0 positions cannot be cut to 1"):
        wide(random_model()).cache().cut(1)


def test_infinite_logits_are_refused_and_the_cache_stays():
    weights = random_model()
    matrices = {**weights.matrices, "head": weights.matrices["head"].astype(np.float32)}
    matrices["head"][7, 7] = np.inf
    model = Llama(weights, WideBackend(matrices))
    cache = model.cache()
    with pytest.raises(ModelError, match="a logit of Inf or NaN"):
        model.forward([1], cache)
    assert cache.length == 0


@pytest.mark.filterwarnings("error")
def test_an_activation_beyond_half_ends_in_one_error():
    weights = random_model()
    large = {name: values * np.float16(1e4) for name, values in weights.matrices.items()}
    model = fast(dataclasses.replace(weights, matrices=large))
    with pytest.raises(ModelError, match="beyond what FP16 can hold"):
        model.forward(TOKENS, model.cache())
