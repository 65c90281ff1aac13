"""Block floating point: what passes of 4-bit weights see of activations (docs/numerics.md)."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.checks import check_activations, check_lanes, check_shifts

__all__ = [
    "BFP6",
    "BlockFloat",
    "BlockFormat",
    "block_floating_point",
    "block_format",
    "qverify_format",
]

MOST_BITS = 12
"""Largest b: an 11-bit significand, and one bit more for a neighbour one binade below."""

NAMED_BITS = {"fp16": 11, "bfp6": 6, "bfp8": 8, "bfp12": 12}
"""Magnitude bits of the named formats."""


@dataclasses.dataclass(frozen=True)
class BlockFormat:
    """A format of activations: integer magnitudes in blocks that share an exponent.

    Parameters
    ----------
    bits : int
        b, magnitude bits, 1..12.
    size : int
        B, consecutive activations of a block, 1 or more.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    bits: int
    size: int

    def __post_init__(self) -> None:
        if self.bits not in range(1, MOST_BITS + 1):
            raise ValueError(f"bits is {self.bits!r}, but must be an integer 1..{MOST_BITS}")
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"size is {self.size!r}, but must be an integer of 1 or more")


BFP6 = BlockFormat(6, 4)
"""Draft activations of a design of four lanes, unless it names others."""


def block_format(name: str, lanes: int) -> BlockFormat:
    """The draft activations of a design.

    Parameters
    ----------
    name : str
        ``"fp16"``, the activation itself, or ``"bfp6"``, ``"bfp8"`` or ``"bfp12"``.
    lanes : int
        L, the block size of all but ``"fp16"``: 1, 2 or 4.

    Raises
    ------
    ValueError
        If there is no such format.
    """
    check_lanes(lanes)
    if name not in NAMED_BITS:
        raise ValueError(
            f"draft activations are {name!r}, but must be one of {', '.join(NAMED_BITS)}"
        )
    return BlockFormat(NAMED_BITS[name], 1 if name == "fp16" else lanes)


def qverify_format(lanes: int) -> BlockFormat:
    """The activations of QVERIFY in a design of L = `lanes`: FP16, or pairs of 12 bits."""
    check_lanes(lanes)
    return BlockFormat(11, 1) if lanes == 1 else BlockFormat(12, 2)


@dataclasses.dataclass(frozen=True)
class BlockFloat:
    """Activations that share an exponent per block of B consecutive k.

    A finite activation stands for ``(-1)**negative * magnitude * 2**(exponent - 14 - b)``, with the
    exponent of its block.

    Parameters
    ----------
    exponent : NDArray
        E, M x ceil(K / B) int64, 1..46 (46 only by infinity or NaN).
    negative : NDArray
        Signs, M x K bool.
    magnitude : NDArray
        q, M x K int64 below ``2**b``. Where the activation is not finite it is the same formula on
        a significand with the hidden bit set, and means nothing.
    infinite, nan : NDArray
        M x K bool.
    form : BlockFormat
        b and B.
    """

    exponent: NDArray[np.int64]
    negative: NDArray[np.bool_]
    magnitude: NDArray[np.int64]
    infinite: NDArray[np.bool_]
    nan: NDArray[np.bool_]
    form: BlockFormat

    def spread_exponent(self) -> NDArray[np.int64]:
        """Exponent of the block each activation lies in, M x K."""
        return np.repeat(self.exponent, self.form.size, axis=1)[:, : self.magnitude.shape[1]]


def block_floating_point(
    activations: NDArray[np.float16], shifts: NDArray[np.integer] | None, form: BlockFormat
) -> BlockFloat:
    """Convert FP16 activations to block floating point.

    Parameters
    ----------
    activations : NDArray
        M x K float16.
    shifts : NDArray or None
        s[k], K integers 0..15; None stands for zeros.
    form : BlockFormat
        b and B. A last block that K leaves short is as if filled with activations +0 of shift 0.

    Returns
    -------
    BlockFloat
        See there.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong.
    """
    check_activations(activations)
    tokens, depth = activations.shape
    shifts = check_shifts(shifts, depth)

    patterns = activations.view(np.uint16).astype(np.int64)
    fraction = patterns & 0x3FF
    biased = patterns >> 10 & 0x1F
    significand = fraction + 1024 * (biased != 0)
    exponents = np.maximum(biased, 1) + shifts

    # 1 is the exponent of a padding zero and the least there is: it never decides a block.
    padded = np.ones((tokens, -(-depth // form.size) * form.size), dtype=np.int64)
    padded[:, :depth] = exponents
    block = padded.reshape(tokens, -1, form.size).max(axis=2)
    spread = np.repeat(block, form.size, axis=1)[:, :depth]

    # floor(sig * 2**(12-11) * 2**-drop + 1/2); beyond 12 dropped bits of 12 it is 0.
    drop = np.minimum(spread - exponents + MOST_BITS - form.bits, 13)
    rounded = 2 * significand + ((1 << drop) >> 1) >> drop
    return BlockFloat(
        exponent=block,
        negative=patterns >= 0x8000,
        magnitude=np.minimum(rounded, (1 << form.bits) - 1),
        infinite=(biased == 31) & (fraction == 0),
        nan=(biased == 31) & (fraction != 0),
        form=form,
    )
