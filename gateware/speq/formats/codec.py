"""The codec: FP16 patterns to words and planes, and back, bit for bit.

Word of one weight::

     15   14 13 12   11 10 9 8   7 6 5 4 3 2 1 0
    sign |  code   |   slot    |      low
    \\_ draft nibble | middle    |  low plane

Planes of a matrix [N, K]: `draft` and `middle` hold two nibbles per byte, even k in the low nibble,
each row padded to a whole byte with a zero nibble; `low` holds one byte per weight.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.formats.cells import CELLS, LOW_BITS, LOW_MIDDLE
from speq.formats.errors import FormatError
from speq.formats.tables import CODES, DRAFT_UNIT, NO_SLOT, SLOTS, CodeTable, Family

__all__ = [
    "Planes",
    "decode",
    "draft_codes",
    "draft_magnitudes",
    "draft_values",
    "encode",
    "from_planes",
    "middle_patterns",
    "pack_nibbles",
    "to_planes",
    "unpack_nibbles",
]

_UNUSED = 0x4000
"""Marks a word that no weight has, in a decoder's table: no pattern below 2 has this bit."""

_BLOCK_WEIGHTS = 1 << 18
"""Weights handled at a time, so that intermediate arrays stay in the cache."""


@dataclasses.dataclass(frozen=True)
class Planes:
    """The three planes of a matrix [N, K].

    Parameters
    ----------
    draft, middle : arrays of uint8 [N, ceil(K / 2)]
        Nibbles ``sign << 3 | code`` and ``slot``, even k in the low nibble.
    low : array of uint8 [N, K]
        Low bytes.
    """

    draft: NDArray[np.uint8]
    middle: NDArray[np.uint8]
    low: NDArray[np.uint8]


@functools.cache
def encoder(table: CodeTable) -> NDArray[np.uint16]:
    """Word of each of the 65,536 FP16 patterns, by its cell's own code; 2 and above give 0."""
    codes = np.array(table.codes, dtype=np.uint16)
    slots = np.array(table.slots, dtype=np.uint16)
    prefix = (codes << 12) | (slots << LOW_BITS)
    magnitude = (prefix[:, None] | np.arange(1 << LOW_BITS, dtype=np.uint16)).reshape(-1)
    beyond = np.zeros_like(magnitude)
    sign = np.uint16(0x8000)
    words = np.concatenate([magnitude, beyond, magnitude | sign, beyond])
    words.flags.writeable = False
    return words


@functools.cache
def decoder(table: CodeTable) -> NDArray[np.uint16]:
    """FP16 pattern of each of the 65,536 words; words that no weight has give a mark."""
    cells = np.full((CODES, SLOTS), _UNUSED, dtype=np.uint16)
    for code, held in enumerate(table.cells):
        cells[code, : len(held)] = np.array(held, dtype=np.uint16) << LOW_BITS
    low = np.arange(1 << LOW_BITS, dtype=np.uint16)
    magnitude = (cells.reshape(-1, 1) | low).reshape(-1)
    patterns = np.concatenate([magnitude, magnitude | np.uint16(0x8000)])
    patterns.flags.writeable = False
    return patterns


def encode(
    bits: ArrayLike, family: Family, choice: ArrayLike, codes: ArrayLike | None = None
) -> NDArray[np.uint16]:
    """Words of FP16 patterns.

    Parameters
    ----------
    bits : array of uint16 [N, K]
        FP16 patterns, each of magnitude below 2.
    family : Family
        The tables.
    choice : array of int [N]
        Index of each row's table in the family.
    codes : array of uint8 [N, K], optional
        Code of each weight, one of those that its cell has; by default the cell's own.

    Returns
    -------
    array of uint16 [N, K]

    Raises
    ------
    FormatError
        If a pattern is 2 or above, a row names a table that is not there, or a weight's cell does
        not have its code.
    """
    bits = _matrix(bits, "FP16 patterns")
    if np.any(bits & np.uint16(0x4000)):
        raise FormatError(
            "a weight of magnitude 2 or above (or Inf, NaN) has no word: scale the tensor below 2 "
            "first, or store it plain"
        )
    words = _map_rows(bits, family, choice, encoder)
    return words if codes is None else _recoded(words, bits, family, choice, codes)


