"""Llama models in GGUF files."""

from pathlib import Path

from numpy.typing import NDArray

from speq.formats.sources import open_source
from speq.formats.sources.gguf_header import read_gguf_header
from speq_sim.decoding.config import config_from_gguf
from speq_sim.decoding.readers.gguf_values import read_key_values
from speq_sim.decoding.readers.named import check_used, tensor_of
from speq_sim.decoding.tokenizer import Tokenizer
from speq_sim.decoding.vocabularies import tokenizer_from_gguf
from speq_sim.decoding.weights import LlamaWeights, assemble

__all__ = ["read_gguf", "read_gguf_tokenizer"]

_PARTS = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
    "attention_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
}
_WHOLE = {"embedding": "token_embd.weight", "norm": "output_norm.weight", "head": "output.weight"}


def read_gguf(path: Path) -> LlamaWeights:
    """Read a GGUF model of architecture ``llama``.

    Rows of q and k stay in the order of the file, which is that of interleaved pairs.

    Raises
    ------
    ModelError
        If the architecture is unknown, or a tensor or key is missing.
    FormatError
        If the package ``gguf`` is missing, or the file is damaged.
    """
    source = open_source(path)
    tensors = {tensor.name: tensor for tensor in source.tensors}
    metadata = read_key_values(path)
    embedding = tensor_of(tensors, _WHOLE["embedding"], source.name)
    config = config_from_gguf(metadata, embedding.shape[0], _WHOLE["head"] not in tensors)
    used = set()

    def read(name: str) -> NDArray:
        stored = _stored_name(name)
        used.add(stored)
        return tensor_of(tensors, stored, source.name).values()

    treatments = dict.fromkeys(tensor.origin for tensor in source.tensors if tensor.origin)
    origin = ", ".join((source.name, *treatments))
    model = assemble(config, read, origin, _stored_name)
    check_used(tensors, used, source.name)
    return model


def read_gguf_tokenizer(path: Path) -> Tokenizer:
    """Read the tokenizer in the key-values of a GGUF model.

    Raises
    ------
    ModelError
        If there is none, or one of another kind.
    FormatError
        If the file is damaged.
    """
    read_gguf_header(path)
    return tokenizer_from_gguf(read_key_values(path), path.name)


def _stored_name(name: str) -> str:
    if name in _WHOLE:
        return _WHOLE[name]
    _, index, part = name.split(".")
    return f"blk.{index}.{_PARTS[part]}.weight"
