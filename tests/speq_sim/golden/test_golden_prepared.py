"""Prepared matrices against the definitions they stand for, bit for bit."""

import dataclasses
from unittest import mock

import golden_reference as reference
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prepared_operands import MODES, define, halves, prepare, row, stored

from speq_sim import golden
from speq_sim.golden import certain, prepared, preparing

FORMATS = ("fp32", "fp16")
FORMS = [golden.BlockFormat(*form) for form in [(11, 1), (12, 2), (12, 4), (8, 4), (6, 4), (1, 3)]]

seeds = st.integers(0, 2**32 - 1)


def same(found, wanted):
    assert found.dtype == wanted.dtype
    patterns = f"u{wanted.itemsize}"
    np.testing.assert_array_equal(found.view(patterns), wanted.view(patterns))


def watched(matrix):
    """The matrix, and the list of (rows, tokens) that will be left to the definition."""
    calls = []

    def definition(rows, x, form, result_format):
        results = matrix.definition(rows, x, form, result_format)
        calls.append((results.shape[1], results.shape[0]))
        return results

    return dataclasses.replace(matrix, definition=definition), calls


@st.composite
def scales(draw, mode, depth, outputs):
    if mode == "integers":
        return None, None
    generator = np.random.default_rng(draw(seeds))
    shifts = generator.integers(0, draw(st.sampled_from([0, 3, 15])) + 1, depth)
    least, most = draw(st.sampled_from([(0, 0), (-64, 63), (-64, -64), (63, 63), (-3, 3)]))
    return shifts, generator.integers(least, most + 1, outputs)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), mode=st.sampled_from(MODES), seed=seeds)
def test_is_the_definition(data, mode, seed):
    """Any operand, in blocks of rows of any size, beside infinities and NaNs."""
    generator = np.random.default_rng(seed)
    depth = data.draw(st.sampled_from([0, 1, 2, 5, 8, 33, 100]), "depth")
    outputs, tokens = data.draw(st.integers(1, 9), "outputs"), data.draw(st.integers(1, 5))
    shifts, exponents = data.draw(scales(mode, depth, outputs))
    spread = 31 if shifts is None or not shifts.any() else 16
    weights = stored(mode, generator, (outputs, depth), data.draw(st.integers(1, spread)))
    x = halves(generator, (tokens, depth), data.draw(st.integers(1, 31), "binades"))
    x = np.where(generator.random(x.shape) < data.draw(st.sampled_from([0, 0.5])), x[:1], x)
    special = generator.random(x.shape) < data.draw(st.sampled_from([0, 0, 0.02]), "special")
    x = np.where(special, generator.choice(row(np.inf, -np.inf, np.nan)[0], x.shape), x)
    # Every other column undoes the one before, but for what blocks make of it.
    if data.draw(st.booleans(), "cancel"):
        x[:, 1::2] = -x[:, : depth - 1 : 2]
        weights[:, 1::2] = weights[:, : depth - 1 : 2]
        if shifts is not None:
            shifts[1::2] = shifts[: depth - 1 : 2]
    form, result = data.draw(st.sampled_from(FORMS)), data.draw(st.sampled_from(FORMATS))
    size = data.draw(st.sampled_from([1, 12, 1 << 17]), "elements in a block")
    with (
        mock.patch.object(prepared, "BLOCK_ELEMENTS", size),
        mock.patch.object(preparing, "BLOCK_ELEMENTS", size),
    ):
        matrix = prepare(mode, weights, shifts, exponents)
        found = matrix.multiply(x, form, result)
    same(found, define(mode, weights, x, shifts, exponents, form, result))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("depth", [576, 4096, 9001])
def test_is_the_definition_of_long_sums(mode, depth):
    """Weights and activations as models have them; few results are left to the definition."""
    generator = np.random.default_rng(depth)
    weights = stored(mode, generator, (40, depth))
    if mode in ("verify", "middle"):
        weights = (generator.standard_normal((40, depth)) / 8).astype(np.float16)
    x = generator.standard_normal((7, depth)).astype(np.float16)
    x[0, 5] = 1000
    shifts = exponents = None
    if mode != "integers":
        shifts, exponents = generator.integers(0, 4, depth), generator.integers(-64, 64, 40)
    matrix, calls = watched(prepare(mode, weights, shifts, exponents))
    same(matrix.multiply(x), define(mode, weights, x, shifts, exponents))
    assert sum(rows * tokens for rows, tokens in calls) < 0.1 * 7 * 40


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_integers_are_both_modes_of_int4(lanes):
    generator = np.random.default_rng(lanes)
    nibbles = stored("integers", generator, (9, 70))
    x = (generator.standard_normal((5, 70)) * 3).astype(np.float16)
    matrix = golden.prepare_integers(nibbles)
    wanted = golden.integer_verify(nibbles, x, lanes)
    same(matrix.multiply(x, golden.qverify_format(lanes)), wanted)
    integers, _ = golden.quantise_activations(x)
    wanted = golden.integer_draft(nibbles, integers)
    for form in FORMS[:-1]:
        same(matrix.multiply(integers, form), wanted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.sampled_from(FORMS[:-1]), seeds)
