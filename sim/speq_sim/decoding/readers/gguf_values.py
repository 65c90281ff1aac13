"""The key-values of a GGUF file: hyper-parameters and vocabulary.

Layout (GGUF 2 and 3, little-endian): magic, version, number of tensors, number of key-values; then
per key-value its key, type and value. A text is a length and UTF-8; an array its type, a count and
the values. The reader of the package ``gguf`` makes several arrays of every token, which takes
longer than de-quantising a small model.
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

__all__ = ["read_key_values"]

_COUNTS = struct.Struct("<4sIQQ")
_TEXT, _ARRAY = 8, 9
_NUMBERS = {
    number: np.dtype(kind)
    for number, kind in {
        0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?",
        10: "<u8", 11: "<i8", 12: "<f8",
    }.items()
}  # fmt: skip


def read_key_values(path: Path) -> dict[str, Any]:
    """Values by key: numbers, texts, and lists of them.

    Parameters
    ----------
    path : Path
        A file that :func:`speq.formats.sources.open_source` has found sound.
    """
    with path.open("rb") as file:
        *_, pairs = _COUNTS.unpack(file.read(_COUNTS.size))
        return {_text(file): _value(file, _number(file, "<I")) for _ in range(pairs)}


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return _text(file)
    if kind == _ARRAY:
        inner, count = _number(file, "<I"), _number(file, "<Q")
        if inner in _NUMBERS:
            dtype = _NUMBERS[inner]
            return np.frombuffer(file.read(count * dtype.itemsize), dtype).tolist()
        return [_value(file, inner) for _ in range(count)]
    dtype = _NUMBERS[kind]
    return np.frombuffer(file.read(dtype.itemsize), dtype)[0].item()


def _text(file: BinaryIO) -> str:
    # Tokens may be cut amid a character, keys never are.
    return file.read(_number(file, "<Q")).decode("utf-8", "replace")


def _number(file: BinaryIO, form: str) -> int:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]
