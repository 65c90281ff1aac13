"""Sharded models: an index file that says which safetensors file holds which tensor."""

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from speq.formats.errors import FormatError
from speq.formats.safetensors_file import SafetensorsFile, parse_json
from speq.formats.sources.tensor import Source, SourceTensor

__all__ = ["open_shards"]

_MOST_INDEX_BYTES = 100_000_000


def open_shards(path: Path) -> Source:
    """Open a model by its index: a JSON object with ``weight_map``, from tensor to file name.

    The index decides: tensors of a shard that it does not name are passed over, with a remark.

    Raises
    ------
    FormatError
        If the index is no such object, a shard lies outside its folder, is missing or damaged, or
        lacks a tensor.
    """
    places = _weight_map(path)
    # Shard after shard, so that files are read from their beginning to their end.
    shards = {name: SafetensorsFile(_shard(path, name)) for name in dict.fromkeys(places.values())}
    tensors, left = [], 0
    for shard, file in shards.items():
        for name, entry in file.entries.items():
            if places.get(name) != shard:
                left += 1
                continue
            tensors.append(
                SourceTensor(
                    name,
                    entry.dtype,
                    entry.shape,
                    lambda file=file, name=name: file.read(name),
                )
            )
    found = {tensor.name for tensor in tensors}
    for name, shard in places.items():
        if name not in found:
            raise FormatError(
                f"{path.name} says that tensor {name!r} lies in {shard}, which does not have it: "
                f"fetch the index and its shards again, all of one version"
            )
    remarks = (f"{left} tensors that the index does not name were passed over",) if left else ()
    files = (path, *(file.path for file in shards.values()))
    return Source(path.name, files, tuple(tensors), remarks)


def _weight_map(path: Path) -> dict[str, str]:
    size = path.stat().st_size
    if size > _MOST_INDEX_BYTES:
        raise FormatError(f"{path.name} has {size} bytes, too many for an index: check the path")
    try:
        index: Any = parse_json(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path.name} is no JSON ({error}): fetch it again") from None
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(v, str) for v in places.values()):
        raise FormatError(
            f"{path.name} has no weight_map from tensors to file names: give the "
            f"*.safetensors.index.json of a sharded model"
        )
    return places


def _shard(index: Path, name: str) -> Path:
    """Path of a shard, which must lie in the folder of its index."""
    parts = PurePosixPath(name).parts
    # Backslashes and drives count on some systems only; no honest index has them.
    hostile = "\\" in name or "\0" in name or ".." in parts or not parts
    if hostile or PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive:
        raise FormatError(
            f"{index.name} names the shard {name!r}, which is no file in its own folder: do not "
            f"trust this index"
        )
    path = index.parent / name
    if not path.is_file():
        raise FormatError(
            f"{index.name} names the shard {name!r}, which does not exist: fetch the missing file "
            f"into the same folder"
        )
    return path
