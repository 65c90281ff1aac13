"""The architecture from metadata, and what is refused."""

import dataclasses

import pytest
from decoding_models import CONFIG, settings_of

from speq_sim.decoding import ModelError, RopePairing
from speq_sim.decoding.config import config_from_gguf, config_from_hugging_face

METADATA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.context_length": 64,
    "llama.embedding_length": 48,
    "llama.feed_forward_length": 96,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}


def gguf(**changes):
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    found = {key: value for key, value in {**METADATA, **changes}.items() if value is not None}
    return config_from_gguf(found, 61, False)


def hugging_face(**changes):
    return config_from_hugging_face({**settings_of(CONFIG), **changes})


def test_gguf():
    assert gguf() == dataclasses.replace(CONFIG, rope_pairing=RopePairing.INTERLEAVED)
    assert gguf(llama__attention__head_count_kv=None).kv_heads == 4
    assert gguf(llama__attention__key_length=16).head_dim == 16
    assert gguf(llama__rope__freq_base=5e5).rope_theta == 5e5


def test_hugging_face():
    assert hugging_face() == CONFIG
    assert hugging_face(head_dim=None).head_dim == 12
    assert hugging_face(num_key_value_heads=None).kv_heads == 4
    assert hugging_face(rope_theta=None).rope_theta == 10000.0
    newer = {"rope_theta": 5e5, "rope_type": "default"}
    assert hugging_face(rope_theta=None, rope_parameters=newer).rope_theta == 5e5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general__architecture": "gemma"}, "general.architecture is 'gemma'"),
        ({"llama__block_count": None}, "lacks the key llama.block_count"),
        ({"llama__rope__scaling__type": "yarn"}, r"positions are scaled \(yarn\)"),
        ({"llama__rope__dimension_count": 6}, "only a part of each head"),
        ({"llama__attention__head_count": [4, 4]}, "differ in their number of heads"),
    ],
)
def test_wrong_metadata_is_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        gguf(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen2"}, "unknown architecture: model_type is 'qwen2'"),
        ({"hidden_size": None}, "config.json lacks 'hidden_size'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rope_scaling": {"rope_type": "llama3"}}, r"scaled \(llama3\)"),
        ({"rope_scaling": {"type": "linear"}}, r"scaled \(linear\)"),
        ({"rope_parameters": {"rope_type": "yarn"}}, r"scaled \(yarn\)"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        hugging_face(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers is 0: give an integer of at least 1"),
        ({"hidden": 48.0}, "hidden is 48.0"),
        ({"kv_heads": 3}, "4 heads are no multiple of 3 kv_heads"),
        ({"head_dim": 11}, "head_dim is 11"),
        ({"rope_theta": 0.0}, "rope_theta is 0.0: give a positive number"),
        ({"norm_epsilon": float("nan")}, "norm_epsilon is nan"),
    ],
)
def test_wrong_sizes_are_refused(changes, message):
    with pytest.raises(ModelError, match=message):
        dataclasses.replace(CONFIG, **changes)


def test_shapes():
    shapes = CONFIG.matrix_shapes()
    assert len(shapes) == 2 * 7 + 1
    assert shapes["layer.1.k"] == (24, 48)
    assert shapes["layer.1.down"] == (48, 96)
    assert list(shapes)[-1] == "head"
    assert shapes["head"] == (61, 48)
