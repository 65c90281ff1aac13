"""Whole models in memory, from and to files.

Large ones go tensor by tensor: packed_reader, packed_writer and :mod:`speq.formats.model`.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.formats.dtypes import NUMPY_TYPES, dtype_name, typed
from speq.formats.errors import FormatError
from speq.formats.int4 import Int4Tensor
from speq.formats.packed import PackedTensor, unpack
from speq.formats.packed_reader import PackedReader
from speq.formats.packed_writer import VERSION, PackedWriter
from speq.formats.safetensors_file import SafetensorsFile
from speq.formats.safetensors_writer import SafetensorsWriter, header_bound
from speq.formats.tables import Family

__all__ = ["VERSION", "PackedModel", "read_packed", "read_weights", "write_packed", "write_weights"]


@dataclasses.dataclass(frozen=True)
class PackedModel:
    """What a packed file holds.

    Parameters
    ----------
    family : Family
        The tables of every packed tensor.
    tensors : dict of str to PackedTensor or Int4Tensor
        Packed tensors, INT4 ones, and those stored plain as FP16.
    other : dict of str to array
        Tensors kept as they were, since FP16 cannot hold them.
    """

    family: Family
    tensors: dict[str, PackedTensor | Int4Tensor]
    other: dict[str, NDArray[Any]] = dataclasses.field(default_factory=dict)

    def unpack(self, name: str) -> NDArray[Any]:
        """The original tensor of a name, byte for byte and in its original dtype.

        Of an INT4 tensor, which keeps no original, the weights that it stands for, in FP32.
        """
        if name in self.other:
            return self.other[name]
        if name not in self.tensors:
            raise FormatError(f"the packed model has no tensor {name!r}: check the name")
        tensor = self.tensors[name]
        if isinstance(tensor, Int4Tensor):
            return tensor.dequantise()
        return unpack(tensor, self.family)


def write_packed(path: Path, model: PackedModel) -> None:
    """Write a packed model, all of it or nothing.

    Raises
    ------
    FormatError
        If two tensors would take the same name in the file.
    """
    # The longest name of a type stands for all.
    expected = [(name, "BF16", tensor.shape) for name, tensor in model.tensors.items()]
    others = {name: dtype_name(array.dtype) for name, array in model.other.items()}
    expected += [(name, dtype, model.other[name].shape) for name, dtype in others.items()]
    with PackedWriter(Path(path), model.family, expected) as file:
        for name, tensor in model.tensors.items():
            file.add(name, tensor)
        for name, dtype in others.items():
            array = np.asarray(model.other[name], dtype=NUMPY_TYPES[dtype])
            raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            file.keep(name, dtype, array.shape, raw, "it was given so")


def read_packed(path: Path) -> PackedModel:
    """Read a packed model, all of it.

    Raises
    ------
    FormatError
        If the file is no packed model, of another version, damaged, or holds a type that NumPy
        lacks.
    """
    file = PackedReader(Path(path))
    return PackedModel(
        file.family,
        {name: file.tensor(name) for name in file.names},
        {name: file.unpack(name) for name in file.kept},
    )


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Tensors of an ordinary safetensors file.

    Raises
    ------
    FormatError
        If the file is missing, damaged, or holds a type that NumPy lacks.
    """
    file = SafetensorsFile(Path(path))
    found = {}
    for name, entry in file.entries.items():
        if entry.dtype not in NUMPY_TYPES:
            raise FormatError(
                f"{file.path.name} holds {name!r} of type {entry.dtype}, which NumPy lacks: "
                f"convert it to FP16 first"
            )
        found[name] = typed(file.read(name), entry.dtype, entry.shape)
    return found


def write_weights(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write tensors to an ordinary safetensors file, all of it or nothing.

    Raises
    ------
    FormatError
        If safetensors has no type for one.
    """
    metadata = {"format": "np"}
    arrays = {name: np.asarray(array) for name, array in tensors.items()}
    # The longest name of a type stands for all: whether each is known is for the writer to say.
    bound = header_bound(((name, "F8_E4M3FNUZ", a.shape) for name, a in arrays.items()), metadata)
    with SafetensorsWriter(Path(path), bound) as file:
        for name, array in arrays.items():
            file.add(name, array)
        file.metadata |= metadata