def test_groups_are_products_of_their_own(sizes, form, seed):
    generator = np.random.default_rng(seed)
    parts = [stored("integers", generator, (3, 4 * size)) for size in sizes]
    x = halves(generator, (4, 4 * sum(sizes)), 30)
    x[1, -1], x[2, 0] = np.nan, np.inf
    found = golden.multiply_groups([golden.prepare_integers(part) for part in parts], x, form)
    ends = 4 * np.cumsum(sizes)
    for group, part in enumerate(parts):
        columns = x[:, ends[group] - part.shape[1] : ends[group]]
        same(found[group], golden.integer_draft(part, columns, form))


def test_groups_that_do_not_fit_are_named():
    matrices = [golden.prepare_integers(np.zeros((3, size), dtype=np.uint8)) for size in (6, 2)]
    with pytest.raises(ValueError, match=r"groups end at \[6\], within blocks of 4"):
        golden.multiply_groups(matrices, np.zeros((1, 8), dtype=np.float16))
    with pytest.raises(ValueError, match="K = 8 columns together and activations 7"):
        golden.multiply_groups(matrices, np.zeros((1, 7), dtype=np.float16))


TOP, TINY = 2.0**15, 2.0**-24
TIES = {
    # 2**30 has units of 2**7 in FP32, 2**20 in FP16, and 2**-22 in float64.
    "tie to even": ((TOP, 1), (TOP, 64)),
    "tie to odd": ((TOP, 1, 1), (TOP, 128, 64)),
    "above a tie": ((TOP, 1, TINY), (TOP, 64, TINY)),
    "below a tie": ((TOP, 1, 1, TINY), (TOP, 128, 64, -TINY)),
    "negative": ((TOP, -1, TINY), (-TOP, 64, -TINY)),
    "tie of FP16": ((TOP, 16), (TOP, TOP)),
    "above a tie of FP16": ((TOP, 16, TINY), (TOP, TOP, TINY)),
    "below a tie of FP16": ((TOP, 16, TINY), (TOP, TOP, -TINY)),
    "a number": ((TOP,), (TOP,)),
    "above a number": ((TOP, TINY), (TOP, TINY)),
    "nothing is left": ((TOP, TINY, TOP), (TOP, 1, -TOP)),
    "zero is left": ((TOP, 1, TINY, -TOP, -1, -TINY), (TOP, 3, TINY, TOP, 3, TINY)),
    "only zeros": ((0.0, -0.0), (-1.0, 3.0)),
}


@pytest.mark.parametrize("name", TIES)
@pytest.mark.parametrize("result_format", FORMATS)
@pytest.mark.parametrize("exponent", [-64, 0, 15, 23, 47, 50, 55, 56, 63])
def test_ties_and_cancellation(name, result_format, exponent):
    """Two tokens, one of them negative; exponents take FP16 results through its subnormals too."""
    values, x = (row(*numbers) for numbers in TIES[name])
    x = np.concatenate([x, -x])
    exponents = np.array([exponent])
    patterns = [u.view(np.uint16).tolist() for u in (values, x)]
    zeros = [0] * x.shape[1]
    found = golden.prepare_verify(values, None, exponents).multiply(x, result_format=result_format)
    for token in (0, 1):
        wanted = reference.dot(patterns[0][0], patterns[1][token], zeros, exponent, result_format)
        assert int(found.view(f"u{found.itemsize}")[token, 0]) == wanted


@settings(max_examples=200, deadline=None)
@given(st.integers(1024, 2047), st.integers(-40, 40), st.sampled_from([1, -1]), seeds)
@example(1024, 0, 1, 0)
@example(1024, 1, -1, 0)
def test_near_ties_of_long_sums(significand, distance, sign, seed):
    """Some quarters of float64's unit away from a tie in FP32, among pairs that cancel."""
    generator = np.random.default_rng(seed)
    # 2**25 to 2**26, where FP32 has units of 4 and float64 of 2**-27.
    weights, x = [significand, 1, distance * 2.0**-5], [2.0**15, 2, 2.0**-24]
    some, others = halves(generator, 40, 20), halves(generator, 40, 20)
    order = generator.permutation(83)
    weights = row(*weights, *some, *some)[:, order]
    x = row(*x, *others, *-others)[:, order] * np.float16(sign)
    same(golden.prepare_verify(weights).multiply(x), golden.verify(weights, x))


