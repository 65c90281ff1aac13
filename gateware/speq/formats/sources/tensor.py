"""A tensor of a model, known by its header and read when asked for."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speq.formats.dtypes import number_of_bytes, typed

__all__ = ["Source", "SourceTensor"]


@dataclasses.dataclass(frozen=True)
class SourceTensor:
    """A tensor that lies in a file.

    Parameters
    ----------
    name : str
        Its name in the model.
    dtype : str
        Type that `load` gives, by its safetensors name.
    shape : tuple of int
        Sides, the fastest last: [outputs, inputs] of a weight matrix.
    load : callable
        Reads the tensor from the file, now, as bytes: little-endian, row by row.
    origin : str or None
        What `load` does beyond reading, such as "de-quantised Q4_1".
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    load: Callable[[], NDArray[np.uint8]]
    origin: str | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that `load` gives."""
        return number_of_bytes(self.dtype, self.shape)

    def values(self) -> NDArray:
        """The tensor as an array of its type and shape, read now.

        Raises
        ------
        FormatError
            If NumPy lacks the type, or the file cannot be read.
        """
        return self.typed(self.load())

    def typed(self, raw: NDArray[np.uint8]) -> NDArray:
        """What `load` gave as an array of the tensor's type and shape, without a copy."""
        return typed(raw, self.dtype, self.shape)


@dataclasses.dataclass(frozen=True)
class Source:
    """A model: its tensors in the order in which they lie in its files.

    Parameters
    ----------
    name : str
        Name of the file that was opened.
    files : tuple of Path
        All files that belong to the model.
    tensors : tuple of SourceTensor
        One entry per name.
    remarks : tuple of str
        What a user should know of the model, such as what was passed over.
    """

    name: str
    files: tuple[Path, ...]
    tensors: tuple[SourceTensor, ...]
    remarks: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all its files."""
        return sum(path.stat().st_size for path in self.files)
