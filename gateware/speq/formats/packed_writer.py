"""Write a packed model tensor by tensor (docs/format.md, Planes and files)."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from speq.formats.errors import FormatError
from speq.formats.packed import PackedTensor
from speq.formats.safetensors_writer import SafetensorsWriter, header_bound
from speq.formats.tables import Family

__all__ = ["MARK", "PARTS", "VERSION", "PackedWriter", "part_shapes"]

VERSION = "1"
"""Version of the layout; a reader refuses others."""

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
            "version": VERSION,
            "family": _json(family.as_dict()),
        }
        self._entries: dict[str, dict[str, Any]] = {}
        self._kept: dict[str, str] = {}
        self._file = SafetensorsWriter(path, self._bound(list(expected)))

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def add(self, name: str, tensor: PackedTensor, origin: str | None = None) -> None:
        """Write a tensor that :func:`speq.formats.pack` gave.

        Parameters
        ----------
        name : str
            Its name.
        tensor : PackedTensor
            Packed, or plain FP16.
        origin : str, optional
            What was done to it before it was packed, such as rounding.

        Raises
        ------
        FormatError
            If its name, or one of its parts', is taken.
        """
        entry: dict[str, Any] = {"dtype": tensor.dtype}
        if tensor.is_plain:
            entry["plain"] = _cut(tensor.reason or "")
            self._file.add(name, tensor.plain.view(np.float16))
        else:
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
        self._file.metadata = self._metadata | {
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
            sides = {"t": -191, "columns": shape[1] if len(shape) == 2 else 0}
            entries[name] = {"dtype": "BF16", "plain": "", "origin": ""} | sides
        # Every name may stand in either list, and has two texts at most.
        texts = 2 * _MOST_TEXT * len(expected)
        metadata = {"tensors": _json(entries), "kept": _json(dict.fromkeys(entries, ""))}
        return header_bound(places, self._metadata | metadata) + texts


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
