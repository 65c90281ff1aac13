"""Many prompts in lock step, prepared caches, stop tokens, and what passes are counted."""

import numpy as np
import pytest
from decoding_models import CONFIG, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from speculative_models import TokenwiseBackend, model

from speq_sim.decoding import (
    Adaptive,
    Confidence,
    Fixed,
    Llama,
    ModelError,
    Tree,
    plain,
    plain_many,
    plain_rounds,
    prefill,
    prefill_many,
    speculate,
    speculate_hierarchically,
    speculate_many,
    speculate_rounds,
)
from speq_sim.decoding.speculative import reading

PERFECT, GOOD, BAD = 0.0, 0.1, 1.0
POLICIES = {
    "four": lambda: Fixed(4),
    "confident": lambda: Confidence(0.15, 6),
    "adaptive": lambda: Adaptive(0.25),
    "tree": lambda: Tree(3, 3, 8),
}
numbers = st.integers(0, CONFIG.vocabulary - 1)
prompt_lists = st.lists(st.lists(numbers, min_size=1, max_size=20), min_size=1, max_size=4)
stops = st.sets(numbers, max_size=12)
PROMPTS = [[3, 60, 17, 17, 0], [5], [1, 2, 3], [40] * 12]


class Watched(Llama):
    """Counts passes and their sequences."""

    def __init__(self, inner):
        self.__dict__.update(inner.__dict__)
        self.seen = []

    def forward_many(self, segments):
        self.seen.append([len(each.tokens) for each in segments])
        return super().forward_many(segments)


@settings(max_examples=10)
@given(prompts=prompt_lists, count=st.integers(1, 12), stop=stops)
def test_plain_decoding_together_is_each_alone(prompts, count, stop):
    found = plain_many(model(), prompts, count, stop=stop)
    assert [each.tokens for each in found] == [
        plain(model(), prompt, count, stop=stop) for prompt in prompts
    ]
    whole = [each.tokens for each in plain_many(model(), prompts, count)]
    for tokens, stopped in zip(whole, found, strict=True):
        ends = [place + 1 for place, token in enumerate(tokens) if token in stop]
        assert stopped.tokens == tokens[: min(ends, default=count)]


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@settings(max_examples=4)
@given(
    prompts=prompt_lists,
    count=st.integers(1, 16),
    noises=st.tuples(*[st.sampled_from([PERFECT, GOOD, BAD])] * 2),
    stop=stops,
)
def test_speculation_together_is_each_alone(policy, levels, prompts, count, noises, stop):
    target, draft = model(), model(noises[0])
    middle = model(noises[1]) if levels == 3 else None
    found = speculate_many(
        target, draft, prompts, count, policy, middle=middle, min_draft_length=4, stop=stop
    )
    for prompt, each in zip(prompts, found, strict=True):
        assert each.tokens == plain(target, prompt, count, stop=stop)
        alone = speculate_rounds(
            target, draft, prompt, count, policy(), middle=middle, min_draft_length=4, stop=stop
        )
        assert tuple(alone) == each.rounds


def test_sampled_sequences_have_seeds_of_their_own():
    found = speculate_many(model(), model(GOOD), PROMPTS, 10, lambda: Fixed(3), 1.0, 5)
    assert [each.rounds for each in found] == [
        speculate(model(), model(GOOD), prompt, 10, Fixed(3), 1.0, 5 + index).rounds
        for index, prompt in enumerate(PROMPTS)
    ]
    drawn = plain_many(model(), [[1], [1]], 10, 1.0, 5)
    assert drawn[0].tokens == plain(model(), [1], 10, 1.0, 5) != drawn[1].tokens


def test_passes_are_shared():
    target, draft = Watched(model()), Watched(model())
    found = speculate_many(target, draft, PROMPTS, 10, lambda: Fixed(4))
    assert all(each.acceptance == 1 for each in found)
    # One pass reads the three prompts of more than one token; two rounds of five tokens each.
    assert target.seen == [[4, 2, 11], [5] * 4, [5] * 4]
    assert draft.seen == [[1] * 4] * 8


def test_the_dear_pass_waits_for_all_and_who_has_ended_drops_out():
    target, draft = Watched(model()), Watched(model())
    lengths = iter([1, 3])
    speculate_many(target, draft, [[1], [2]], 4, lambda: Fixed(next(lengths)))
    assert draft.seen == [[1, 1], [1], [1], [1]]
    assert target.seen == [[], [2, 4], [2]]


def test_no_prompts_are_no_generations():
    assert plain_many(model(), [], 3) == []
    assert speculate_many(model(), model(), [], 3, lambda: Fixed(2)) == []


