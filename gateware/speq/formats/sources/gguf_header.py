"""The header of a GGUF file: which tensors it has, of what type, and where they lie.

Layout (GGUF 2 and 3, little-endian): magic, version, number of tensors, number of key-values; the
key-values; per tensor its name, sides with the fastest first, type and offset; then, aligned, the
data. Nothing but the alignment is kept of the key-values, and every length is held against the
file before it is believed. The reader of the package ``gguf`` makes arrays of every token of the
vocabulary, which takes more memory than a tensor of a small model.
"""

import dataclasses
import struct
from pathlib import Path
from typing import BinaryIO

from speq.formats.errors import FormatError

__all__ = ["MAGIC", "GgufTensor", "read_gguf_header"]

MAGIC = b"GGUF"

_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MOST_DIMENSIONS = 4
_MOST_ELEMENTS = 1 << 62
_MOST_NESTING = 4

_UINT32, _STRING, _ARRAY = 4, 8, 9
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of each type of value but texts and arrays."""


@dataclasses.dataclass(frozen=True)
class GgufTensor:
    """What a header says of one tensor.

    Parameters
    ----------
    name : str
    shape : tuple of int
        Sides, the fastest last.
    kind : int
        Number of the element type.
    begin : int
        First byte in the file; checked to lie in it.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    begin: int


def read_gguf_header(path: Path) -> list[GgufTensor]:
    """Tensors of a file, in the order of its header.

    Raises
    ------
    FormatError
        If the header is cut or not sound, or the version is another.
    """
    with path.open("rb") as file:
        return _Header(path, file).tensors()


class _Header:
    """Reads values one after another, none beyond the file's end."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.file = file
        self.left = path.stat().st_size
        self.position = 0
        self.alignment = _DEFAULT_ALIGNMENT

    def tensors(self) -> list[GgufTensor]:
        self._take(len(MAGIC))
        version = self._number("<I")
        if version not in _VERSIONS:
            swapped = struct.unpack(">I", struct.pack("<I", version))[0] in _VERSIONS
            kind = "big-endian" if swapped else f"of version {version}"
            raise FormatError(
                f"{self.path.name} is a GGUF file {kind}, and only little-endian files of "
                f"versions 2 and 3 are read: convert it with llama.cpp"
            )
        tensors, pairs = self._number("<Q"), self._number("<Q")
        for _ in range(self._bounded(pairs, 13, "key-values")):
            self._pair()
        found = [self._tensor() for _ in range(self._bounded(tensors, 24, "tensors"))]
        start = self.position + -self.position % self.alignment
        size = self.position + self.left
        placed, names = [], set()
        for tensor in found:
            if tensor.name in names:
                raise self._damaged(f"tensor {tensor.name!r} is there twice")
            names.add(tensor.name)
            if tensor.begin % self.alignment or start + tensor.begin > size:
                raise self._damaged(f"the offset of tensor {tensor.name!r} is not sound")
            placed.append(dataclasses.replace(tensor, begin=start + tensor.begin))
        return placed

    def _pair(self) -> None:
        key, kind = self._text(), self._number("<I")
        if key != "general.alignment":
            self._pass(kind)
            return
        if kind != _UINT32:
            raise self._damaged("its alignment is no 32-bit number")
        self.alignment = self._number("<I")
        if self.alignment == 0 or self.alignment & (self.alignment - 1):
            raise self._damaged(f"its alignment is {self.alignment}, no power of two")

    def _pass(self, kind: int, depth: int = 0) -> None:
        """Read over a value."""
        if kind in _SIZES:
            self._skip(_SIZES[kind])
        elif kind == _STRING:
            self._skip(self._number("<Q"))
        elif kind == _ARRAY and depth < _MOST_NESTING:
            inner, count = self._number("<I"), self._number("<Q")
            if inner in _SIZES:
                self._skip(count * _SIZES[inner])
                return
            for _ in range(self._bounded(count, 8, "entries of an array")):
                self._pass(inner, depth + 1)
        else:
            raise self._damaged(f"a value has the unknown type {kind}")

    def _tensor(self) -> GgufTensor:
        name, dimensions = self._text(), self._number("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise self._damaged(f"tensor {name!r} has {dimensions} dimensions")
        sides = [self._number("<Q") for _ in range(dimensions)]
        elements = 1
        for side in sides:
            elements *= max(side, 1)
        if elements > _MOST_ELEMENTS:
            raise self._damaged(f"tensor {name!r} has more elements than an address can count")
        kind, offset = self._number("<I"), self._number("<Q")
        return GgufTensor(name, tuple(reversed(sides)), kind, offset)

    def _text(self) -> str:
        try:
            return self._take(self._number("<Q")).decode("utf-8")
        except UnicodeDecodeError:
            raise self._damaged("a name is no Unicode text") from None

    def _number(self, form: str) -> int:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _bounded(self, count: int, least: int, what: str) -> int:
        """A count of things of `least` bytes or more each, which must fit into the file."""
        if count * least > self.left:
            raise self._damaged(f"{count} {what} do not fit into it")
        return count

    def _take(self, count: int) -> bytes:
        self._count(count)
        found = self.file.read(count)
        if len(found) != count:
            raise self._damaged("it ends within its header")
        return found

    def _skip(self, count: int) -> None:
        self._count(count)
        self.file.seek(count, 1)

    def _count(self, count: int) -> None:
        if count > self.left:
            raise self._damaged("it ends within its header")
        self.left -= count
        self.position += count

    def _damaged(self, what: str) -> FormatError:
        return FormatError(f"{self.path.name} is no sound GGUF file: {what}; fetch it again")
