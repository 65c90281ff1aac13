"""A packed tensor, and the way back to its bytes."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from speq.formats.codec import Planes, check_choice, decode, from_planes
from speq.formats.dtypes import NUMPY_TYPES
from speq.formats.scale import Scale, undo_scale
from speq.formats.tables import Family
from speq.formats.wide import widen

__all__ = ["PackedTensor", "unpack"]

_BLOCK_WEIGHTS = 1 << 18
"""Weights unpacked at a time."""


@dataclasses.dataclass(frozen=True)
class PackedTensor:
    """A packed matrix [N, K], or a tensor of any shape stored plain.

    Parameters
    ----------
    family : str
        Name of the family that packed it.
    shape : tuple of int
        Shape of the tensor.
    planes : Planes or None
        Draft, middle and low plane; None when stored plain.
    scale : Scale or None
        Powers of two t, r[n], c[k]; None when stored plain.
    tables : array of uint8 [N] or None
        Index of each row's table.
    alpha : array of float32 [N] or None
        Scale of each row's draft result (epilogue).
    plain : array of uint16 or None
        FP16 patterns of a tensor stored plain, in its shape.
    reason : str or None
        Why it is stored plain.
    dtype : {"F16", "BF16", "F32"}
        Type that it unpacks to.
    draft_sqnr_db, middle_sqnr_db : float or None
        Signal to quantisation noise of the draft weights `v' * alpha` and of the middle values,
        against the exact weights, in dB; infinite where they are exact, None when stored plain.
    """

    family: str
    shape: tuple[int, ...]
    planes: Planes | None = None
    scale: Scale | None = None
    tables: NDArray[np.uint8] | None = None
    alpha: NDArray[np.float32] | None = None
    plain: NDArray[np.uint16] | None = None
    reason: str | None = None
    dtype: str = "F16"
    draft_sqnr_db: float | None = None
    middle_sqnr_db: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the tensor is stored as FP16 only."""
        return self.plain is not None


def unpack(packed: PackedTensor, members: Family) -> NDArray:
    """The tensor that was packed, byte for byte and in its type.

    Parameters
    ----------
    packed : PackedTensor
        Result of :func:`speq.formats.pack`.
    members : Family
        The family it was packed with.

    Returns
    -------
    array of float16, bfloat16 or float32
        As ``packed.dtype`` says.

    Raises
    ------
    FormatError
        If the parts of `packed` do not belong together or to the family.
    """
    if packed.is_plain:
        if packed.dtype == "F16":
            return packed.plain.view(np.float16)
        return widen(packed.plain, packed.dtype)
    choice = check_choice(packed.tables, members, packed.shape[0])
    result = np.empty(packed.shape, dtype=NUMPY_TYPES[packed.dtype])
    # Block by block, so that nothing but the planes and the result is ever whole in memory.
    step = max(1, _BLOCK_WEIGHTS // max(packed.shape[1], 1))
    for start in range(0, packed.shape[0], step):
        rows = slice(start, start + step)
        planes, scale = packed.planes, packed.scale
        block = Planes(planes.draft[rows], planes.middle[rows], planes.low[rows])
        stored = decode(from_planes(block), members, choice[rows], first_row=start)
        part = Scale(scale.tensor, scale.rows[rows], scale.columns)
        if packed.dtype == "F16":
            result[rows] = undo_scale(stored, part).view(np.float16)
        else:
            result[rows] = widen(stored, packed.dtype, part)
    return result