def test_prompts_are_read_once_for_many_generations():
    target = Watched(model())
    caches = prefill_many(target, PROMPTS)
    assert [cache.length for cache in caches] == [4, 0, 2, 11]
    target.seen.clear()
    wanted = [each.tokens for each in plain_many(model(), PROMPTS, 8)]
    for _ in range(2):
        found = plain_many(target, PROMPTS, 8, caches=caches)
        assert [each.tokens for each in found] == wanted
    assert target.seen == [[1] * 4] * 16
    drafted = speculate_many(
        model(), model(GOOD), PROMPTS, 8, POLICIES["tree"], middle=model(GOOD), caches=caches
    )
    assert [each.tokens for each in drafted] == wanted
    cache = prefill(model(), PROMPTS[0])
    for found in (
        plain(model(), PROMPTS[0], 8, cache=cache),
        speculate(model(), model(BAD), PROMPTS[0], 8, Fixed(2), cache=cache).tokens,
        speculate_hierarchically(
            model(), model(GOOD), model(BAD), PROMPTS[0], 8, Fixed(2), cache=cache
        ).tokens,
    ):
        assert found == wanted[0]


def test_prompts_are_read_in_passes_of_bounded_size(monkeypatch):
    monkeypatch.setattr(reading, "_MOST_TOKENS", 6)
    target = Watched(model())
    caches = prefill_many(target, PROMPTS)
    assert target.seen == [[4, 2], [11]]
    for cache, other in zip(caches, prefill_many(model(), PROMPTS), strict=True):
        np.testing.assert_array_equal(
            model().forward([1], cache.copy(30)), model().forward([1], other.copy(30))
        )


def test_a_stop_token_ends_drafts():
    tokens = plain(model(), PROMPTS[0], 12)
    stop = {tokens[6]}
    assert tokens.index(tokens[6]) == 6
    found = speculate(model(), model(), PROMPTS[0], 12, Fixed(4), stop=stop)
    assert found.tokens == tokens[:7]
    # The second draft ends in the stop token, which the target accepts.
    assert [(each.drafted, each.accepted, each.judged, each.emitted) for each in found.rounds] == [
        (4, 4, 4, 5),
        (2, 2, 2, 2),
    ]
    # Here it is the target's own token.
    found = speculate(model(), model(), PROMPTS[0], 12, Fixed(6), stop=stop)
    assert [(each.drafted, each.accepted, each.emitted) for each in found.rounds] == [(6, 6, 7)]
    found = speculate_hierarchically(
        model(), model(), model(), PROMPTS[0], 12, Fixed(2), min_draft_length=9, stop=stop
    )
    assert found.tokens == tokens[:7]
    assert [(each.drafted, each.draft_passes) for each in found.rounds] == [(7, (1,) * 5)]


def test_passes_are_counted():
    found = speculate(model(), model(), PROMPTS[0], 8, Fixed(4))
    assert found.draft_passes == (1,) * 6
    assert found.middle_passes == ()
    assert found.verify_passes == (5, 3)
    assert [each.draft_passes for each in found.rounds] == [(1,) * 4, (1,) * 2]
    tree = speculate(model(), model(), PROMPTS[0], 4, Tree(2, 3, 5)).rounds
    assert [(each.draft_passes, each.verify_tokens) for each in tree] == [((1, 3), 6), ((1,), 4)]
    # Four tokens and four, then the target's own; the third middle pass has no room for drafts.
    found = speculate_hierarchically(model(), model(), model(), PROMPTS[0], 10, Fixed(3))
    first, second = found.rounds
    assert (first.draft_passes, first.middle_passes, first.verify_tokens) == ((1,) * 6, (4, 4), 9)
    assert (second.draft_passes, second.middle_passes, second.verify_tokens) == ((), (), 1)
    assert plain_many(model(), [[3]], 5)[0].verify_passes == (1,) * 5


def test_counted_passes_are_those_that_ran():
    models = [Watched(model(noise)) for noise in (PERFECT, GOOD, BAD)]
    target, middle, draft = models
    found = speculate_hierarchically(target, middle, draft, [3], 40, Tree(3, 2, 5))
    counts = (found.verify_passes, found.middle_passes, found.draft_passes)
    for each, tokens in zip(models, counts, strict=True):
        assert [count for seen in each.seen for count in seen] == list(tokens)


def test_tokens_of_plain_decoding_come_one_by_one():
    rounds = list(plain_rounds(model(), PROMPTS[0], 5))
    assert [each.tokens for each in rounds] == [(token,) for token in plain(model(), PROMPTS[0], 5)]
    assert {(each.drafted, each.accepted, each.verify_tokens) for each in rounds} == {(0, 0, 1)}


def test_what_does_not_fit_is_refused():
    cases = [
        ([[1], [1] * 64], None, "a prompt of 64 tokens leaves no room"),
        ([[1], []], None, "3 tokens behind a prompt of 0"),
        ([[1]], [], "0 caches were given for 1 prompts"),
        ([[1, 2]], prefill_many(model(), [[1]]), "of 0 positions does not fit to a prompt of 2"),
    ]
    for prompts, caches, message in cases:
        with pytest.raises(ModelError, match=message):
            plain_many(model(), prompts, 3, caches=caches)
    with pytest.raises(ModelError, match="a prompt of 0 tokens has nothing to continue"):
        prefill(model(), [])
    weights = random_model(5, layers=1)
    other = prefill(Llama(weights, TokenwiseBackend(weights.matrices)), [1, 2])
    with pytest.raises(ModelError, match="does not fit to a prompt of 2 tokens"):
        plain(model(), [1, 2], 3, cache=other)
