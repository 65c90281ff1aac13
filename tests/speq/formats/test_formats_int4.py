"""INT4 tensors: nibbles, quantisation from its definition, and what is refused."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from speq.formats import FormatError, QuantisationError, from_nibbles, quantise_int4, to_nibbles
from speq.formats.int4 import CLIP_GRID, CLIPS, Int4Tensor

F32 = np.float32
TYPES = (np.float16, np.dtype(ml_dtypes.bfloat16), np.float32)
GROUPS = st.sampled_from([0, 4, 8, 12])


def weights(dtype=None, most=20):
    """Matrices of weights of very different sizes, many of them equal or near a tie."""
    shape = hnp.array_shapes(min_dims=2, max_dims=2, max_side=most)
    element = st.builds(
        lambda numerator, power: numerator * 2.0**power, st.integers(-120, 120), st.integers(-12, 2)
    )
    kinds = st.sampled_from(TYPES) if dtype is None else st.just(dtype)
    arrays = hnp.arrays(np.float64, shape, elements=element)
    return st.builds(lambda array, kind: array.astype(kind), arrays, kinds)


# Nibbles ----------------------------------------------------------------------------------------


def test_every_nibble_is_sign_and_magnitude():
    for nibble in range(16):
        sign, magnitude = nibble >> 3, nibble & 7
        integer = -8 if nibble == 8 else -magnitude if sign else magnitude
        assert from_nibbles(np.uint8(nibble)) == integer
        assert to_nibbles(integer) == nibble
    assert from_nibbles(np.arange(16)).dtype == np.int8
    assert to_nibbles(np.arange(-8, 8)).dtype == np.uint8
    assert to_nibbles(np.zeros((2, 3), np.int64)).shape == (2, 3)


@pytest.mark.parametrize("value", [8, -9, 200, 0.5])
def test_other_integers_have_no_nibble(value):
    with pytest.raises(FormatError, match=r"a whole number -8\.\.7: clamp it"):
        to_nibbles([0, value])


@pytest.mark.parametrize("value", [16, -1, 0.5])
def test_other_nibbles_have_no_integer(value):
    with pytest.raises(FormatError, match=r"a whole number 0\.\.15: take bytes apart"):
        from_nibbles([0, value])


def test_every_product_of_nibble_and_scale_is_exact():
    scales = np.arange(1, 0x7C00, dtype=np.uint16).view(np.float16)
    plane = np.tile(np.arange(16, dtype=np.uint8)[0::2] | np.arange(16)[1::2] << 4, (0x7BFF, 1))
    tensor = Int4Tensor((0x7BFF, 16), plane.astype(np.uint8), scales)
    assert tensor.nibbles.tolist()[5] == list(range(16))
    wanted = from_nibbles(np.arange(16)).astype(np.float64) * scales.astype(np.float64)[:, None]
    assert np.array_equal(tensor.dequantise().astype(np.float64), wanted)


# Quantisation -----------------------------------------------------------------------------------


def scale_of(largest, share):
    with np.errstate(over="ignore", under="ignore"):
        return np.float16(F32(F32(largest) * F32(share)) / F32(7))


def integer_of(weight, scale):
    return int(min(max(np.rint(F32(weight) / F32(scale)), -8), 7))


def error_of(values, scale):
    """The sum of squared errors as defined: in FP64, the upper half added to the lower one."""
    squares = []
    for value in values:
        error = F32(value) - F32(integer_of(value, scale)) * F32(scale)
        squares.append(np.float64(error) * np.float64(error))
    while len(squares) > 1:
        half = (len(squares) + 1) // 2
        upper = squares[half:] + [np.float64(0)] * (2 * half - len(squares))
        squares = [one + other for one, other in zip(squares[:half], upper, strict=True)]
    return squares[0]


def wanted_scale(values, group, clip):
    """Scale of one row's group, whose last one is summed as if filled up with zeros."""
    largest = max(abs(F32(value)) for value in values)
    if largest == 0:
        return np.float16(1)
    best = scale_of(largest, 1)
    if clip == "mse":
        filled = [*values, *[F32(0)] * (group - len(values))]
        least = error_of(filled, best)
        for share in CLIP_GRID[1:]:
            found = scale_of(largest, share)
            if found > 0 and error_of(filled, found) < least:
                best, least = found, error_of(filled, found)
    return best


