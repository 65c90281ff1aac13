"""How long drafts are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq_sim.decoding import Adaptive, Confidence, Fixed, ModelError
from speq_sim.decoding.speculative.policies import expected_tokens


def test_fixed_and_confidence():
    fixed = Fixed(4)
    assert fixed.longest() == 4
    assert fixed.goes_on(0.0)
    confidence = Confidence(0.5, 7)
    assert confidence.longest() == 7
    assert [confidence.goes_on(value) for value in (0.499, 0.5, 1.0)] == [False, True, True]


@given(st.floats(0, 0.99), st.integers(0, 30))
def test_expected_tokens_are_the_closed_form(rate, length):
    expected = (1 - rate ** (length + 1)) / (1 - rate)
    assert expected_tokens(rate, length) == pytest.approx(expected, rel=1e-12)
    assert expected_tokens(1.0, length) == length + 1


@given(st.floats(0, 1), st.floats(0.01, 2), st.integers(1, 20))
def test_adaptive_takes_the_fastest_length(rate, cost, longest):
    found = Adaptive(cost, longest, initial=rate, weight=1.0).longest()
    speedups = [
        expected_tokens(rate, length) / (length * cost + 1) for length in range(1, longest + 1)
    ]
    assert speedups[found - 1] == max(speedups)
    assert max(speedups) not in speedups[: found - 1]


def test_adaptive_lengths_by_hand():
    # At a = 0.5, c = 0.25: 1.5 / 1.25 = 1.2, 1.75 / 1.5 = 1.1667.
    assert Adaptive(0.25, initial=0.5).longest() == 1
    # At a = 0.8, c = 0.25: 1.44, 1.6267, 1.6869, 1.6808.
    assert Adaptive(0.25, initial=0.8).longest() == 3
    assert Adaptive(0.25, longest=9, initial=1.0).longest() == 9
    assert Adaptive(0.25, initial=0.0).longest() == 1


def test_the_running_rate_by_hand():
    policy = Adaptive(0.25, initial=0.5, weight=4.0, decay=0.5)
    policy.record(3, 3)  # hits 1 + 3 of 2 + 3
    assert policy.rate == 4 / 5
    policy.record(3, 1)  # hits 2 + 1 of 2.5 + 2: the third was not judged
    assert policy.rate == 3 / 4.5
    before = policy.rate
    policy.record(0, 0)
    assert policy.rate == before


def test_adaptive_follows_the_acceptance():
    policy = Adaptive(0.1)
    first = policy.longest()
    for _ in range(100):
        policy.record(policy.longest(), 0)
    assert policy.longest() == 1
    for _ in range(200):
        policy.record(policy.longest(), policy.longest())
    assert policy.longest() == 16 > first > 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Fixed(0), "a draft of 0 tokens"),
        (lambda: Confidence(0.5, 0), "a draft of 0 tokens"),
        (lambda: Confidence(1.5, 3), "a threshold of 1.5 is no probability"),
        (lambda: Adaptive(0.0), "a draft pass of cost 0.0"),
        (lambda: Adaptive(0.1, 0), "a draft of 0 tokens"),
        (lambda: Adaptive(0.1, initial=1.1), "initial 1.1"),
        (lambda: Adaptive(0.1, weight=0.0), "weight 0.0"),
        (lambda: Adaptive(0.1, decay=0.0), "decay 0.0"),
    ],
)
def test_wrong_settings_are_refused(build, message):
    with pytest.raises(ModelError, match=message):
        build()
