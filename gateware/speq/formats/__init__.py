"""The number format: FP16 weights as draft, middle and low planes. Pure NumPy (docs/format.md)."""

from speq.formats.codec import (
    Planes,
    decode,
    draft_codes,
    draft_magnitudes,
    draft_values,
    encode,
    from_planes,
    middle_patterns,
    to_planes,
)
from speq.formats.errors import FormatError, InexactError
from speq.formats.packed import PackedTensor, unpack
from speq.formats.packing import pack
from speq.formats.scale import Scale, apply_scale, undo_scale
from speq.formats.tables import CodeTable, Family, family

__all__ = [
    "CodeTable",
    "Family",
    "FormatError",
    "InexactError",
    "PackedTensor",
    "Planes",
    "Scale",
    "apply_scale",
    "decode",
    "draft_codes",
    "draft_magnitudes",
    "draft_values",
    "encode",
    "family",
    "from_planes",
    "middle_patterns",
    "pack",
    "to_planes",
    "undo_scale",
    "unpack",
]