@settings(deadline=None, max_examples=60)
@given(weights(most=9), GROUPS, st.sampled_from(CLIPS))
def test_quantisation_is_that_of_the_definition(matrix, group, clip):
    tensor = quantise_int4(matrix, group, clip)
    assert (tensor.group, tensor.clip, tensor.shape) == (group, clip, matrix.shape)
    step = min(group or matrix.shape[1], matrix.shape[1])
    scales = tensor.scale.reshape(len(matrix), -1)
    assert scales.shape[1] == -(-matrix.shape[1] // step)
    assert tensor.scale.ndim == (2 if group else 1)
    for n, row in enumerate(matrix.astype(F32)):
        for place, start in enumerate(range(0, len(row), step)):
            values = row[start : start + step]
            scale = wanted_scale(values, step, clip)
            assert scales[n, place] == scale
            found = tensor.integers[n, start : start + step].tolist()
            assert found == [integer_of(value, scale) for value in values]


@settings(deadline=None)
@given(weights(), GROUPS, st.sampled_from(CLIPS))
def test_errors_are_bounded_and_reported(matrix, group, clip):
    tensor = quantise_int4(matrix, group, clip)
    exact, found = matrix.astype(np.float64), tensor.dequantise().astype(np.float64)
    noise = ((exact - found) ** 2).sum()
    if noise:
        ratio = 10 * np.log10((exact**2).sum() / noise)
        assert tensor.sqnr_db == pytest.approx(ratio, abs=1e-6)
    else:
        assert tensor.sqnr_db == np.inf
    # Nothing but what is clipped errs by more than half a scale.
    step = group or matrix.shape[1]
    scale = np.repeat(tensor.scale.reshape(len(matrix), -1).astype(np.float64), step, axis=1)
    inner = (tensor.integers > -8) & (tensor.integers < 7)
    late = np.abs(exact - found) > scale[:, : matrix.shape[1]] * (0.5 + 1e-6)
    assert not np.any(late & inner)
    assert not np.any(found[exact == 0])


@settings(deadline=None)
@given(weights(), GROUPS)
def test_the_clip_search_never_errs_more(matrix, group):
    exact = matrix.astype(np.float64)
    step = group or matrix.shape[1]
    starts = range(0, matrix.shape[1], step)
    errors = []
    for clip in CLIPS:
        squares = (exact - quantise_int4(matrix, group, clip).dequantise()) ** 2
        errors.append(np.add.reduceat(squares, list(starts), axis=1))
    # Up to the rounding of the sums that the search compares.
    assert np.all(errors[1] <= errors[0] * (1 + 1e-6))


def test_the_clip_search_gains_where_outliers_are():
    random = np.random.default_rng(1)
    matrix = random.standard_normal((16, 256)).astype(F32) * 0.02
    matrix[:, 7] *= 3
    plain, clipped = (quantise_int4(matrix, 0, clip).sqnr_db for clip in CLIPS)
    assert clipped > plain + 1


@settings(deadline=None)
@given(weights(), st.sampled_from([4, 8, 12]), st.sampled_from(CLIPS), st.data())
def test_groups_and_rows_do_not_see_each_other(matrix, group, clip, data):
    whole = quantise_int4(matrix, group, clip)
    row = data.draw(st.integers(0, len(matrix) - 1))
    place = data.draw(st.integers(0, (matrix.shape[1] - 1) // group))
    columns = slice(place * group, (place + 1) * group)
    part = quantise_int4(matrix[row : row + 1, columns], group, clip)
    assert part.scale[0, 0] == whole.scale[row, place]
    assert np.array_equal(part.integers[0], whole.integers[row, columns])


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("group", [0, 128])
def test_blocks_of_rows_leave_no_seam(group, clip):
    matrix = (np.random.default_rng(4).standard_normal((300, 1000)) * 0.1).astype(np.float16)
    whole = quantise_int4(matrix, group, clip)
    for start in range(0, 300, 77):
        rows = slice(start, start + 77)
        part = quantise_int4(matrix[rows], group, clip)
        assert np.array_equal(part.plane, whole.plane[rows])
        assert np.array_equal(part.scale, whole.scale[rows])


def test_ties_go_to_the_even_integer():
    matrix = np.array([[7, 0.5, 1.5, 2.5, 6.5, -0.5, -1.5, -2.5, -6.5, -7]], F32) / 8
    tensor = quantise_int4(matrix)
    assert tensor.scale.tolist() == [0.125]
    assert tensor.integers.tolist() == [[7, 0, 2, 2, 6, 0, -2, -2, -6, -7]]
    assert tensor.plane.tolist() == [[0x07, 0x22, 0x06, 0xAA, 0xFE]]


def test_small_scales_are_subnormal_and_clamp_at_both_ends():
    unit = 2.0**-24
    tensor = quantise_int4(np.array([[-10.4, 10.4, -8.4, 3]], F32) * F32(unit))
    assert tensor.scale.tolist() == [unit]
    assert tensor.integers.tolist() == [[-8, 7, -8, 3]]
    assert tensor.plane.tolist() == [[0x78, 0x38]]


def test_candidates_that_fp16_rounds_to_zero_are_passed_over():
    units = np.random.default_rng(8).integers(-24, 25, (40, 6))
    matrix = units.astype(F32) * F32(2.0**-26)
    matrix[:, 0] = F32(2.0**-26) * 16
    tensor = quantise_int4(matrix, 0, "mse")
    assert np.any(scale_of(matrix[0].max(), CLIP_GRID[-1]) == 0)
    assert tensor.scale.tolist() == [wanted_scale(row, 6, "mse") for row in matrix]


def test_zeros_take_scale_one():
    matrix = np.zeros((2, 9), F32)
    matrix[0, 8] = -0.0
    matrix[1, 0] = 3.5
    tensor = quantise_int4(matrix, 4, "mse")
    assert tensor.scale.tolist() == [[1, 1, 1], [0.5, 1, 1]]
    assert np.array_equal(tensor.dequantise(), matrix)
    assert tensor.sqnr_db == np.inf
    assert not tensor.plane[0].any()


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "group", "message"),
    [
        (np.ones(3), 0, "it has 1 dimensions, and only matrices are INT4"),
        (np.ones((2, 2, 2)), 0, "it has 3 dimensions"),
        (np.ones((0, 4)), 0, "it is empty"),
        (np.ones((4, 0)), 0, "it is empty"),
        ([[1, np.nan]], 0, "it holds Inf or NaN"),
        ([[1, 0], [np.inf, 1]], 4, "it holds Inf or NaN"),
        ([[1, 0], [-458700, 1]], 0, r"row 1 would be 6\.55e\+04, which is beyond FP16's largest"),
        ([[0, 0, 0, 0, 1e-7]], 4, r"row 0, group 1 would be 1\.43e-08, which FP16 rounds to 0"),
    ],
)
@pytest.mark.parametrize("clip", CLIPS)
def test_what_int4_cannot_stand_for_is_refused(matrix, group, message, clip):
    with pytest.raises(QuantisationError, match=message):
        quantise_int4(np.array(matrix, F32), group, clip)


def test_the_farthest_scales_are_taken():
    # 65519.99 rounds to FP16's largest number, 2**-25 to zero (a tie), and just above it to one.
    for largest, scale in ((458639.9, 65504), (7 * 2.0**-25 * 1.001, 2.0**-24)):
        assert quantise_int4(np.array([[largest]], F32)).scale.tolist() == [scale]
    with pytest.raises(QuantisationError, match="rounds to 0"):
        quantise_int4(np.array([[7 * 2.0**-25]], F32))


@pytest.mark.parametrize("group", [-4, 2, 6, 4.0, True, None, 1 << 17])
def test_other_groups_are_told(group):
    with pytest.raises(FormatError, match=r"must be 0 \(one scale per row\) or a multiple of 4"):
        quantise_int4(np.ones((2, 8), F32), group)


def test_other_clips_and_types_are_told():
    with pytest.raises(FormatError, match="the clip is 'gptq', but must be one of none, mse"):
        quantise_int4(np.ones((2, 8), F32), 0, "gptq")
    with pytest.raises(FormatError, match="dtype float64, but must be float16, bfloat16 or"):
        quantise_int4(np.ones((2, 8)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plane": np.zeros((2, 3), np.uint8)}, r"its plane is uint8 of shape \(2, 3\), but must"),
        ({"plane": np.zeros((2, 4), np.int8)}, "its plane is int8 .* but must be uint8"),
        ({"scale": np.ones(2, F32)}, "its scale is float32"),
        ({"scale": np.ones((2, 2), np.float16)}, r"must be float16 of shape \(2,\)"),
        ({"group": 4}, r"must be float16 of shape \(2, 2\)"),
        ({"scale": np.array([1, 0], np.float16)}, "a scale is Inf, NaN or not above 0"),
        ({"scale": np.array([1, -1], np.float16)}, "a scale is Inf, NaN or not above 0"),
        ({"scale": np.array([1, np.inf], np.float16)}, "a scale is Inf, NaN or not above 0"),
        ({"scale": np.array([np.nan, 1], np.float16)}, "a scale is Inf, NaN or not above 0"),
        ({"group": 5}, "the group is 5"),
        ({"clip": "max"}, "the clip is 'max'"),
    ],
)
def test_parts_that_do_not_belong_together_are_told(changes, message):
    parts = {
        "shape": (2, 7),
        "plane": np.zeros((2, 4), np.uint8),
        "scale": np.ones(2, np.float16),
    }
    Int4Tensor(**parts)
    with pytest.raises(FormatError, match=message):
        Int4Tensor(**(parts | changes))
