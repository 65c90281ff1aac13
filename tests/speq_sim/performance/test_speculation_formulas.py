"""Closed formulas of speculation: their limits, and every outcome enumerated for small sizes."""

import itertools
import math
from collections import defaultdict
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq_sim.decoding import ModelError
from speq_sim.decoding.speculative import policies
from speq_sim.performance.draft_policies import BestLength, Confidence, FixedLength
from speq_sim.performance.speculation import (
    best_length,
    expected_tokens,
    expected_tree_tokens,
    greatest,
    hierarchy,
    path_distribution,
    speedup,
    tokens_distribution,
)

CHANCES = [0.0, 0.3, 0.75, 0.976, 1.0]

chances = st.floats(0, 1)
lengths = st.integers(0, 40)


def flat(tokens: int) -> float:
    return 1.0


def outcomes(count: int, chance: float):
    """All outcomes of `count` tosses, and the chance of each."""
    for tosses in itertools.product((False, True), repeat=count):
        yield tosses, math.prod(chance if each else 1 - chance for each in tosses)


def given_tokens(tosses) -> int:
    """Those accepted before the first rejection, and the judge's own."""
    return 1 + sum(1 for _ in itertools.takewhile(bool, tosses))


def mean(distribution: dict[int, float]) -> float:
    return sum(value * chance for value, chance in distribution.items())


def enumerated_chain(acceptance: float, length: int) -> dict[int, float]:
    found: defaultdict[int, float] = defaultdict(float)
    for tosses, chance in outcomes(length, acceptance):
        found[given_tokens(tosses)] += chance
    return found


def enumerated_hierarchy(inner: list[float], minimum: int):
    """Every sequence of inner rounds: by their number and by the tokens of the chain."""
    counts: defaultdict[int, float] = defaultdict(float)
    chains: defaultdict[int, float] = defaultdict(float)

    def go_on(count: int, gathered: int, reached: float) -> None:
        if gathered >= minimum:
            counts[count] += reached
            chains[gathered] += reached
            return
        for tokens, chance in enumerate(inner, 1):
            if chance:
                go_on(count + 1, gathered + tokens, reached * chance)

    go_on(0, 0, 1.0)
    return counts, chains


@pytest.mark.parametrize("length", range(7))
@pytest.mark.parametrize("acceptance", CHANCES)
def test_chain_is_what_enumeration_gives(acceptance, length):
    by_hand = enumerated_chain(acceptance, length)
    found = tokens_distribution(acceptance, length)
    assert len(found) == length + 1
    assert found == pytest.approx([by_hand[tokens] for tokens in range(1, length + 2)])
    assert expected_tokens(acceptance, length) == pytest.approx(mean(by_hand))


def test_table_of_the_papers_figures():
    # PAPERS.md section 1.6: tokens per round, and speedups at a draft cost of 0.258.
    assert expected_tokens(0.976, 14) == pytest.approx(12.7, abs=0.05)
    assert expected_tokens(0.90, 6) == pytest.approx(5.2, abs=0.05)
    for length, figure in {
        4: 2.35,
        5: 2.47,
        6: 2.56,
        8: 2.67,
        10: 2.73,
        12: 2.76,
        16: 2.75,
    }.items():
        assert speedup(0.976, length, 0.258, flat) == pytest.approx(figure, abs=0.006)
    for acceptance, cost, length in [(0.976, 0.25, 14), (0.976, 0.35, 11), (0.95, 0.258, 9)]:
        assert best_length(acceptance, cost, flat, 40) == length


@given(lengths)
def test_limits_are_exact(length):
    assert expected_tokens(1.0, length) == expected_tokens(1, length) == length + 1
    assert expected_tokens(0.0, length) == expected_tokens(0, length) == 1
    assert expected_tokens(length / 41, 0) == 1


@given(st.one_of(chances, st.floats(1 - 1e-6, 1), st.floats(0, 1e-200)), lengths)
def test_formula_is_stable_everywhere(acceptance, length):
    exact = sum(Fraction(acceptance) ** place for place in range(length + 1))
    assert expected_tokens(acceptance, length) == pytest.approx(float(exact), rel=1e-13)
    assert expected_tokens(acceptance, length) == pytest.approx(
        policies.expected_tokens(acceptance, length), rel=1e-13
    )


@given(chances, chances, lengths)
def test_more_acceptance_gives_no_fewer_tokens(one, other, length):
    low, high = sorted((one, other))
    assert expected_tokens(low, length) <= expected_tokens(high, length) * (1 + 1e-13)


@given(chances, lengths)
def test_longer_drafts_give_no_fewer_tokens_up_to_the_ceiling(acceptance, length):
    tokens, longer = expected_tokens(acceptance, length), expected_tokens(acceptance, length + 1)
    assert tokens <= longer * (1 + 1e-13)
    assert longer - tokens == pytest.approx(acceptance ** (length + 1), abs=1e-11)
    if acceptance < 1:
        assert tokens <= 1 / (1 - acceptance) * (1 + 1e-13)


