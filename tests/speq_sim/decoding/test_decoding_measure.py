"""The figures that the command prints are those of the model."""

import numpy as np
import pytest
from decoding_models import (
    TOKENS,
    interleaved,
    llama2c_bytes,
    random_model,
    write_hugging_face,
)

from speq_sim.decoding import (
    AttentionRotation,
    FastBackend,
    Llama,
    ModelError,
    greedy,
    load_tokenizer,
    measure,
)


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


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["measure", *arguments])
    measure.main()


def test_the_command_with_token_numbers(tmp_path, monkeypatch, capsys):
    weights = random_model()
    folder = str(write_hugging_face(tmp_path / "toy", weights))
    run(monkeypatch, folder, "--tokens", "3,60,17", "--count", "4", "--batch", "8")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy"
    model = Llama(weights, FastBackend(weights.matrices))
    assert lines[3] == ",".join(map(str, greedy(model, [3, 60, 17], 4)))
    assert len(lines) == 9
    with pytest.raises(ModelError, match="no built-in prompt for this model: give --prompt"):
        run(monkeypatch, folder)
    with pytest.raises(ModelError, match="--tokens 3,a is no list of token numbers"):
        run(monkeypatch, folder, "--tokens", "3,a")
    with pytest.raises(ModelError, match="folder toy has no tokenizer"):
        run(monkeypatch, folder, "--prompt", "Hello")


def test_the_command_with_a_text(tmp_path, monkeypatch, capsys):
    weights = interleaved(random_model(tied_head=True, vocabulary=300))
    path = tmp_path / "toy.bin"
    texts = ["<unk>", "\n<s>\n", "\n</s>\n", *(f"<0x{byte:02X}>" for byte in range(256))]
    texts += [chr(ord("0") + index) for index in range(41)]
    path.write_bytes(llama2c_bytes(weights, texts))
    run(monkeypatch, str(path), "--prompt", "AB", "--count", "4", "--batch", "8")
    tokenizer = load_tokenizer(path)
    model = Llama(weights, FastBackend(weights.matrices))
    # The space has no token of its own here, only its byte's.
    prompt = [1, 3 + ord(" "), texts.index("A"), texts.index("B")]
    assert tokenizer.decode(greedy(model, prompt, 4)) in capsys.readouterr().out
