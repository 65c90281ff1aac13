"""Small random Llama models, and the files that hold them."""

import dataclasses
import json
import struct

import numpy as np
from safetensors.numpy import save_file

from speq_sim.decoding import LlamaConfig, LlamaWeights, RopePairing

CONFIG = LlamaConfig(
    hidden=48,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=12,
    intermediate=96,
    vocabulary=61,
    context=64,
    rope_theta=10000.0,
    norm_epsilon=1e-5,
    tied_head=False,
    rope_pairing=RopePairing.HALVES,
)
"""A model whose every side differs from most others, with two query heads per head of keys."""

TOKENS = (3, 60, 17, 17, 0, 42, 8, 25)

HUGGING_FACE_NAMES = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "embedding": "model.embed_tokens.weight",
    "norm": "model.norm.weight",
    "head": "lm_head.weight",
}
GGUF_NAMES = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
    "attention_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "embedding": "token_embd.weight",
    "norm": "output_norm.weight",
    "head": "output.weight",
}


def random_model(seed=0, **changes):
    """A model of FP16 weights whose activations stay of the order of 1."""
    config = dataclasses.replace(CONFIG, **changes)
    generator = np.random.default_rng(seed)

    def half(shape, scale):
        return (generator.standard_normal(shape) * scale).astype(np.float16)

    embedding = half((config.vocabulary, config.hidden), 1.0)
    matrices = {
        name: half(shape, shape[1] ** -0.5) for name, shape in config.matrix_shapes().items()
    }
    if config.tied_head:
        matrices["head"] = embedding
    norms = {
        name: (1 + 0.2 * generator.standard_normal(config.hidden)).astype(np.float32)
        for name in config.norm_names()
    }
    return LlamaWeights(config, embedding, matrices, norms, "random")


def tensors_of(weights):
    """Every tensor that a file holds, by the names of LlamaWeights."""
    found = {"embedding": weights.embedding, **weights.matrices, **weights.norms}
    if weights.config.tied_head:
        del found["head"]
    return found


def interleaved(weights):
    """The same function with rows of q and k in the order of interleaved pairs."""
    config = dataclasses.replace(weights.config, rope_pairing=RopePairing.INTERLEAVED)
    order = np.arange(config.head_dim).reshape(2, -1).T.reshape(-1)

    def rows(name, values):
        if name.rpartition(".")[2] not in ("q", "k"):
            return values
        heads = values.reshape(-1, config.head_dim, config.hidden)
        return heads[:, order].reshape(values.shape)

    matrices = {name: rows(name, values) for name, values in weights.matrices.items()}
    return dataclasses.replace(weights, config=config, matrices=matrices)


def settings_of(config):
    """The object of config.json."""
    return {
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.intermediate,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tied_head,
    }


def named(name, whole, layer):
    if "." not in name:
        return whole[name]
    _, index, part = name.split(".")
    return layer.format(index, whole[part])


def write_hugging_face(folder, weights, settings=None, **tensors):
    """A folder of Hugging Face; `tensors` are added, or taken away if None."""
    folder.mkdir(exist_ok=True)
    settings = settings_of(weights.config) if settings is None else settings
    (folder / "config.json").write_text(json.dumps(settings))
    found = {
        named(name, HUGGING_FACE_NAMES, "model.layers.{}.{}.weight"): values
        for name, values in tensors_of(weights).items()
    } | tensors
    found = {name: np.ascontiguousarray(v) for name, v in found.items() if v is not None}
    save_file(found, folder / "model.safetensors")
    return folder


def write_gguf(path, weights, architecture="llama", tokens=(), **tensors):
    """A GGUF file with FP16 matrices; `tensors` are added, or taken away if None."""
    import gguf

    config = weights.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.intermediate)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    if tokens:
        writer.add_token_list(tokens)
    found = {
        named(name, GGUF_NAMES, "blk.{}.{}.weight"): values
        for name, values in tensors_of(weights).items()
    } | tensors
    for name, values in found.items():
        if values is not None:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama2c_bytes(weights, tokens=()):
    """A llama2.c file, with a tokenizer behind it if there are tokens."""
    config, found = weights.config, tensors_of(weights)
    vocabulary = config.vocabulary if config.tied_head else -config.vocabulary
    sizes = (config.hidden, config.intermediate, config.layers, config.heads, config.kv_heads)
    parts = [struct.pack("<7i", *sizes, vocabulary, config.context)]
    order = ["embedding"]
    for part in ("attention_norm", "q", "k", "v", "o", "ffn_norm", "gate", "down", "up"):
        order += [f"layer.{index}.{part}" for index in range(config.layers)]
    angles = np.zeros(config.context * config.head_dim)
    arrays = [*(found[name] for name in (*order, "norm")), angles]
    if not config.tied_head:
        arrays.append(found["head"])
    parts += [values.astype("<f4").tobytes() for values in arrays]
    if tokens:
        parts.append(struct.pack("<i", max(map(len, tokens))))
        for token in tokens:
            parts.append(struct.pack("<fi", 0.0, len(token.encode())) + token.encode())
    return b"".join(parts)
