"""Code tables and families: which of eight 3-bit codes each of the 64 cells gets.

A legal table is any map with at most 16 cells per code, since four slot bits tell the cells of a
code apart. `slot` is the number of lower cells that share the code, so the map alone determines
the whole code. A cell may have several codes: any of them decodes to it. docs/format.md draws the
named tables.
"""

import dataclasses
import functools
import json
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.formats.cells import CELLS, CELLS_PER_BINADE
from speq.formats.errors import FormatError
from speq.parameters import TABLE_NAMES

__all__ = [
    "CODES",
    "DRAFT_UNIT",
    "MAX_DRAFT_VALUE",
    "MAX_TABLES",
    "NO_SLOT",
    "SLOTS",
    "CodeTable",
    "Family",
    "family",
]

CODES = 8
"""Codes of a table: three bits."""

SLOTS = 16
"""Cells that one code can hold: four slot bits."""

NO_SLOT = 255
"""Stands for the slot of a cell under a code that it does not have."""

MAX_TABLES = 8
"""Tables of a family: a row names its table in three bits."""

DRAFT_UNIT = 2.0**-5
"""Weight of one step of a draft value (docs/numerics.md, DRAFT)."""

MAX_DRAFT_VALUE = 63
"""Largest draft value: six bits."""


@dataclasses.dataclass(frozen=True)
class CodeTable:
    """One map from cells to codes.

    64 cells fill half of the 128 pairs of code and slot. A table may give the other half away: a
    cell then has *spare* codes besides its own, and whoever packs chooses for each weight, while
    every word still decodes to its cell.

    Parameters
    ----------
    codes : tuple of 64 int
        Code 0..7 of each cell, lowest magnitude first.
    spare : tuple of 64 tuples of int, optional
        Further codes of each cell, ascending; by default none. No code on more than 16 cells.

    Raises
    ------
    FormatError
        If the map is illegal.
    """

    codes: tuple[int, ...]
    spare: tuple[tuple[int, ...], ...] = ((),) * CELLS

    def __post_init__(self) -> None:
        codes = _integers("a code table", self.codes, CELLS, CODES - 1)
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "spare", _spare(codes, self.spare))
        for code, held in enumerate(self.cells):
            if len(held) > SLOTS:
                raise FormatError(
                    f"code {code} has {len(held)} cells, but a slot of four bits tells only "
                    f"{SLOTS} apart: move {len(held) - SLOTS} to another code"
                )

    @property
    def has_spare(self) -> bool:
        """Whether a cell has more than one code."""
        return any(self.spare)

    @functools.cached_property
    def cells(self) -> tuple[tuple[int, ...], ...]:
        """Cells of each code, ascending."""
        held: list[list[int]] = [[] for _ in range(CODES)]
        for cell, (own, others) in enumerate(zip(self.codes, self.spare, strict=True)):
            for code in (own, *others):
                held[code].append(cell)
        return tuple(map(tuple, held))

    @functools.cached_property
    def slot_of(self) -> NDArray[np.uint8]:
        """``slot_of[code, cell]``, uint8 [8, 64]: number of lower cells that have the code.

        :data:`NO_SLOT` where the cell does not have it.
        """
        slots = np.full((CODES, CELLS), NO_SLOT, dtype=np.uint8)
        for code, held in enumerate(self.cells):
            slots[code, list(held)] = np.arange(len(held))
        slots.flags.writeable = False
        return slots

    @functools.cached_property
    def slots(self) -> tuple[int, ...]:
        """Slot 0..15 of each cell under its own code."""
        return tuple(int(self.slot_of[code, cell]) for cell, code in enumerate(self.codes))

    @functools.cached_property
    def inverse(self) -> tuple[tuple[int | None, ...], ...]:
        """``inverse[code][slot]``: the cell, or None for a pair that no cell uses."""
        return tuple((*held, *[None] * (SLOTS - len(held))) for held in self.cells)

    def as_text(self) -> str:
        """64 digits, lowest cell first; or, with spare codes, 64 groups of digits, own code first.

        :meth:`from_text` reads both.
        """
        groups = zip(self.codes, self.spare, strict=True)
        texts = ["".join(map(str, (own, *others))) for own, others in groups]
        return (" " if self.has_spare else "").join(texts)

    @classmethod
    def from_text(cls, text: Any) -> "CodeTable":
        """Build from :meth:`as_text`.

        Raises
        ------
        FormatError
            If the text is none, or the map illegal.
        """
        groups = text.split(" ") if isinstance(text, str) and " " in text else text
        if not isinstance(text, str) or not all(map(_is_digits, groups)):
            raise FormatError(
                "tables of a family must be a list of texts of 64 digits 0..7, or of 64 groups of "
                "them with spaces between"
            )
        codes = tuple(int(group[0]) for group in groups)
        spare = tuple(tuple(map(int, group[1:])) for group in groups)
        return cls(codes, spare if any(spare) else ((),) * CELLS)


