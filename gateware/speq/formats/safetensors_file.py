"""A safetensors file: its header, checked before anything is believed, and its tensors on demand.

The file is 8 bytes of header length, little-endian, the header, and the tensors. The header is one
JSON object: per tensor ``dtype``, ``shape`` and ``data_offsets`` from the header's end, and texts
under ``__metadata__``. Tensors lie without gaps or overlaps up to the end of the file.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.formats.dtypes import BITS, number_of_bytes
from speq.formats.errors import FormatError

__all__ = ["LENGTH_BYTES", "METADATA", "SafetensorsFile", "TensorEntry", "parse_json", "read_bytes"]

LENGTH_BYTES = 8
"""Bytes of the header's length, before the header."""

METADATA = "__metadata__"
"""Key of the header that is no tensor."""

_MOST_HEADER_BYTES = 100_000_000
"""Longest header that readers accept, the limit of the safetensors library."""

_MOST_DIMENSIONS = 32
_MOST_ELEMENTS = 1 << 62


@dataclasses.dataclass(frozen=True)
class TensorEntry:
    """What a header says of one tensor.

    Parameters
    ----------
    dtype : str
        Name of the element type (:data:`speq.formats.dtypes.BITS`).
    shape : tuple of int
        Sides.
    begin, end : int
        First byte, and the byte behind the last, counted from the start of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile:
    """The header of a file, and its tensors as they are asked for.

    The file is not kept open, nor mapped into memory.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    path : Path
    size : int
        Bytes of the file.
    entries : dict of str to TensorEntry
        Tensors in the order in which they lie.
    metadata : dict of str to str

    Raises
    ------
    FormatError
        If the file is missing, cut, or its header is not sound.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FormatError(f"{self.path.name} does not exist: check the path")
        self.size = self.path.stat().st_size
        try:
            self.entries, self.metadata = _header(self.path, self.size)
        except _UnsoundError as error:
            raise FormatError(
                f"{self.path.name} is no valid safetensors file: {error}; fetch or write it again"
            ) from None

    def read(self, name: str) -> NDArray[np.uint8]:
        """The bytes of one tensor, read now.

        Raises
        ------
        FormatError
            If there is no such tensor, or the file has become shorter.
        """
        if name not in self.entries:
            raise FormatError(f"{self.path.name} has no tensor {name!r}: check the name")
        entry = self.entries[name]
        return read_bytes(self.path, entry.begin, entry.end - entry.begin)


def read_bytes(path: Path, begin: int, count: int) -> NDArray[np.uint8]:
    """Bytes of a file.

    Raises
    ------
    FormatError
        If the file ends before.
    """
    found = np.empty(count, dtype=np.uint8)
    with path.open("rb", buffering=0) as file:
        file.seek(begin)
        view, done = memoryview(found), 0
        while done < count:
            step = file.readinto(view[done:])
            if not step:
                raise FormatError(f"{path.name} has become shorter while it was read: try again")
            done += step
    return found


def parse_json(text: bytes) -> Any:
    """A JSON value without the traps: no key twice in an object, nothing but ValueErrors raised."""
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return found


class _UnsoundError(ValueError):
    """What is wrong with a header."""


def _header(path: Path, size: int) -> tuple[dict[str, TensorEntry], dict[str, str]]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if size < LENGTH_BYTES or length > size - LENGTH_BYTES:
            raise _UnsoundError("its header is longer than the file, which may be cut")
        if length > _MOST_HEADER_BYTES:
            raise _UnsoundError(f"its header would have {length} bytes")
        text = file.read(length)
    if not text.startswith(b"{"):
        raise _UnsoundError("its header is no JSON object")
    try:
        header = parse_json(text)
    except ValueError as error:
        raise _UnsoundError(f"its header is no JSON ({error})") from None
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _UnsoundError("its metadata are no texts")
    start = LENGTH_BYTES + length
    entries = {name: _entry(name, value, start) for name, value in header.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    position = start
    for name, entry in entries.items():
        if entry.begin != position:
            raise _UnsoundError(f"tensor {name!r} overlaps another, or leaves a gap before it")
        position = entry.end
    if position != size:
        raise _UnsoundError(f"its tensors end at byte {position}, but the file at {size}")
    return entries, metadata


def _entry(name: str, value: Any, start: int) -> TensorEntry:
    """One checked entry of a header whose data begin at `start`."""
    if not isinstance(value, dict):
        raise _UnsoundError(f"the entry of tensor {name!r} is no object")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise _UnsoundError(f"the name {name!r} is no Unicode text") from None
    dtype, shape, offsets = (value.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in BITS:
        raise _UnsoundError(f"tensor {name!r} has the unknown type {dtype!r}")
    if not _are_sizes(shape) or len(shape) > _MOST_DIMENSIONS:
        raise _UnsoundError(f"tensor {name!r} has no sound shape")
    # NumPy counts the sides of empty tensors, too.
    elements = 1
    for side in shape:
        elements *= max(side, 1)
    if elements > _MOST_ELEMENTS:
        raise _UnsoundError(f"tensor {name!r} has more elements than an address can count")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _UnsoundError(f"tensor {name!r} has no sound data_offsets")
    begin, end = offsets
    if end - begin != number_of_bytes(dtype, tuple(shape)):
        raise _UnsoundError(f"the offsets of tensor {name!r} do not fit its type and shape")
    return TensorEntry(dtype, tuple(shape), start + begin, start + end)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values
    )
