"""The golden model against the definition in fractions, bit for bit."""

import golden_reference as reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speq_sim import golden

FORMATS = ("fp32", "fp16")

finite_patterns = st.integers(0, 0xFFFF).filter(lambda u: u >> 10 & 31 != 31)
special_patterns = st.sampled_from([0x7C00, 0xFC00, 0x7C01, 0xFE00, 0x0000, 0x8000, 0x0001, 0x3C00])
patterns = st.one_of(finite_patterns, finite_patterns, finite_patterns, special_patterns)
result_formats = st.sampled_from(FORMATS)
forms = st.sampled_from([(11, 1), (12, 2), (12, 4), (8, 4), (6, 4)])
any_forms = st.tuples(st.integers(1, 12), st.integers(1, 5))


def halves(rows):
    return np.array(rows, dtype=np.uint16).view(np.float16)


def bits(results):
    return results.view(f"u{results.itemsize}").tolist()


def matrix(draw, elements, rows, depth):
    row = st.lists(elements, min_size=depth, max_size=depth)
    return draw(st.lists(row, min_size=rows, max_size=rows))


def vector(draw, least, most, length):
    return draw(st.lists(st.integers(least, most), min_size=length, max_size=length))


def expect_verify(weights, activations, shifts, exponents, result_format):
    return [
        [
            reference.dot(w, x, shifts, exponent, result_format)
            for w, exponent in zip(weights, exponents, strict=True)
        ]
        for x in activations
    ]


@st.composite
def problems(draw, weights=patterns, activations=patterns):
    outputs, tokens, depth = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 9)),
    )
    return matrix(draw, weights, outputs, depth), matrix(draw, activations, tokens, depth)


@settings(max_examples=300, deadline=None)
@given(problem=problems(), result_format=result_formats)
def test_verify_is_the_definition(problem, result_format):
    weights, activations = problem
    found = golden.verify(halves(weights), halves(activations), result_format)
    zeros = [0] * len(weights[0])
    wanted = expect_verify(weights, activations, zeros, [0] * len(weights), result_format)
    assert bits(found) == wanted


@st.composite
def packed_problems(draw):
    small = patterns.filter(lambda u: u < 0x4000 or 0x8000 <= u < 0xC000)
    weights, activations = draw(problems(weights=small))
    shifts = vector(draw, 0, 15, len(weights[0]))
    exponents = vector(draw, -64, 63, len(weights))
    return weights, activations, shifts, exponents


@settings(max_examples=300, deadline=None)
@given(problem=packed_problems(), result_format=result_formats)
def test_verify_packed_is_the_definition(problem, result_format):
    weights, activations, shifts, exponents = problem
    found = golden.verify_packed(
        halves(weights), halves(activations), np.array(shifts), np.array(exponents), result_format
    )
    assert bits(found) == expect_verify(weights, activations, shifts, exponents, result_format)


@settings(max_examples=300, deadline=None)
@given(problem=problems(), result_format=result_formats, data=st.data())
def test_draft_is_the_definition(problem, result_format, data):
    activations = problem[1]
    nibbles = matrix(data.draw, st.integers(0, 15), len(problem[0]), len(problem[0][0]))
    shifts = vector(data.draw, 0, 15, len(activations[0]))
    exponents = vector(data.draw, -64, 63, len(nibbles))
    d = vector(data.draw, 0, 63, 8)
    form = data.draw(forms)
    found = golden.draft(
        np.array(nibbles, dtype=np.uint8),
        d,
        halves(activations),
        np.array(shifts),
        np.array(exponents),
        golden.BlockFormat(*form),
        result_format,
    )
    wanted = [
        [
            reference.draft_dot(row, d, x, shifts, exponent, form, result_format)
            for row, exponent in zip(nibbles, exponents, strict=True)
        ]
        for x in activations
    ]
    assert bits(found) == wanted