@dataclasses.dataclass(frozen=True)
class Family:
    """Tables of which every output row names one, over one vector of draft values.

    Parameters
    ----------
    name : str
        Name of the family.
    tables : tuple of CodeTable
        1 to 8 tables.
    draft_values : tuple of 8 int
        `d[code]`, 0..63, in units of 2**-5; the same for all tables.

    Raises
    ------
    FormatError
        If a part is illegal.
    """

    name: str
    tables: tuple[CodeTable, ...]
    draft_values: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise FormatError(f"a family is named {self.name!r}: give it a non-empty text")
        tables = tuple(self.tables)
        if not 1 <= len(tables) <= MAX_TABLES:
            raise FormatError(
                f"family {self.name!r} has {len(tables)} tables, but a row names its table in "
                f"three bits: give 1 to {MAX_TABLES}"
            )
        for table in tables:
            if not isinstance(table, CodeTable):
                raise FormatError(
                    f"family {self.name!r} holds {table!r}, which is no CodeTable: wrap the map "
                    f"in CodeTable(...)"
                )
        values = _integers("a vector of draft values", self.draft_values, CODES, MAX_DRAFT_VALUE)
        object.__setattr__(self, "tables", tables)
        object.__setattr__(self, "draft_values", values)

    def as_dict(self) -> dict[str, Any]:
        """The family as plain JSON values; :meth:`from_dict` reads them back."""
        return {
            "name": self.name,
            "draft_values": list(self.draft_values),
            "tables": [table.as_text() for table in self.tables],
        }

    @property
    def has_spare(self) -> bool:
        """Whether a table leaves the code of some weights to whoever packs."""
        return any(table.has_spare for table in self.tables)

    @classmethod
    def from_dict(cls, values: Any) -> "Family":
        """Build from :meth:`as_dict`."""
        if not isinstance(values, dict) or set(values) != {"name", "draft_values", "tables"}:
            raise FormatError(
                "a family must be an object with exactly the keys name, draft_values and tables"
            )
        texts = values["tables"]
        if not isinstance(texts, list):
            raise FormatError("tables of a family must be a list of texts of 64 digits 0..7")
        tables = tuple(CodeTable.from_text(text) for text in texts)
        if not isinstance(values["draft_values"], list):
            raise FormatError("draft_values of a family must be a list of 8 whole numbers")
        return cls(values["name"], tables, tuple(values["draft_values"]))


def family(name: str) -> Family:
    """The family of a name in :data:`speq.parameters.TABLE_NAMES`.

    Raises
    ------
    FormatError
        If there is no such family.
    """
    families = _families()
    if name not in families:
        raise FormatError(f"family {name!r} does not exist: use one of {', '.join(families)}")
    return families[name]


@functools.cache
def _families() -> dict[str, Family]:
    known = {member.name: member for member in (_truncate(), _speq(), _bsfp())}
    file = resources.files("speq.formats").joinpath("families.json")
    if file.is_file():
        for values in json.loads(file.read_text(encoding="utf-8"))["families"]:
            member = Family.from_dict(values)
            known[member.name] = member
    return {name: known[name] for name in TABLE_NAMES if name in known}


# The named tables -------------------------------------------------------------------------------


def _truncate() -> Family:
    """The naive prefix: two binades a code."""
    return _binade_groups("truncate", [(2 * code, 2 * code + 1) for code in range(CODES)])


def _speq() -> Family:
    """Our reconstruction of the paper's remapping, in the order of its codes.

    Exponents 9 and 11 take the codes 000 and 001 that a plain prefix wastes on the smallest
    weights, which move in with 4..7.
    """
    groups = [(9,), (11,), (4, 5, 0, 1), (6, 7, 2, 3), (8,), (10,), (12, 13), (14, 15)]
    return _binade_groups("speq", groups)


def _bsfp() -> Family:
    """The same idea with the codes in order of magnitude."""
    groups = [(0, 1, 2, 3), (4, 5, 6, 7), (8,), (9,), (10,), (11,), (12, 13), (14, 15)]
    return _binade_groups("bsfp", groups)


def _binade_groups(name: str, groups: list[tuple[int, ...]]) -> Family:
    """Family of one table of whole binades; the first exponent of a group is its draft exponent.

    Draft values are the powers of two `2**exponent`, scaled so that exponent 14 becomes 32, the
    largest power of two in six bits, and rounded to whole units with halves up: exponents 14, 12,
    11, 10, 9 are exact (32, 8, 4, 2, 1), 8 becomes 1 instead of 1/2 and all lower ones 0.
    """
    codes = [0] * CELLS
    values = []
    for code, exponents in enumerate(groups):
        values.append(int(np.floor(2.0 ** (exponents[0] - 9) + 0.5)))
        for exponent in exponents:
            start = exponent * CELLS_PER_BINADE
            codes[start : start + CELLS_PER_BINADE] = [code] * CELLS_PER_BINADE
    return Family(name, (CodeTable(tuple(codes)),), tuple(values))


def _integers(what: str, values: Any, count: int, largest: int) -> tuple[int, ...]:
    values = tuple(values)
    if len(values) != count:
        raise FormatError(f"{what} has {len(values)} entries, but must have {count}")
    for index, value in enumerate(values):
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise FormatError(f"{what} has {value!r} at entry {index}: use a whole number")
        if not 0 <= value <= largest:
            raise FormatError(f"{what} has {value} at entry {index}: use 0..{largest}")
    return tuple(int(value) for value in values)


def _spare(codes: tuple[int, ...], spare: Any) -> tuple[tuple[int, ...], ...]:
    """Spare codes, checked against the cells' own."""
    spare = tuple(tuple(others) for others in spare)
    if len(spare) != CELLS:
        raise FormatError(f"a code table has spare codes of {len(spare)} cells: give {CELLS}")
    checked = []
    for cell, (own, others) in enumerate(zip(codes, spare, strict=True)):
        others = _integers(f"cell {cell}'s list of spare codes", others, len(others), CODES - 1)
        if sorted({*others} - {own}) != list(others):
            raise FormatError(
                f"cell {cell} has code {own} and the spare codes {others}: give each once, and "
                f"the spare ones in ascending order"
            )
        checked.append(others)
    return tuple(checked)


def _is_digits(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit()
