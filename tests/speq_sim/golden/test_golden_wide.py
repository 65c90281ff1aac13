"""The bounds on which the golden model's exactness in float64 rests, over all operands."""

import numpy as np
import pytest

from speq.parameters import MAX_PRODUCTS
from speq_sim import golden
from speq_sim.golden.modes import FP16_BITS, VERIFY_SPLIT
from speq_sim.golden.nibbles import SPLIT, UNIT_BITS
from speq_sim.golden.wide import split_integers

FINITE = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
FINITE = FINITE[np.isfinite(FINITE)].astype(np.float64)
SHIFTS = 2.0 ** np.arange(16)[:, None]


def largest_piece(values, bits, pieces):
    """Largest magnitude of any piece, after a check that the pieces make up the values."""
    found = split_integers(values, bits, pieces)
    # Python integers: the check itself must not round.
    for piece in found:
        assert (piece == np.rint(piece)).all()
    made = sum(piece.astype(object) * 2 ** (bits * place) for place, piece in enumerate(found))
    assert (made == values.astype(object)).all()
    return max(np.abs(piece).max() for piece in found)


def block_activations():
    """All magnitudes of all blocks, in units of ``2**-(UNIT_BITS + b)``.

    Infinities lift E to 46; what is beside them is summed, though it does not matter.
    """
    exponents = np.arange(1, 47)[:, None]
    for bits in range(1, 13):
        yield np.ldexp(np.arange(1 << bits) * 1.0, exponents - 14 - bits + UNIT_BITS + bits)


def test_verify_pieces_stay_exact():
    split = VERIFY_SPLIT
    weights = largest_piece(FINITE * 2.0**FP16_BITS, split.bits, split.weight_pieces)
    shifted = FINITE * SHIFTS * 2.0**FP16_BITS
    activations = largest_piece(shifted, split.bits, split.activation_pieces)
    assert weights * activations * split.products <= 2**53


def test_pieces_of_blocks_stay_exact():
    split = SPLIT
    pieces = [largest_piece(x, split.bits, split.activation_pieces) for x in block_activations()]
    assert 63 * max(pieces) * split.products <= 2**53
    assert split.products >= MAX_PRODUCTS


@pytest.mark.parametrize("depth", [8191, 8192, 8193])
def test_parts_of_a_long_sum_join(depth):
    """Either side of the longest sum that is one float64 product."""
    x = np.full((1, depth), 65504, dtype=np.float16)
    w = np.ones((1, depth), dtype=np.float16)
    w[0, -1] = -1
    assert golden.verify(w, x)[0, 0] == np.float32((depth - 2) * 65504)