@settings(max_examples=100, deadline=None)
@given(problem=packed_problems(), result_format=result_formats)
def test_middle_is_the_definition(problem, result_format):
    weights, activations, shifts, exponents = problem
    found = golden.middle(
        halves(weights), halves(activations), np.array(shifts), np.array(exponents), result_format
    )
    seen = [[reference.middle(w) for w in row] for row in weights]
    assert bits(found) == expect_verify(seen, activations, shifts, exponents, result_format)


@settings(max_examples=200, deadline=None)
@given(problem=problems(), result_format=result_formats, data=st.data())
def test_modes_of_int4_weights_are_the_definition(problem, result_format, data):
    activations = problem[1]
    nibbles = matrix(data.draw, st.integers(0, 15), len(problem[0]), len(problem[0][0]))
    stored, x = np.array(nibbles, dtype=np.uint8), halves(activations)
    form = data.draw(forms)
    drafted = golden.integer_draft(stored, x, golden.BlockFormat(*form), result_format)
    lanes = data.draw(st.sampled_from([1, 2, 4]))
    verified = golden.integer_verify(stored, x, lanes, result_format)
    verify_form = (11, 1) if lanes == 1 else (12, 2)
    for found, seen in ((drafted, form), (verified, verify_form)):
        assert bits(found) == [
            [reference.integer_dot(row, x, seen, result_format) for row in nibbles]
            for x in activations
        ]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_blocks_are_the_definition(data):
    depth = data.draw(st.integers(1, 9))
    [activations] = matrix(data.draw, finite_patterns, 1, depth)
    shifts = vector(data.draw, 0, 15, depth)
    form = data.draw(any_forms)
    found = golden.block_floating_point(
        halves([activations]), np.array(shifts), golden.BlockFormat(*form)
    )
    wanted = reference.block_values(activations, shifts, *form)
    assert found.spread_exponent()[0].tolist() == [e for _, e, _ in wanted]
    assert found.magnitude[0].tolist() == [q for _, _, q in wanted]
    assert found.negative[0].tolist() == [x >= 0x8000 for x in activations]
    assert not found.infinite.any()
    assert not found.nan.any()


def test_one_lane_is_the_activation_itself():
    every = np.arange(1 << 16, dtype=np.uint16)
    every = every[every >> 10 & 31 != 31]
    x = every.view(np.float16)[None, :]
    found = golden.block_floating_point(x, None, golden.block_format("fp16", 1))
    scale = found.spread_exponent() - 14 - found.form.bits
    values = np.ldexp(np.where(found.negative, -1.0, 1.0) * found.magnitude, scale)
    assert (values == x.astype(np.float64)).all()


@pytest.mark.parametrize("bits", [6, 8, 12])
def test_every_activation_alone_in_its_block(bits):
    """All finite FP16 x all shifts, blocks of four whose other elements are padding zeros."""
    every = np.arange(1 << 15, dtype=np.uint16)
    every = every[every >> 10 != 31]
    fraction, biased = every & 0x3FF, every >> 10
    significand = (fraction + 1024 * (biased > 0)).astype(np.float64)
    # np.rint would round halves to even; halves go away from zero here.
    wanted = np.minimum(np.floor(significand * 2.0 ** (bits - 11) + 0.5), 2**bits - 1)
    for shift in range(16):
        x = np.zeros((1, 4 * len(every)), dtype=np.uint16)
        x[0, ::4] = every
        shifts = np.zeros(x.shape[1], dtype=np.int64)
        shifts[::4] = shift
        form = golden.BlockFormat(bits, 4)
        found = golden.block_floating_point(x.view(np.float16), shifts, form)
        assert (found.exponent[0] == np.maximum(biased, 1) + shift).all()
        assert (found.magnitude[0, ::4] == wanted).all()
        assert not found.magnitude.reshape(-1, 4)[:, 1:].any()


