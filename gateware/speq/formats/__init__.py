"""The number format: FP16 weights as draft, middle and low planes. Pure NumPy (docs/format.md)."""

from speq.formats.codec import Planes, decode, encode, from_planes, to_planes
from speq.formats.errors import FormatError
from speq.formats.tables import CodeTable, Family, family

__all__ = [
    "CodeTable",
    "Family",
    "FormatError",
    "Planes",
    "decode",
    "encode",
    "family",
    "from_planes",
    "to_planes",
]