def _recoded(
    words: NDArray[np.uint16],
    bits: NDArray[np.uint16],
    family: Family,
    choice: ArrayLike,
    codes: ArrayLike,
) -> NDArray[np.uint16]:
    """Words with other codes of the same cells."""
    codes = np.asarray(codes)
    whole = codes.dtype.kind in "iu" or not codes.size
    if codes.shape != bits.shape or not whole or ((codes < 0) | (codes >= CODES)).any():
        raise FormatError(
            f"codes have shape {codes.shape} for weights of shape {bits.shape}, or one is not of "
            f"0..{CODES - 1}: give one code for each weight"
        )
    codes, choice = codes.astype(np.uint16), np.asarray(choice)
    for index in np.unique(choice):
        slots = family.tables[index].slot_of
        for rows in row_blocks(np.flatnonzero(choice == index), bits.shape[1]):
            cells = bits[rows] >> LOW_BITS & np.uint16(CELLS - 1)
            found = slots[codes[rows], cells].astype(np.uint16)
            if (found == NO_SLOT).any():
                raise FormatError(
                    "a weight's cell does not have the code that was chosen for it: choose among "
                    "the codes of its table"
                )
            kept = words[rows] & np.uint16(0x80FF)
            words[rows] = kept | codes[rows] << 12 | found << LOW_BITS
    return words


def decode(
    words: ArrayLike, family: Family, choice: ArrayLike, *, first_row: int = 0
) -> NDArray[np.uint16]:
    """FP16 patterns [N, K] of words [N, K]: the inverse of :func:`encode`.

    `first_row` is the place of the words in their tensor, for the message of an error.

    Raises
    ------
    FormatError
        If a word has a slot that its code does not use: the data is damaged or of another family.
    """
    bits = _map_rows(_matrix(words, "words"), family, choice, decoder)
    damaged = np.argwhere(bits & np.uint16(_UNUSED))
    if damaged.size:
        row, column = (int(index) for index in damaged[0])
        raise FormatError(
            f"the word at row {first_row + row}, column {column} has a slot that its code does "
            f"not use: the planes are damaged, or were packed with another family than "
            f"{family.name!r}"
        )
    return bits


def middle_patterns(words: ArrayLike, family: Family, choice: ArrayLike) -> NDArray[np.uint16]:
    """FP16 patterns [N, K] of the middle values: draft and middle plane, low byte 0x80."""
    words = _matrix(words, "words")
    middle = (words & np.uint16(0xFF00)) | np.uint16(LOW_MIDDLE)
    return decode(middle, family, choice)


def draft_codes(words: ArrayLike) -> NDArray[np.uint8]:
    """Draft nibbles ``sign << 3 | code`` of words of any shape."""
    return (np.asarray(words, dtype=np.uint16) >> 12).astype(np.uint8)


def draft_magnitudes(nibbles: ArrayLike, family: Family) -> NDArray[np.int8]:
    """Signed draft integers ``(-1)**sign * d[code]`` of nibbles, -63..63, units of 2**-5."""
    values = np.array(family.draft_values, dtype=np.int8)
    return np.concatenate([values, -values])[np.asarray(nibbles, dtype=np.intp)]


def draft_values(nibbles: ArrayLike, family: Family) -> NDArray[np.float32]:
    """Draft values `v'` of nibbles, exact in FP32 (docs/numerics.md, DRAFT; alpha not applied)."""
    return draft_magnitudes(nibbles, family).astype(np.float32) * np.float32(DRAFT_UNIT)


