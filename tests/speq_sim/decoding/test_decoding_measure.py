"""The figures that the command prints are those of the model."""

import dataclasses

import numpy as np
import pytest
from decoding_models import TOKENS, random_model, write_hugging_face

from speq_sim.decoding import AttentionRotation, FastBackend, Llama, ModelError, greedy, measure


def test_prompts_are_texts_of_tokens():
    weights = dataclasses.replace(random_model(), tokens=("a", " b", "c"))
    assert measure.prompt_tokens(weights, ("c", " b", "c")) == [2, 1, 2]
    with pytest.raises(ModelError, match="the vocabulary of random lacks the token 'b'"):
        measure.prompt_tokens(weights, ("a", "b"))


def test_speed_comes_with_the_text():
    weights = random_model()
    model = Llama(weights, FastBackend(weights.matrices))
    found, decoding, prefill = measure.measure_speed(model, list(TOKENS), 5, 16)
    assert found == greedy(model, TOKENS, 5)
    for speed in (decoding, prefill):
        assert speed.clock > 0
        assert speed.processor > 0
    fast = measure.Speed(clock=2.0, processor=4.0)
    assert str(fast) == "4.0 tokens/s of processor time, 2.0 by the clock"


def test_the_table_of_crest_factors():
    lines = measure.crest_lines(random_model(), list(TOKENS), AttentionRotation.ALL)
    assert lines[0].split() == ["input", "of", "rotation", "median", "99", "%", "largest"]
    assert [line.split()[:2] for line in lines[1:]] == [
        ["o", "none"],
        ["o", "all"],
        ["down", "none"],
        ["down", "all"],
    ]
    for line in lines[1:]:
        median, high, largest = map(float, line.split()[2:])
        assert 1 <= median <= high <= largest <= np.sqrt(96)


def test_the_command(tmp_path, monkeypatch, capsys):
    folder = write_hugging_face(tmp_path / "toy", random_model())
    arguments = [str(folder), "--prompt", "3,60,17", "--count", "4", "--batch", "8"]
    monkeypatch.setattr("sys.argv", ["measure", *arguments])
    measure.main()
    text = capsys.readouterr().out
    assert text.startswith("toy\none by one: ")
    assert len(text.splitlines()) == 9
    monkeypatch.setattr("sys.argv", ["measure", str(folder)])
    with pytest.raises(ModelError, match="no built-in prompt for this model"):
        measure.main()
