"""Models from their files: GGUF, Hugging Face folders, llama2.c, and two packages by name."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from speq.formats.sources.gguf_model import MAGIC
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.readers.gguf_file import read_gguf, read_gguf_tokenizer
from speq_sim.decoding.readers.hugging_face import read_hugging_face
from speq_sim.decoding.readers.llama2c import read_llama2c, read_llama2c_tokenizer
from speq_sim.decoding.readers.packages import FOLDER_VARIABLE, PACKAGES, find_package
from speq_sim.decoding.readers.packed_file import load_packed
from speq_sim.decoding.tokenizer import Tokenizer
from speq_sim.decoding.vocabularies import tokenizer_from_hugging_face
from speq_sim.decoding.weights import LlamaWeights

__all__ = [
    "FOLDER_VARIABLE",
    "PACKAGES",
    "find_package",
    "load_model",
    "load_packed",
    "load_tokenizer",
]


class _Reader(NamedTuple):
    """What reads the two halves of a model."""

    weights: Callable[[Path], LlamaWeights]
    tokenizer: Callable[[Path], Tokenizer]


_HUGGING_FACE = _Reader(read_hugging_face, tokenizer_from_hugging_face)
_GGUF = _Reader(read_gguf, read_gguf_tokenizer)
_LLAMA2C = _Reader(read_llama2c, read_llama2c_tokenizer)


def load_model(model: str | Path) -> LlamaWeights:
    """Read the weights of a model.

    Parameters
    ----------
    model : str or Path
        A short name of :data:`PACKAGES`; or a GGUF file; a folder with config.json and safetensors;
        a llama2.c file (.bin, .data), or the npm archive (.tgz) of one.

    Raises
    ------
    ModelError
        If a package, file, tensor or setting is missing, or the architecture is unknown.
    FormatError
        If a file is damaged, or the package ``gguf`` is missing.
    """
    path, reader = _find(model)
    return reader.weights(path)


def load_tokenizer(model: str | Path) -> Tokenizer:
    """Read the tokenizer of a model.

    Parameters
    ----------
    model : str or Path
        As in :func:`load_model`.

    Raises
    ------
    ModelError
        If the package or file is missing, has no tokenizer, or one of an unknown kind; or if it
        needs the library ``tokenizers``, which is missing.
    FormatError
        If a file is damaged.
    """
    path, reader = _find(model)
    return reader.tokenizer(path)


def _find(model: str | Path) -> tuple[Path, _Reader]:
    path = find_package(str(model)) if str(model) in PACKAGES else Path(model)
    if path.is_dir():
        return path, _HUGGING_FACE
    if not path.is_file():
        raise ModelError(
            f"{path.name} does not exist: give a GGUF file, a folder with config.json, a llama2.c "
            f"file, or one of {', '.join(PACKAGES)}"
        )
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
    if magic == MAGIC:
        return path, _GGUF
    if path.suffix in (".bin", ".data", ".tgz", ".gz"):
        return path, _LLAMA2C
    raise ModelError(
        f"{path.name} is no model that can be read: give a GGUF file, the folder of config.json "
        f"and its safetensors, or a llama2.c file (.bin, .data, .tgz)"
    )
