"""Block-floating-point activations: what a draft pass sees of them (docs/numerics.md, DRAFT)."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.checks import check_activations, check_lanes, check_shifts

__all__ = ["BlockFloat", "block_floating_point"]

SIGNIFICAND_BITS = 11


@dataclasses.dataclass(frozen=True)
class BlockFloat:
    """Activations that share an exponent per block of L consecutive k.

    A finite activation stands for ``(-1)**negative * magnitude * 2**(exponent - 14 - bits)``, with
    the exponent of its block.

    Parameters
    ----------
    exponent : NDArray
        E, M x ceil(K / L) int64, 1..46 (46 only by infinity or NaN).
    negative : NDArray
        Signs, M x K bool.
    magnitude : NDArray
        q, M x K int64 below ``2**bits``. Where the activation is not finite it is the same
        formula on a significand with the hidden bit set, and means nothing.
    infinite, nan : NDArray
        M x K bool.
    bits : int
        b: 6 for L = 4, else 11.
    lanes : int
        L, the block size.
    """

    exponent: NDArray[np.int64]
    negative: NDArray[np.bool_]
    magnitude: NDArray[np.int64]
    infinite: NDArray[np.bool_]
    nan: NDArray[np.bool_]
    bits: int
    lanes: int

    def spread_exponent(self) -> NDArray[np.int64]:
        """Exponent of the block each activation lies in, M x K."""
        return np.repeat(self.exponent, self.lanes, axis=1)[:, : self.magnitude.shape[1]]


def block_floating_point(
    activations: NDArray[np.float16], shifts: NDArray[np.integer] | None, lanes: int
) -> BlockFloat:
    """Convert FP16 activations to block floating point.

    Parameters
    ----------
    activations : NDArray
        M x K float16.
    shifts : NDArray or None
        s[k], K integers 0..15; None stands for zeros.
    lanes : int
        L, the block size: 1, 2 or 4. A last block that K leaves short is as if filled with
        activations +0 of shift 0.

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
    check_lanes(lanes)
    tokens, depth = activations.shape
    shifts = check_shifts(shifts, depth)
    bits = 6 if lanes == 4 else 11

    patterns = activations.view(np.uint16).astype(np.int64)
    fraction = patterns & 0x3FF
    biased = patterns >> 10 & 0x1F
    significand = fraction + 1024 * (biased != 0)
    exponents = np.maximum(biased, 1) + shifts

    # 1 is the exponent of a padding zero and the least there is: it never decides a block.
    padded = np.ones((tokens, -(-depth // lanes) * lanes), dtype=np.int64)
    padded[:, :depth] = exponents
    block = padded.reshape(tokens, -1, lanes).max(axis=2)
    spread = np.repeat(block, lanes, axis=1)[:, :depth]

    # floor(sig * 2**-drop + 1/2); beyond 12 dropped bits of an 11-bit significand it is 0.
    drop = np.minimum(spread - exponents + SIGNIFICAND_BITS - bits, 13)
    rounded = significand + ((1 << drop) >> 1) >> drop
    return BlockFloat(
        exponent=block,
        negative=patterns >= 0x8000,
        magnitude=np.minimum(rounded, (1 << bits) - 1),
        infinite=(biased == 31) & (fraction == 0),
        nan=(biased == 31) & (fraction != 0),
        bits=bits,
        lanes=lanes,
    )
