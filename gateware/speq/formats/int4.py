"""INT4 tensors: integers -8..7 with FP16 scales per row or group (docs/format.md, INT4 tensors)."""

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.formats.codec import pack_nibbles, row_blocks, unpack_nibbles
from speq.formats.dtypes import NUMPY_TYPES, WEIGHT_TYPES
from speq.formats.errors import FormatError, QuantisationError

__all__ = [
    "CLIPS",
    "CLIP_GRID",
    "Int4Tensor",
    "check_scheme",
    "from_nibbles",
    "quantise_int4",
    "scale_shape",
    "to_nibbles",
]

CLIPS: tuple[str, ...] = ("none", "mse")
"""Ways to choose a scale: by the largest weight, or by least squared error."""

CLIP_GRID: tuple[float, ...] = tuple(percent / 100 for percent in range(100, 34, -1))
"""Shares of the largest weight that ``"mse"`` tries to scale to 7, largest first."""

LEAST, LARGEST = -8, 7

_MOST_GROUP = 1 << 16

_BLOCK_WEIGHTS = 1 << 17
"""Weights quantised at a time, so that intermediate arrays stay in the cache."""

_CODES = np.array([*range(8), 8, *(8 | -value for value in range(-7, 0))], dtype=np.uint8)
"""Nibble of each integer, by its four bits of two's complement."""

_INTEGERS = np.array([*range(8), LEAST, *range(-1, -8, -1)], dtype=np.int8)
"""Integer of each nibble."""


