"""Speculation is lossless: the target's tokens when greedy, its distribution when sampled."""

import math

import numpy as np
import pytest
from decoding_models import CONFIG, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from speculative_models import VOCABULARY, TableModel, TokenwiseBackend, chi_square, model

from speq_sim.decoding import (
    Adaptive,
    Confidence,
    FastBackend,
    Fixed,
    Llama,
    ModelError,
    greedy,
    plain,
    speculate,
    speculate_hierarchically,
    speculate_rounds,
)
from speq_sim.decoding.speculative import acceptance, proposals, starting

PERFECT, GOOD, BAD = 0.0, 0.1, 1.0
POLICIES = {
    "one": lambda: Fixed(1),
    "four": lambda: Fixed(4),
    "longer than there is room": lambda: Fixed(50),
    "confident": lambda: Confidence(0.15, 6),
    "adaptive": lambda: Adaptive(0.25),
}
prompts = st.lists(st.integers(0, CONFIG.vocabulary - 1), min_size=1, max_size=20)
PROMPT = [3, 60, 17, 17, 0]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("noise", [PERFECT, GOOD, BAD])
@settings(max_examples=6)
@given(prompt=prompts, count=st.integers(1, 16))
def test_greedy_tokens_are_those_of_plain_decoding(policy, noise, prompt, count):
    found = speculate(model(), model(noise, tokenwise=False), prompt, count, policy())
    assert found.tokens == plain(model(), prompt, count)
    assert all(each.emitted == each.accepted + 1 for each in found.rounds)
    assert all(each.accepted <= each.judged <= each.drafted for each in found.rounds)


@settings(max_examples=10)
@given(
    prompt=prompts,
    count=st.integers(1, 24),
    noises=st.tuples(st.sampled_from([PERFECT, GOOD, BAD]), st.sampled_from([PERFECT, GOOD, BAD])),
    length=st.integers(1, 4),
    least=st.integers(1, 7),
)
def test_hierarchical_tokens_are_those_of_plain_decoding(prompt, count, noises, length, least):
    middle, draft = (model(noise, tokenwise=False) for noise in noises)
    found = speculate_hierarchically(
        model(), middle, draft, prompt, count, Fixed(length), min_draft_length=least
    )
    assert found.tokens == plain(model(), prompt, count)
    left = count
    for each in found.rounds:
        assert min(least, left - 1) <= each.drafted <= min(least + length, left - 1)
        left -= each.emitted


def test_plain_decoding_is_that_of_the_library():
    assert plain(model(), PROMPT, 12) == greedy(model(), PROMPT, 12)


def test_a_perfect_draft_is_always_accepted():
    found = speculate(model(), model(), PROMPT, 20, Fixed(4))
    assert found.acceptance == 1.0
    assert [(each.drafted, each.accepted, each.emitted) for each in found.rounds] == [(4, 4, 5)] * 4
    assert found.accepted_length == 4
    assert found.tokens_per_round == 5
    sampled = speculate(model(), model(), PROMPT, 20, Fixed(4), temperature=1.0)
    assert sampled.acceptance == 1.0
    hierarchical = speculate_hierarchically(model(), model(), model(), PROMPT, 20, Fixed(3))
    assert hierarchical.acceptance == 1.0
    assert [each.drafted for each in hierarchical.rounds] == [8, 8, 1]


def test_worse_drafts_are_accepted_less():
    rates = [
        speculate(model(), model(noise), PROMPT, 50, Fixed(3)).acceptance
        for noise in (PERFECT, GOOD, BAD)
    ]
    assert 1 == rates[0] > rates[1] > rates[2]


class Recorder(Fixed):
    """A policy that keeps what it is told."""

    def __init__(self, length):
        super().__init__(length)
        self.seen = []

    def record(self, drafted, accepted):
        self.seen.append((drafted, accepted))


def test_policies_and_statistics_agree():
    policy = Recorder(4)
    found = speculate(model(), model(GOOD), PROMPT, 40, policy)
    assert policy.seen == [(each.drafted, each.accepted) for each in found.rounds]
    rejected = sum(accepted < drafted for drafted, accepted in policy.seen)
    total = sum(accepted for _, accepted in policy.seen)
    assert rejected > 0
    assert found.acceptance == total / (total + rejected)
    middle = Recorder(3)
    speculate_hierarchically(model(), model(), model(), PROMPT, 20, middle)
    assert middle.seen == [(3, 3)] * 4 + [(0, 0)]


def test_one_token_needs_no_draft():
    found = speculate(model(), model(BAD), [3], 1, Fixed(4))
    assert [(each.drafted, each.emitted) for each in found.rounds] == [(0, 1)]
    assert math.isnan(found.acceptance)


def test_a_threshold_ends_drafts_behind_an_unsure_token():
    never = speculate(model(), model(), PROMPT, 12, Confidence(1.0, 5))
    assert [each.drafted for each in never.rounds] == [1] * 6
    always = speculate(model(), model(), PROMPT, 12, Confidence(0.0, 5))
    assert [each.drafted for each in always.rounds] == [5, 5]


def test_rounds_come_one_by_one():
    rounds = speculate_rounds(model(), model(), PROMPT, 59, Fixed(2))
    assert list(next(rounds).tokens) == plain(model(), PROMPT, 3)


def test_a_seed_gives_the_same_tokens_again():
    def run(seed):
        return speculate(model(), model(GOOD), PROMPT, 20, Fixed(3), 1.0, seed).tokens

    assert run(1) == run(1) != run(2)
    assert plain(model(), PROMPT, 20, 1.0, 1) != plain(model(), PROMPT, 20, 1.0, 2)


