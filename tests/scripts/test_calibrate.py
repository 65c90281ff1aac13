"""scripts/calibrate.py on a toy model with a tokenizer: the packed file is the model, exactly."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import calibrate
from speq.formats import family, from_planes, pack
from speq.formats.packed_reader import PackedReader
from speq_sim.decoding import (
    Fixed,
    GoldenBackend,
    Llama,
    ModelError,
    WideBackend,
    calibration_prompts,
    load_model,
    load_packed,
    load_tokenizer,
    plain,
    speculate,
)
from speq_sim.decoding.calibration import calibration_texts, second_moments
from speq_sim.decoding.tokenizer import ChatTemplate

sys.path.append(str(Path(__file__).parents[1] / "speq_sim" / "decoding"))

from decoding_models import llama2c_bytes, random_model

PIECES = ("<unk>", "\n<s>\n", "\n</s>\n", *(f"<0x{byte:02X}>" for byte in range(256)), " ", "e")
OPTIONS = ("--tokens", "100", "--length", "12", "--seed", "3")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    weights = random_model(5, vocabulary=len(PIECES), context=512)
    path = tmp_path_factory.mktemp("toy") / "toy.bin"
    path.write_bytes(llama2c_bytes(weights, PIECES))
    return path


def call(model, folder, *words):
    """Run the command; gives the packed file and its JSON record."""
    output, record = folder / "toy.safetensors", folder / "record.json"
    with pytest.MonkeyPatch.context() as patch:
        argv = ["calibrate.py", str(model), str(output), "--json", str(record), *words]
        patch.setattr(sys, "argv", argv)
        calibrate.main()
    return output, json.loads(record.read_text())


@pytest.fixture(scope="module")
def packed(path, tmp_path_factory):
    return call(path, tmp_path_factory.mktemp("packed"), *OPTIONS)


def test_the_file_decodes_to_the_tokens_of_the_model(path, packed):
    weights = load_model(path)
    layers = load_packed(packed[0], weights)
    target = Llama(weights, GoldenBackend(layers, "verify"))
    draft = Llama(weights, GoldenBackend(layers, "draft"))
    prompt = load_tokenizer(path).completion("a fox")
    due = plain(Llama(weights, WideBackend(weights.matrices), np.float64), prompt, 16)
    assert plain(target, prompt, 16) == due
    assert speculate(target, draft, prompt, 16, Fixed(4)).tokens == due


def test_every_matrix_is_packed_with_moments_of_the_text(path, packed):
    weights = load_model(path)
    prompts, stop, _ = calibrate.prompts_of(str(path))
    texts = calibration_texts(weights, prompts, 100, 12, 3, stop)
    moments = second_moments(weights, texts)
    reader, member = PackedReader(packed[0]), family("spare-1")
    assert reader.family == member
    for name, matrix in weights.matrices.items():
        found = reader.tensor(weights.stored.get(name, name))
        due = pack(matrix, member, second_moments=moments[name])
        assert np.array_equal(from_planes(found.planes), from_planes(due.planes))
        assert found.alpha.tobytes() == due.alpha.tobytes()
        bare = pack(matrix, member)
        assert not np.array_equal(from_planes(found.planes), from_planes(bare.planes))


def test_the_record(path, packed, capsys, tmp_path):
    record = packed[1]
    weights = load_model(path)
    stories = sum(prompt.kind == "story" for prompt in calibration_prompts())
    assert record["model"] == weights.origin
    assert (record["output"], record["family"]) == ("toy.safetensors", "spare-1")
    assert record["prompts"] == f"{stories} of kind story"
    assert set(record["layers"]) == set(weights.matrices)
    for layer in record["layers"].values():
        assert set(layer) == {"draft_sqnr_db", "columns_scaled"}
        assert 10 < layer["draft_sqnr_db"] < 30
    assert record["texts"] == 24
    assert record["tokens"] > 100
    again = call(path, tmp_path, *OPTIONS)
    assert again[0].read_bytes() == packed[0].read_bytes()
    out = capsys.readouterr().out
    assert f"toy.safetensors: {len(weights.matrices)} matrices with spare-1, 0 of them plain" in out


def test_another_family_and_a_matrix_that_is_kept_plain(tmp_path):
    weights = random_model(6, vocabulary=len(PIECES), context=512)
    wide = np.array([2.0**-24, 60000.0] * 24, np.float16)
    weights.matrices["layer.1.o"][:] = wide
    weights.matrices["layer.1.o"][::2] = wide[::-1]
    path = tmp_path / "wide.bin"
    path.write_bytes(llama2c_bytes(weights, PIECES))
    _, record = call(path, tmp_path, *OPTIONS, "--family", "bsfp")
    assert record["family"] == "bsfp"
    assert record["layers"]["layer.1.o"] == {"plain": "no exact power of two brings it below 2"}
    layers = load_packed(tmp_path / "toy.safetensors", load_model(path))
    kept = [name for name, layer in record["layers"].items() if "plain" in layer]
    assert kept == ["layer.1.o"]
    assert set(layers) == set(weights.matrices)


def test_a_model_with_a_chat_template_is_asked_all_but_stories(monkeypatch, path):
    bare = load_tokenizer(path)
    chat = ChatTemplate(start=300, end=301, system="Be.")
    monkeypatch.setattr(
        calibrate,
        "load_tokenizer",
        lambda _: type(bare)(**(vars(bare) | {"template": chat, "stop": frozenset([301])})),
    )
    prompts, stop, kind = calibrate.prompts_of(str(path))
    texts = [prompt.text for prompt in calibration_prompts() if prompt.kind != "story"]
    assert (len(prompts), stop, kind) == (len(texts), frozenset([301]), "chat, maths, code")
    assert all(prompt[0] == 300 for prompt in prompts)


@pytest.mark.parametrize("words", [["--tokens", "0"], ["--length", "0"], ["--length", "-3"]])
def test_numbers_that_make_no_sense(path, tmp_path, words):
    with pytest.raises(ValueError, match="--tokens and --length must be 1 or more"):
        call(path, tmp_path, *words)


def test_prompts_that_do_not_fit(path, tmp_path):
    with pytest.raises(ModelError, match="512"):
        call(path, tmp_path, "--length", "500")
    assert not (tmp_path / "toy.safetensors").exists()
