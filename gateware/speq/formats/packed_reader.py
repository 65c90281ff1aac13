"""Read a packed model by name, one tensor at a time (docs/format.md, Planes and files)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.formats.codec import Planes, check_choice
from speq.formats.dtypes import WEIGHT_TYPES, typed
from speq.formats.errors import FormatError
from speq.formats.int4 import Int4Tensor, check_scheme
from speq.formats.packed import PackedTensor, unpack
from speq.formats.packed_writer import (
    INT4_PARTS,
    INT4_VERSION,
    MARK,
    PARTS,
    VERSION,
    int4_part_shapes,
    part_shapes,
)
from speq.formats.safetensors_file import SafetensorsFile, parse_json
from speq.formats.scale import Scale
from speq.formats.tables import Family

__all__ = ["PackedReader"]

_VERSIONS = (VERSION, INT4_VERSION)

_ENTRY_KEYS = {"dtype", "plain", "origin", "t", "columns", "int4"}
_SCHEME_KEYS = {"group", "clip", "columns", "sqnr_db"}


class PackedReader:
    """A packed model on disk. Opening it reads and checks the header alone.

    Parameters
    ----------
    path : Path
        The packed file.

    Attributes
    ----------
    path : Path
    family : Family
        The tables of every packed tensor.
    names : tuple of str
        Tensors that are packed, INT4, or stored as plain FP16: those that the array can run.
    kept : tuple of str
        Tensors that are stored as they were.

    Raises
    ------
    FormatError
        If the file is no packed model, of another version, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._file = SafetensorsFile(path)
        self.path = self._file.path
        metadata = self._file.metadata
        if metadata.get("format") != MARK:
            raise FormatError(
                f"{self.path.name} is not a packed model: pack it first with "
                f"scripts/pack_weights.py"
            )
        self._version = metadata.get("version")
        if self._version not in _VERSIONS:
            raise FormatError(
                f"{self.path.name} is of version {self._version!r}, and this reader knows "
                f"{' and '.join(map(repr, _VERSIONS))}: pack the model again, or update speq"
            )
        try:
            self.family = Family.from_dict(self._json("family"))
        except FormatError as error:
            raise FormatError(f"{self.path.name}: {error}") from None
        self._entries = self._objects("tensors")
        self._shapes, left = {}, set(self._file.entries)
        for name, entry in self._entries.items():
            try:
                self._shapes[name], parts = self._check(name, entry)
            except FormatError as error:
                raise FormatError(f"{self.path.name}: tensor {name!r}: {error}") from None
            left -= parts
        self.names = tuple(self._entries)
        self.kept = tuple(name for name in self._file.entries if name in left)
        self._reasons = self._objects("kept") if "kept" in metadata else {}

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self.kept

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        self._known(name)
        return self._shapes[name] if name in self._entries else self._file.entries[name].shape

    def dtype(self, name: str) -> str:
        """Type that a tensor unpacks to, by its safetensors name."""
        self._known(name)
        if name in self._entries:
            return self._entries[name]["dtype"]
        return self._file.entries[name].dtype

    def origin(self, name: str) -> str | None:
        """What was done to a tensor before it was packed, such as rounding; None is nothing."""
        self._known(name)
        return self._entries.get(name, {}).get("origin")

    def reason(self, name: str) -> str | None:
        """Why a tensor is stored plain or as it was, where the file says so."""
        self._known(name)
        if name in self._entries:
            return self._entries[name].get("plain")
        found = self._reasons.get(name)
        return found if isinstance(found, str) else None

    def tensor(self, name: str) -> PackedTensor | Int4Tensor:
        """One packed, INT4 or plain tensor, read now.

        Raises
        ------
        FormatError
            If there is no such tensor, it was kept as it was, or its parts are damaged.
        """
        self._known(name)
        if name not in self._entries:
            raise FormatError(
                f"{self.path.name}: tensor {name!r} is stored as it was, in "
                f"{self.dtype(name)}: read it with unpack"
            )
        entry = self._entries[name]
        if "plain" in entry:
            return PackedTensor(
                self.family.name,
                self._shapes[name],
                plain=self._array(name).view(np.uint16),
                reason=entry["plain"],
                dtype=entry["dtype"],
            )
        if "int4" in entry:
            return self._int4(name, entry["int4"])
        parts = {part: self._array(f"{name}.{part}") for part in PARTS}
        try:
            if not np.all(np.isfinite(parts["alpha"])):
                raise FormatError("its alpha holds Inf or NaN: the file is damaged")
            return PackedTensor(
                family=self.family.name,
                shape=self._shapes[name],
                planes=Planes(parts["draft"], parts["middle"], parts["low"]),
                scale=Scale(entry["t"], parts["rows"], parts["columns"]),
                tables=check_choice(parts["tables"], self.family, self._shapes[name][0]),
                alpha=parts["alpha"],
                dtype=entry["dtype"],
            )
        except FormatError as error:
            raise FormatError(f"{self.path.name}: tensor {name!r}: {error}") from None

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a tensor that was kept as it was, or those that one unpacks to."""
        if name in self._entries:
            return np.ascontiguousarray(self.unpack(name)).reshape(-1).view(np.uint8)
        self._known(name)
        return self._file.read(name)

    def unpack(self, name: str) -> NDArray:
        """The original tensor, byte for byte and in its type, read now.

        Of an INT4 tensor, which keeps no original, the weights that it stands for, in FP32.

        Raises
        ------
        FormatError
            If there is no such tensor, its parts are damaged, or NumPy lacks its type.
        """
        self._known(name)
        if name not in self._entries:
            return self._array(name)
        tensor = self.tensor(name)
        if isinstance(tensor, Int4Tensor):
            return tensor.dequantise()
        try:
            return unpack(tensor, self.family)
        except FormatError as error:
            raise FormatError(f"{self.path.name}: tensor {name!r}: {error}") from None

    def _known(self, name: str) -> None:
        if name not in self:
            raise FormatError(f"the packed model has no tensor {name!r}: check the name")

    def _array(self, name: str) -> NDArray:
        entry = self._file.entries[name]
        return typed(self._file.read(name), entry.dtype, entry.shape)

    def _int4(self, name: str, scheme: Mapping[str, Any]) -> Int4Tensor:
        ratio = scheme.get("sqnr_db")
        if ratio is None and "sqnr_db" in scheme:
            ratio = math.inf
        try:
            return Int4Tensor(
                self._shapes[name],
                self._array(f"{name}.int4"),
                self._array(f"{name}.scale"),
                scheme["group"],
                scheme["clip"],
                ratio,
            )
        except FormatError as error:
            raise FormatError(f"{self.path.name}: tensor {name!r}: {error}") from None

    def _check(self, name: str, entry: Mapping[str, Any]) -> tuple[tuple[int, ...], set[str]]:
        """Shape of a tensor, and the parts that it is made of, checked against the header."""
        unknown = entry.keys() - _ENTRY_KEYS
        if unknown:
            raise FormatError(
                f"its entry has {min(unknown)!r}, which this reader does not know: update speq"
            )
        dtype = entry.get("dtype")
        texts = (entry.get(key, "") for key in ("plain", "origin"))
        if dtype not in WEIGHT_TYPES or not all(isinstance(text, str) for text in texts):
            raise FormatError("its entry is damaged: pack the model again")
        if "plain" in entry:
            self._check_part(name, "F16", None)
            return self._file.entries[name].shape, {name}
        if "int4" in entry:
            return self._check_int4(name, entry)
        exponent, columns = entry.get("t"), entry.get("columns")
        if not _is_whole(exponent) or not _is_whole(columns) or not -191 <= exponent <= 191:
            raise FormatError("its t or its number of columns is damaged: pack the model again")
        rows = self._rows(name, "low")
        for part, sides in part_shapes(rows, columns).items():
            self._check_part(f"{name}.{part}", PARTS[part], sides)
        return (rows, columns), {f"{name}.{part}" for part in PARTS}

    def _check_int4(self, name: str, entry: Mapping[str, Any]) -> tuple[tuple[int, ...], set[str]]:
        scheme = entry["int4"]
        sound = isinstance(scheme, dict) and _SCHEME_KEYS >= scheme.keys() >= {"group", "clip"}
        columns = scheme.get("columns") if sound else None
        ratio = scheme.get("sqnr_db") if sound else None
        number = isinstance(ratio, float) and math.isfinite(ratio)
        if (
            self._version != INT4_VERSION
            or entry["dtype"] != "F32"
            or entry.keys() - {"dtype", "origin", "int4"}
            or not _is_whole(columns)
            or columns < 1
            or not (ratio is None or number)
        ):
            raise FormatError("its entry of INT4 is damaged: pack the model again, or update speq")
        check_scheme(scheme["group"], scheme["clip"])
        rows = self._rows(name, "int4")
        for part, sides in int4_part_shapes(rows, columns, scheme["group"]).items():
            self._check_part(f"{name}.{part}", INT4_PARTS[part], sides)
        return (rows, columns), {f"{name}.{part}" for part in INT4_PARTS}

    def _rows(self, name: str, part: str) -> int:
        """N, by the shape of a part that is a matrix of bytes."""
        self._check_part(f"{name}.{part}", "U8", None)
        shape = self._file.entries[f"{name}.{part}"].shape
        if len(shape) != 2:
            raise FormatError(f"its {part} plane has shape {shape}, but must be a matrix")
        return shape[0]

    def _check_part(self, name: str, dtype: str, shape: tuple[int, ...] | None) -> None:
        entry = self._file.entries.get(name)
        if entry is None:
            raise FormatError(f"its part {name!r} is missing: the file is damaged")
        if entry.dtype != dtype:
            raise FormatError(
                f"its part {name!r} has type {entry.dtype}, but must have {dtype}: the file is "
                f"damaged"
            )
        if shape is not None and entry.shape != shape:
            raise FormatError(
                f"its part {name!r} has shape {entry.shape}, but must have {shape}: the file is "
                f"damaged"
            )

    def _objects(self, key: str) -> dict[str, Any]:
        found = self._json(key)
        if not isinstance(found, dict):
            raise FormatError(
                f"{self.path.name}: the metadata entry {key} is no object: pack the model again"
            )
        if key == "tensors":
            for name, entry in found.items():
                if not isinstance(entry, dict):
                    raise FormatError(
                        f"{self.path.name}: tensor {name!r}: its entry is damaged: pack the model "
                        f"again"
                    )
        return found

    def _json(self, key: str) -> Any:
        try:
            return parse_json(self._file.metadata[key].encode("utf-8"))
        except (KeyError, ValueError):
            raise FormatError(
                f"{self.path.name}: the metadata entry {key} is missing or no JSON: pack the "
                f"model again"
            ) from None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
