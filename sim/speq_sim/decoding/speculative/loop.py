"""Decoding with a draft, and without."""

from collections.abc import Iterator, Sequence

from speq_sim.decoding.llama import Llama
from speq_sim.decoding.speculative.generation import Generation, Round
from speq_sim.decoding.speculative.passes import begin, draft_chain, verify_chain
from speq_sim.decoding.speculative.policies import Policy
from speq_sim.decoding.speculative.rules import rule_of

__all__ = ["plain", "speculate", "speculate_rounds"]


def speculate(
    target: Llama,
    draft: Llama,
    prompt: Sequence[int],
    count: int,
    policy: Policy,
    temperature: float = 0.0,
    seed: int = 0,
) -> Generation:
    """Continue a prompt as :func:`plain` does, with fewer passes of the target.

    Greedy tokens are those of :func:`plain`, if the target's back end treats each token by itself;
    sampled ones have the same distribution.

    Parameters
    ----------
    target, draft : Llama
        The same weights on two back ends. They share one cache: what the draft wrote, the verify
        pass overwrites.
    prompt : sequence of int
        Token numbers, one or more.
    count : int
        Tokens to give, one or more. The last round drafts no more than can still be given.
    policy : Policy
        How many tokens to draft.
    temperature : float
        0: greedy. Else of the softmax, for draft and target.
    seed : int
        Of the random numbers of sampling.

    Raises
    ------
    ModelError
        If the prompt or `count` do not fit into the context, the architectures differ, or a model
        gives a logit of Inf or NaN.
    """
    return Generation(
        tuple(speculate_rounds(target, draft, prompt, count, policy, temperature, seed))
    )


def speculate_rounds(
    target: Llama,
    draft: Llama,
    prompt: Sequence[int],
    count: int,
    policy: Policy,
    temperature: float = 0.0,
    seed: int = 0,
) -> Iterator[Round]:
    """The rounds of :func:`speculate`, each as soon as it is verified.

    Errors, too, come with the first round, not with the call.
    """
    rule = rule_of(temperature, seed)
    cache = begin(target, [draft], prompt, count)
    last = prompt[-1]
    while count:
        start = cache.length
        chain = draft_chain(draft, last, cache, min(policy.longest(), count - 1), policy, rule)
        verdict = verify_chain(target, last, chain, cache, start, rule)
        policy.record(len(chain.tokens), verdict.accepted)
        last = verdict.token
        yield Round((*chain.tokens[: verdict.accepted], last), len(chain.tokens))
        count -= verdict.accepted + 1


def plain(
    target: Llama, prompt: Sequence[int], count: int, temperature: float = 0.0, seed: int = 0
) -> list[int]:
    """Continue a prompt token by token: parameters and errors of :func:`speculate`."""
    rule = rule_of(temperature, seed)
    cache = begin(target, [], prompt, count)
    last, found = prompt[-1], []
    while len(found) < count:
        last = rule.choose(target.forward([last], cache)[-1])
        found.append(last)
    return found