def test_uncertain_results_of_any_block_are_found(monkeypatch):
    """Each row and token once: the others are certain."""
    values, x = (row(*numbers) for numbers in TIES["above a tie"])
    weights, tokens = np.repeat(values, 9, axis=0), np.repeat(-x, 4, axis=0)
    weights[[0, 2, 3, 4, 6, 7], 1] = 2
    tokens[[0, 1, 3], 1] = -3
    monkeypatch.setattr(prepared, "BLOCK_ELEMENTS", 4 * 2)
    matrix, calls = watched(golden.prepare_verify(weights))
    same(matrix.multiply(tokens), golden.verify(weights, tokens))
    assert calls == [(1, 1)] * 3


@pytest.mark.parametrize("fault", ["UNIT_ROUNDOFF", "norms", "span", "unit"])
def test_too_small_a_bound_is_noticed(fault, monkeypatch):
    """The case above a tie: float64 loses what decides."""
    values, x = (row(*numbers) for numbers in TIES["above a tie"])
    matrix, wanted = golden.prepare_verify(values), golden.verify(values, x)
    same(matrix.multiply(x), wanted)
    if fault == "UNIT_ROUNDOFF":
        monkeypatch.setattr(certain, fault, 0.0)
    elif fault == "unit":
        monkeypatch.setattr(certain, "_units", lambda numbers, finest: np.full(len(numbers), 4.0))
    elif fault == "norms":
        matrix = dataclasses.replace(matrix, norms=matrix.norms * 0)
    else:
        matrix = dataclasses.replace(matrix, span=0.0)
    assert matrix.multiply(x)[0, 0] != wanted[0, 0]


@pytest.mark.parametrize("mode", ["draft", "integers"])
def test_four_bits_need_no_check(mode):
    """The usual activations make exact products, which is what makes drafts fast."""
    generator = np.random.default_rng(3)
    weights = stored(mode, generator, (30, 1536))
    matrix, calls = watched(prepare(mode, weights))
    x = generator.standard_normal((9, 1536)).astype(np.float16)
    x[:, 7] = 300
    numbers = matrix._numbers(x, golden.qverify_format(4))
    assert not certain.error_bounds(numbers, matrix.span).any()
    same(matrix.multiply(x), define(mode, weights, x, None, None))
    assert not calls


def test_only_tokens_that_are_not_finite_are_left_to_the_definition():
    generator = np.random.default_rng(8)
    weights, x = halves(generator, (6, 20), 12), halves(generator, (5, 20), 12)
    x[1, 3], x[4, 0], x[4, 1] = np.nan, np.inf, -np.inf
    matrix, calls = watched(golden.prepare_verify(weights))
    same(matrix.multiply(x), golden.verify(weights, x))
    assert calls == [(6, 2)]


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
def test_weights_that_are_not_finite_are_left_to_the_definition(special):
    generator = np.random.default_rng(9)
    weights, x = halves(generator, (6, 20)), halves(generator, (3, 20))
    weights[2, 5] = special
    matrix, calls = watched(golden.prepare_verify(weights))
    same(matrix.multiply(x), golden.verify(weights, x))
    assert calls == [(6, 3)]


BAD = [
    ("verify", row(2.0), [1], None),
    ("verify", row(1.0), [16], None),
    ("verify", row(1.0).astype(np.float32), None, None),
    ("verify", row(1.0)[0], None, None),
    ("verify", row(1.0), None, [64]),
    ("verify", row(1.0), None, [0, 0]),
    ("middle", row(2.0), None, None),
    ("draft", np.full((1, 1), 16, dtype=np.uint8), None, None),
    ("draft", np.zeros((1, 1), dtype=np.int8), None, None),
    ("draft", np.zeros((1, 1), dtype=np.uint8), None, [-65]),
    ("integers", np.zeros(3, dtype=np.uint8), None, None),
    ("verify", np.zeros((1, 65537), dtype=np.float16), None, None),
]


@pytest.mark.parametrize(("mode", "weights", "shifts", "exponents"), BAD)
def test_what_the_definition_refuses_is_refused(mode, weights, shifts, exponents):
    x = np.zeros((1, weights.shape[-1]), dtype=np.float16)
    with pytest.raises((TypeError, ValueError)) as wanted:
        define(mode, weights, x, shifts, exponents)
    with pytest.raises((TypeError, ValueError)) as found:
        prepare(mode, weights, shifts, exponents)
    assert (found.type, str(found.value)) == (wanted.type, str(wanted.value))


@pytest.mark.parametrize(
    ("x", "result_format", "message"),
    [
        (np.zeros((1, 3), dtype=np.float16), "fp32", "K = 2 columns and activations 3"),
        (np.zeros((1, 2)), "fp32", "activations are float64"),
        (np.zeros((1, 2), dtype=np.float16), "bf16", "result_format is 'bf16'"),
    ],
)
def test_bad_activations_are_named(x, result_format, message):
    matrix = golden.prepare_verify(row(1.0, 1.0))
    with pytest.raises((TypeError, ValueError), match=message):
        matrix.multiply(x, result_format=result_format)
