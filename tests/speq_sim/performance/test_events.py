"""Event runs: they agree with the closed formulas, keep account, and do what the decoder does."""

import numpy as np
import pytest

from speq_sim.decoding import ModelError
from speq_sim.performance.draft_policies import Confidence
from speq_sim.performance.event_drafts import ChainDraft, HierarchyDraft, NoDraft, TreeDraft
from speq_sim.performance.event_estimates import estimate, repeat
from speq_sim.performance.events import IDLE, Request, serve, simulate
from speq_sim.performance.speculation import (
    expected_tokens,
    expected_tree_tokens,
    hierarchy,
    path_distribution,
    tokens_distribution,
)

SECONDS = {"draft": 0.25, "middle": 0.5, "verify": 1.0}
SLOPE = 0.01
"""Of a pass, for each of its tokens."""


def cost(kind: str, tokens: int) -> float:
    return SECONDS[kind] + SLOPE * tokens


def times(kind: str, tokens: int, contexts) -> float:
    return cost(kind, tokens)


def surveyed(draft, *, batch: int = 1, rounds: int = 60, runs: int = 40, seed: int = 1):
    """Estimates at 99.9 %."""
    found = repeat(
        lambda each: simulate(draft, times, rounds=rounds, batch=batch, seed=each), runs, seed
    )
    return estimate(found, 0.999)


def assert_agrees(found, tokens: float, seconds: float) -> None:
    assert tokens in found.tokens_per_round
    assert seconds / tokens in found.seconds_per_token
    # An interval that holds anything would prove nothing.
    assert found.tokens_per_round.high < 1.2 * found.tokens_per_round.low
    assert found.seconds_per_token.high < 1.2 * found.seconds_per_token.low


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("length", [1, 4, 12])
@pytest.mark.parametrize("acceptance", [0.3, 0.8, 0.976])
def test_chain_agrees_with_the_formula(acceptance, length, batch):
    found = surveyed(ChainDraft(acceptance, length), batch=batch)
    seconds = length * cost("draft", 1) + cost("verify", length + 1)
    assert_agrees(found, expected_tokens(acceptance, length), seconds)


@pytest.mark.parametrize("batch", [1, 5])
def test_early_stop_agrees_with_the_formula(batch):
    one = Confidence(0.2, 8).round(0.9, cost("draft", 1), lambda tokens: cost("verify", tokens))
    longest = one.in_lock_step(batch)
    seconds = sum(
        chance * (length * cost("draft", 1) + cost("verify", length + 1))
        for length, chance in longest.lengths.items()
    )
    assert_agrees(surveyed(ChainDraft(0.9, 8, 0.2), batch=batch), one.tokens, seconds)


@pytest.mark.parametrize("levels", [(0.9,), (0.9, 0.8, 0.7), (0.6, 0.9)])
def test_tree_agrees_with_the_formula(levels):
    draft = TreeDraft(levels, width=3, nodes=7)
    nodes = min(7, 3 + 9 * (len(levels) - 1))
    drafts = cost("draft", 1) + (len(levels) - 1) * cost("draft", 3)
    assert_agrees(surveyed(draft), expected_tree_tokens(levels), drafts + cost("verify", nodes + 1))


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(
    ("acceptance", "length", "minimum"), [(0.8, 3, 6), (0.9, 2, 1), (0.5, 4, 9)]
)
def test_hierarchy_agrees_with_the_recursion(acceptance, length, minimum, batch):
    draft = HierarchyDraft(ChainDraft(acceptance, length), 0.95, minimum)
    outer = hierarchy(tokens_distribution(acceptance, length), 0.95, minimum).in_lock_step(batch)
    inner = length * cost("draft", 1) + cost("middle", length + 1)
    verify = sum(
        chance * cost("verify", chain + 1) for chain, chance in outer.chain_lengths.items()
    )
    assert_agrees(surveyed(draft, batch=batch), outer.tokens, outer.inner_rounds * inner + verify)


def test_hierarchy_of_trees_agrees_with_the_recursion():
    levels = (0.9, 0.8, 0.7)
    outer = hierarchy(path_distribution(levels), 0.9, 6)
    inner = cost("draft", 1) + 2 * cost("draft", 10) + cost("middle", 30)
    verify = sum(
        chance * cost("verify", chain + 1) for chain, chance in outer.chain_lengths.items()
    )
    found = surveyed(HierarchyDraft(TreeDraft(levels), 0.9, 6))
    assert_agrees(found, outer.tokens, outer.inner_rounds * inner + verify)


@pytest.mark.parametrize("planted", [0.80, 0.88])
def test_another_acceptance_is_noticed(planted):
    found = surveyed(ChainDraft(planted, 8), rounds=200)
    tokens = expected_tokens(0.84, 8)
    assert tokens not in found.tokens_per_round
    assert (8 * cost("draft", 1) + cost("verify", 9)) / tokens not in found.seconds_per_token


