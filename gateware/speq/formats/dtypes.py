"""Element types by the names that safetensors gives them."""

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from speq.formats.errors import FormatError

__all__ = ["BITS", "NUMPY_TYPES", "WEIGHT_TYPES", "WIDE", "dtype_name", "number_of_bytes", "typed"]

BITS: dict[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Bits of one element of every type that a safetensors file may hold."""

NUMPY_TYPES: dict[str, np.dtype] = {
    name: np.dtype(kind)
    for name, kind in {
        "BOOL": np.bool_,
        "U8": np.uint8,
        "I8": np.int8,
        "F8_E5M2": ml_dtypes.float8_e5m2,
        "F8_E4M3": ml_dtypes.float8_e4m3fn,
        "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
        "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
        "F8_E8M0": ml_dtypes.float8_e8m0fnu,
        "I16": "<i2",
        "U16": "<u2",
        "F16": "<f2",
        "BF16": ml_dtypes.bfloat16,
        "I32": "<i4",
        "U32": "<u4",
        "F32": "<f4",
        "C64": "<c8",
        "F64": "<f8",
        "I64": "<i8",
        "U64": "<u8",
    }.items()
}
"""Types that NumPy can hold, with ml_dtypes; the others pass as bytes."""

WIDE = ("BF16", "F32")
"""Types whose weights are packed where powers of two make them exact in FP16."""

WEIGHT_TYPES = ("F16", *WIDE)
"""Types that are packed, or quantised."""

_NAMES = {dtype: name for name, dtype in NUMPY_TYPES.items()}


def dtype_name(dtype: np.dtype) -> str:
    """Name of a NumPy type.

    Raises
    ------
    FormatError
        If safetensors has no such type.
    """
    name = _NAMES.get(np.dtype(dtype).newbyteorder("<") if dtype.kind in "iufc" else dtype)
    if name is None:
        raise FormatError(f"Unknown dtype {dtype}: convert the tensor to one of {', '.join(BITS)}")
    return name


def number_of_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Bytes of a tensor, exact for every size (Python integers); a last part byte counts whole."""
    elements = 1
    for side in shape:
        elements *= side
    return -(-elements * BITS[dtype] // 8)


def typed(raw: NDArray[np.uint8], dtype: str, shape: tuple[int, ...]) -> NDArray:
    """Bytes as an array of their type and shape, without a copy.

    Raises
    ------
    FormatError
        If NumPy lacks the type.
    """
    if dtype not in NUMPY_TYPES:
        raise FormatError(f"NumPy lacks the type {dtype}: read the tensor as bytes, or convert it")
    return raw.view(NUMPY_TYPES[dtype]).reshape(shape)