def tables():
    """A target with two zeros in each row, and a draft with four, by the last token."""
    random = np.random.default_rng(1)
    p = random.uniform(0.2, 1, (VOCABULARY, VOCABULARY))
    q = random.uniform(0.2, 1, (VOCABULARY, VOCABULARY))
    for row in range(VOCABULARY):
        p[row, [row, row - 1]] = 0
        q[row, random.choice(VOCABULARY, 4, replace=False)] = 0
    return p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)


def followers(tokens):
    """How often each token follows each other one [V, V]."""
    found = np.zeros((VOCABULARY, VOCABULARY), dtype=int)
    np.add.at(found, (tokens[:-1], tokens[1:]), 1)
    return found


@pytest.fixture(scope="module")
def sampled():
    """20,000 rounds or more, at a temperature that makes other tables of the same models."""
    p, q = tables()
    target, draft = TableModel(p**0.7), TableModel(q**0.7)
    found = speculate(target, draft, [0], 40_000, Fixed(3), 0.7, seed=5)
    assert len(found.rounds) >= 20_000
    return found


def test_sampled_tokens_follow_the_target(sampled):
    p, _ = tables()
    statistic, limit = chi_square(followers(sampled.tokens), p)
    assert statistic < limit


def test_plainly_sampled_tokens_follow_the_target():
    p, _ = tables()
    statistic, limit = chi_square(followers(plain(TableModel(p), [0], 20_000, 1.0, 3)), p)
    assert statistic < limit


def middle_table():
    """Between draft and target, with three zeros in each row."""
    random = np.random.default_rng(2)
    m = random.uniform(0.2, 1, (VOCABULARY, VOCABULARY))
    for row in range(VOCABULARY):
        m[row, random.choice(VOCABULARY, 3, replace=False)] = 0
    return m / m.sum(axis=1, keepdims=True)


def sampled_hierarchically(count):
    p, q = tables()
    target, middle, draft = TableModel(p), TableModel(middle_table()), TableModel(q)
    policy = Confidence(0.3, 3)
    return speculate_hierarchically(target, middle, draft, [0], count, policy, 4, 1.0, seed=6)


def test_hierarchically_sampled_tokens_follow_the_target():
    found = sampled_hierarchically(12_000)
    statistic, limit = chi_square(followers(found.tokens), tables()[0])
    assert statistic < limit
    # The draft is of use to the middle model, and that to the target.
    assert found.tokens_per_round > 1.5
    assert sum(found.middle_passes) > 1.5 * len(found.middle_passes)


def test_a_middle_chain_judged_as_if_the_draft_had_drawn_it_is_noticed(monkeypatch):
    draft = TableModel(tables()[1])

    class Wrong(proposals.Gatherer):
        def propose(self, last, cache, most):
            chain = yield from super().propose(last, cache, most)
            behind = [last, *chain.tokens][:-1]
            # A uniform part, so that no token of the chain comes with probability 0.
            chain.logits = [np.logaddexp(draft.logits[token], -3.0) for token in behind]
            return chain

    monkeypatch.setattr(starting, "Gatherer", Wrong)
    found = sampled_hierarchically(6_000)
    statistic, limit = chi_square(followers(found.tokens), tables()[0])
    assert statistic > 2 * limit


def test_a_loop_without_the_residual_is_noticed(monkeypatch):
    p, q = tables()
    monkeypatch.setattr(acceptance, "residual", lambda p, q: p)
    found = speculate(TableModel(p), TableModel(q), [0], 10_000, Fixed(3), 1.0)
    statistic, limit = chi_square(followers(found.tokens), p)
    assert statistic > 2 * limit


@pytest.mark.parametrize(
    ("prompt", "count", "message"),
    [
        ([], 3, "3 tokens behind a prompt of 0"),
        ([1], 0, "0 tokens behind a prompt of 1"),
        ([1] * 64, 1, "a prompt of 64 tokens leaves no room in the model's context of 64"),
        ([1] * 65, 1, "a prompt of 65 tokens leaves no room"),
        ([1] * 60, 5, "beyond the model's context of 64: ask for 4 at most"),
        ([61], 2, "token 61 is not of the vocabulary"),
    ],
)
def test_what_does_not_fit_is_refused(prompt, count, message):
    runs = (
        lambda: plain(model(), prompt, count),
        lambda: speculate(model(), model(), prompt, count, Fixed(2)),
        lambda: speculate_hierarchically(model(), model(), model(), prompt, count, Fixed(2)),
    )
    for run in runs:
        with pytest.raises(ModelError, match=message):
            run()


def test_the_whole_context_can_be_filled():
    found = speculate(model(), model(), [1] * 60, 4, Fixed(9))
    assert found.tokens == plain(model(), [1] * 60, 4)


def test_models_of_other_architectures_are_refused():
    weights = random_model(5, layers=1)
    other = Llama(weights, FastBackend(weights.matrices))
    with pytest.raises(ModelError, match="draft and target differ in architecture"):
        speculate(model(), other, PROMPT, 4, Fixed(2))
    with pytest.raises(ModelError, match="a min_draft_length of 0"):
        speculate_hierarchically(model(), model(), model(), PROMPT, 4, Fixed(2), 0)


def test_nan_logits_of_a_draft_are_one_error():
    weights = random_model(5)
    broken = dict(weights.matrices)
    broken["head"] = np.full_like(broken["head"], np.nan)
    with pytest.raises(ModelError, match="a logit of Inf or NaN"):
        speculate(model(), Llama(weights, TokenwiseBackend(broken)), PROMPT, 4, Fixed(2))
