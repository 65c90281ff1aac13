"""INT4 activations: the quantiser against its definition in fractions, and what it is for."""

import math
from fractions import Fraction
from pathlib import Path

import golden_reference as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from speq_sim import golden

REAL_TILES = sorted((Path(__file__).parents[2] / "data").glob("*.safetensors"))

finite_patterns = st.integers(0, 0xFFFF).filter(lambda u: u >> 10 & 31 != 31)
subnormals = st.integers(0, 63).map(lambda u: u // 2 | u % 2 << 15)
specials = st.sampled_from([0x7C00, 0xFC00, 0x7C01, 0xFE00])
near_one = st.integers(0x3800, 0x4400)
patterns = st.one_of(finite_patterns, near_one, near_one, subnormals, specials)


def round16(number):
    return reference.value(reference.round_to(number, "fp16"))


def round32(number):
    """The normal range is enough: a seventh of an FP16 number, times 2**-20 at least."""
    if not number:
        return number
    unit = Fraction(2) ** (reference.floor_log2(number) - 23)
    return reference.nearest_even(number / unit) * unit


def quantised(activations, clip):
    """Scale, and integers or special values, of one token or group."""
    values = [reference.value(u) for u in activations]
    largest = max([abs(v) for v in values if isinstance(v, Fraction)], default=Fraction(0))
    scale = max(round16(round32(round32(largest / 7) * clip)), Fraction(1, 1 << 24))
    integers = []
    for v in values:
        if not isinstance(v, Fraction):
            integers.append(v)
            continue
        quotient = round16(v / scale)
        if isinstance(quotient, Fraction):
            magnitude = reference.nearest_even(abs(quotient))
            quotient = magnitude if quotient >= 0 else -magnitude
        integers.append(min(max(quotient, -8), 7))
    return scale, integers


def equal(found, wanted):
    return math.isnan(found) if math.isnan(wanted) else found == wanted


@settings(max_examples=200, deadline=None)
@given(
    tokens=st.integers(1, 3).flatmap(
        lambda depth: st.lists(
            st.lists(patterns, min_size=4 * depth - 1, max_size=4 * depth - 1),
            min_size=1,
            max_size=3,
        )
    ),
    clip=st.sampled_from([1.0, 0.9, 0.5, 2.0**-20]),
    group=st.sampled_from([0, 4, 8]),
)
def test_the_quantiser_is_the_definition(tokens, clip, group):
    x = np.array(tokens, dtype=np.uint16).view(np.float16)
    integers, scales = golden.quantise_activations(x, clip, group)
    assert integers.dtype == scales.dtype == np.float16
    assert integers.shape == x.shape
    step = group or x.shape[1]
    count = math.ceil(x.shape[1] / step)
    assert scales.shape == ((len(x), count) if group else (len(x),))
    exact = Fraction(float(np.float32(clip)))
    for m, token in enumerate(tokens):
        for place in range(count):
            part = slice(place * step, (place + 1) * step)
            scale, wanted = quantised(token[part], exact)
            assert scales.reshape(len(x), count)[m, place] == float(scale)
            assert all(map(equal, integers[m, part].tolist(), map(float, wanted)))


@pytest.mark.parametrize(
    ("x", "integers", "scale"),
    [
        ([0.0, -0.0], [0, 0], 2.0**-24),
        ([7.0, 2.5, 3.5, -2.5, -0.5], [7, 2, 4, -2, 0], 1.0),  # ties to even
        ([2.0**-24, -3 * 2.0**-24], [1, -3], 2.0**-24),  # a seventh of it would round to zero
        ([10 * 2.0**-24, -10 * 2.0**-24], [7, -8], 2.0**-24),  # 1.43 units of 2**-24 round to 1
        ([np.inf, 7.0, -7.0], [np.inf, 7, -7], 1.0),
        ([np.nan, -np.inf], [np.nan, -np.inf], 2.0**-24),
        ([65504.0, -65504.0], [7, -7], 9360.0),
    ],
)
def test_corners_of_the_quantiser(x, integers, scale):
    found, scales = golden.quantise_activations(np.array([x], dtype=np.float16))
    np.testing.assert_array_equal(found[0], np.array(integers, dtype=np.float16))
    assert not np.signbit(found[found == 0]).any()
    assert scales.tolist() == [scale]


def test_every_largest_magnitude_becomes_seven():
    """All FP16 numbers from 2**-14 up: 7 of a scale that is itself rounded."""
    largest = np.arange(0x0400, 0x7C00, dtype=np.uint16).view(np.float16)
    x = np.stack([largest, -largest], axis=1)
    integers, scales = golden.quantise_activations(x)
    assert (integers[:, 0] == 7).all()
    assert (integers[:, 1] == -7).all()
    assert (np.abs(7 * scales.astype(np.float64) / largest - 1) < 2.0**-7).all()


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_qdraft_of_quantised_activations_is_the_integer_dot_product(lanes):
    rng = np.random.default_rng(lanes)
    x = (rng.standard_t(3, (4, 4096)) * 5).astype(np.float16)
    integers, _ = golden.quantise_activations(x, 0.8)
    nibbles = rng.integers(0, 16, (9, 4096), dtype=np.uint8)
    name = {1: "fp16", 2: "bfp12", 4: "bfp6"}[lanes]
    found = golden.integer_draft(nibbles, integers, golden.block_format(name, lanes))
    assert (found == integers.astype(np.int64) @ golden.INTEGERS[nibbles].T).all()
    assert (golden.integer_verify(nibbles, integers, lanes) == found).all()


def test_the_longest_integer_dot_product_is_exact():
    depth = 1 << 16
    nibbles = np.full((2, depth), 8, dtype=np.uint8)
    nibbles[1, 0] = 15
    x = np.full((1, depth), -8, dtype=np.float16)
    assert golden.integer_draft(nibbles, x).tolist() == [[64.0 * depth, 64.0 * depth - 8]]


@pytest.mark.parametrize("path", REAL_TILES, ids=lambda path: path.stem)
def test_groups_quantise_real_activations_better(path):
    """Mean square errors of a real layer's inputs fall as the groups become smaller."""
    x = load_file(path)["activations"]
    errors = []
    for group in (0, 64, 16):
        integers, scales = golden.quantise_activations(x, group=group)
        spread = np.repeat(scales.reshape(len(x), -1), group or x.shape[1], axis=1)
        seen = integers.astype(np.float64) * spread[:, : x.shape[1]]
        errors.append(np.square(seen - x).mean())
    assert errors[0] > errors[1] > errors[2] > 0
