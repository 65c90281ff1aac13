"""Models to pack: safetensors, sharded safetensors and GGUF behind one interface.

Opening a model reads and checks headers alone. Each tensor is read when it is asked for.
"""

from pathlib import Path

from speq.formats.errors import FormatError
from speq.formats.safetensors_file import SafetensorsFile
from speq.formats.sources.gguf_model import MAGIC, open_gguf
from speq.formats.sources.shards import open_shards
from speq.formats.sources.tensor import Source, SourceTensor

__all__ = ["Source", "SourceTensor", "open_source"]


def open_source(path: Path) -> Source:
    """Open a model.

    Parameters
    ----------
    path : Path
        A safetensors file, the index of a sharded model (``*.index.json``), or a GGUF file.

    Raises
    ------
    FormatError
        If the file is missing, damaged, or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        raise FormatError(
            f"{path.name} is a folder: give its *.safetensors file, its *.safetensors.index.json, "
            f"or a GGUF file"
        )
    if not path.is_file():
        raise FormatError(f"{path.name} does not exist: check the path")
    if path.name.endswith(".index.json"):
        return open_shards(path)
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
    if magic == MAGIC:
        return open_gguf(path)
    return _open_safetensors(path)


def _open_safetensors(path: Path) -> Source:
    file = SafetensorsFile(path)
    tensors = tuple(
        SourceTensor(name, entry.dtype, entry.shape, lambda name=name: file.read(name))
        for name, entry in file.entries.items()
    )
    return Source(path.name, (path,), tensors)