def test_tree_with_its_own_chance_a_level():
    assert expected_tree_tokens([]) == 1
    assert expected_tree_tokens([0.9, 0.5, 0.2]) == pytest.approx(1 + 0.9 + 0.45 + 0.09)
    assert path_distribution([0.9, 0.5, 0.2]) == pytest.approx([0.1, 0.45, 0.36, 0.09])
    assert expected_tree_tokens([0.9, 0.0, 1.0]) == pytest.approx(1.9)


@given(chances, st.integers(0, 12))
def test_tree_of_equal_levels_is_a_chain(acceptance, length):
    levels = [acceptance] * length
    assert expected_tree_tokens(levels) == pytest.approx(expected_tokens(acceptance, length))
    assert sum(path_distribution(levels)) == pytest.approx(1)


@pytest.mark.parametrize("minimum", [1, 2, 5, 6])
@pytest.mark.parametrize("length", [0, 1, 3])
@pytest.mark.parametrize("acceptance", [0.0, 0.6, 1.0])
def test_hierarchy_is_what_enumeration_gives(acceptance, length, minimum):
    inner = [enumerated_chain(acceptance, length)[tokens] for tokens in range(1, length + 2)]
    counts, chains = enumerated_hierarchy(inner, minimum)
    for outer in (0.0, 0.8, 1.0):
        found = hierarchy(tokens_distribution(acceptance, length), outer, minimum)
        assert found.inner_round_chances == pytest.approx(counts)
        assert found.chain_lengths == pytest.approx(chains)
        assert found.inner_rounds == pytest.approx(mean(counts))
        by_hand = sum(
            chance * mean(enumerated_chain(outer, chain)) for chain, chance in chains.items()
        )
        assert found.tokens == pytest.approx(by_hand)


@given(chances, st.integers(0, 6), st.integers(1, 12))
def test_chain_of_a_hierarchy_obeys_walds_equation(acceptance, length, minimum):
    found = hierarchy(tokens_distribution(acceptance, length), 0.9, minimum)
    assert sum(found.chain_lengths.values()) == pytest.approx(1)
    assert sum(found.inner_round_chances.values()) == pytest.approx(1)
    gathered = found.inner_rounds * expected_tokens(acceptance, length)
    assert mean(found.chain_lengths) == pytest.approx(gathered)


def test_middle_model_that_is_the_target_gives_all_its_tokens_and_one():
    found = hierarchy(tokens_distribution(1.0, 3), 1.0, 6)
    assert found.inner_round_chances == {2: 1.0}
    assert found.chain_lengths == {8: 1.0}
    assert found.tokens == 9


def test_sequences_in_lock_step_wait_for_the_last_one():
    inner = tokens_distribution(0.6, 2)
    one = hierarchy(inner, 0.9, 4)
    assert one.in_lock_step(1).inner_round_chances == pytest.approx(one.inner_round_chances)
    found = one.in_lock_step(3)
    for alone, together in [
        (one.inner_round_chances, found.inner_round_chances),
        (one.chain_lengths, found.chain_lengths),
    ]:
        by_hand: defaultdict[int, float] = defaultdict(float)
        for three in itertools.product(alone, repeat=3):
            by_hand[max(three)] += math.prod(alone[each] for each in three)
        assert together == pytest.approx(by_hand)
    assert found.tokens == one.tokens


@given(st.dictionaries(st.integers(0, 9), st.floats(0.01, 1), min_size=1), st.integers(1, 50))
def test_greatest_of_many_is_a_distribution(weights, count):
    total = sum(weights.values())
    found = greatest({value: weight / total for value, weight in weights.items()}, count)
    assert sum(found.values()) == pytest.approx(1)
    assert set(found) <= set(weights)


@given(chances, st.floats(0, 2), st.floats(0, 1), st.integers(0, 20))
def test_best_length_is_what_a_search_finds(acceptance, draft_cost, slope, longest):
    def verify(tokens: int) -> float:
        return 1 + slope * tokens

    def rate(length: int) -> float:
        tokens = sum(acceptance**place for place in range(length + 1))
        return tokens / (length * draft_cost + verify(length + 1))

    found = best_length(acceptance, draft_cost, verify, longest)
    assert 0 <= found <= longest
    assert rate(found) == pytest.approx(max(map(rate, range(longest + 1))), rel=1e-12)


def test_best_length_is_plain_decoding_where_no_draft_pays():
    assert best_length(0.0, 0.1, flat, 9) == 0
    assert best_length(0.5, 0.6, flat, 9) == 0  # Corollary 3.9: some length pays if a > c
    assert best_length(0.61, 0.6, flat, 9) == 1
    assert best_length(0.9, 0.0, flat, 9) == 9
    assert best_length(0.9, 0.0, float, 9) == 0  # a verify pass as dear as plain passes


