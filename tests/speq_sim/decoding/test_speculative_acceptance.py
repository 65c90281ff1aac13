"""Acceptance keeps the target's tokens, and its distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from speculative_models import VOCABULARY, chi_square

from speq_sim.decoding import ModelError, Verdict, accept_greedy, accept_sampled, probabilities
from speq_sim.decoding.speculative import acceptance
from speq_sim.decoding.speculative.sampling import draw

ROUNDS = 20_000
FLAT = np.full(VOCABULARY, 1 / VOCABULARY)
STEEP = 0.5 ** np.arange(1, VOCABULARY + 1) / (1 - 0.5**VOCABULARY)
SPIKE = np.eye(VOCABULARY)[2]
SOME = np.array([0, 0.3, 0, 0.1, 0.2, 0, 0.4, 0])
OTHERS = np.array([0.5, 0, 0.25, 0, 0, 0.25, 0, 0])


def first_tokens(p, q):
    """How often each token is the first that a round with one drafted token emits."""
    random = np.random.default_rng(11)
    found = np.zeros(VOCABULARY, dtype=int)
    targets = np.stack([p, FLAT])
    for _ in range(ROUNDS):
        token = draw(q, random)
        verdict = accept_sampled([token], q[None], targets, random)
        found[token if verdict.accepted else verdict.token] += 1
    return found


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (STEEP, STEEP[::-1]),
        (FLAT, STEEP),
        (STEEP, SPIKE),
        (FLAT, SOME),
        (SOME, FLAT),
        (SOME, OTHERS),
    ],
)
def test_a_round_emits_what_the_target_would(p, q):
    statistic, limit = chi_square(first_tokens(p, q), p)
    assert statistic < limit


def test_acceptance_without_the_residual_is_noticed(monkeypatch):
    monkeypatch.setattr(acceptance, "residual", lambda p, q: p)
    statistic, limit = chi_square(first_tokens(FLAT, STEEP), FLAT)
    assert statistic > 10 * limit


def test_the_share_of_accepted_tokens_is_the_overlap():
    random = np.random.default_rng(3)
    p = np.stack([FLAT, FLAT])
    accepted = sum(
        accept_sampled([draw(STEEP, random)], STEEP[None], p, random).accepted
        for _ in range(ROUNDS)
    )
    overlap = np.minimum(FLAT, STEEP).sum()
    assert abs(accepted / ROUNDS - overlap) < 4 * (overlap * (1 - overlap) / ROUNDS) ** 0.5


@given(st.integers(0, 2**32), st.integers(0, 5))
def test_a_draft_of_the_target_itself_is_always_accepted(seed, length):
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(VOCABULARY, 0.3), length + 1)
    tokens = [draw(row, random) for row in p[:-1]]
    assert accept_sampled(tokens, p[:-1], p, random).accepted == length


def test_residual_by_hand():
    found = acceptance.residual(np.array([0.5, 0.25, 0.25, 0]), np.array([0.25, 0.5, 0, 0.25]))
    np.testing.assert_array_equal(found, [0.25, 0, 0.25, 0])
    np.testing.assert_array_equal(acceptance.residual(STEEP, STEEP), STEEP)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], Verdict(0, 3)),
        ([3], Verdict(1, 1)),
        ([3, 1, 0], Verdict(3, 2)),
        ([3, 0, 0], Verdict(1, 1)),
        ([0, 1, 0], Verdict(0, 3)),
    ],
)
def test_greedy_by_hand(tokens, expected):
    # The third row has equals: the lowest counts.
    logits = np.array([[0, 1, 2, 3], [0, 4, 2, 3], [5, 5, 2, 3], [0, 1, 4, 3.0]])
    assert accept_greedy(tokens, logits[: len(tokens) + 1]) == expected


@given(st.integers(0, 2**32), st.floats(1e-300, 1e300))
def test_probabilities_are_those_of_any_temperature(seed, temperature):
    logits = np.random.default_rng(seed).standard_normal((3, 5)).astype(np.float32) * 100
    found = probabilities(logits, temperature)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-15)
    assert (found >= 0).all()
    likeliest = np.take_along_axis(found, logits.argmax(axis=-1)[:, None], axis=-1)
    np.testing.assert_array_equal(likeliest[:, 0], found.max(axis=-1))


def test_probabilities_by_hand():
    np.testing.assert_allclose(
        probabilities([np.log(1.0), np.log(3.0), -np.inf], 0.5), [0.1, 0.9, 0], rtol=1e-15
    )


@pytest.mark.parametrize(("number", "token"), [(0.0, 1), (0.249, 1), (0.25, 3), (1.0, 3)])
def test_drawing_by_hand(number, token):
    class Chosen:
        def random(self):
            return number

    # 1.0 does not come, but its product with the sum may, by rounding.
    assert draw(np.array([0, 0.5, 0, 1.5, 0]), Chosen()) == token


def test_wrong_input_is_named():
    bad = np.array([[0.0, np.nan]])
    for fails in (lambda: accept_greedy([], bad), lambda: probabilities(bad)):
        with pytest.raises(ModelError, match="a logit is NaN, so no token can be chosen"):
            fails()
    for temperature in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ModelError, match="cannot be sampled: give more than 0"):
            probabilities([1.0], temperature)
    random = np.random.default_rng(0)
    with pytest.raises(ModelError, match=r"target logits of shape \(1, 2\) .* give 2 rows"):
        accept_greedy([1], np.zeros((1, 2)))
    with pytest.raises(ModelError, match=r"draft probabilities .* give 2 rows"):
        accept_sampled([1, 2], FLAT[None], np.stack([FLAT] * 3), random)
    with pytest.raises(ModelError, match="token 0 was drafted with probability 0"):
        accept_sampled([0], SOME[None], np.stack([FLAT, FLAT]), random)
