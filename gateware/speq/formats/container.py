"""Packed models as safetensors files (docs/format.md, Container).

A packed tensor `name` becomes `name.draft`, `name.middle`, `name.low` (uint8), `name.rows`,
`name.columns` (int8), `name.tables` (uint8) and `name.alpha` (float32); a plain one keeps its name
and dtype. The metadata hold the version, the family of tables, and each tensor's t and shape.
"""

import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from speq.formats.codec import Planes, check_choice
from speq.formats.errors import FormatError
from speq.formats.packing import PackedTensor, unpack
from speq.formats.scale import Scale
from speq.formats.tables import Family

__all__ = ["VERSION", "PackedModel", "read_packed", "read_weights", "write_packed", "write_weights"]

VERSION = "1"
"""Version of the layout; a reader refuses others."""

_MARK = "speq-packed"

_PARTS: dict[str, type[np.generic]] = {
    "draft": np.uint8,
    "middle": np.uint8,
    "low": np.uint8,
    "rows": np.int8,
    "columns": np.int8,
    "tables": np.uint8,
    "alpha": np.float32,
}


@dataclasses.dataclass(frozen=True)
class PackedModel:
    """What a packed file holds.

    Parameters
    ----------
    family : Family
        The tables of every packed tensor.
    tensors : dict of str to PackedTensor
        Packed tensors and those stored plain as FP16.
    single : frozenset of str
        Names of tensors that were FP32 (every value exact in FP16) and unpack to FP32.
    other : dict of str to array
        Tensors kept as they were, since they are not FP16 values.
    """

    family: Family
    tensors: dict[str, PackedTensor]
    single: frozenset[str] = frozenset()
    other: dict[str, NDArray[Any]] = dataclasses.field(default_factory=dict)

    def unpack(self, name: str) -> NDArray[Any]:
        """The original tensor of a name, byte for byte and in its original dtype."""
        if name in self.other:
            return self.other[name]
        if name not in self.tensors:
            raise FormatError(f"the packed model has no tensor {name!r}: check the name")
        half = unpack(self.tensors[name], self.family)
        return half.astype(np.float32) if name in self.single else half


def write_packed(path: Path, model: PackedModel) -> None:
    """Write a packed model, all of it or nothing.

    Raises
    ------
    FormatError
        If two tensors would take the same name in the file.
    """
    arrays: dict[str, NDArray[Any]] = {}
    entries: dict[str, dict[str, Any]] = {}

    def add(name: str, array: NDArray[Any]) -> None:
        if name in arrays:
            raise FormatError(
                f"two tensors would be stored as {name!r}: rename one of them before packing"
            )
        arrays[name] = array

    for name, tensor in model.tensors.items():
        entry: dict[str, Any] = {"dtype": "F32" if name in model.single else "F16"}
        if tensor.is_plain:
            entry["plain"] = tensor.reason
            add(name, tensor.plain.view(np.float16))
        else:
            entry |= {"t": int(tensor.scale.tensor), "columns": tensor.shape[1]}
            for part, array in _arrays(tensor).items():
                add(f"{name}.{part}", array)
        entries[name] = entry
    for name, array in model.other.items():
        add(name, array)
    metadata = {
        "format": _MARK,
        "version": VERSION,
        "family": json.dumps(model.family.as_dict(), separators=(",", ":")),
        "tensors": json.dumps(entries, separators=(",", ":")),
    }
    _save(arrays, path, metadata)


def read_packed(path: Path) -> PackedModel:
    """Read a packed model.

    Raises
    ------
    FormatError
        If the file is no packed model, of another version, or damaged.
    """
    path = Path(path)
    arrays, metadata = _load(path)
    if metadata.get("format") != _MARK:
        raise FormatError(
            f"{path.name} is not a packed model: pack it first with scripts/pack_weights.py"
        )
    if metadata.get("version") != VERSION:
        raise FormatError(
            f"{path.name} is of version {metadata.get('version')!r}, and this reader knows "
            f"{VERSION!r}: pack the model again, or update speq"
        )
    family = Family.from_dict(_json(path, metadata, "family"))
    entries = _json(path, metadata, "tensors")
    if not isinstance(entries, dict):
        raise FormatError(f"{path.name}: the metadata entry tensors is no object: pack it again")
    tensors, single = {}, set()
    for name, entry in entries.items():
        if not isinstance(entry, dict) or entry.get("dtype") not in ("F16", "F32"):
            raise FormatError(
                f"{path.name}: the entry of tensor {name!r} is damaged: pack it again"
            )
        try:
            tensors[name] = _tensor(name, entry, arrays, family)
        except FormatError as error:
            raise FormatError(f"{path.name}: tensor {name!r}: {error}") from None
        if entry["dtype"] == "F32":
            single.add(name)
    return PackedModel(family, tensors, frozenset(single), arrays)


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Tensors of an ordinary safetensors file.

    Raises
    ------
    FormatError
        If the file is missing, damaged, or holds a type that NumPy lacks, such as BF16.
    """
    return _load(Path(path))[0]


def write_weights(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write tensors to an ordinary safetensors file, all of it or nothing."""
    _save(dict(tensors), Path(path), {"format": "np"})


