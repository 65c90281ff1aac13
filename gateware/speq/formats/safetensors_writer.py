"""Write a safetensors file tensor by tensor, into a header that was reserved before."""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from speq.formats.dtypes import dtype_name
from speq.formats.errors import FormatError
from speq.formats.safetensors_file import LENGTH_BYTES, METADATA

__all__ = ["SafetensorsWriter", "header_bound"]

_ALIGNMENT = 8
"""Data begin at a multiple of this many bytes."""

_LARGEST_OFFSET = 10**18


def header_bound(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> int:
    """Bytes that suffice for a header, whatever the offsets of its tensors will be.

    Parameters
    ----------
    tensors : iterable of (str, str, tuple of int)
        Name, type and shape of each tensor.
    metadata : mapping of str to str
        Texts at least as long as those that will be written.
    """
    offsets = (_LARGEST_OFFSET, _LARGEST_OFFSET)
    entries = {name: _entry(dtype, shape, *offsets) for name, dtype, shape in tensors}
    return len(_json({METADATA: dict(metadata), **entries}))


class SafetensorsWriter:
    """A file that grows tensor by tensor under a temporary name, and takes its own at the end.

    The header comes first but is written last, into reserved space that trailing blanks fill up,
    as the format allows. Leaving the context writes it and renames the file; leaving it by an
    error removes the file. A file that was there before stays until then.

    Parameters
    ----------
    path : Path
        File to write; missing folders are made.
    reserved : int
        Bytes of the header, as by :func:`header_bound`.

    Attributes
    ----------
    metadata : dict of str to str
        To fill in before the context is left.
    """

    def __init__(self, path: Path, reserved: int) -> None:
        self.path = Path(path)
        self.metadata: dict[str, str] = {}
        self._reserved = reserved + -(reserved + LENGTH_BYTES) % _ALIGNMENT
        self._entries: dict[str, dict] = {}
        self._position = 0

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        self._temporary = Path(name)
        self._file = os.fdopen(handle, "wb")
        self._file.seek(LENGTH_BYTES + self._reserved)
        return self

    def add(
        self,
        name: str,
        array: NDArray,
        dtype: str | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        """Write a tensor.

        Parameters
        ----------
        name : str
            Its name, which must be new.
        array : array
            The tensor; or, with `dtype` and `shape`, its bytes.
        dtype, shape : optional
            Type by its safetensors name, and sides.

        Raises
        ------
        FormatError
            If the name is taken or reserved, or safetensors has no such type.
        """
        if name in self._entries:
            raise FormatError(
                f"two tensors would be stored as {name!r}: rename one of them before packing"
            )
        if name == METADATA:
            raise FormatError(f"no tensor can be stored as {name!r}: rename it before packing")
        if dtype is None:
            dtype, shape = self._dtype(array), array.shape
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self._file.write(memoryview(data))
        begin, self._position = self._position, self._position + data.size
        self._entries[name] = _entry(dtype, shape, begin, self._position)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        header = _json({METADATA: self.metadata, **self._entries})
        if len(header) > self._reserved:
            raise FormatError(
                f"{self.path.name} cannot be written: its header has {len(header)} bytes, and "
                f"{self._reserved} were reserved; report this as a defect of speq"
            )
        self._file.seek(0)
        self._file.write(self._reserved.to_bytes(LENGTH_BYTES, "little"))
        self._file.write(header.ljust(self._reserved))
        # Without tensors nothing else would make the file as long as its header says.
        self._file.truncate(LENGTH_BYTES + self._reserved + self._position)
        self._file.close()
        self._temporary.chmod(0o644)
        self._temporary.replace(self.path)

    def _dtype(self, array: NDArray) -> str:
        try:
            return dtype_name(array.dtype)
        except FormatError as error:
            raise FormatError(f"{self.path.name} cannot be written: {error}") from None


def _entry(dtype: str, shape: tuple[int, ...], begin: int, end: int) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def _json(header: Mapping) -> bytes:
    return json.dumps(header, separators=(",", ":")).encode("ascii")
