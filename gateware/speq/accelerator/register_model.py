"""Model of a register map: registers, their fields, and what accesses do to them."""

import dataclasses
import enum
from collections.abc import Iterator

__all__ = [
    "ADDRESS_BITS",
    "REGISTER_BITS",
    "Access",
    "Code",
    "Field",
    "Register",
    "RegisterMap",
]

REGISTER_BITS = 32
ADDRESS_BITS = 12
"""The registers take a block of 4 KB."""


class Access(enum.Enum):
    """What a bus access does to a field."""

    READ_ONLY = "ro"
    """Writes are ignored."""
    READ_WRITE = "rw"
    CLEAR = "w1c"
    """Writing a one to any bit of the field clears it; an event at the same time wins."""
    PULSE = "w1p"
    """Writing a one acts once; reads as zero."""
    TRIGGER = "wo"
    """Writing any value acts once; reads as zero."""


class Code(enum.IntEnum):
    """Values of a field, each with one line for the manual (``doc``)."""

    doc: str

    def __new__(cls, value: int, doc: str) -> "Code":
        member = int.__new__(cls, value)
        member._value_ = value
        member.doc = doc
        return member


@dataclasses.dataclass(frozen=True)
class Field:
    """Neighbouring bits of a register.

    Parameters
    ----------
    name : str
        Lower case, unique in its register.
    bits : int
        Width.
    access : Access
        What reads and writes do.
    doc : str
        One line for the manual.
    offset : int
        Lowest bit.
    codes : subclass of Code, optional
        Meaning of the values.
    value : int, optional
        Value of a read-only field that never changes.
    """

    name: str
    bits: int
    access: Access
    doc: str
    offset: int = 0
    codes: type[Code] | None = None
    value: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.offset < self.offset + self.bits <= REGISTER_BITS:
            raise ValueError(f"field {self.name} does not fit {REGISTER_BITS} bits: move it")
        if self.value is not None:
            if self.access is not Access.READ_ONLY:
                raise ValueError(f"field {self.name} has a value: make it read-only")
            if not 0 <= self.value < 1 << self.bits:
                raise ValueError(f"field {self.name} cannot hold {self.value}: make it wider")

    @property
    def mask(self) -> int:
        """Its bits within the register."""
        return ((1 << self.bits) - 1) << self.offset


@dataclasses.dataclass(frozen=True)
class Register:
    """One word of the block.

    Parameters
    ----------
    name : str
        Upper case, unique in the map.
    offset : int
        Bytes from the block's base, a multiple of 4.
    fields : tuple of Field
        Lowest first, without overlap. Bits of no field read as zero and ignore writes.
    doc : str
        One line for the manual.
    captures : str, optional
        Register whose value is captured when this one is read, so that both fit together.
    """

    name: str
    offset: int
    fields: tuple[Field, ...]
    doc: str
    captures: str | None = None

    def __post_init__(self) -> None:
        if self.offset % 4 or not 0 <= self.offset < 1 << ADDRESS_BITS:
            raise ValueError(f"register {self.name} at {self.offset:#x} is no word of the block")
        used = 0
        for field in self.fields:
            if used >> field.offset:
                raise ValueError(
                    f"field {field.name} of register {self.name} overlaps, or comes before, the "
                    f"field above it: list fields lowest first"
                )
            used |= field.mask
        if len({field.name for field in self.fields}) != len(self.fields):
            raise ValueError(f"register {self.name} has two fields of one name: rename one")

    def field(self, name: str) -> Field:
        """The field of a name."""
        return next(field for field in self.fields if field.name == name)

    @property
    def value(self) -> int:
        """Its fields that never change, as read."""
        return sum((field.value or 0) << field.offset for field in self.fields)


@dataclasses.dataclass(frozen=True)
class RegisterMap:
    """All registers of a block, by ascending offset."""

    registers: tuple[Register, ...]

    def __post_init__(self) -> None:
        offsets = [register.offset for register in self.registers]
        if offsets != sorted(set(offsets)):
            raise ValueError("registers are not in the order of their offsets: sort them")
        if len({register.name for register in self.registers}) != len(self.registers):
            raise ValueError("two registers have one name: rename one")

    def __iter__(self) -> Iterator[Register]:
        return iter(self.registers)

    def __contains__(self, name: str) -> bool:
        return any(register.name == name for register in self.registers)

    def __getitem__(self, name: str) -> Register:
        for register in self.registers:
            if register.name == name:
                return register
        raise KeyError(name)