def _arrays(tensor: PackedTensor) -> dict[str, NDArray[Any]]:
    planes = {part: getattr(tensor.planes, part) for part in ("draft", "middle", "low")}
    return planes | {
        "rows": tensor.scale.rows,
        "columns": tensor.scale.columns,
        "tables": tensor.tables,
        "alpha": tensor.alpha,
    }


def _tensor(
    name: str, entry: Mapping[str, Any], arrays: dict[str, NDArray[Any]], family: Family
) -> PackedTensor:
    """One tensor of a file; takes its arrays out of `arrays`."""
    if "plain" in entry:
        array = _take(arrays, name, np.float16)
        reason = entry["plain"]
        if not isinstance(reason, str):
            raise FormatError("its reason for being plain is no text: pack the model again")
        return PackedTensor(family.name, array.shape, plain=array.view(np.uint16), reason=reason)
    parts = {part: _take(arrays, f"{name}.{part}", dtype) for part, dtype in _PARTS.items()}
    exponent, columns = entry.get("t"), entry.get("columns")
    if not _is_whole(exponent) or not _is_whole(columns) or not -191 <= exponent <= 191:
        raise FormatError("its t or its number of columns is damaged: pack the model again")
    if parts["low"].ndim != 2:
        raise FormatError(f"its low plane has shape {parts['low'].shape}, but must be a matrix")
    rows = parts["low"].shape[0]
    half = (columns + 1) // 2
    shapes = {"draft": (rows, half), "middle": (rows, half), "low": (rows, columns)}
    shapes |= {"rows": (rows,), "columns": (columns,), "tables": (rows,), "alpha": (rows,)}
    for part, shape in shapes.items():
        if parts[part].shape != shape:
            raise FormatError(
                f"its part {part} has shape {parts[part].shape}, but must have {shape}: the file "
                f"is damaged"
            )
    if not np.all(np.isfinite(parts["alpha"])):
        raise FormatError("its alpha holds Inf or NaN: the file is damaged")
    return PackedTensor(
        family=family.name,
        shape=(rows, columns),
        planes=Planes(parts["draft"], parts["middle"], parts["low"]),
        scale=Scale(exponent, parts["rows"], parts["columns"]),
        tables=check_choice(parts["tables"], family, rows),
        alpha=parts["alpha"],
    )


def _take(arrays: dict[str, NDArray[Any]], name: str, dtype: type[np.generic]) -> NDArray[Any]:
    array = arrays.pop(name, None)
    if array is None:
        raise FormatError(f"its part {name!r} is missing: the file is damaged")
    if array.dtype != dtype:
        raise FormatError(
            f"its part {name!r} has dtype {array.dtype}, but must have {np.dtype(dtype)}: the "
            f"file is damaged"
        )
    return array


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _json(path: Path, metadata: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(metadata[key])
    except (KeyError, json.JSONDecodeError, RecursionError):
        raise FormatError(
            f"{path.name}: the metadata entry {key} is missing or no JSON: pack the model again"
        ) from None


def _load(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    if not path.is_file():
        raise FormatError(f"{path.name} does not exist: check the path")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FormatError(f"{path.name} is no valid safetensors file: {error}") from None
    except (TypeError, AttributeError, KeyError) as error:
        raise FormatError(
            f"{path.name} holds a type that NumPy lacks ({error}): convert it to FP16 first"
        ) from None


def _save(arrays: dict[str, NDArray[Any]], path: Path, metadata: dict[str, str]) -> None:
    """Write under a temporary name, then rename: never half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        # The library copies memory as it lies, so views must be laid out first.
        laid = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        save_file(laid, temporary, metadata)
        temporary.chmod(0o644)
        temporary.replace(path)
    except SafetensorError as error:
        temporary.unlink(missing_ok=True)
        raise FormatError(f"{path.name} cannot be written: {error}") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
