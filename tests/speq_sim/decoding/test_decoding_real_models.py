"""Two real models say what they must, if their packages are there."""

import numpy as np
import pytest

from speq_sim.decoding import (
    FastBackend,
    Llama,
    ModelError,
    RotatedBackend,
    Rotation,
    capture,
    greedy,
    load_model,
)
from speq_sim.decoding.measure import prompt_tokens
from speq_sim.decoding.outliers import crest

QUESTION = "user Ċ What Ġis Ġthe Ġcapital Ġof ĠFrance ? <|im_end|> Ċ <|im_start|> ass istant Ċ"


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
    model = Llama(smollm2, FastBackend(smollm2.matrices))
    found = greedy(model, prompt_tokens(smollm2, ("<|im_start|>", *QUESTION.split())), 8)
    text = "".join(smollm2.tokens[token] for token in found).replace("Ġ", " ")
    assert text.startswith("The capital of France is Paris.<|im_end|>")


def test_stories_continue_and_rotation_leaves_them(stories):
    prompt = prompt_tokens(stories, ("\n<s>\n", " Once", " upon", " a", " time"))
    model = Llama(stories, FastBackend(stories.matrices))
    found = greedy(model, prompt, 24)
    text = "".join(stories.tokens[token] for token in found)
    assert text.startswith(", there was a little girl named Lily. She loved to play outside")
    rotation = Rotation(stories.config)
    backend = FastBackend(rotation.fold(stories.matrices))
    turned = Llama(stories, RotatedBackend(backend, rotation))
    assert greedy(turned, prompt, 24) == found
    tokens = prompt + found
    first, second = (m.forward(tokens, m.cache(len(tokens))) for m in (model, turned))
    # As on the toy model: 6 layers of 7 products and the head, 43 inputs rounded twice, and 12
    # matrices rounded once more.
    relative = np.sqrt(np.mean((first - second) ** 2) / np.mean(first**2))
    assert 0 < relative < np.sqrt((2 * 43 + 12) / 3) * 2.0**-11
    plain = capture(stories, FastBackend(stories.matrices), tokens)
    inputs = capture(stories, backend, tokens, rotation)
    for layer in range(stories.config.layers):
        name = f"layer.{layer}.down"
        assert np.median(crest(inputs[name])) < np.median(crest(plain[name])) / 1.5
