"""Write a packed model tensor by tensor (docs/format.md, Planes and files)."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from speq.formats.errors import FormatError
from speq.formats.int4 import Int4Tensor, scale_shape
from speq.formats.packed import PackedTensor
from speq.formats.safetensors_writer import SafetensorsWriter, header_bound
from speq.formats.tables import Family

__all__ = [
    "INT4_PARTS",
    "INT4_VERSION",
    "MARK",
    "PARTS",
    "VERSION",
    "PackedWriter",
    "int4_part_shapes",
    "part_shapes",
]

VERSION = "1"
"""Version of the layout of a file without INT4 tensors."""

INT4_VERSION = "2"
"""Version of a file with INT4 tensors, which readers of version 1 refuse."""

MARK = "speq-packed"
"""Metadata entry ``format`` of a packed model."""

PARTS: dict[str, str] = {
    "alpha": "F32",
    "rows": "I8",
    "columns": "I8",
    "tables": "U8",
    "draft": "U8",
    "middle": "U8",
    "low": "U8",
}
"""Parts of a packed tensor and their types, in the order in which they are written."""

INT4_PARTS: dict[str, str] = {"scale": "F16", "int4": "U8"}
"""Parts of an INT4 tensor and their types, in the order in which they are written."""

_MOST_TEXT = 600
"""Longest reason or origin, as it is written; a longer one is cut."""


def part_shapes(rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the parts of a matrix [N, K]."""
    nibbles = (columns + 1) // 2
    return {
        "alpha": (rows,),
        "rows": (rows,),
        "columns": (columns,),
        "tables": (rows,),
        "draft": (rows, nibbles),
        "middle": (rows, nibbles),
        "low": (rows, columns),
    }


def int4_part_shapes(rows: int, columns: int, group: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the parts of an INT4 matrix [N, K]."""
    return {"scale": scale_shape(rows, columns, group), "int4": (rows, (columns + 1) // 2)}


class PackedWriter:
    """A packed model that grows tensor by tensor: all of it or nothing.

    Use it as a context; see :class:`speq.formats.safetensors_writer.SafetensorsWriter`.

    Parameters
    ----------
    path : Path
        File to write.
    family : Family
        The tables of every packed tensor.
    expected : iterable of (str, str, tuple of int)
        Name, type and shape of every tensor to come, for which space is reserved in the header.
    """

    def __init__(
        self, path: Path, family: Family, expected: Iterable[tuple[str, str, tuple[int, ...]]]
    ) -> None:
        self._metadata = {
            "format": MARK,
            "family": _json(family.as_dict()),
        }
        self._entries: dict[str, dict[str, Any]] = {}
        self._kept: dict[str, str] = {}
        self._file = SafetensorsWriter(path, self._bound(list(expected)))

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def add(self, name: str, tensor: PackedTensor | Int4Tensor, origin: str | None = None) -> None:
        """Write a tensor that was packed or quantised.

        Parameters
        ----------
        name : str
            Its name.
        tensor : PackedTensor or Int4Tensor
            What :func:`speq.formats.pack` or :func:`speq.formats.quantise_int4` gave.
        origin : str, optional
            What was done to it before it was packed, such as rounding.

        Raises
        ------
        FormatError
            If its name, or one of its parts', is taken.
        """
        if isinstance(tensor, Int4Tensor):
            entry = {"dtype": "F32", "int4": _scheme(tensor)}
            for part, array in (("scale", tensor.scale), ("int4", tensor.plane)):
                self._file.add(f"{name}.{part}", array)
        elif tensor.is_plain:
            entry = {"dtype": tensor.dtype, "plain": _cut(tensor.reason or "")}
            self._file.add(name, tensor.plain.view(np.float16))
        else:
            entry = {"dtype": tensor.dtype}
            entry |= {"t": int(tensor.scale.tensor), "columns": tensor.shape[1]}
            for part, array in _arrays(tensor).items():
                self._file.add(f"{name}.{part}", array)
        if origin is not None:
            entry["origin"] = _cut(origin)
        if name in self._entries:
            raise FormatError(f"tensor {name!r} comes twice: rename one of them before packing")
        self._entries[name] = entry

    def keep(
        self, name: str, dtype: str, shape: tuple[int, ...], raw: NDArray[np.uint8], reason: str
    ) -> None:
        """Write a tensor as it is, byte for byte.

        Parameters
        ----------
        name, dtype, shape
            Its name, its type by safetensors' name, and its sides.
        raw : array of uint8
            Its bytes.
        reason : str
            Why it is neither packed nor plain FP16.

        Raises
        ------
        FormatError
            If its name is taken.
        """
        self._file.add(name, raw, dtype, shape)
        self._kept[name] = _cut(reason)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        quantised = any("int4" in entry for entry in self._entries.values())
        self._file.metadata = self._metadata | {
            "version": INT4_VERSION if quantised else VERSION,
            "tensors": _json(self._entries),
            "kept": _json(self._kept),
        }
        self._file.__exit__(kind, error, trace)

    def _bound(self, expected: list[tuple[str, str, tuple[int, ...]]]) -> int:
        """Header bytes if every tensor took the longest form it can take."""
        places, entries = [], {}
        for name, dtype, shape in expected:
            places.append((name, dtype, shape))
            if len(shape) == 2:
                shapes = part_shapes(*shape)
                places += [(f"{name}.{part}", kind, shapes[part]) for part, kind in PARTS.items()]
            columns = shape[1] if len(shape) == 2 else 0
            entries[name] = {"dtype": "BF16", "plain": "", "origin": ""}
            scheme = {"group": 65536, "clip": "none", "columns": columns, "sqnr_db": -9999.9999}
            entries[name] |= {"t": -191, "columns": columns, "int4": scheme}
        # Every name may stand in either list, and has two texts at most.
        texts = 2 * _MOST_TEXT * len(expected)
        metadata = {
            "version": VERSION,
            "tensors": _json(entries),
            "kept": _json(dict.fromkeys(entries, "")),
        }
        return header_bound(places, self._metadata | metadata) + texts


def _scheme(tensor: Int4Tensor) -> dict[str, Any]:
    """What the metadata say of an INT4 tensor."""
    found = {"group": tensor.group, "clip": tensor.clip, "columns": tensor.shape[1]}
    if tensor.sqnr_db is not None:
        # JSON has no infinity: null stands for no error at all.
        found["sqnr_db"] = round(tensor.sqnr_db, 4) if math.isfinite(tensor.sqnr_db) else None
    return found


def _arrays(tensor: PackedTensor) -> dict[str, NDArray]:
    found = {
        "alpha": tensor.alpha,
        "rows": tensor.scale.rows,
        "columns": tensor.scale.columns,
        "tables": tensor.tables,
        "draft": tensor.planes.draft,
        "middle": tensor.planes.middle,
        "low": tensor.planes.low,
    }
    return {part: found[part] for part in PARTS}


def _cut(text: str) -> str:
    """A text, cut to what the header has room for: each JSON in a JSON escapes it once more."""
    if len(_json(_json(text))) <= _MOST_TEXT:
        return text
    return text[: _MOST_TEXT // len(_json(_json("\U0001d11e"))) - 1] + "..."


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
