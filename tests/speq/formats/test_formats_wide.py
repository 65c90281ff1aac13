"""BF16 and FP32 weights: packed where powers of two make them exact in FP16, and told else."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from speq.formats import FormatError, InexactError, Scale, family, pack, unpack
from speq.formats.codec import decode, from_planes
from speq.formats.wide import as_half, round_to_half, widen

MEMBER = family("fitted-4")
BF16 = np.dtype(ml_dtypes.bfloat16)


def bf16(bits):
    return np.asarray(bits, dtype=np.uint16).view(BF16)


def gaussian(shape=(24, 40), scale=0.02, dtype=BF16):
    return (np.random.default_rng(3).standard_normal(shape) * scale).astype(dtype)


def comes_back(weights):
    packed = pack(weights, MEMBER)
    found = unpack(packed, MEMBER)
    assert found.dtype == weights.dtype
    assert found.shape == weights.shape
    assert found.tobytes() == weights.tobytes()
    return packed


def has_exact_rows(weights):
    """Whether each row alone has an exponent -64..63 without columns: by integers."""
    for row in weights.astype(np.float64):
        values = [Fraction(value) for value in row if value]
        if not values:
            continue
        largest = max(abs(value) for value in values)
        fits = [
            e
            for e in range(-64, 64)
            if largest * Fraction(2) ** e < 2
            and all(_is_half(value * Fraction(2) ** e) for value in values)
        ]
        if not fits:
            return False
    return True


def _is_half(value):
    units = value * 2**24
    if units.denominator != 1:
        return False
    number = abs(units.numerator)
    return (number // (number & -number)).bit_length() <= 11


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        np.uint16,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=5),
        # Exponents near each other, so that both outcomes are common; zeros of both signs, too.
        elements=st.builds(
            lambda sign, exponent, fraction: sign << 15 | exponent << 7 | fraction,
            st.integers(0, 1),
            st.integers(100, 135) | st.sampled_from([0, 1, 30, 64, 190, 250, 254]),
            st.integers(0, 127) | st.just(0),
        )
        | st.sampled_from([0, 0x8000]),
    )
)
def test_bf16_is_packed_exactly_or_told(bits):
    weights = bf16(bits)
    try:
        packed = pack(weights, MEMBER)
    except InexactError:
        assert not has_exact_rows(weights)
        return
    assert unpack(packed, MEMBER).tobytes() == weights.tobytes()
    if not packed.is_plain:
        exponents = packed.scale.row_exponents
        assert np.all((exponents >= -64) & (exponents <= 63))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint32, hnp.array_shapes(max_dims=3, max_side=4), elements={}))
def test_any_fp32_comes_back_or_is_told(bits):
    try:
        packed = pack(bits.view(np.float32), MEMBER)
    except InexactError:
        return
    assert unpack(packed, MEMBER).tobytes() == bits.tobytes()


@pytest.mark.parametrize("power", [-60, -40, 0, 30, 60])
def test_bf16_far_from_one_is_packed(power):
    weights = (gaussian().astype(np.float32) * np.float32(2.0**power)).astype(BF16)
    packed = comes_back(weights)
    assert not packed.is_plain
    assert packed.dtype == "BF16"
    assert packed.draft_sqnr_db > 15


def test_rows_of_any_two_magnitudes_are_packed():
    weights = gaussian().astype(np.float32)
    weights[::2] *= np.float32(2.0**-30)
    weights[3] = 0
    weights[5] = -0.0
    packed = comes_back(weights.astype(BF16))
    places = packed.scale.row_exponents
    assert places[0] - places[1] >= 20
    assert packed.draft_sqnr_db > 15


def test_stored_weights_are_those_of_the_scale():
    weights = gaussian(scale=1e-9)
    packed = comes_back(weights)
    stored = decode(from_planes(packed.planes), MEMBER, packed.tables).view(np.float16)
    powers = 2.0 ** (packed.scale.row_exponents[:, None] + packed.scale.columns)
    assert np.array_equal(stored.astype(np.float64), weights.astype(np.float64) * powers)
    assert np.max(np.abs(stored)) < 2


def test_the_ratio_does_not_depend_on_where_the_weights_lie():
    near = pack(gaussian(), MEMBER)
    far = pack((gaussian().astype(np.float32) * np.float32(2.0**-30)).astype(BF16), MEMBER)
    assert near.draft_sqnr_db == pytest.approx(far.draft_sqnr_db, abs=1e-9)
    assert near.middle_sqnr_db == pytest.approx(far.middle_sqnr_db, abs=1e-9)


def test_columns_rescue_rows_that_span_too_much():
    weights = np.full((24, 40), 2.0**-38, BF16)
    weights[:, 7] = 2.0**-24
    weights[2, 7], weights[2, 8] = 1.5 * 2.0**-24, 2.0**-58
    packed = comes_back(weights)
    assert packed.scale.columns[7] < 0
    # FP16 itself spans 40 bits; one more is for no scale.
    weights[2, 8] = 2.0**-64
    with pytest.raises(InexactError, match=r"row 2 spans 2\*\*-24 to 2\*\*-64"):
        pack(weights, MEMBER)


def test_columns_reach_beyond_the_row_exponents():
    weights = np.array([[2.0**79, -(2.0**78)], [2.0**66, 0]], BF16)
    packed = comes_back(weights)
    assert packed.scale.row_exponents[0] == -64
    assert packed.scale.columns.tolist() == [-15, -14]
    with pytest.raises(InexactError, match="and no exact power of two brings it below 2"):
        pack(weights, MEMBER, columns=False)


def test_fp32_that_fp16_holds_is_packed_like_fp16():
    half = gaussian(dtype=np.float16)
    narrow, wide = pack(half, MEMBER), comes_back(half.astype(np.float32))
    for name in ("draft", "middle", "low"):
        assert np.array_equal(getattr(narrow.planes, name), getattr(wide.planes, name))
    assert np.array_equal(narrow.scale.rows, wide.scale.rows)
    assert wide.dtype == "F32"


def test_a_given_scale_counts_from_the_weights_themselves():
    weights = (gaussian().astype(np.float32) * np.float32(2.0**-30)).astype(BF16)
    chosen = pack(weights, MEMBER).scale
    packed = pack(weights, MEMBER, scale=Scale.of(chosen.row_exponents - 1, chosen.columns))
    assert np.array_equal(packed.scale.row_exponents, chosen.row_exponents - 1)
    assert unpack(packed, MEMBER).tobytes() == weights.tobytes()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.full((2, 2), 0.1, np.float32), "row 0, column 0 has 2[34] significant bits"),
        (np.array([[1, 2.0**-40], [1, 1]], BF16), r"row 0 spans 2\*\*0 to 2\*\*-40"),
        (np.array([[2.0**90, 1e-30]], BF16), r"row 0 spans 2\*\*90"),
        (np.array([[2.0**-120]], BF16), r"row 0 spans 2\*\*-120"),
        (np.array([[2.0**100]], BF16), r"row 0 spans 2\*\*100"),
        (np.array([1e-20], BF16), "it has 1 dimensions: only matrices are scaled"),
        (np.array([[np.nan, 1e-20]], BF16), "it holds Inf or NaN"),
    ],
)
def test_what_is_not_exact_is_told(weights, message):
    with pytest.raises(InexactError, match=message):
        pack(weights, MEMBER)


def test_weights_of_other_types_are_told():
    with pytest.raises(FormatError, match="float64, but must be float16, bfloat16 or float32"):
        pack(np.ones((2, 2)), MEMBER)
    with pytest.raises(FormatError, match="float64, but must be float32 or bfloat16"):
        as_half(np.ones((2, 2)))


def test_planes_of_another_type_are_told():
    with pytest.raises(FormatError, match="more significant bits than BF16"):
        widen(np.array([[0x3FFF]], np.uint16), "BF16")


def test_plain_wide_tensors_keep_every_bit():
    norm = np.array([1.5, -0.0, np.inf, 0.25], dtype=np.float32)
    assert comes_back(norm).is_plain
    assert comes_back(norm.astype(BF16)).is_plain
    assert comes_back(np.float32(3) * np.ones((), np.float32)).is_plain
    assert comes_back(np.zeros((0, 4), np.float32)).is_plain


def test_rounding_is_to_nearest_even_and_reported():
    weights = np.array([[1 + 2**-11, 1 + 3 * 2**-11, -1, 0, 2**-26]], np.float32)
    rounded, cost = round_to_half(weights)
    assert rounded.tolist() == [[1.0, 1 + 2**-9, -1.0, 0.0, 0.0]]
    assert cost.largest_relative_error == 1
    random = gaussian(dtype=np.float32)
    rounded, cost = round_to_half(random)
    errors = rounded.astype(np.float64) - random
    assert cost.largest_relative_error == np.max(np.abs(errors) / np.abs(random))
    energy = np.sum(random.astype(np.float64) ** 2)
    assert cost.sqnr_db == pytest.approx(10 * math.log10(energy / np.sum(errors**2)))
    assert round_to_half(np.ones((2, 2), BF16))[1].sqnr_db == math.inf


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.array([[65520.0]], np.float32), "beyond FP16's largest number, 65504"),
        (np.array([[np.inf]], np.float32), "it holds Inf or NaN"),
        (np.ones(3, np.float32), "it has 1 dimensions"),
    ],
)
def test_what_cannot_be_rounded_is_told(weights, message):
    with pytest.raises(InexactError, match=message):
        round_to_half(weights)
