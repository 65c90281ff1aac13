"""The fitter: an exact assignment, exact moments, and a fit that beats the fixed maps."""

import itertools

import numpy as np
import pytest
from formats_strategies import families, finite_matrices
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.formats import draft_codes, draft_values, encode, family
from speq.formats.assignment import assign
from speq.formats.fit import fit_family, tidy
from speq.formats.moments import Moments, choose, moments


def below_two(bits):
    return bits & np.uint16(0xBFFF)


@given(finite_matrices(), families())
@settings(max_examples=60, deadline=None)
def test_the_error_of_a_choice_is_that_of_the_words(bits, member):
    stored = below_two(bits)
    choice = choose(moments(stored), member, 0)
    assert not np.any(choice.shift)
    drafts = draft_values(draft_codes(encode(stored, member, choice.table)), member)
    exact = stored.view(np.float16).astype(float)
    error = np.sum((exact - choice.alpha[:, None] * drafts) ** 2, axis=1)
    assert np.allclose(error, choice.error, rtol=1e-6, atol=1e-6 * np.sum(exact**2, axis=1).max())


@given(finite_matrices())
@settings(max_examples=60, deadline=None)
def test_halved_moments_are_those_of_halved_weights(bits):
    stored = below_two(bits) & np.uint16(0xFFFE)
    halves = (stored.view(np.float16).astype(np.float32) / 2).astype(np.float16)
    exact = halves.astype(np.float32) * 2 == stored.view(np.float16)
    stored, halves = np.where(exact, stored, 0).astype(np.uint16), np.where(exact, halves, 0)
    found, direct = moments(stored).halved(), moments(halves.astype(np.float16).view(np.uint16))
    for name in ("count", "total", "energy"):
        assert np.allclose(getattr(found, name), getattr(direct, name))


def test_importance_counts_weights():
    stored = np.array([[0x3C00, 0x3800, 0x3C00]], dtype=np.uint16)
    sums = moments(stored, np.array([1.0, 2.0, 3.0]))
    assert sums.count[0, [60, 56]].tolist() == [4, 2]
    assert sums.total[0, [60, 56]].tolist() == [4, 1]
    assert sums.energy.tolist() == [4.5]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_assignment_is_legal_and_no_exchange_improves_it(seed):
    cost = np.random.default_rng(seed).standard_normal((64, 8))
    cost[:, 0] -= 3
    codes = assign(cost)
    assert np.bincount(codes, minlength=8).max() <= 16
    cells = np.arange(64)
    swap = cost[cells, codes][:, None] - cost[:, codes]
    assert (swap + swap.T).max() <= 1e-9
    room = np.bincount(codes, minlength=8) < 16
    assert np.all(cost[cells, codes][:, None] <= cost[:, room] + 1e-9)
    # Three in a ring: what pairs cannot mend.
    sample = np.random.default_rng(seed).choice(64, 14, replace=False)
    for a, b, c in itertools.permutations(sample, 3):
        assert swap[a, b] + swap[b, c] + swap[c, a] <= 1e-9


def test_tidying_keeps_the_number_of_cells_per_code():
    table = np.array(family("fitted-4").tables[0].codes)
    tiny = 24
    random = np.random.default_rng(2)
    shuffled = np.concatenate([random.permutation(table[:tiny]), table[tiny:]])
    assert tidy(shuffled) == tuple(table.tolist())


@pytest.mark.parametrize("tables", [1, 2])
def test_a_small_fit_beats_the_fixed_maps_and_repeats(tables):
    random = np.random.default_rng(7)
    weights = random.standard_normal((300, 256)) * 0.3
    sums = moments(np.clip(weights, -1.9, 1.9).astype(np.float16).view(np.uint16))
    told = []
    first, error = fit_family("f", sums, tables, starts=2, rounds=6, report=told.append)
    second, _ = fit_family("f", sums, tables, starts=2, rounds=6)
    assert first == second
    assert len(first.tables) == tables
    assert len(told) == 2
    fixed = choose(sums, family("bsfp")).error / sums.energy
    assert error < fixed.mean() / 2.5


def test_rows_of_zeros_do_not_disturb_a_fit():
    sums = moments(np.array([[0, 0], [0x3800, 0x3400], [0x3A00, 0x3100]], dtype=np.uint16))
    member, error = fit_family("f", sums, 1, starts=1, rounds=2)
    assert np.isfinite(error)
    choice = choose(sums, member)
    assert choice.error[0] == 0
    assert np.all(np.isfinite(choice.alpha))
    assert isinstance(sums.rows([0]), Moments)
