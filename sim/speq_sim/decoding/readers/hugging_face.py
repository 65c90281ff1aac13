"""Llama models in a folder of Hugging Face: config.json and safetensors."""

import json
from pathlib import Path

from numpy.typing import NDArray

from speq.formats.sources import Source, open_source
from speq_sim.decoding.config import config_from_hugging_face
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.readers.named import check_used, tensor_of
from speq_sim.decoding.weights import LlamaWeights, assemble

__all__ = ["read_hugging_face"]

_PARTS = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_WHOLE = {
    "embedding": "model.embed_tokens.weight",
    "norm": "model.norm.weight",
    "head": "lm_head.weight",
}


def read_hugging_face(folder: Path) -> LlamaWeights:
    """Read a folder with ``config.json`` and ``model.safetensors``, or its shards and their index.

    Raises
    ------
    ModelError
        If a file is missing, the architecture is unknown, or a tensor or setting is missing.
    FormatError
        If a safetensors file is damaged.
    """
    settings = folder / "config.json"
    if not settings.is_file():
        raise ModelError(f"the folder {folder.name} has no config.json: fetch it with the weights")
    try:
        found = json.loads(settings.read_bytes())
    except ValueError as error:
        raise ModelError(f"config.json is no JSON ({error}): fetch it again") from None
    if not isinstance(found, dict):
        raise ModelError("config.json holds no object: fetch it again")
    config = config_from_hugging_face(found)
    source = _source(folder)
    tensors = {tensor.name: tensor for tensor in source.tensors}
    # A tied head may be stored once more; the configuration decides.
    used = {_WHOLE["head"]} if config.tied_head else set()

    def read(name: str) -> NDArray:
        stored = _stored_name(name)
        used.add(stored)
        return tensor_of(tensors, stored, source.name).values()

    model = assemble(config, read, folder.name, _stored_name)
    check_used(tensors, used, source.name)
    return model


def _source(folder: Path) -> Source:
    for name in ("model.safetensors.index.json", "model.safetensors"):
        if (folder / name).is_file():
            return open_source(folder / name)
    raise ModelError(
        f"the folder {folder.name} has neither model.safetensors nor its index: fetch the weights"
    )


def _stored_name(name: str) -> str:
    if name in _WHOLE:
        return _WHOLE[name]
    _, index, part = name.split(".")
    return f"model.layers.{index}.{_PARTS[part]}.weight"