def to_planes(words: ArrayLike) -> Planes:
    """Split words [N, K] into planes."""
    words = _matrix(words, "words")
    rows, columns = words.shape
    half = (columns + 1) // 2
    planes = Planes(
        np.empty((rows, half), dtype=np.uint8),
        np.empty((rows, half), dtype=np.uint8),
        np.empty((rows, columns), dtype=np.uint8),
    )
    step = max(1, _BLOCK_WEIGHTS // max(columns, 1))
    for start in range(0, rows, step):
        fill_planes(planes, slice(start, start + step), words[start : start + step])
    return planes


def fill_planes(planes: Planes, rows: slice, words: NDArray[np.uint16]) -> None:
    """Write the words of some rows into planes that are already there."""
    prefixes = (words >> 8).astype(np.uint8)
    planes.low[rows] = words.astype(np.uint8)
    planes.draft[rows] = pack_nibbles(prefixes >> 4)
    planes.middle[rows] = pack_nibbles(prefixes & 15)


def from_planes(planes: Planes) -> NDArray[np.uint16]:
    """Join planes into words [N, K].

    Raises
    ------
    FormatError
        If the shapes of the planes do not belong together.
    """
    rows, columns = planes.low.shape
    for name in ("draft", "middle"):
        shape, expected = getattr(planes, name).shape, (rows, (columns + 1) // 2)
        if shape != expected:
            raise FormatError(
                f"the {name} plane has shape {shape}, but a low plane of {planes.low.shape} needs "
                f"{expected}: the planes do not belong together"
            )
    prefix = unpack_nibbles(planes.draft, columns) << 4 | unpack_nibbles(planes.middle, columns)
    return (prefix.astype(np.uint16) << 8) | planes.low


def pack_nibbles(nibbles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Nibbles [N, K] to bytes [N, ceil(K / 2)], even k in the low nibble."""
    packed = nibbles[:, 0::2].copy()
    packed[:, : nibbles.shape[1] // 2] |= nibbles[:, 1::2] << 4
    return packed


def unpack_nibbles(packed: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Bytes [N, ceil(K / 2)] to the nibbles [N, K] of `columns` = K."""
    nibbles = np.empty((packed.shape[0], columns), dtype=np.uint8)
    nibbles[:, 0::2] = packed & 15
    nibbles[:, 1::2] = packed[:, : columns // 2] >> 4
    return nibbles


def check_choice(choice: ArrayLike, family: Family, rows: int) -> NDArray[np.uint8]:
    """Table choices [N] as uint8, checked against a family and a number of rows."""
    choice = np.asarray(choice)
    if choice.dtype.kind not in "iu" and choice.size:
        raise FormatError(f"table choices have dtype {choice.dtype}: use whole numbers")
    if choice.shape != (rows,):
        raise FormatError(
            f"table choices have shape {choice.shape}, but {rows} rows need shape ({rows},)"
        )
    outside = choice[(choice < 0) | (choice >= len(family.tables))]
    if outside.size:
        raise FormatError(
            f"a row names table {int(outside[0])}, but family {family.name!r} has tables "
            f"0..{len(family.tables) - 1}: use the family that the rows were packed with"
        )
    return choice.astype(np.uint8)


def _map_rows(
    values: NDArray[np.uint16],
    family: Family,
    choice: ArrayLike,
    make: Callable[[CodeTable], NDArray[np.uint16]],
) -> NDArray[np.uint16]:
    choice = check_choice(choice, family, values.shape[0])
    result = np.empty_like(values)
    for index in np.unique(choice):
        table = make(family.tables[index])
        for rows in row_blocks(np.flatnonzero(choice == index), values.shape[1]):
            result[rows] = table[values[rows]]
    return result


def row_blocks(rows: NDArray[np.intp], columns: int) -> list[NDArray[np.intp]]:
    """Cut row indices into blocks whose intermediate arrays stay in the cache."""
    step = max(1, _BLOCK_WEIGHTS // max(columns, 1))
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _matrix(values: ArrayLike, what: str) -> NDArray[np.uint16]:
    values = np.asarray(values)
    if values.dtype != np.uint16:
        raise FormatError(
            f"{what} have dtype {values.dtype}, but must be uint16 (use .view(np.uint16) on FP16)"
        )
    if values.ndim != 2:
        raise FormatError(f"{what} have shape {values.shape}, but must be a matrix [N, K]")
    return values
