"""The fitter of tables with spare codes: legal, better than simpler ways, the same again."""

import numpy as np
import pytest
from formats_strategies import finite_matrices
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.formats import CodeTable, Family, family
from speq.formats.cells import cell_edges
from speq.formats.fit_spare import fit_spare
from speq.formats.moments import MAX_SHIFT, choose, moments
from speq.formats.spare_rows import ALPHAS, SPREAD, choose_spare, expected_errors

VALUES = family("spare-1").draft_values


def rows(seed, number=120, inputs=192, scale=0.3):
    values = np.random.default_rng(seed).standard_normal((number, inputs)) * scale
    return moments(np.clip(values, -1.9, 1.9).astype(np.float16).view(np.uint16))


def error(sums, member):
    live = sums.energy > 0
    return np.mean(choose_spare(sums, member).error[live] / sums.energy[live])


def check_legal(member):
    (table,) = member.tables
    assert max(map(len, table.cells)) <= 16
    assert table.codes[0] == 0
    assert CodeTable.from_text(table.as_text()) == table


@pytest.fixture(scope="module")
def fitted():
    return fit_spare("mine", rows(7), VALUES)[0]


def test_the_fit_is_legal_and_repeats(fitted):
    again, figure = fit_spare("mine", rows(7), VALUES)
    assert again == fitted
    assert (again.name, again.draft_values) == ("mine", VALUES)
    check_legal(fitted)
    assert fitted.has_spare
    # Zero takes the least draft value, and nothing else.
    assert (fitted.tables[0].codes[0], fitted.tables[0].spare[0]) == (0, ())
    # Near what the rows themselves have: priors were mixed in.
    assert figure == pytest.approx(error(rows(7), fitted), rel=0.15)


def greedy(sums):
    """What a reader would try first: nearest code each, then spare codes to the commonest cells."""
    alpha = float(np.median(choose_spare(sums, family("spare-1")).alpha))
    middle = 0.5 * (cell_edges()[1:] + cell_edges()[:-1])
    cost = np.abs(middle[:, None] - alpha * np.array(VALUES) / 32)
    share = sums.count.sum(axis=0)
    codes, room = np.zeros(64, int), [16] * 8
    for cell in np.argsort(-share * middle**2):
        codes[cell] = next(code for code in np.argsort(cost[cell]) if room[code])
        room[codes[cell]] -= 1
    others = [[] for _ in codes]
    for cell in np.argsort(-share * middle**2):
        for code in np.argsort(cost[cell])[:3]:
            if room[code] and code != codes[cell]:
                others[cell].append(int(code))
                room[code] -= 1
    return Family(
        "greedy", (CodeTable(tuple(codes), tuple(map(tuple, map(sorted, others)))),), VALUES
    )


def test_the_fit_beats_a_greedy_table_and_tables_without_spare_codes(fitted):
    held = rows(8)
    found = error(held, fitted)
    assert found < error(held, greedy(held)) * 0.97
    bare = Family("bare", (CodeTable(fitted.tables[0].codes),), VALUES)
    assert found < error(held, bare) * 0.9
    assert found < error(held, family("fitted-1")) * 0.9


@pytest.mark.parametrize(
    "values", [(0, 1, 2, 4, 8, 16, 32, 63), (0, 0, 0, 0, 0, 0, 0, 1), (5,) * 8, (0,) * 8]
)
def test_any_draft_values_give_a_legal_table(values):
    member, figure = fit_spare("f", rows(3, 20, 48), values, rounds=1)
    check_legal(member)
    assert np.isfinite(figure)


@given(finite_matrices())
@settings(max_examples=8, deadline=None)
def test_any_rows_give_a_legal_table(bits):
    bits[0, 0] = 0x3800
    member, figure = fit_spare("f", moments(bits & np.uint16(0xBFFF)), VALUES, rounds=1)
    check_legal(member)
    assert np.isfinite(figure)


def test_rows_of_zeros_are_left_out():
    values = np.clip(np.random.default_rng(1).standard_normal((30, 64)) * 0.3, -1.9, 1.9)
    stored = values.astype(np.float16).view(np.uint16)
    with_zeros = np.concatenate([stored, np.zeros((5, 64), np.uint16)])
    one = fit_spare("f", moments(stored), VALUES, rounds=1)
    two = fit_spare("f", moments(with_zeros), VALUES, rounds=1)
    assert one == two


# Choice of rows -----------------------------------------------------------------------------------


def test_the_expected_error_is_the_mean_over_what_is_added():
    """Against drawn numbers: a weight in the middle of its cell, and a normal addition to it."""
    member = family("spare-1")
    (table,) = member.tables
    place = 20
    alpha = ALPHAS[place]
    edges = cell_edges()
    added = SPREAD * alpha * np.random.default_rng(5).standard_normal(200_000)
    for cell in (0, 20, 41, 45, 50, 55, 63):
        middle = 0.5 * (edges[cell] + edges[cell + 1]) if cell else 0.0
        codes = (table.codes[cell], *table.spare[cell])
        drafts = alpha * np.array(VALUES)[list(codes)] / 32
        least = np.min((middle + added[:, None] - drafts) ** 2, axis=1)
        assert expected_errors(member)[0, place, cell] == pytest.approx(least.mean(), rel=0.08)


@given(finite_matrices(), st.integers(0, MAX_SHIFT))
@settings(max_examples=40, deadline=None)
def test_each_row_chooses_the_least_of_all_shifts_and_alphas(bits, allowed):
    sums = moments(bits & np.uint16(0xBFFF))
    member = Family("two", (*family("spare-1").tables, *family("bsfp").tables), VALUES)
    choice = choose_spare(sums, member, allowed)
    errors = expected_errors(member)
    level, found = sums, []
    for shift in range(allowed + 1):
        found.append(4.0**shift * np.einsum("tac,nc->nta", errors, level.count))
        level = level.halved()
    found = np.stack(found, axis=1)
    rows_ = np.arange(len(bits))
    least = found.reshape(len(bits), -1).min(axis=1)
    assert np.all(choice.shift <= allowed)
    assert np.allclose(choice.error, least, rtol=1e-9)
    place = np.searchsorted(ALPHAS, choice.alpha)
    assert np.array_equal(ALPHAS[place], choice.alpha)
    assert np.allclose(found[rows_, choice.shift, choice.table, place], least, rtol=1e-9)


def test_a_row_shifts_no_further_than_it_may():
    sums = rows(2, 40, 64, scale=0.6)
    free = choose_spare(sums, family("spare-1"))
    assert free.shift.max() > 0
    allowed = np.arange(40) % 2
    held = choose_spare(sums, family("spare-1"), allowed)
    assert np.all(held.shift <= allowed)
    assert np.any(held.shift < free.shift)
    assert np.all(held.error >= free.error)
    # Without spare codes and nothing to make up for, it is what the plain choice gives, about.
    plain = choose(sums, family("fitted-1"))
    spread = choose_spare(sums, family("fitted-1"))
    assert np.median(np.abs(np.log2(spread.alpha / plain.alpha))) < 1.1
