"""Agreement at every position is that of a draft which is asked one position at a time."""

import numpy as np
import pytest
import speculative_models as models

from speq_sim.decoding import ModelError, greedy, prefill
from speq_sim.decoding.evaluation import agreement as module
from speq_sim.decoding.evaluation import contexts
from speq_sim.decoding.evaluation.agreement import agree, divergence

TARGET = models.model()
DRAFT = models.model(noise=0.6)
PROMPTS = ((3, 60, 17, 17), (8,), (25, 0, 42, 1, 1, 5, 9))
COUNTS = (7, 5, 1)
TOKENS = tuple(
    tuple(greedy(TARGET, list(prompt), count))
    for prompt, count in zip(PROMPTS, COUNTS, strict=True)
)
FOUND = contexts(TARGET, PROMPTS, TOKENS)


def slowly(reader, draft, prompt, tokens):
    """Logits [n, V] of the draft behind the cache that `reader` wrote, one position at a time."""
    whole, rows = [*prompt, *tokens], []
    for place in range(len(prompt), len(whole)):
        cache = reader.cache(len(whole))
        if place > 1:
            reader.forward(whole[: place - 1], cache)
        rows.append(draft.forward(whole[place - 1 : place], cache)[0])
    return np.array(rows)


def softmax(logits):
    shares = np.exp(logits.astype(np.float64) - logits.max())
    return shares / shares.sum()


def expected(reader, draft, prompt, tokens):
    ours = slowly(reader, draft, prompt, tokens)
    theirs = slowly(TARGET, TARGET, prompt, tokens)
    matches = [a.argmax() == b.argmax() for a, b in zip(ours, theirs, strict=True)]
    kl = [
        sum(p * np.log(p / q) for p, q in zip(softmax(b), softmax(a), strict=True))
        for a, b in zip(ours, theirs, strict=True)
    ]
    return matches, kl


def test_a_target_agrees_with_itself():
    for each, count in zip(agree(TARGET, FOUND), COUNTS, strict=True):
        assert each.matches.all()
        assert len(each.matches) == count
        assert not each.divergences.any()


def test_logits_of_a_context_are_those_that_chose_its_tokens():
    for each, tokens in zip(FOUND, TOKENS, strict=True):
        assert tuple(each.logits.argmax(axis=1)) == tokens
        assert each.cache.length == len(each.prompt) + len(tokens) - 1


def test_every_position_is_that_of_a_single_pass_in_the_targets_context():
    found = agree(DRAFT, FOUND)
    for each, prompt, tokens in zip(found, PROMPTS, TOKENS, strict=True):
        matches, kl = expected(TARGET, DRAFT, prompt, tokens)
        assert each.matches.tolist() == matches
        np.testing.assert_allclose(each.divergences, kl, rtol=1e-9)
    assert 0 < np.concatenate([each.matches for each in found]).mean() < 1


def test_the_drafts_own_context_would_be_noticed():
    prompt, tokens = PROMPTS[0], TOKENS[0]
    _, kl = expected(DRAFT, DRAFT, prompt, tokens)
    found = agree(DRAFT, FOUND)[0].divergences
    assert not np.isclose(found, kl, rtol=1e-6).any()


def test_logits_are_the_same_bits_as_of_single_passes():
    for each in FOUND:
        logits = DRAFT.forward_many([module._tree(each)])[0]
        np.testing.assert_array_equal(logits, slowly(TARGET, DRAFT, each.prompt, each.tokens))


def test_passes_of_few_tokens_give_the_same(monkeypatch):
    whole = agree(DRAFT, FOUND)
    monkeypatch.setattr(module, "_MOST_TOKENS", 6)
    for one, other in zip(agree(DRAFT, contexts(TARGET, PROMPTS, TOKENS)), whole, strict=True):
        np.testing.assert_array_equal(one.matches, other.matches)
        np.testing.assert_array_equal(one.divergences, other.divergences)


def test_prepared_caches_give_the_same_and_stay():
    caches = [prefill(TARGET, list(prompt)) for prompt in PROMPTS]
    for one, other in zip(contexts(TARGET, PROMPTS, TOKENS, caches), FOUND, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)
    assert [cache.length for cache in caches] == [len(prompt) - 1 for prompt in PROMPTS]


def test_contexts_can_be_used_again():
    first, second = agree(DRAFT, FOUND), agree(DRAFT, FOUND)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.divergences, other.divergences)


def test_divergence_of_two_coins():
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    shifted = np.log(q) + 7  # a softmax does not see a constant
    np.testing.assert_allclose(divergence(np.log(p), shifted), expected, rtol=1e-14)
    assert divergence(np.log(q), np.log(p)) != pytest.approx(expected)


def test_nothing_to_agree_on_is_an_error():
    with pytest.raises(ModelError, match="0 tokens has nothing to agree on"):
        contexts(TARGET, PROMPTS, [(1,), (), (2,)])
