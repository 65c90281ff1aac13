"""The two steps of a round, on one cache that draft and target share.

Between steps, the cache holds every token but the last, which the next pass takes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from numpy.typing import NDArray

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.speculative.acceptance import Verdict
from speq_sim.decoding.speculative.policies import Policy
from speq_sim.decoding.speculative.rules import Rule
from speq_sim.decoding.speculative.sampling import probabilities

__all__ = ["Chain", "begin", "draft_chain", "verify_chain"]


@dataclass
class Chain:
    """Drafted tokens, and the logits [V] that each was chosen from."""

    tokens: list[int] = field(default_factory=list)
    logits: list[NDArray] = field(default_factory=list)


def begin(target: Llama, others: Sequence[Llama], prompt: Sequence[int], count: int) -> KVCache:
    """A cache that holds the prompt but its last token, with room for `count` tokens.

    Raises
    ------
    ModelError
        If there is no prompt or nothing to give, both do not fit into the context, or a model of
        `others` has another architecture.
    """
    context = target.config.context
    if not len(prompt) or count < 1:
        raise ModelError(
            f"{count} tokens behind a prompt of {len(prompt)} were asked for: give 1 or more each"
        )
    if len(prompt) >= context:
        raise ModelError(
            f"a prompt of {len(prompt)} tokens leaves no room in the model's context of {context}: "
            f"shorten it"
        )
    if len(prompt) + count > context:
        raise ModelError(
            f"{count} tokens behind a prompt of {len(prompt)} are beyond the model's context of "
            f"{context}: ask for {context - len(prompt)} at most"
        )
    if any(other.config != target.config for other in others):
        raise ModelError(
            "draft and target differ in architecture, but share a cache: make both of the same "
            "weights, with different back ends"
        )
    cache = target.cache(len(prompt) + count)
    if len(prompt) > 1:
        target.forward(prompt[:-1], cache)
    return cache


def draft_chain(
    model: Llama, last: int, cache: KVCache, limit: int, policy: Policy, rule: Rule
) -> Chain:
    """Draft up to `limit` tokens behind `last`, one pass each.

    The cache is longer by as many positions then, which hold keys and values of the draft.
    """
    chain = Chain()
    while len(chain.tokens) < limit:
        logits = model.forward([last], cache)[-1]
        last = rule.choose(logits)
        chain.tokens.append(last)
        chain.logits.append(logits)
        if not policy.goes_on(float(probabilities(logits).max())):
            break
    return chain


def verify_chain(
    model: Llama, last: int, chain: Chain, cache: KVCache, start: int, rule: Rule
) -> Verdict:
    """Judge a chain in one pass over `last` and its tokens.

    The pass overwrites the keys and values from position `start` on, that of `last`. The cache then
    ends behind the accepted tokens: all of it from `start` on is this model's.
    """
    cache.cut(start)
    logits = model.forward([last, *chain.tokens], cache)
    verdict = rule.judge(chain.tokens, chain.logits, logits)
    cache.cut(start + 1 + verdict.accepted)
    return verdict