def test_another_acceptance_of_the_middle_model_is_noticed():
    found = surveyed(HierarchyDraft(ChainDraft(0.8, 3), 0.9, 6), rounds=200)
    assert hierarchy(tokens_distribution(0.8, 3), 0.95, 6).tokens not in found.tokens_per_round


def test_intervals_hold_the_truth_as_often_as_they_say():
    runs = [
        repeat(lambda each: simulate(ChainDraft(0.7, 3), times, rounds=5, seed=each), 12, seed)
        for seed in range(200)
    ]
    truth = expected_tokens(0.7, 3)
    held = sum(truth in estimate(each, 0.9).tokens_per_round for each in runs)
    assert 164 <= held <= 194  # 180 expected, three and a half deviations of 4.2 either way


def test_interval_is_that_of_students_t():
    # Ten runs of one round: 1 or 5 tokens, half of each; t(9) at 99 % is 3.2498 by the tables.
    one, five = (simulate(ChainDraft(a, 4), times, rounds=1) for a in (0.0, 1.0))
    found = estimate([one, five] * 5, 0.99).tokens_per_round
    assert found.value == 3
    assert found.high - 3 == pytest.approx(3.2498 * np.sqrt(40 / 9) / np.sqrt(10), rel=1e-3)
    assert 3 - found.low == pytest.approx(found.high - 3)


def test_distribution_of_a_rounds_tokens():
    run = simulate(ChainDraft(0.6, 3), times, rounds=4000, seed=3)
    expected = 4000 * np.array(tokens_distribution(0.6, 3))
    counts = np.array([run.round_tokens[tokens] for tokens in range(1, 5)])
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # chi square of 3, at 99.9 %


def test_same_seed_same_run():
    draft = HierarchyDraft(ChainDraft(0.8, 3, 0.1), 0.9, 5)
    one, same, other = (simulate(draft, times, rounds=30, seed=seed) for seed in (5, 5, 6))
    assert one == same
    assert one != other
    runs = repeat(lambda seed: simulate(draft, times, rounds=30, seed=seed), 3, seed=5)
    assert runs == repeat(lambda seed: simulate(draft, times, rounds=30, seed=seed), 3, seed=5)
    assert runs[0] != runs[1]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    "draft",
    [
        NoDraft(),
        ChainDraft(0.8, 5),
        TreeDraft((0.9, 0.7)),
        HierarchyDraft(ChainDraft(0.8, 3), 0.9, 6),
    ],
)
def test_passes_add_up_to_the_clock(draft, batch):
    run = simulate(draft, times, rounds=50, batch=batch)
    assert sum(run.seconds_by_kind.values()) == pytest.approx(run.seconds)
    assert run.sequence_seconds == pytest.approx(batch * run.seconds)
    assert (run.rounds, run.sequence_rounds) == (50, 50 * batch)
    assert run.tokens == sum(tokens * count for tokens, count in run.round_tokens.items())
    assert run.tokens_per_second * run.seconds_per_token == pytest.approx(batch)


def test_certain_acceptance_runs_like_clockwork():
    passes = []

    def noted(kind, tokens, contexts):
        passes.append((kind, tokens, *contexts))
        return times(kind, tokens, contexts)

    run = simulate(HierarchyDraft(ChainDraft(1.0, 2), 1.0, 4), noted, rounds=2, batch=2, context=9)
    inner = [("draft", 1, 0), ("draft", 1, 1), ("middle", 3, 0)]
    inner += [("draft", 1, 3), ("draft", 1, 4), ("middle", 3, 3), ("verify", 7, 0)]
    # Six tokens of the chain and the target's own one: the next round begins 7 further on.
    assert passes == [
        (kind, tokens, at + ahead, at + ahead) for at in (9, 16) for kind, tokens, ahead in inner
    ]
    assert run.tokens == 28
    assert run.seconds == pytest.approx(sum(cost(kind, tokens) for kind, tokens, *_ in passes))


def test_trees_passes_feed_levels():
    passes = []

    def noted(kind, tokens, contexts):
        passes.append((kind, tokens, *contexts))
        return 1.0

    simulate(TreeDraft((1.0, 1.0, 1.0), width=2, nodes=29), noted, rounds=1)
    # The root, then two nodes a level: 2 + 4 + 4 children, and the root, are verified.
    assert passes == [("draft", 1, 0), ("draft", 2, 1), ("draft", 2, 3), ("verify", 11, 0)]


def test_plain_decoding_is_a_draft_of_nothing():
    assert simulate(NoDraft(), times, rounds=20) == simulate(ChainDraft(0.9, 0), times, rounds=20)
    assert simulate(NoDraft(), times, rounds=20).seconds == pytest.approx(20 * cost("verify", 1))


