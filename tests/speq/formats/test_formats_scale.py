"""Powers of two are exact, and what has none is told apart."""

import numpy as np
import pytest
from formats_strategies import finite_matrices
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.formats import FormatError, Scale, apply_scale, undo_scale
from speq.formats.scale import (
    column_candidate,
    column_rescue,
    rows_below_two,
    spare_shifts,
    why_plain,
)


def value(bits):
    return np.asarray(bits, dtype=np.uint16).view(np.float16).astype(np.float64)


def total(scale):
    return scale.row_exponents[:, None] + scale.columns.astype(int)


def half(rows):
    return np.array(rows, dtype=np.float16).view(np.uint16)


@given(finite_matrices(), st.data())
@settings(max_examples=150)
def test_any_scale_is_exact_or_refused(bits, data):
    rows, columns = bits.shape
    scale = Scale(
        data.draw(st.integers(-20, 20)),
        np.array(data.draw(st.lists(st.integers(-9, 9), min_size=rows, max_size=rows))),
        np.array(data.draw(st.lists(st.integers(-15, 0), min_size=columns, max_size=columns))),
    )
    wanted = np.ldexp(value(bits), total(scale))
    fits = np.all(np.abs(wanted) < 2) and np.all(np.ldexp(wanted, 24) % 1 == 0)
    fits = fits and np.all(wanted.astype(np.float16) == wanted)
    if fits:
        stored = apply_scale(bits, scale)
        assert np.array_equal(value(stored), wanted)
        assert np.array_equal(np.signbit(value(stored)), np.signbit(value(bits)))
        assert np.array_equal(undo_scale(stored, scale), bits)
    else:
        with pytest.raises(FormatError, match="the scale is not exact for this tensor"):
            apply_scale(bits, scale)


@given(finite_matrices())
def test_row_exponents_are_the_largest_exact_ones(bits):
    exponents = rows_below_two(bits)
    values = value(bits)
    if exponents is None:
        needed = -np.floor(np.log2(np.where(values, np.abs(values), 1)).max(axis=1, initial=-99))
        needed = np.where(values.any(axis=1), needed, 0)
        scaled = np.ldexp(values, needed.astype(int)[:, None] + 24)
        assert np.any(scaled % 1)
        return
    scaled = np.abs(np.ldexp(values, exponents[:, None]))
    live = values.any(axis=1)
    assert np.all(scaled < 2)
    assert np.all(scaled[live].max(axis=1, initial=0) >= 1)
    spare = spare_shifts(bits, exponents)
    assert np.all(spare >= 0)
    for row in np.flatnonzero(live):
        lowered = scaled[row] * 2.0 ** (24 - spare[row])
        assert not np.any(lowered % 1)
        assert np.any(lowered / 2 % 1)


@pytest.mark.parametrize(
    ("bits", "reason"),
    [
        (half([1.0]), "1 dimensions"),
        (half(1.0).reshape(()), "0 dimensions"),
        (np.zeros((0, 3), np.uint16), "empty"),
        (half([[1.0, np.inf]]), "Inf or NaN"),
        (half([[1.0, np.nan]]), "Inf or NaN"),
        (half([[4.0, 2.0**-24]]), None),
    ],
)
def test_why_plain(bits, reason):
    assert reason is None if (found := why_plain(bits)) is None else reason in found


def test_a_row_without_an_exact_exponent_is_rescued_by_its_column():
    bits = half([[4.0, 2.0**-24], [0.5, 0.25]])
    assert rows_below_two(bits) is None
    columns = column_rescue(bits)
    assert columns.tolist() == [-2, 0]
    exponents = rows_below_two(bits, columns)
    scale = Scale.of(exponents, columns)
    assert np.array_equal(undo_scale(apply_scale(bits, scale), scale), bits)


def test_no_rescue_where_the_column_itself_is_too_low():
    bits = half([[4.0, 2.0**-24], [2.0**-24, 4.0]])
    columns = column_rescue(bits)
    assert columns is None or rows_below_two(bits, columns) is None


@given(finite_matrices())
def test_column_choices_are_exact_where_rows_allow_them(bits):
    for columns in (column_candidate(bits), column_rescue(bits)):
        if columns is None:
            continue
        assert columns.min() >= -15
        assert columns.max() <= 0
        exponents = rows_below_two(bits, columns)
        if exponents is not None:
            scale = Scale.of(exponents, columns)
            assert np.array_equal(undo_scale(apply_scale(bits, scale), scale), bits)


def test_columns_alike_are_left_alone():
    random = np.random.default_rng(1)
    bits = random.standard_normal((512, 16)).astype(np.float16).view(np.uint16)
    assert column_candidate(bits) is None
    assert column_candidate(np.zeros((4, 4), np.uint16)) is None


@pytest.mark.parametrize(
    ("tensor", "rows", "columns", "message"),
    [
        (60, [4], [0], r"t \+ r\[n\] is 64, outside -64\.\.63"),
        (-60, [-5], [0], r"t \+ r\[n\] is -65, outside"),
        (0, [0], [1], r"c\[k\] is 1, outside -15\.\.0"),
        (0, [0], [-16], r"c\[k\] is -16, outside"),
        (0, [0.5], [0], r"row exponents r must be a vector of whole numbers"),
        (0, [[0]], [0], r"row exponents r must be a vector"),
        (0, [200], [0], r"row exponents r is 200, outside -128\.\.127"),
    ],
)
def test_illegal_scales(tensor, rows, columns, message):
    with pytest.raises(FormatError, match=message):
        Scale(tensor, np.array(rows), np.array(columns))


def test_scales_that_do_not_fit_are_refused():
    scale = Scale(0, np.zeros(2, int), np.zeros(3, int))
    with pytest.raises(FormatError, match="a scale of 2 rows and 3 columns does not fit"):
        apply_scale(np.zeros((2, 2), np.uint16), scale)
    deep = Scale(-60, np.zeros(1, int), np.zeros(1, int))
    with pytest.raises(FormatError, match="leaves FP16 when its scale is undone"):
        undo_scale(half([[1.0]]), deep)
