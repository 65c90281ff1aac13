"""Three models: a draft proposes, a middle one gathers a sequence, the target verifies it.

As HierSpec (arXiv 2505.22179) does it, with chains as proposals, greedily, on one cache.
"""

from collections.abc import Sequence

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.speculative.generation import Generation, Round
from speq_sim.decoding.speculative.passes import Chain, begin, draft_chain, verify_chain
from speq_sim.decoding.speculative.policies import Policy
from speq_sim.decoding.speculative.rules import Greedy

__all__ = ["speculate_hierarchically"]


def speculate_hierarchically(
    target: Llama,
    middle: Llama,
    draft: Llama,
    prompt: Sequence[int],
    count: int,
    policy: Policy,
    min_draft_length: int = 6,
) -> Generation:
    """Continue a prompt greedily, with two levels of speculation.

    Until there are `min_draft_length` tokens, the draft proposes a chain, and the middle model
    keeps what it would have chosen, and adds its own next token. Then the target judges the
    whole sequence in one pass.

    Parameters
    ----------
    target, middle, draft : Llama
        The same weights on three back ends, which share one cache: each pass overwrites what the
        cheaper one wrote.
    prompt : sequence of int
        Token numbers, one or more.
    count : int
        Tokens to give, one or more.
    policy : Policy
        How many tokens the draft proposes at a time; it learns what the middle model accepts.
    min_draft_length : int
        Least tokens for the target to judge, 1 or more, but never more than can still be given.

    Returns
    -------
    Generation
        Its rounds are the target's: `drafted` counts tokens of the middle model's sequences.

    Raises
    ------
    ModelError
        As :func:`speq_sim.decoding.speculative.loop.speculate`, or if `min_draft_length` is below
        1.
    """
    if min_draft_length < 1:
        raise ModelError(f"a min_draft_length of {min_draft_length} is none: give 1 or more")
    rule = Greedy()
    cache = begin(target, [middle, draft], prompt, count)
    last, rounds = prompt[-1], []
    while count:
        start = cache.length
        least = min(min_draft_length, count - 1)
        sequence = _gather(middle, draft, last, cache, policy, least, count - 1)
        verdict = verify_chain(target, last, sequence, cache, start, rule)
        last = verdict.token
        rounds.append(Round((*sequence.tokens[: verdict.accepted], last), len(sequence.tokens)))
        count -= verdict.accepted + 1
    return Generation(tuple(rounds))


def _gather(
    middle: Llama, draft: Llama, last: int, cache: KVCache, policy: Policy, least: int, most: int
) -> Chain:
    """A sequence of `least` to `most` tokens that the middle model would have chosen."""
    rule, sequence = Greedy(), Chain()
    while len(sequence.tokens) < least:
        start = cache.length
        limit = min(policy.longest(), most - len(sequence.tokens) - 1)
        chain = draft_chain(draft, last, cache, limit, policy, rule)
        verdict = verify_chain(middle, last, chain, cache, start, rule)
        policy.record(len(chain.tokens), verdict.accepted)
        last = verdict.token
        sequence.tokens += [*chain.tokens[: verdict.accepted], last]
    return sequence
