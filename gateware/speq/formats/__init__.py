"""The number formats: FP16 weights in planes, and INT4. Pure NumPy (docs/format.md)."""

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
from speq.formats.errors import FormatError, InexactError, QuantisationError
from speq.formats.int4 import Int4Tensor, from_nibbles, quantise_int4, to_nibbles
from speq.formats.packed import PackedTensor, unpack
from speq.formats.packing import pack
from speq.formats.scale import Scale, apply_scale, undo_scale
from speq.formats.tables import CodeTable, Family, family

__all__ = [
    "CodeTable",
    "Family",
    "FormatError",
    "InexactError",
    "Int4Tensor",
    "PackedTensor",
    "Planes",
    "QuantisationError",
    "Scale",
    "apply_scale",
    "decode",
    "draft_codes",
    "draft_magnitudes",
    "draft_values",
    "encode",
    "family",
    "from_nibbles",
    "from_planes",
    "middle_patterns",
    "pack",
    "quantise_int4",
    "to_nibbles",
    "to_planes",
    "undo_scale",
    "unpack",
]