@pytest.mark.parametrize("acceptance", CHANCES)
def test_speedup_is_that_of_theorem_3_8_where_verifying_costs_a_plain_pass(acceptance):
    theorem = sum(acceptance**place for place in range(6)) / (5 * 0.25 + 1)
    assert speedup(acceptance, 5, 0.25, flat) == pytest.approx(theorem)
    assert speedup(acceptance, 5, 0.5, lambda tokens: 2.0) == pytest.approx(theorem)
    assert speedup(acceptance, 0, 0.25, lambda tokens: 3.0 * tokens) == 1


@pytest.mark.parametrize("longest", [1, 2, 4])
@pytest.mark.parametrize("stop", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("acceptance", [0.0, 0.7, 1.0])
def test_early_stop_is_what_enumeration_gives(acceptance, stop, longest):
    by_length: defaultdict[int, float] = defaultdict(float)
    tokens = 0.0
    for stops, chance in outcomes(longest - 1, stop):
        drafted = 1 + sum(1 for _ in itertools.takewhile(lambda each: not each, stops))
        by_length[drafted] += chance
        tokens += chance * mean(enumerated_chain(acceptance, drafted))
    found = Confidence(stop, longest).round(acceptance, 0.25, flat)
    assert found.lengths == pytest.approx({n: each for n, each in by_length.items() if each})
    assert found.tokens == pytest.approx(tokens)
    assert found.drafted == pytest.approx(mean(by_length))


@given(chances, st.integers(1, 20))
def test_early_stop_lies_between_one_token_and_all(acceptance, longest):
    never = Confidence(0.0, longest).round(acceptance, 0.25, flat)
    assert never.lengths == {longest: 1.0}
    assert never.tokens == pytest.approx(expected_tokens(acceptance, longest))
    always = Confidence(1.0, longest).round(acceptance, 0.25, flat)
    assert always.lengths == {1: 1.0}
    assert always.tokens == pytest.approx(1 + acceptance)


def test_policies_of_one_length():
    assert FixedLength(7).round(0.9, 0.25, flat).lengths == {7: 1.0}
    assert FixedLength(7).round(0.9, 0.25, flat).tokens == expected_tokens(0.9, 7)
    assert BestLength(40).round(0.976, 0.25, flat).lengths == {14: 1.0}
    assert BestLength(10).round(0.976, 0.25, flat).drafted == 10


def test_longest_draft_of_a_batch():
    found = Confidence(0.5, 2).round(0.8, 0.25, flat).in_lock_step(3)
    assert found.lengths == pytest.approx({1: 0.125, 2: 0.875})
    assert found.tokens == pytest.approx(1 + 0.8 + 0.5 * 0.64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_tokens(1.01, 3), "acceptance is 1.01"),
        (lambda: expected_tokens(float("nan"), 3), "acceptance is nan"),
        (lambda: expected_tokens(0.5, -1), "draft length is -1"),
        (lambda: expected_tokens(0.5, 2.0), "draft length is 2.0"),
        (lambda: tokens_distribution(-0.1, 0), "acceptance is -0.1"),
        (lambda: tokens_distribution(0.1, True), "draft length is True"),
        (lambda: expected_tree_tokens([0.5, 2.0]), "acceptance at level 2 is 2.0"),
        (lambda: hierarchy([0.5, 0.4], 0.9, 3), "sum to 0.9"),
        (lambda: hierarchy([], 0.9, 3), "sum to 0.0"),
        (lambda: hierarchy([1.5, -0.5], 0.9, 3), "chance of 1 tokens"),
        (lambda: hierarchy([1.0], 1.9, 3), "acceptance of the middle model is 1.9"),
        (lambda: hierarchy([1.0], 0.9, 0), "least tokens of a chain is 0"),
        (lambda: hierarchy([1.0], 0.9, 1).in_lock_step(0), "batch is 0"),
        (lambda: best_length(0.9, 0.2, flat, -1), "longest draft is -1"),
        (lambda: best_length(0.9, -0.2, flat, 3), "cost of a draft pass is -0.2"),
        (lambda: speedup(0.9, 3, 0.2, lambda tokens: 0.0), "costs 0"),
        (lambda: speedup(0.9, 3, 0.2, lambda tokens: -1.0), "verify pass over 1 tokens is -1.0"),
        (lambda: FixedLength(-1), "draft length is -1"),
        (lambda: BestLength(1.5), "longest draft is 1.5"),
        (lambda: Confidence(1.5, 3), "chance to stop is 1.5"),
        (lambda: Confidence(0.5, 0), "longest draft is 0"),
        (lambda: Confidence(0.5, 3).round(2.0, 0.2, flat), "acceptance is 2.0"),
        (lambda: FixedLength(3).round(0.9, 0.2, flat).in_lock_step(0), "batch is 0"),
    ],
)
def test_refuses_what_is_out_of_range(call, message):
    with pytest.raises(ModelError, match=message):
        call()
