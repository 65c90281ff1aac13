"""The golden model of 8- and 4-bit weights over whole spaces of operands."""

import itertools

import numpy as np
import pytest

from speq.formats import encode, family
from speq.formats.codec import middle_patterns
from speq_sim import golden

EVERY = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
NIBBLES = np.arange(16, dtype=np.uint8)
INT4 = np.array([0, 1, 2, 3, 4, 5, 6, 7, -8, -1, -2, -3, -4, -5, -6, -7])
"""What each nibble stands for."""

FORMS = {
    "fp16": golden.block_format("fp16", 1),
    "bfp12 of 2": golden.block_format("bfp12", 2),
    "bfp12 of 4": golden.block_format("bfp12", 4),
    "bfp8": golden.block_format("bfp8", 4),
    "bfp6": golden.block_format("bfp6", 4),
}
FORMATS = ("fp32", "fp16")


def alone(patterns, bits):
    """What an activation alone in its block becomes: b leading bits, halves up, saturating."""
    mantissa, exponent = np.frexp(np.abs(patterns).astype(np.float64))
    # Subnormals have leading zeros: their effective exponent is that of 2**-14.
    unit = np.ldexp(1.0, np.maximum(np.where(mantissa, exponent, -13), -13) - bits)
    with np.errstate(invalid="ignore"):
        magnitude = np.minimum(np.floor(np.abs(patterns) / unit + 0.5), 2**bits - 1) * unit
    magnitude = np.where(np.isfinite(patterns), magnitude, np.abs(patterns).astype(np.float64))
    return np.copysign(magnitude, patterns)


def check(found, wanted):
    """Bit for bit; `wanted` are exact products in float64, each rounded here once."""
    with np.errstate(over="ignore"):
        rounded = wanted.astype(found.dtype)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    patterns = found.view(f"u{found.itemsize}")
    nan = {2: 0x7E00, 4: 0x7FC00000}[found.itemsize]
    assert (patterns[np.isnan(wanted)] == nan).all()
    rest = ~np.isnan(wanted)
    # A zero sum is +0, but a product that only rounds to zero keeps its sign.
    rounded = np.where(wanted == 0, found.dtype.type(0), rounded)
    assert (patterns[rest] == rounded.view(f"u{found.itemsize}")[rest]).all()


@pytest.mark.parametrize("result_format", FORMATS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_qdraft_of_every_weight_and_every_activation(form, result_format):
    with np.errstate(invalid="ignore"):
        wanted = alone(EVERY, form.bits)[:, None] * INT4
    found = golden.integer_draft(NIBBLES[:, None], EVERY[:, None], form, result_format)
    check(found, wanted)


@pytest.mark.parametrize("result_format", FORMATS)
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_qverify_of_every_weight_and_every_activation(lanes, result_format):
    """Alone, an activation is exact with every L."""
    with np.errstate(invalid="ignore"):
        wanted = EVERY.astype(np.float64)[:, None] * INT4
    check(golden.integer_verify(NIBBLES[:, None], EVERY[:, None], lanes, result_format), wanted)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_block_of_int4_activations_is_exact(form):
    blocks = np.array(list(itertools.product(range(-8, 8), repeat=form.size)))
    x = blocks.astype(np.float16).reshape(1, -1)
    found = golden.block_floating_point(x, None, form)
    signed = np.where(found.negative, -found.magnitude, found.magnitude)
    values = np.ldexp(signed.astype(np.float64), found.spread_exponent() - 14 - form.bits)
    assert (values == x).all()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_int4_pair_in_every_lane_of_every_block(form):
    """QDRAFT of one weight at a time, in each lane, beside all INT4 neighbours."""
    blocks = np.array(list(itertools.product(range(-8, 8), repeat=form.size)))
    weights = np.kron(np.eye(form.size, dtype=np.uint8), NIBBLES[:, None])
    for part in np.array_split(blocks, max(1, len(blocks) // 8192)):
        found = golden.integer_draft(weights, part.astype(np.float16), form)
        wanted = np.einsum("ml,i->mli", part, INT4).reshape(len(part), -1)
        check(found, wanted.astype(np.float64))


def test_nibbles_stand_for_integers():
    assert golden.INTEGERS.tolist() == INT4.tolist()
    assert golden.nibbles_of(INT4).tolist() == NIBBLES.tolist()


STORED = np.arange(1 << 16, dtype=np.uint16)
STORED = STORED[STORED & 0x4000 == 0].view(np.float16)


@pytest.mark.parametrize("result_format", FORMATS)
def test_middle_of_every_stored_weight(result_format):
    """All 32,768 patterns, times activations of all kinds and at both ends of the shifts."""
    patterns = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3555, 0xBC00, 0x4D37, 0x7BFF, 0xFBFF]
    x = np.array([*patterns, 0x7C00, 0xFC00, 0x7C01, 0xFE00], np.uint16).view(np.float16)
    middle = np.copysign((np.abs(STORED).view(np.uint16) >> 8 << 8 | 0x80).view(np.float16), STORED)
    assert (np.abs(middle) >= 2.0**-17).all()
    assert (np.abs(middle) < 2).all()
    for shift in (0, 15):
        with np.errstate(invalid="ignore"):
            wanted = np.outer(x.astype(np.float64) * 2.0**shift, middle.astype(np.float64))
        shifts = np.array([shift])
        found = golden.middle(STORED[:, None], x[:, None], shifts, None, result_format)
        check(found, wanted)


@pytest.mark.parametrize("name", ["truncate", "fitted-8"])
def test_middle_values_are_those_of_the_format(name):
    tables = family(name)
    count = len(tables.tables)
    patterns = np.tile(STORED.view(np.uint16), (count, 1))
    choice = np.arange(count)
    words = encode(patterns, tables, choice)
    wanted = middle_patterns(words, tables, choice)
    found = golden.middle_values(patterns.view(np.float16)).view(np.uint16)
    assert (found == wanted).all()
