"""The bytes of a weight matrix in the accelerator's memory (docs/accelerator.md, Memory layout).

Every plane holds the same sequence of weights, in the order in which tiles load, so that each mode
reads whole regions from their first byte to their last.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from speq.formats.codec import draft_codes, encode, from_planes
from speq.formats.errors import FormatError
from speq.formats.int4 import Int4Tensor
from speq.formats.packing import PackedTensor
from speq.formats.tables import Family, family
from speq.parameters import (
    MAX_PRODUCTS,
    ParameterError,
    Parameters,
    check_accelerator,
)

__all__ = ["PLANES", "Extent", "MemoryImage", "memory_image"]

PLANES: tuple[str, ...] = ("draft", "middle", "low")
"""Regions of a packed matrix. Others have but the first: words of a plain one, nibbles of INT4."""

_TABLE_SHIFT = 8
"""Place of the table's number in a row record."""


@dataclasses.dataclass(frozen=True)
class Extent:
    """How many tiles and AXI beats a matrix takes.

    Parameters
    ----------
    parameters : Parameters
        The design point.
    outputs, inputs : int
        N and K of the matrix.
    plain : bool
        Whether it is stored as FP16 patterns.
    int4 : bool
        Whether its weights are INT4.

    Raises
    ------
    ParameterError
        If the design is no accelerator, or cannot read such a matrix.
    FormatError
        If K is 0 or beyond 65,536, or N is 0.
    """

    parameters: Parameters
    outputs: int
    inputs: int
    plain: bool = False
    int4: bool = False

    def __post_init__(self) -> None:
        check_accelerator(self.parameters)
        name = self.parameters.name
        if self.int4:
            if not self.parameters.integers:
                raise ParameterError(
                    f'design {name!r} has no mode of INT4 weights: add "qdraft" and "qverify" to '
                    f"its modes, or store the matrix packed or plain"
                )
        elif not self.plain and not self.parameters.packs:
            raise ParameterError(
                f"design {name!r} has no decoder of packed words: unpack the matrix to FP16 first, "
                f'or add "draft" to the modes'
            )
        if not self.outputs or not self.inputs or self.inputs > MAX_PRODUCTS:
            raise FormatError(
                f"a matrix of {self.outputs} x {self.inputs} weights cannot be read: N must be 1 "
                f"or more, and K 1 to {MAX_PRODUCTS}"
            )

    @property
    def output_tiles(self) -> int:
        """NT, tiles of R outputs."""
        return -(-self.outputs // self.parameters.rows)

    @property
    def groups(self) -> int:
        """KG, groups of inputs that share tiles."""
        return -(-self.inputs // self.parameters.group_inputs)

    @property
    def shift_beats(self) -> int:
        """Beats of column shifts, at the start of the draft plane."""
        return 0 if self.plain else self.groups * self.parameters.columns // self._words

    @property
    def record_beats(self) -> int:
        """Beats of row records, before each output tile's draft weights."""
        return 0 if self.plain else -(-self.parameters.rows // self._words)

    @property
    def beats(self) -> tuple[int, ...]:
        """AXI beats of each plane."""
        steps = self.output_tiles * self.groups * self.parameters.load_cycles
        if self.plain:
            return (steps * self.parameters.group_tiles,)
        draft = self.shift_beats + self.output_tiles * self.record_beats + steps
        return (draft,) if self.int4 else (draft, steps, 2 * steps)

    def planes_read(self, mode: str) -> int:
        """How many of the planes, from the first, a mode reads."""
        return min({"draft": 1, "middle": 2}.get(mode, len(PLANES)), len(self.beats))

    @property
    def _words(self) -> int:
        return self.parameters.port_words


@dataclasses.dataclass(frozen=True, eq=False)
class MemoryImage:
    """A matrix as it lies in memory.

    Attributes
    ----------
    extent : Extent
        Its sizes.
    regions : tuple of uint8 arrays
        The bytes of each plane, a whole number of beats.
    alpha : array of float32 [N] or None
        Scale of each row's draft result, left to software; None stands for ones.
    scale : array of float16 [N] or None
        Scale of each row of an INT4 matrix, left to software.
    """

    extent: Extent
    regions: tuple[NDArray[np.uint8], ...]
    alpha: NDArray[np.float32] | None = None
    scale: NDArray[np.float16] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all regions."""
        return sum(region.nbytes for region in self.regions)


def memory_image(tensor: PackedTensor | Int4Tensor, parameters: Parameters) -> MemoryImage:
    """Lay out a matrix for a design point.

    Parameters
    ----------
    tensor : PackedTensor or Int4Tensor
        A packed matrix [N, K], one stored plain, or an INT4 one.
    parameters : Parameters
        The design. A design without DRAFT reads plain matrices only.

    Raises
    ------
    FormatError
        If the tensor is no matrix, is packed with other tables than the design decodes, or is INT4
        with a scale per group of inputs: an output has one sum, hence one scale.
    ParameterError
        If the design is no accelerator, or cannot read 4-bit weights.
    """
    if len(tensor.shape) != 2:
        raise FormatError(
            f"a tensor of shape {tensor.shape} is no matrix [N, K]: only matrices are streamed"
        )
    if isinstance(tensor, Int4Tensor):
        return _int4_image(tensor, parameters)
    extent = Extent(parameters, *tensor.shape, plain=tensor.is_plain)
    if tensor.is_plain:
        zeros = np.zeros(tensor.shape[0], dtype=np.uint16)
        words = _in_order(tensor.plain, extent, 0, zeros)
        return MemoryImage(extent, (words.astype("<u2").view(np.uint8),))
    if tensor.family != parameters.family:
        raise FormatError(
            f"the matrix is packed with family {tensor.family!r}, but design {parameters.name!r} "
            f"decodes {parameters.family!r}: pack it anew, or set family of the design"
        )
    zeros = _zero_words(family(tensor.family))
    words = _in_order(from_planes(tensor.planes), extent, zeros[0], zeros[tensor.tables])
    codes = draft_codes(words)
    draft = _draft_plane(extent, _shifts(tensor, extent), _records(tensor, extent), codes)
    middle = _nibbles((words >> 8).astype(np.uint8) & 0xF)
    return MemoryImage(extent, (draft, middle, words.astype(np.uint8)), tensor.alpha)


def _int4_image(tensor: Int4Tensor, parameters: Parameters) -> MemoryImage:
    if tensor.group:
        raise FormatError(
            f"the matrix has a scale per group of {tensor.group} inputs, but a job gives one sum "
            f"per output: cut it along k into its groups, a matrix each"
        )
    extent = Extent(parameters, *tensor.shape, int4=True)
    zeros = np.zeros(extent.outputs, dtype=np.uint16)
    codes = _in_order(tensor.nibbles.astype(np.uint16), extent, 0, zeros).astype(np.uint8)
    beat = parameters.bus_bytes
    shifts = np.zeros(extent.shift_beats * beat, dtype=np.uint8)
    records = np.zeros((extent.output_tiles, extent.record_beats * beat), dtype=np.uint8)
    draft = _draft_plane(extent, shifts, records, codes)
    return MemoryImage(extent, (draft,), scale=tensor.scale)


def _draft_plane(
    extent: Extent,
    shifts: NDArray[np.uint8],
    records: NDArray[np.uint8],
    codes: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Column shifts, then per output tile its records [NT, bytes] and its weights' nibbles."""
    weights = _nibbles(codes).reshape(extent.output_tiles, -1)
    tiles = np.concatenate([records, weights], axis=1)
    return np.concatenate([shifts, tiles.reshape(-1)])


def _in_order(
    words: NDArray[np.uint16], extent: Extent, spare: int, zeros: NDArray[np.uint16]
) -> NDArray[np.uint16]:
    """All words in the order of the planes.

    Rows are filled up with their words `zeros` [N] of +0, further rows with the word `spare`.
    """
    design = extent.parameters
    outputs, inputs = words.shape
    rows = extent.output_tiles * design.rows
    padded = np.empty((rows, extent.groups * design.group_inputs), dtype=np.uint16)
    padded[outputs:] = spare
    padded[:outputs] = zeros[:, None]
    padded[:outputs, :inputs] = words
    parts = design.group_tiles // design.lanes
    shape = (extent.output_tiles, design.rows, extent.groups, parts, design.columns, design.lanes)
    # Quarter q = part * L + lane, then row, then column.
    return padded.reshape(shape).transpose(0, 2, 3, 5, 1, 4).reshape(-1)


def _zero_words(members: Family) -> NDArray[np.uint16]:
    """The word of +0 in each table."""
    count = len(members.tables)
    zeros = np.zeros((count, 1), dtype=np.uint16)
    return encode(zeros, members, np.arange(count))[:, 0]


def _nibbles(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Values 0..15 two a byte, the first in the low nibble."""
    return values[0::2] | values[1::2] << 4


def _shifts(tensor: PackedTensor, extent: Extent) -> NDArray[np.uint8]:
    """Column shifts of all padded inputs, two a byte."""
    shifts = np.zeros(extent.groups * extent.parameters.group_inputs, dtype=np.uint8)
    shifts[: extent.inputs] = -tensor.scale.columns.astype(np.int16)
    return _nibbles(shifts)


def _records(tensor: PackedTensor, extent: Extent) -> NDArray[np.uint8]:
    """Row records [NT, bytes], filled up to whole beats."""
    design = extent.parameters
    records = np.zeros(extent.output_tiles * design.rows, dtype="<u2")
    exponents = tensor.scale.row_exponents.astype(np.int64) & 0x7F
    records[: extent.outputs] = exponents | tensor.tables.astype(np.int64) << _TABLE_SHIFT
    records = records.reshape(extent.output_tiles, design.rows)
    filled = extent.record_beats * design.port_words
    return np.pad(records, ((0, 0), (0, filled - design.rows))).view(np.uint8)
