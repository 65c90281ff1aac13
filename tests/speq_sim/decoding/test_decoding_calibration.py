"""Calibration: texts of the model's own, and moments of what goes into each layer."""

import dataclasses

import numpy as np
import pytest
from decoding_models import random_model

from speq_sim.decoding import FastBackend, Llama, ModelError
from speq_sim.decoding.calibration import (
    SKIPPED,
    calibration_texts,
    second_moments,
)

PROMPTS = [[3, 17], [42, 8, 25], [60]]


@pytest.fixture(scope="module")
def model():
    return random_model(4)


@pytest.fixture(scope="module")
def texts(model):
    return calibration_texts(model, PROMPTS, tokens=500, length=11, seed=9)


def test_texts_are_prompts_and_what_the_model_says_behind_them(model, texts):
    written = [text[len(PROMPTS[place % 3]) :] for place, text in enumerate(texts)]
    for place, text in enumerate(texts):
        prompt = PROMPTS[place % 3]
        assert text[: len(prompt)] == prompt
    assert {len(each) for each in written} == {11}
    # Enough, and no group of texts more than that takes.
    assert 500 <= sum(map(len, written)) < 500 + 24 * 11
    assert len({tuple(each) for each in written}) == len(written)


def test_the_seed_says_what_is_written(model, texts):
    assert calibration_texts(model, PROMPTS, tokens=500, length=11, seed=9) == texts
    assert calibration_texts(model, PROMPTS, tokens=500, length=11, seed=10) != texts
    # The second group has other random numbers than the first.
    assert texts[24:27] != texts[:3]


def test_a_stop_token_ends_a_text(model, texts):
    stop = texts[0][5]
    found = calibration_texts(model, PROMPTS, tokens=200, length=11, seed=9, stop=frozenset([stop]))
    assert found[0] == texts[0][: texts[0].index(stop, len(PROMPTS[0])) + 1]
    for place, text in enumerate(found):
        assert stop not in text[len(PROMPTS[place % 3]) : -1]


def test_steps_are_told(model):
    told = []
    calibration_texts(model, PROMPTS, tokens=300, length=11, step=told.append)
    assert told == [
        "0 of 300 tokens of calibration text",
        "264 of 300 tokens of calibration text",
    ]
    told.clear()
    second_moments(model, [[1] * 40] * 40, told.append)
    assert told == ["moments: pass 1 of 2", "moments: pass 2 of 2"]


class Listening:
    """A back end that keeps what goes into the one behind it."""

    def __init__(self, inner):
        self.inner = inner
        self.inputs = {}

    def multiply(self, name, x):
        self.inputs.setdefault(name, []).append(x.astype(np.float16).astype(float))
        return self.inner.multiply(name, x)


def reference(model, texts):
    """Token by token, text by text."""
    sums, counts = {}, {}
    for text in texts:
        heard = Listening(FastBackend(model.matrices))
        target = Llama(model, heard)
        cache = target.cache(len(text))
        for place, token in enumerate(text):
            heard.inputs.clear()
            target.forward([token], cache)
            if place < SKIPPED:
                continue
            for name, (x,) in heard.inputs.items():
                x = x[0] / np.sqrt(np.mean(x[0] ** 2))
                sums[name] = sums.get(name, 0) + np.outer(x, x)
                counts[name] = counts.get(name, 0) + 1
    return {name: sums[name] / counts[name] for name in sums}


def test_moments_are_those_of_the_definition(model, texts):
    texts = [*texts[:5], [1, 2, 3], [5] * SKIPPED, [7] * (SKIPPED + 1)]
    found = second_moments(model, texts)
    due = reference(model, [text for text in texts if len(text) > SKIPPED])
    assert list(found) == list(model.matrices)
    for name, values in due.items():
        inputs = model.matrices[name].shape[1]
        assert found[name].shape == (inputs, inputs)
        assert found[name].dtype == np.float64
        assert np.allclose(found[name], values, rtol=1e-3, atol=1e-3), name
        # Every input counts alike: mean square 1.
        assert np.trace(found[name]) == pytest.approx(inputs, rel=1e-3)
        assert np.array_equal(found[name], found[name].T)
        assert np.linalg.eigvalsh(found[name]).min() > -1e-3


def test_layers_of_one_input_share_their_moments(model, texts):
    found = second_moments(model, texts[:3])
    for layer in ("layer.0", "layer.1"):
        assert found[f"{layer}.k"] is found[f"{layer}.q"] is found[f"{layer}.v"]
        assert found[f"{layer}.up"] is found[f"{layer}.gate"]
        assert found[f"{layer}.o"] is not found[f"{layer}.q"]


def test_the_first_positions_do_not_count(model):
    """Other tokens there change what comes behind, but they themselves are not added."""
    text = [9] * SKIPPED + [4]
    found = second_moments(model, [text])
    # One token counts, so there is one direction.
    for name, values in found.items():
        assert np.linalg.matrix_rank(values, tol=1e-2) == 1, name


def test_how_texts_share_passes_does_not_count(monkeypatch, model, texts):
    whole = second_moments(model, texts[:9])
    monkeypatch.setattr("speq_sim.decoding.calibration._PASS_TOKENS", 20)
    cut = second_moments(model, texts[:9])
    for name in whole:
        assert np.allclose(whole[name], cut[name], rtol=1e-3, atol=1e-3)


def test_a_tied_head_is_a_layer_like_others(texts):
    model = random_model(4, tied_head=True)
    assert second_moments(model, texts[:2])["head"].shape == (48, 48)


def test_inputs_of_zero_are_left_out(model, texts):
    """Nothing is divided by zero where a layer has no input at all."""
    matrices = dict(model.matrices)
    matrices["layer.0.v"] = np.zeros_like(matrices["layer.0.v"])
    silent = dataclasses.replace(model, matrices=matrices)
    found = second_moments(silent, texts[:2])
    assert not np.any(found["layer.0.o"])
    assert all(np.all(np.isfinite(values)) for values in found.values())


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([], {}, "there are no calibration prompts: give one or more"),
        (PROMPTS, {"length": 0}, "texts of 0 tokens hold nothing: give a length of 1 or more"),
        ([[3] * 60], {"length": 30}, "64"),
        ([[61]], {}, "61"),
        ([[]], {}, "token"),
    ],
)
def test_texts_that_cannot_be_written(model, prompts, options, message):
    with pytest.raises(ModelError, match=message):
        calibration_texts(model, prompts, **({"length": 5, "tokens": 5} | options))


@pytest.mark.parametrize("texts", [[], [[1] * SKIPPED]])
def test_texts_too_short_for_moments(model, texts):
    with pytest.raises(ModelError, match="no calibration text is longer than 4 tokens"):
        second_moments(model, texts)
