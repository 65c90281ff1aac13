"""Shapes of public models: their parameters, and configurations read from files."""

import json

import pytest

from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.models import MODELS, model_config, parameter_count

PUBLISHED = {
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "llama-3.2-3b": 3_212_749_824,
    "qwen2.5-7b": 7_615_616_512,
    "smollm2-135m": 134_515_008,
    "stories15m": 15_191_712,
}
"""Elements of the published weights."""

QWEN_BIASES = 28 * (28 + 4 + 4) * 128
"""Of q, k and v, in 28 layers: not counted."""

SETTINGS = {
    "model_type": "llama",
    "hidden_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 8192,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rope_scaling": {"rope_type": "llama3", "factor": 32.0},
    "rms_norm_eps": 1e-05,
    "tie_word_embeddings": True,
}
"""Llama-3.2-3B's config.json, as published."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_has_the_published_parameters(name):
    biases = QWEN_BIASES if name == "qwen2.5-7b" else 0
    assert parameter_count(MODELS[name]) + biases == PUBLISHED[name]


def test_every_preset_is_held_against_its_parameters():
    assert MODELS.keys() == PUBLISHED.keys()


def test_a_name_is_a_preset():
    assert model_config("llama-2-7b") is MODELS["llama-2-7b"]


def test_tied_heads():
    tied = {name for name, config in MODELS.items() if config.tied_head}
    assert tied == {"llama-3.2-3b", "smollm2-135m", "stories15m"}


def test_a_config_of_scaled_positions(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(SETTINGS))
    assert model_config(file) == model_config(tmp_path) == MODELS["llama-3.2-3b"]
    # Newer files have both in one object.
    newer = {name: SETTINGS[name] for name in SETTINGS if not name.startswith("rope")}
    newer["rope_parameters"] = {"rope_type": "llama3", "rope_theta": 500000.0}
    file.write_text(json.dumps(newer))
    assert model_config(str(file)) == MODELS["llama-3.2-3b"]


def test_a_config_of_qwen(tmp_path):
    file = tmp_path / "config.json"
    settings = {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "max_position_embeddings": 131072,
        "rope_theta": 1000000.0,
        "rms_norm_eps": 1e-06,
        "tie_word_embeddings": False,
    }
    file.write_text(json.dumps(settings))
    assert model_config(file) == MODELS["qwen2.5-7b"]


def _gguf(path, architecture="llama", embedding="token_embd.weight"):
    gguf = pytest.importorskip("gguf")
    np = pytest.importorskip("numpy")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tensor(embedding, np.zeros((100, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file(tmp_path):
    _gguf(tmp_path / "m.gguf")
    config = model_config(tmp_path / "m.gguf")
    assert isinstance(config, LlamaConfig)
    assert (config.layers, config.hidden, config.kv_heads) == (2, 32, 2)
    assert (config.vocabulary, config.tied_head) == (100, True)


def test_what_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"model 'llama-9' is unknown: use one of llama-2-7b, .*"):
        model_config("llama-9")
    file = tmp_path / "config.json"
    file.write_text("weights")
    with pytest.raises(ModelError, match=r"config.json is neither a config.json nor a GGUF file"):
        model_config(file)
    file.write_text(json.dumps(SETTINGS | {"model_type": "gpt2"}))
    with pytest.raises(ModelError, match="model_type is 'gpt2'"):
        model_config(file)
    _gguf(tmp_path / "other.gguf", architecture="falcon")
    with pytest.raises(ModelError, match=r"general.architecture is 'falcon'"):
        model_config(tmp_path / "other.gguf")
    _gguf(tmp_path / "part.gguf", embedding="blk.0.attn_q.weight")
    with pytest.raises(ModelError, match=r"part.gguf lacks token_embd.weight: give the file"):
        model_config(tmp_path / "part.gguf")
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "part.gguf").read_bytes()[:40])
    with pytest.raises(ModelError, match="cut"):
        model_config(tmp_path / "cut.gguf")
