"""Two real models say what they must, if their packages are there."""

import numpy as np
import pytest

from speq_sim.decoding import (
    AttentionRotation,
    CaptureBackend,
    FastBackend,
    Llama,
    ModelError,
    RotatedBackend,
    Rotation,
    greedy,
    load_model,
    load_tokenizer,
)
from speq_sim.decoding.outliers import crest


@pytest.fixture(scope="module")
def smollm2():
    pytest.importorskip("gguf")
    return load_or_skip("smollm2-135m")


@pytest.fixture(scope="module")
def stories():
    return load_or_skip("stories15m")


def load_or_skip(name):
    try:
        return load_model(name)
    except ModelError as error:
        pytest.skip(str(error))


def test_smollm2_answers(smollm2):
    pytest.importorskip("tokenizers")
    tokenizer = load_tokenizer("smollm2-135m")
    model = Llama(smollm2, FastBackend(smollm2.matrices))
    found = greedy(model, tokenizer.chat("What is the capital of France?"), 8)
    assert tokenizer.decode(found[:7]) == "The capital of France is Paris."
    assert found[7] in tokenizer.stop


def test_stories_continue_and_rotation_leaves_the_text(stories):
    tokenizer = load_tokenizer("stories15m")
    prompt = tokenizer.completion("Once upon a time")
    found = greedy(Llama(stories, FastBackend(stories.matrices)), prompt, 24)
    stream = tokenizer.stream()
    text = stream.push(found) + stream.close()
    assert text.startswith(", there was a little girl named Lily. She loved to play outside")
    rotation = Rotation(stories.config)
    backend = FastBackend(rotation.fold(stories.matrices))
    turned = Llama(stories, RotatedBackend(backend, rotation))
    assert greedy(turned, prompt, 24) == found


@pytest.mark.parametrize(
    ("name", "attention"), [("smollm2", "head"), ("stories", "head"), ("stories", "all")]
)
def test_rotation_leaves_logits_and_spreads_outliers(name, attention, request):
    weights = request.getfixturevalue(name)
    rotation = Rotation(weights.config, AttentionRotation(attention))
    plain = CaptureBackend(FastBackend(weights.matrices))
    turned = CaptureBackend(FastBackend(rotation.fold(weights.matrices)))
    tokens = np.random.default_rng(0).integers(1000, 9000, 12)
    first, second = (
        model.forward(tokens, model.cache(12))
        for model in (Llama(weights, plain), Llama(weights, RotatedBackend(turned, rotation)))
    )
    # As on the toy model: inputs of every product are rounded in both, two matrices of each layer
    # once more, and each rounding errs by 2**-11 / sqrt(3).
    products, folded = len(weights.matrices), 2 * weights.config.layers
    relative = np.sqrt(np.mean((first - second) ** 2) / np.mean(first**2))
    assert 0 < relative < np.sqrt((2 * products + folded) / 3) * 2.0**-11
    before, after = plain.inputs(), turned.inputs()
    for layer in range(weights.config.layers):
        down = f"layer.{layer}.down"
        assert np.median(crest(after[down])) < np.median(crest(before[down]))