@dataclasses.dataclass(frozen=True, eq=False)
class Int4Tensor:
    """A matrix [N, K] of integers i with scales: it stands for ``i[n,k] * scale[n, k // group]``.

    Parameters
    ----------
    shape : tuple of int
        N and K.
    plane : array of uint8 [N, ceil(K / 2)]
        Nibbles of sign and magnitude (:func:`to_nibbles`), even k in the low nibble.
    scale : array of float16 [N] or [N, ceil(K / group)]
        Finite and above 0, per row (group 0) or per row and group.
    group : int
        Consecutive inputs that share a scale, a multiple of 4; 0 is all of a row.
    clip : {"none", "mse"}
        How the scales were chosen.
    sqnr_db : float or None
        Energy of the weights over that of the errors in dB; infinite where there are none, None
        where it is not known.

    Raises
    ------
    FormatError
        If the parts do not belong together.
    """

    shape: tuple[int, int]
    plane: NDArray[np.uint8]
    scale: NDArray[np.float16]
    group: int = 0
    clip: str = "none"
    sqnr_db: float | None = None

    def __post_init__(self) -> None:
        check_scheme(self.group, self.clip)
        rows, columns = self.shape
        wanted = {
            "plane": (np.uint8, (rows, (columns + 1) // 2)),
            "scale": (np.float16, scale_shape(rows, columns, self.group)),
        }
        for name, (dtype, shape) in wanted.items():
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != shape:
                raise FormatError(
                    f"its {name} is {array.dtype} of shape {array.shape}, but must be "
                    f"{np.dtype(dtype)} of shape {shape}: quantise the matrix again"
                )
        if not np.all((self.scale > 0) & np.isfinite(self.scale)):
            raise FormatError(
                "a scale is Inf, NaN or not above 0: the tensor is damaged, quantise it again"
            )

    @property
    def nibbles(self) -> NDArray[np.uint8]:
        """Nibbles [N, K], 0..15, as the array takes them."""
        return unpack_nibbles(self.plane, self.shape[1])

    @property
    def integers(self) -> NDArray[np.int8]:
        """Integers [N, K], -8..7."""
        return from_nibbles(self.nibbles)

    def dequantise(self) -> NDArray[np.float32]:
        """The weights [N, K] that it stands for, exact in FP32: 4 bits times 11."""
        result = np.empty(self.shape, dtype=np.float32)
        columns = self.shape[1]
        groups = np.arange(columns) // (self.group or max(columns, 1))
        scales = self.scale.reshape(len(self.scale), -1)
        for rows in row_blocks(np.arange(self.shape[0]), columns):
            integers = from_nibbles(unpack_nibbles(self.plane[rows], columns))
            result[rows] = integers * scales[rows].astype(np.float32)[:, groups]
        return result


def check_scheme(group: int, clip: str) -> None:
    """Refuse a group size or a clip that is not defined.

    Raises
    ------
    FormatError
        If there is no such.
    """
    whole = isinstance(group, int) and not isinstance(group, bool)
    if not whole or group % 4 or not 0 <= group <= _MOST_GROUP:
        raise FormatError(
            f"the group is {group!r}, but must be 0 (one scale per row) or a multiple of 4 up to "
            f"{_MOST_GROUP}, such as 128"
        )
    if clip not in CLIPS:
        raise FormatError(f"the clip is {clip!r}, but must be one of {', '.join(CLIPS)}")


def scale_shape(rows: int, columns: int, group: int) -> tuple[int, ...]:
    """Shape of the scales of a matrix [N, K]: [N], or [N, G] with groups."""
    return (rows, -(-columns // group)) if group else (rows,)


def to_nibbles(integers: ArrayLike) -> NDArray[np.uint8]:
    """Nibbles of integers of any shape: bit 3 the sign, bits 2..0 the magnitude; -8 is 1000.

    Raises
    ------
    FormatError
        If a value is no integer -8..7.
    """
    integers = np.asarray(integers)
    if integers.dtype.kind not in "iu" or np.any((integers < LEAST) | (integers > LARGEST)):
        raise FormatError(f"an INT4 weight must be a whole number {LEAST}..{LARGEST}: clamp it")
    return _CODES[integers & 15]


def from_nibbles(nibbles: ArrayLike) -> NDArray[np.int8]:
    """Integers -8..7 of nibbles of any shape: the inverse of :func:`to_nibbles`.

    Raises
    ------
    FormatError
        If a value is no integer 0..15.
    """
    nibbles = np.asarray(nibbles)
    if nibbles.dtype.kind not in "iu" or np.any((nibbles < 0) | (nibbles > 15)):
        raise FormatError("a nibble must be a whole number 0..15: take bytes apart first")
    return _INTEGERS[nibbles]


def quantise_int4(weights: ArrayLike, group: int = 0, clip: str = "none") -> Int4Tensor:
    """Quantise a matrix, symmetrically, to nearest even.

    A row (or a row's group) of largest magnitude `a` takes the scale ``FP16(a / 7)``, and 1 where
    `a` is 0; weights become ``round(w / scale)``, clamped to -8..7. With ``"mse"`` the scale is
    the one of ``FP16(c * a / 7)`` for `c` in :data:`CLIP_GRID` that leaves the least squared
    error; among equals the one of the largest `c`.

    Parameters
    ----------
    weights : array of float16, bfloat16 or float32 [N, K]
    group : int
        Inputs that share a scale, a multiple of 4; 0 is all of a row.
    clip : {"none", "mse"}

    Raises
    ------
    QuantisationError
        If `weights` are no matrix, empty, hold Inf or NaN, or a scale is too large or too small
        for FP16.
    FormatError
        If the type of `weights`, the group or the clip is not known.
    """
    check_scheme(group, clip)
    weights = np.asarray(weights)
    if weights.dtype not in (NUMPY_TYPES[name] for name in WEIGHT_TYPES):
        raise FormatError(
            f"weights have dtype {weights.dtype}, but must be float16, bfloat16 or float32"
        )
    if weights.ndim != 2:
        raise QuantisationError(f"it has {weights.ndim} dimensions, and only matrices are INT4")
    if not weights.size:
        raise QuantisationError("it is empty")
    rows, columns = weights.shape
    plane = np.empty((rows, (columns + 1) // 2), dtype=np.uint8)
    count = min(group or columns, columns)
    scale = np.empty((rows, -(-columns // count)), dtype=np.float16)
    energy = noise = 0.0
    step = max(1, _BLOCK_WEIGHTS // columns)
    for start in range(0, rows, step):
        block = slice(start, start + step)
        values = _grouped(weights[block], count)
        scale[block] = _scales(values, start, grouped=bool(group), clip=clip)
        wide = scale[block].astype(np.float32)[:, :, None]
        integers = _rounded(values, wide).astype(np.int8).reshape(len(values), -1)
        plane[block] = pack_nibbles(to_nibbles(integers[:, :columns]))
        energy += float(np.einsum("ngk,ngk->", values, values, dtype=np.float64))
        noise += float(_errors(values, wide).sum())
    ratio = 10 * math.log10(energy / noise) if noise else math.inf
    scale = scale.reshape(scale_shape(rows, columns, group))
    return Int4Tensor((rows, columns), plane, scale, group, clip, ratio)


def _grouped(weights: NDArray, group: int) -> NDArray[np.float32]:
    """Some rows in FP32 as [rows, G, group], the last group filled up with zeros."""
    rows, columns = weights.shape
    values = weights.astype(np.float32)
    if columns % group:
        values = np.pad(values, ((0, 0), (0, -columns % group)))
    return values.reshape(rows, -1, group)


def _scales(
    values: NDArray[np.float32], first_row: int, *, grouped: bool, clip: str
) -> NDArray[np.float16]:
    """Scales [rows, G] of some rows, which are those from `first_row` of their matrix."""
    largest = np.abs(values).max(axis=2)
    if not np.all(np.isfinite(largest)):
        raise QuantisationError("it holds Inf or NaN")
    scale = _scale(largest, 1.0)
    scale[largest == 0] = 1
    bad = np.argwhere((scale == 0) | np.isinf(scale))
    if bad.size:
        row, group = (int(index) for index in bad[0])
        place = f"row {first_row + row}" + (f", group {group}" if grouped else "")
        why = "FP16 rounds to 0" if scale[row, group] == 0 else "is beyond FP16's largest, 65504"
        raise QuantisationError(
            f"the scale of {place} would be {float(largest[row, group]) / LARGEST:.3g}, which {why}"
        )
    return _least_error(values, largest, scale) if clip == "mse" else scale


def _least_error(
    values: NDArray[np.float32], largest: NDArray[np.float32], scale: NDArray[np.float16]
) -> NDArray[np.float16]:
    """Scales of the least squared error, beginning with those that do not clip."""
    best, least = scale, _errors(values, scale.astype(np.float32)[:, :, None])
    for share in CLIP_GRID[1:]:
        found = _scale(largest, share)
        # What FP16 rounds to 0 is no scale; a row of zeros keeps its 1.
        found = np.where(found > 0, found, scale)
        errors = _errors(values, found.astype(np.float32)[:, :, None])
        better = errors < least
        best, least = np.where(better, found, best), np.where(better, errors, least)
    return best


def _scale(largest: NDArray[np.float32], share: float) -> NDArray[np.float16]:
    """``FP16(share * largest / 7)``: both steps in FP32, then rounded to nearest even."""
    quotient = largest * np.float32(share) / np.float32(LARGEST)
    with np.errstate(over="ignore", under="ignore"):
        return quotient.astype(np.float16)


def _rounded(values: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """Integers -8..7, in FP32, of weights [rows, G, group] with scales [rows, G, 1]."""
    result = values / scale
    np.rint(result, out=result)
    return np.clip(result, LEAST, LARGEST, out=result)


def _errors(values: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared errors [rows, G], with the same bits on every machine.

    Errors are rounded to FP32, and their squares, exact in FP64, are summed in FP64 by adding the
    upper half to the lower one until one is left: no sum whose order a library may choose. (A last
    group that is shorter than the others is filled up with zeros.)
    """
    errors = _rounded(values, scale)
    errors *= scale
    np.subtract(values, errors, out=errors)
    squares = np.multiply(errors, errors, dtype=np.float64)
    count = squares.shape[2]
    while count > 1:
        half = (count + 1) // 2
        squares[:, :, : count - half] += squares[:, :, half:count]
        count = half
    return squares[:, :, 0]