@pytest.mark.parametrize(
    "draft",
    [
        NoDraft(),
        ChainDraft(0.9, 6, 0.1),
        TreeDraft((0.9, 0.8, 0.7)),
        HierarchyDraft(ChainDraft(0.9, 3), 0.95, 6),
    ],
)
def test_continuous_batching_serves_every_request(draft):
    requests = [Request(1 + 7 * place % 23, context=place) for place in range(20)]
    run = serve(draft, times, requests, batch=4)
    assert [each.request for each in run.requests] == requests
    assert [each.tokens for each in run.requests] == [each.tokens for each in requests]
    assert run.tokens == sum(each.tokens for each in requests)
    assert sum(run.seconds_by_kind.values()) == pytest.approx(run.seconds)
    assert run.seconds_by_kind[IDLE] == 0
    assert run.seconds == max(each.finished for each in run.requests)
    ends = sorted(each.finished for each in run.requests)
    for place, each in enumerate(run.requests):
        # The first four begin at once; each other one takes the place of one that ended.
        assert each.started == (0 if place < 4 else ends[place - 4])
        assert each.latency == each.finished
    busy = sum(each.finished - each.started for each in run.requests)
    assert run.sequence_seconds == pytest.approx(busy)


def test_last_round_drafts_no_more_than_can_be_given():
    passes = []

    def noted(kind, tokens, contexts):
        passes.append((kind, tokens))
        return 1.0

    serve(ChainDraft(1.0, 4), noted, [Request(7)], batch=1)
    assert passes == [("draft", 1)] * 4 + [("verify", 5), ("draft", 1), ("verify", 2)]


def test_shorter_sequences_are_padded_and_leave():
    passes = []

    def noted(kind, tokens, contexts):
        passes.append((kind, tokens, list(contexts)))
        return 1.0

    serve(ChainDraft(1.0, 2), noted, [Request(2, 10), Request(6, 20)], batch=2)
    assert passes == [
        ("draft", 1, [10, 20]),
        ("draft", 1, [21]),
        ("verify", 3, [10, 20]),
        ("draft", 1, [23]),
        ("draft", 1, [24]),
        ("verify", 3, [23]),
    ]


def test_requests_wait_for_a_place_and_the_accelerator_for_requests():
    requests = [Request(2, arrival=5.0), Request(1, arrival=5.0), Request(3, arrival=0.0)]
    run = serve(NoDraft(), lambda kind, tokens, contexts: 1.0, requests, batch=1)
    # 0-3 the third, nothing until 5, the first until 7, then the second.
    assert [(each.started, each.finished) for each in run.requests] == [(5, 7), (7, 8), (0, 3)]
    assert [each.latency for each in run.requests] == [2, 3, 3]
    assert run.seconds_by_kind == {"verify": 6, IDLE: 2}
    together = serve(NoDraft(), lambda kind, tokens, contexts: 1.0, requests, batch=2)
    assert [each.started for each in together.requests] == [5, 5, 0]
    assert together.seconds_per_token == 1
    assert together.tokens_per_second == pytest.approx(6 / 7)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ChainDraft(1.5, 3), "acceptance is 1.5"),
        (lambda: ChainDraft(0.5, -3), "draft length is -3"),
        (lambda: ChainDraft(0.5, 3, -0.1), "chance to stop is -0.1"),
        (lambda: TreeDraft(()), "levels of a tree is 0"),
        (lambda: TreeDraft((0.5, -1.0)), "acceptance at level 2 is -1.0"),
        (lambda: TreeDraft((0.5,), width=0), "width of a tree is 0"),
        (lambda: TreeDraft((0.5,), nodes=0), "nodes of a tree is 0"),
        (lambda: HierarchyDraft(ChainDraft(0.5, 3), 2.0, 3), "middle model is 2.0"),
        (lambda: HierarchyDraft(ChainDraft(0.5, 3), 0.9, 0), "least tokens of a chain is 0"),
        (lambda: Request(0), "tokens of a request is 0"),
        (lambda: Request(1, -1), "context of a request is -1"),
        (lambda: Request(1, 0, -1.0), "arrival of a request is -1.0"),
        (lambda: simulate(NoDraft(), times, rounds=0), "rounds is 0"),
        (lambda: simulate(NoDraft(), times, rounds=1, batch=0), "batch is 0"),
        (lambda: serve(NoDraft(), times, [], batch=1), "requests is 0"),
        (lambda: serve(NoDraft(), times, [Request(1)], batch=0), "batch is 0"),
        (lambda: simulate(NoDraft(), lambda *_: -1.0, rounds=1), "verify pass takes -1.0 seconds"),
        (lambda: simulate(NoDraft(), lambda *_: np.nan, rounds=1), "takes nan seconds"),
        (lambda: repeat(lambda seed: None, 0), "runs is 0"),
        (lambda: estimate([]), "0 runs are too few"),
    ],
)
def test_refuses_what_is_out_of_range(call, message):
    with pytest.raises(ModelError, match=message):
        call()


def test_refuses_a_confidence_that_is_none():
    runs = repeat(lambda seed: simulate(NoDraft(), times, rounds=1, seed=seed), 10)
    with pytest.raises(ModelError, match="confidence of 1"):
        estimate(runs, 1)
