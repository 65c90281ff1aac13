"""Codes chosen so that errors cancel: against a slow reference, and what packing makes of them."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from formats_strategies import families, finite_matrices, second_moments
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.formats import (
    CodeTable,
    Family,
    FormatError,
    Scale,
    compensation,
    draft_codes,
    draft_values,
    encode,
    family,
    from_planes,
    pack,
    unpack,
)
from speq.formats.compensation import DAMPING, FACTORS, compensate, output_errors
from speq.formats.container import read_weights
from speq.formats.dtypes import NUMPY_TYPES

DATA = Path(__file__).parents[2] / "data"
SPARE = family("spare-1")
CODE_SETS = [{own, *others} for own, others in zip(
    SPARE.tables[0].codes, SPARE.tables[0].spare, strict=True
)]  # fmt: skip


def low_rank(seed, inputs, rank, floor=0.05):
    """Moments of inputs that mostly lie in few directions."""
    x = np.random.default_rng(seed).standard_normal((inputs, rank))
    return x @ x.T / rank + floor * np.eye(inputs)


def stored_rows(seed, rows, inputs):
    values = np.random.default_rng(seed).standard_normal((rows, inputs)) * 0.3
    return np.clip(values, -1.9, 1.9).astype(np.float16).view(np.uint16)


def damped(moments):
    mean = np.trace(moments) / len(moments)
    return moments + DAMPING * (mean or 1) * np.eye(len(moments))


def quadratic(errors, moments):
    return np.einsum("nk,kl,nl->n", errors, moments, errors)


# The reference ----------------------------------------------------------------------------------


class Row:
    """One row by the definition, in double precision: inverses, no Cholesky factor, no blocks."""

    def __init__(self, bits, columns, member, table, moments):
        self.weight = bits.view(np.float16).astype(float) * 2.0**-columns
        self.sign = np.where(bits & 0x8000, -1.0, 1.0)
        self.moments = moments
        codes = [{a, *b} for a, b in zip(table.codes, table.spare, strict=True)]
        self.held = [sorted(codes[cell]) for cell in bits >> 8 & 63]
        self.values = np.array(member.draft_values) / 32 * 2.0 ** -columns[:, None]

    def draft(self, k, code):
        return self.sign[k] * self.values[k, code]

    def drafts(self, codes):
        return np.array([self.draft(k, code) for k, code in enumerate(codes)])

    def fed_back(self, alpha):
        """Optimal brain surgery: what one weight lacks is asked of all that are still free."""
        left, codes = self.weight.copy(), np.zeros(len(self.weight), int)
        free = sorted(range(len(left)), key=lambda k: -self.moments[k, k])
        while free:
            k = free[0]
            codes[k] = min(self.held[k], key=lambda c: abs(left[k] - alpha * self.draft(k, c)))
            missing = left[k] - alpha * self.draft(k, codes[k])
            inverse = np.linalg.inv(self.moments[np.ix_(free, free)])
            left[free] -= missing * inverse[0] / inverse[0, 0]
            free = free[1:]
        return codes

    def cost(self, codes, alpha):
        error = self.weight - alpha * self.drafts(codes)
        return error @ self.moments @ error

    def fitted(self, codes):
        drafts = self.drafts(codes)
        square = drafts @ self.moments @ drafts
        alpha = drafts @ self.moments @ self.weight / square if square > 0 else 1.0
        return alpha, self.cost(codes, alpha)

    def descend(self, codes, alpha):
        """Every code of every weight in turn, by the whole cost."""
        codes = codes.copy()
        for k in range(len(codes)):
            tried = []
            for code in self.held[k]:
                codes[k] = code
                tried.append(self.cost(codes, alpha))
            codes[k] = self.held[k][int(np.argmin(tried))]
        return codes

    def best(self, alpha, sweeps):
        found = [self.fed_back(alpha * factor) for factor in FACTORS]
        codes = min(found, key=lambda codes: self.fitted(codes)[1])
        for _ in range(sweeps):
            codes = self.descend(codes, self.fitted(codes)[0])
        return codes, *self.fitted(codes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("inputs", "rank"), [(3, 2), (13, 3), (13, 40), (70, 20)])
def test_the_codes_are_those_of_the_definition(seed, inputs, rank):
    rows = 5 if inputs < 70 else 2
    generator = np.random.default_rng(seed)
    moments = low_rank(seed, inputs, rank)
    bits = stored_rows(seed + 10, rows, inputs)
    columns = generator.integers(-2, 1, inputs) if seed % 2 else np.zeros(inputs, int)
    other = CodeTable(tuple(k // 8 for k in range(64)), ((1, 2, 3),) * 8 + ((),) * 56)
    member = Family("two", (SPARE.tables[0], other), SPARE.draft_values)
    tables, alpha = generator.integers(0, 2, rows), generator.uniform(0.5, 0.9, rows)
    found = compensate(bits, columns, member, tables, alpha, moments)
    for n in range(rows):
        row = Row(bits[n], columns, member, member.tables[tables[n]], damped(moments))
        codes, scale, error = row.best(alpha[n], compensation.SWEEPS)
        assert found.codes[n].tolist() == codes.tolist()
        assert found.alpha[n] == pytest.approx(scale, rel=1e-5)
        assert found.error[n] == pytest.approx(error, rel=1e-3, abs=1e-6)
        energy = row.weight @ damped(moments) @ row.weight
        assert found.energy[n] == pytest.approx(energy, rel=1e-4)


def test_the_places_where_the_work_is_cut_change_no_code(monkeypatch):
    bits, moments = stored_rows(1, 7, 29), low_rank(2, 29, 6)
    columns, tables, alpha = np.zeros(29, int), np.zeros(7, int), np.full(7, 0.7)
    whole = compensate(bits, columns, SPARE, tables, alpha, moments)
    monkeypatch.setattr(compensation, "_BLOCK_COLUMNS", 4)
    monkeypatch.setattr(compensation, "_BLOCK_ROWS", 3)
    cut = compensate(bits, columns, SPARE, tables, alpha, moments)
    assert np.array_equal(whole.codes, cut.codes)
    assert np.allclose(whole.error, cut.error, rtol=1e-4)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_descent_never_raises_the_error(seed, inputs, rank):
    bits, moments = stored_rows(seed, 6, inputs), low_rank(seed, inputs, rank)
    columns, tables, alpha = np.zeros(inputs, int), np.zeros(6, int), np.full(6, 0.7)
    with pytest.MonkeyPatch.context() as patch:
        errors = []
        for sweeps in range(4):
            patch.setattr(compensation, "SWEEPS", sweeps)
            errors.append(compensate(bits, columns, SPARE, tables, alpha, moments).error)
        patch.setattr(compensation, "SWEEPS", 0)
        for factor in FACTORS:
            patch.setattr(compensation, "FACTORS", (factor,))
            alone = compensate(bits, columns, SPARE, tables, alpha, moments).error
            assert np.all(errors[0] <= alone)
    for before, after in itertools.pairwise(errors):
        assert np.all(after <= before * (1 + 1e-4) + 1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_without_correlation_no_worse_than_the_nearest_codes(seed, inputs):
    """The nearest codes at the same scales are among what is tried."""
    bits = stored_rows(seed, 8, inputs)
    alpha = np.random.default_rng(seed).uniform(0.4, 1, 8)
    found = compensate(bits, np.zeros(inputs, int), SPARE, np.zeros(8, int), alpha, np.eye(inputs))
    for n in range(8):
        weight = bits[n].view(np.float16).astype(float)
        values = np.where(bits[n] & 0x8000, -1, 1)[:, None] * np.array(SPARE.draft_values) / 32
        barred = [[code not in CODE_SETS[cell] for code in range(8)] for cell in bits[n] >> 8 & 63]
        cost = np.where(barred, np.inf, np.abs(weight[:, None] - alpha[n] * values))
        drafts = values[np.arange(inputs), cost.argmin(axis=1)]
        scale = drafts @ weight / (drafts @ drafts)
        nearest = np.sum((weight - scale * drafts) ** 2) * (1 + DAMPING)
        assert found.error[n] <= nearest * (1 + 1e-4) + 1e-6


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.data())
@settings(max_examples=40, deadline=None)
def test_errors_are_those_of_the_codes_and_codes_are_allowed(seed, inputs, data):
    member = data.draw(families(spare=True))
    moments = data.draw(second_moments(inputs))
    moments /= max(moments.max(), 1e-300)
    bits = stored_rows(seed, 4, inputs)
    tables = np.random.default_rng(seed).integers(0, len(member.tables), 4)
    found = compensate(bits, np.zeros(inputs, int), member, tables, np.ones(4), moments)
    drafts = draft_values(draft_codes(encode(bits, member, tables, found.codes)), member)
    exact = bits.view(np.float16).astype(float)
    errors = exact - found.alpha[:, None] * drafts.astype(float)
    tolerance = 1e-5 * np.trace(damped(moments)) * np.sum(exact**2, axis=1)
    assert np.all(np.abs(found.error - quadratic(errors, damped(moments))) <= tolerance)
    assert np.all(np.abs(found.energy - quadratic(exact, damped(moments))) <= tolerance)
    direct = output_errors(errors.astype(np.float32), moments)
    assert np.all(np.abs(found.error - direct) <= tolerance)
    assert np.array_equal(found.alpha, found.alpha.astype(np.float32))
    # No alpha explains more than the one of least squares.
    for factor in (0.99, 1.01):
        other = exact - factor * found.alpha[:, None] * drafts.astype(float)
        assert np.all(found.error <= quadratic(other, damped(moments)) + tolerance)


# Packing ----------------------------------------------------------------------------------------


def drafted(packed, member):
    """Draft weights in units of the original ones, from the planes alone."""
    nibbles = draft_codes(from_planes(packed.planes))
    exponents = packed.scale.row_exponents[:, None] + packed.scale.columns.astype(int)
    scale = packed.alpha[:, None].astype(float) * 2.0 ** -exponents.astype(float)
    return draft_values(nibbles, member).astype(float) * scale


def output_error(weights, packed, member, moments):
    errors = weights.astype(float) - drafted(packed, member)
    return quadratic(errors, damped(moments)).sum()


def check_codes(packed, member):
    words = from_planes(packed.planes)
    for row, table in zip(words, packed.tables, strict=True):
        for word in row.tolist():
            assert member.tables[table].inverse[word >> 12 & 7][word >> 8 & 15] is not None


@given(finite_matrices(), families(spare=True) | st.just(SPARE), st.data())
@settings(max_examples=100, deadline=None)
def test_any_finite_matrix_comes_back(bits, member, data):
    moments = data.draw(second_moments(bits.shape[1]))
    packed = pack(bits, member, second_moments=moments, columns=data.draw(st.booleans()))
    back = unpack(packed, member)
    assert back.tobytes() == bits.tobytes()
    assert packed.is_plain == (packed.reason is not None)
    if not packed.is_plain:
        check_codes(packed, member)
        assert np.all(np.isfinite(packed.alpha))
        assert not np.isnan(packed.draft_sqnr_db)


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_wide_weights_whose_rows_move_come_back(dtype, data):
    rows, inputs = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 33)))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # Seven bits of mantissa, far outside of FP16 as they are.
    power = data.draw(st.sampled_from([-60, -20, 0, 30]))
    weights = generator.integers(-128, 128, (rows, inputs)) * 2.0**power
    weights = weights.astype(NUMPY_TYPES[dtype])
    moments = data.draw(second_moments(inputs))
    packed = pack(weights, SPARE, second_moments=moments)
    back = unpack(packed, SPARE)
    assert packed.dtype == dtype
    assert back.dtype == weights.dtype
    assert np.array_equal(back.astype(float), weights.astype(float))


@given(finite_matrices(), st.data())
@settings(max_examples=80, deadline=None)
def test_never_worse_than_bsfp_in_the_output(bits, data):
    moments = data.draw(second_moments(bits.shape[1]))
    moments /= moments.max() if moments.max() > 0 else 1
    weights = bits.view(np.float16)
    packed = pack(bits, SPARE, second_moments=moments, columns=False)
    control = pack(bits, family("bsfp"), second_moments=moments, columns=False)
    assert packed.is_plain >= control.is_plain
    if not packed.is_plain:
        found = output_error(weights, packed, SPARE, moments)
        due = output_error(weights, control, family("bsfp"), moments)
        rounding = 1e-5 * np.sum(weights.astype(float) ** 2) * np.trace(damped(moments))
        assert found <= due + rounding


def test_what_bsfp_drafts_better_is_stored_plain():
    generator = np.random.default_rng(3)
    weights = generator.standard_normal((64, 48)) * 0.05
    weights[:, 7] = generator.choice([-1, 1], 64) * 0.05 * 400
    weights = (np.rint(weights * 2**14) / 2**14).astype(np.float16)
    moments = low_rank(5, 48, 8)
    packed = pack(weights, SPARE, second_moments=moments, columns=False)
    assert packed.reason == "bsfp would draft it with less error than spare-1"
    assert unpack(packed, SPARE).tobytes() == weights.tobytes()
    # A scale that was asked for is taken, and the rule is not asked.
    scale = pack(weights, family("bsfp"), columns=False).scale
    forced = pack(weights, SPARE, scale=scale, second_moments=moments)
    assert not forced.is_plain
    control = pack(weights, family("bsfp"), scale=scale, second_moments=moments)
    assert output_error(weights, forced, SPARE, moments) > output_error(
        weights, control, family("bsfp"), moments
    )
    assert unpack(forced, SPARE).tobytes() == weights.tobytes()
    mended = pack(weights, SPARE, second_moments=moments)
    assert mended.scale.columns[7] < 0


@pytest.mark.parametrize("bsfp_wins", [False, True])
def test_the_smaller_error_decides(bsfp_wins):
    """Outliers of many sizes, up to where both are nearly equal."""
    generator = np.random.default_rng(4)
    moments, bsfp = low_rank(6, 24, 6), family("bsfp")
    # A control is packed however ill it fits.
    unruled = Family("truncate", SPARE.tables, SPARE.draft_values)
    ratios = []
    for size in np.geomspace(8, 400, 25):
        weights = generator.standard_normal((8, 24)) * 0.05
        weights[:, 5] = 0.05 * size
        weights = (np.rint(weights * 2**12) / 2**12).astype(np.float16)
        control = pack(weights, bsfp, second_moments=moments, columns=False)
        free = pack(weights, unruled, second_moments=moments, columns=False)
        ratio = output_error(weights, free, unruled, moments)
        ratio /= output_error(weights, control, bsfp, moments)
        if (ratio > 1) == bsfp_wins:
            ruled = pack(weights, SPARE, second_moments=moments, columns=False)
            assert ruled.is_plain == bsfp_wins
            ratios.append(ratio)
    assert any(0.6 < ratio < 1.7 for ratio in ratios), ratios


def decibels(weights, packed, member, moments):
    energy = quadratic(weights.astype(float), damped(moments)).sum()
    return 10 * np.log10(energy / output_error(weights, packed, member, moments))


def test_errors_cancel_where_inputs_are_correlated():
    generator = np.random.default_rng(11)
    weights = (generator.standard_normal((96, 192)) * 0.06).astype(np.float16)
    moments = low_rank(12, 192, 24, floor=0.02)
    found = {
        name: decibels(
            weights, pack(weights, family(name), second_moments=moments), family(name), moments
        )
        for name in ("spare-1", "fitted-8", "bsfp")
    }
    nearest = decibels(weights, pack(weights, SPARE), SPARE, moments)
    assert found["spare-1"] > found["fitted-8"] + 7
    assert found["spare-1"] > found["bsfp"] + 12
    assert found["spare-1"] > nearest + 8


@pytest.mark.parametrize("name", ["smollm2-135m-q-proj", "stories15m-wq"])
def test_real_weights_with_moments_of_few_directions(name):
    weights = read_weights(DATA / f"{name}.safetensors")["weight"]
    moments = low_rank(1, weights.shape[1], weights.shape[1] // 8)
    packed = pack(weights, SPARE, second_moments=moments)
    again = pack(weights.copy(), SPARE, second_moments=moments.copy())
    assert unpack(packed, SPARE).tobytes() == weights.tobytes()
    check_codes(packed, SPARE)
    other = pack(weights, family("fitted-8"), second_moments=moments)
    gain = decibels(weights, packed, SPARE, moments) - decibels(
        weights, other, family("fitted-8"), moments
    )
    assert gain > 6
    assert np.array_equal(from_planes(packed.planes), from_planes(again.planes))
    assert packed.alpha.tobytes() == again.alpha.tobytes()
    own = np.array(SPARE.tables[0].codes)
    words = from_planes(packed.planes)
    cells = np.array(SPARE.tables[0].inverse)[words >> 12 & 7, words >> 8 & 15].astype(int)
    assert np.mean(own[cells] != words >> 12 & 7) > 0.05
    # The figure is the one of single weights, by the power of their inputs.
    error = (weights.astype(float) - drafted(packed, SPARE)) ** 2 @ np.diag(moments)
    energy = weights.astype(float) ** 2 @ np.diag(moments)
    due = 10 * np.log10(energy.sum() / error.sum())
    assert packed.draft_sqnr_db == pytest.approx(due, abs=1e-3)


def test_without_moments_cells_keep_their_own_codes():
    weights = read_weights(DATA / "stories15m-wq.safetensors")["weight"]
    packed = pack(weights, SPARE)
    words = from_planes(packed.planes)
    cells = np.array(SPARE.tables[0].inverse)[words >> 12 & 7, words >> 8 & 15].astype(int)
    assert np.array_equal(np.array(SPARE.tables[0].codes)[cells], words >> 12 & 7)


def test_of_a_family_without_spare_codes_the_diagonal_is_all_that_counts():
    weights = read_weights(DATA / "stories15m-wq.safetensors")["weight"]
    moments, member = low_rank(4, weights.shape[1], 9), family("fitted-4")
    one = pack(weights, member, second_moments=moments)
    two = pack(weights, member, importance=np.diag(moments))
    assert np.array_equal(from_planes(one.planes), from_planes(two.planes))
    assert one.draft_sqnr_db == pytest.approx(two.draft_sqnr_db)


@pytest.mark.parametrize("power", [-1000, -40, 40, 1000])
def test_the_size_of_the_moments_does_not_count(power):
    weights = stored_rows(3, 12, 25).view(np.float16)
    moments = low_rank(4, 25, 5)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        one = pack(weights, SPARE, second_moments=moments)
        two = pack(weights, SPARE, second_moments=np.ldexp(moments, power))
    assert np.array_equal(from_planes(one.planes), from_planes(two.planes))
    assert one.alpha.tobytes() == two.alpha.tobytes()
    assert one.draft_sqnr_db == two.draft_sqnr_db


def test_inputs_that_are_never_used_cost_nothing():
    weights = stored_rows(3, 16, 30).view(np.float16)
    moments = low_rank(4, 30, 6, floor=0)
    moments[:10] = moments[:, :10] = 0
    packed = pack(weights, SPARE, second_moments=moments)
    live = quadratic((weights.astype(float) - drafted(packed, SPARE)), moments).sum()
    energy = quadratic(weights.astype(float), moments).sum()
    assert 10 * np.log10(energy / live) > 18
    none = pack(weights, SPARE, second_moments=np.zeros((30, 30)))
    assert unpack(none, SPARE).tobytes() == weights.tobytes()


def test_rows_of_zeros_draft_zero():
    bits = stored_rows(6, 9, 21)
    bits[3], bits[5] = 0, 0x8000
    bits[:, 4] = 0x8000
    packed = pack(bits, SPARE, second_moments=low_rank(1, 21, 4))
    assert unpack(packed, SPARE).tobytes() == bits.tobytes()
    assert not np.any(drafted(packed, SPARE)[[3, 5]])
    assert np.all(np.any(drafted(packed, SPARE), axis=1) == np.any(bits & 0x7FFF, axis=1))


def changed(**places):
    moments = np.eye(3)
    for place, value in places.items():
        moments[int(place[1]), int(place[2])] = value
    return moments


SHAPE = r"second moments must be 3 x 3 finite numbers, not an array of shape \("
KIND = r"second moments must be symmetric and positive semi-definite, as every mean of x x\^T"


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        (np.eye(2), SHAPE + r"2, 2\): measure them at the inputs of this layer"),
        (np.ones(3), SHAPE),
        (np.eye(3)[None], SHAPE),
        (changed(_00=np.nan), SHAPE),
        (changed(_01=np.inf, _10=np.inf), SHAPE),
        (changed(_01=0.5), KIND),
        (changed(_01=0.5) * 1e-9, KIND),
        (changed(_11=-1), KIND),
        (-np.eye(3), KIND),
        (changed(_01=1.005, _10=1.005, _02=1.005, _20=1.005), KIND),
        (changed(_01=2, _10=2), KIND),
        (changed(_00=0, _11=0, _22=0, _01=1, _10=1), KIND),
    ],
)
def test_what_are_no_second_moments(moments, message):
    weights = np.full((2, 3), 0.5, np.float16)
    with pytest.raises(FormatError, match=message):
        pack(weights, SPARE, second_moments=moments)


def test_a_given_scale_is_kept():
    weights = (np.rint(64 * stored_rows(8, 5, 11).view(np.float16)) / 64 / 2).astype(np.float16)
    scale = Scale.of(np.full(5, -2), np.zeros(11, np.int8))
    packed = pack(weights, SPARE, scale=scale, second_moments=low_rank(1, 11, 3))
    assert np.array_equal(packed.scale.row_exponents, scale.row_exponents)
    assert unpack(packed, SPARE).tobytes() == weights.tobytes()