@pytest.mark.parametrize("result_format", FORMATS)
@pytest.mark.parametrize(
    ("weights", "activations", "wanted"),
    [
        ([0x3C00, 0xBC00], [0x3C00, 0x3C00], 0.0),  # 1 - 1 is +0
        ([0x8000], [0x3C00], 0.0),  # -0 * 1 is +0
        ([0x8000], [0x8000], 0.0),
        ([0x7C00], [0x3C00], np.inf),
        ([0xFC00], [0x0001], -np.inf),
        ([0x7C00, 0x7C00], [0x3C00, 0xBC00], np.nan),  # inf - inf
        ([0x7C00], [0x8000], np.nan),  # inf * 0
        ([0x0000], [0xFC00], np.nan),
        ([0x7C01], [0x0000], np.nan),  # a signalling NaN
        ([0x3C00, 0x3C00], [0xFE01, 0x7C00], np.nan),
    ],
)
def test_special_values(result_format, weights, activations, wanted):
    found = golden.verify(halves([weights]), halves([activations]), result_format)
    expected = np.array([[wanted]], dtype=found.dtype)
    nan = {"fp32": 0x7FC00000, "fp16": 0x7E00}[result_format]
    assert bits(found) == ([[nan]] if np.isnan(wanted) else bits(expected))


@pytest.mark.parametrize(
    ("weights", "activations", "pattern"),
    [
        ([0x7BFF], [0x7BFF], 0x7C00),  # far above the largest finite number
        ([0x7BFF, 0x4C00], [0x3C00, 0x3C00], 0x7C00),  # 65504 + 16: the tie rounds to infinity
        ([0x7BFF, 0x4BFF], [0x3C00, 0x3C00], 0x7BFF),  # just below it
        ([0x0001], [0x3800], 0x0000),  # half the least subnormal: ties to even, which is 0
        ([0x8001], [0x3800], 0x8000),  # keeps its sign
        ([0x0001], [0x3801], 0x0001),  # just above half
        ([0x0003], [0x3800], 0x0002),  # 1.5 units: to even
        ([0x03FF, 0x0001], [0x3C00, 0x3800], 0x0400),  # carries into the normal range
    ],
)
def test_fp16_range(weights, activations, pattern):
    assert bits(golden.verify(halves([weights]), halves([activations]), "fp16")) == [[pattern]]


@pytest.mark.parametrize("power", range(-11, 16))
def test_the_last_bit_breaks_a_tie(power):
    """2**2a + 2**(2a - 24), a tie in FP32, and 2**-48 above and below it."""
    w = np.array([[2.0**power, 2.0 ** (power - 12), 2.0**-24]], dtype=np.float16)
    even = np.float32(4.0**power)
    assert golden.verify(w[:, :2], w[:, :2])[0, 0] == even
    assert golden.verify(w, w)[0, 0] == np.nextafter(even, np.float32(np.inf))
    assert golden.verify(w, w * np.float16([[1, 1, -1]]))[0, 0] == even
    assert golden.verify(-w, w)[0, 0] == -np.nextafter(even, np.float32(np.inf))


def test_longest_sums_of_largest_operands():
    """65,536 products of equal sign, and the bound one more breaks."""
    depth = 1 << 16
    x = np.full((1, depth), 0x7BFF, dtype=np.uint16).view(np.float16)
    found = golden.verify(x, x)
    assert found[0, 0] == np.float32(65504.0**2 * depth)
    low = np.full((1, depth), 0x3FFF, dtype=np.uint16).view(np.float16)
    top = golden.verify_packed(low, x, np.full(depth, 15), np.array([-64]))
    exact = depth * reference.value(0x3FFF) * 65504 * 2**15 * 2**64
    assert bits(top) == [[reference.round_to(exact, "fp32")]]
    with pytest.raises(ValueError, match="K is 65537"):
        golden.verify(np.ones((1, depth + 1), np.float16), np.ones((1, depth + 1), np.float16))
