"""GGUF models: F16, BF16 and F32 as they are, quantised types through the package ``gguf``."""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speq.formats.errors import FormatError
from speq.formats.safetensors_file import read_bytes
from speq.formats.sources.gguf_header import MAGIC, GgufTensor, read_gguf_header
from speq.formats.sources.tensor import Source, SourceTensor

__all__ = ["MAGIC", "open_gguf"]

_DIRECT = {
    "F16": "F16",
    "BF16": "BF16",
    "F32": "F32",
    "F64": "F64",
    "I8": "I8",
    "I16": "I16",
    "I32": "I32",
    "I64": "I64",
}
"""GGUF types that are read byte for byte, with their safetensors names."""

_BLOCK_ELEMENTS = 1 << 20
"""Elements de-quantised at a time, which bounds the memory of intermediate arrays."""


def open_gguf(path: Path) -> Source:
    """Open a GGUF file.

    Names are those of the file (``blk.0.attn_q.weight``); hyper-parameters and vocabulary stay
    behind. Quantised tensors are de-quantised to FP32 when they are read.

    Raises
    ------
    FormatError
        If the package ``gguf`` is missing, or the file is damaged or has a type that the package
        cannot de-quantise.
    """
    if importlib.util.find_spec("gguf") is None:
        raise FormatError(
            f"{path.name} is a GGUF file, and the package gguf is missing: install the extra, "
            f"pip install -e .[models]"
        )
    found = read_gguf_header(path)
    sizes = [_bytes(path, tensor) for tensor in found]
    ends = sorted((tensor.begin, size) for tensor, size in zip(found, sizes, strict=True))
    position, limit = 0, path.stat().st_size
    for begin, size in ends:
        if begin < position or begin + size > limit:
            raise FormatError(
                f"{path.name} is no sound GGUF file: its tensors overlap, or end beyond the file, "
                f"which may be cut; fetch it again"
            )
        position = begin + size
    return Source(
        path.name,
        (path,),
        tuple(_source(path, tensor, size) for tensor, size in zip(found, sizes, strict=True)),
    )


def _bytes(path: Path, tensor: GgufTensor) -> int:
    """Bytes of a tensor in the file, checked against its type's blocks."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    try:
        elements, size = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
    except (ValueError, KeyError):
        raise FormatError(
            f"{path.name}: tensor {tensor.name!r} has type {tensor.kind}, which the package gguf "
            f"does not know: update the package, or convert the model to F16"
        ) from None
    row = tensor.shape[-1] if tensor.shape else 1
    if row % elements:
        raise FormatError(
            f"{path.name} is no sound GGUF file: rows of tensor {tensor.name!r} have {row} "
            f"elements, no whole blocks of {elements}; fetch it again"
        )
    count = 1
    for side in tensor.shape:
        count *= side
    return count // elements * size


def _source(path: Path, tensor: GgufTensor, size: int) -> SourceTensor:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
    from gguf.quants import dequantize

    kind = GGMLQuantizationType(tensor.kind)

    def raw() -> NDArray[np.uint8]:
        return read_bytes(path, tensor.begin, size)

    if kind.name in _DIRECT:
        return SourceTensor(tensor.name, _DIRECT[kind.name], tensor.shape, raw)
    elements, block = GGML_QUANT_SIZES[kind]
    try:
        dequantize(np.zeros((1, block), dtype=np.uint8), kind)
    except NotImplementedError:
        raise FormatError(
            f"{path.name}: tensor {tensor.name!r} has type {kind.name}, which the package gguf "
            f"cannot de-quantise: update the package, or convert the model to F16"
        ) from None

    def load() -> NDArray[np.uint8]:
        row = tensor.shape[-1] // elements * block
        packed = raw().reshape(-1, row) if size else np.empty((0, block), dtype=np.uint8)
        values = np.empty((len(packed), tensor.shape[-1]), dtype=np.float32)
        step = max(1, _BLOCK_ELEMENTS // max(tensor.shape[-1], 1))
        # Damaged scales are Inf or NaN: that is for packing to report, not a warning.
        with np.errstate(all="ignore"):
            for start in range(0, len(packed), step):
                rows = slice(start, start + step)
                values[rows] = dequantize(packed[rows], kind)
        return values.reshape(-1).view(np.uint8)

    return SourceTensor(tensor.name, "F32", tensor.shape, load, f"de-quantised {kind.name}")
