"""Models from their files: GGUF, Hugging Face folders, llama2.c, and two packages by name."""

from pathlib import Path

from speq.formats.sources.gguf_model import MAGIC
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.readers.gguf_file import read_gguf
from speq_sim.decoding.readers.hugging_face import read_hugging_face
from speq_sim.decoding.readers.llama2c import read_llama2c
from speq_sim.decoding.readers.packages import FOLDER_VARIABLE, PACKAGES, find_package
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["FOLDER_VARIABLE", "PACKAGES", "find_package", "load_model"]


def load_model(model: str | Path) -> LlamaWeights:
    """Read a model.

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
    path = find_package(str(model)) if str(model) in PACKAGES else Path(model)
    if path.is_dir():
        return read_hugging_face(path)
    if not path.is_file():
        raise ModelError(
            f"{path.name} does not exist: give a GGUF file, a folder with config.json, a llama2.c "
            f"file, or one of {', '.join(PACKAGES)}"
        )
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
    if magic == MAGIC:
        return read_gguf(path)
    if path.suffix in (".bin", ".data", ".tgz", ".gz"):
        return read_llama2c(path)
    raise ModelError(
        f"{path.name} is no model that can be read: give a GGUF file, the folder of config.json "
        f"and its safetensors, or a llama2.c file (.bin, .data, .tgz)"
    )
