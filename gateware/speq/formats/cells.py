"""Cells: a quarter of a binade each, 64 of them below 2.

An FP16 pattern `u` of magnitude below 2 has `u[14] == 0`. Its magnitude `g = u[13:0]` is an
integer that grows with |w|; `cell = g >> 8` holds the four low exponent bits and the two high
fraction bits, `low = g & 0xFF` the other eight fraction bits. Nothing here rounds: a pattern and
its (sign, cell, low) are the same 15 bits.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.formats.errors import FormatError

__all__ = ["CELLS", "CELLS_PER_BINADE", "LOW_BITS", "LOW_MIDDLE", "cell_edges", "join", "split"]

CELLS = 64
"""Number of cells: quarter binades of magnitudes below 2."""

CELLS_PER_BINADE = 4
"""Cells that share a biased exponent."""

LOW_BITS = 8
"""Fraction bits below the cell."""

LOW_MIDDLE = 0x80
"""Low byte of the middle value: the middle of the cell."""

_BIT_14 = 0x4000


def split(bits: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Split FP16 patterns with bit 14 clear.

    Parameters
    ----------
    bits : array of uint16
        FP16 patterns of any shape, each of magnitude below 2.

    Returns
    -------
    sign, cell, low : arrays of uint8, shaped as `bits`
        1 bit, 6 bits and 8 bits of each pattern.

    Raises
    ------
    FormatError
        If a pattern has bit 14 set, that is, magnitude 2 or above, infinity or NaN.
    """
    bits = np.asarray(bits, dtype=np.uint16)
    if np.any(bits & _BIT_14):
        raise FormatError(
            "a weight of magnitude 2 or above (or Inf, NaN) has no cell: scale the tensor below 2 "
            "first, or store it plain"
        )
    sign = (bits >> 15).astype(np.uint8)
    cell = ((bits >> LOW_BITS) & (CELLS - 1)).astype(np.uint8)
    return sign, cell, (bits & 0xFF).astype(np.uint8)


def join(sign: ArrayLike, cell: ArrayLike, low: ArrayLike) -> NDArray[np.uint16]:
    """FP16 patterns of (sign, cell, low byte): the inverse of :func:`split`."""
    sign = np.asarray(sign, dtype=np.uint16)
    cell = np.asarray(cell, dtype=np.uint16)
    return (sign << 15) | (cell << LOW_BITS) | np.asarray(low, dtype=np.uint16)


def cell_edges() -> NDArray[np.float64]:
    """Lower edge of each cell and the upper edge of the last: 65 values, 0 to 2."""
    edges = np.arange(CELLS, dtype=np.uint16) << LOW_BITS
    return np.append(edges.view(np.float16).astype(np.float64), 2.0)
