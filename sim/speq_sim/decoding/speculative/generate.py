"""Continuing prompts: one or many, plainly, with a draft, or with a draft and a middle model."""

from collections.abc import Callable, Collection, Iterator, Sequence

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.speculative.generation import Generation, Round
from speq_sim.decoding.speculative.passes import Models, Stage, run, run_many
from speq_sim.decoding.speculative.policies import Policy
from speq_sim.decoding.speculative.starting import Make, drafting, models_of, no_draft, start
from speq_sim.decoding.speculative.trees import Tree

__all__ = [
    "plain",
    "plain_many",
    "plain_rounds",
    "speculate",
    "speculate_hierarchically",
    "speculate_many",
    "speculate_rounds",
]


def speculate(
    target: Llama,
    draft: Llama,
    prompt: Sequence[int],
    count: int,
    policy: Policy | Tree,
    temperature: float = 0.0,
    seed: int = 0,
    *,
    stop: Collection[int] = (),
    cache: KVCache | None = None,
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
        Most tokens to give, one or more. The last round drafts no more than can still be given.
    policy : Policy or Tree
        How many tokens to draft, as a chain; or the shape of drafted trees (greedy only).
    temperature : float
        0: greedy. Else of the softmax, for draft and target.
    seed : int
        Of the random numbers of sampling.
    stop : collection of int
        The continuation ends behind the first of these tokens; it is given, too.
    cache : KVCache, optional
        What :func:`speq_sim.decoding.prefill` made of this prompt and target.
        It stays as it is.

    Raises
    ------
    ModelError
        If the prompt or `count` do not fit into the context, the architectures differ, the cache is
        of another prompt's length, a tree is to be sampled from, or a model gives a logit of Inf
        or NaN.
    """
    rounds = speculate_rounds(
        target, draft, prompt, count, policy, temperature, seed, stop=stop, cache=cache
    )
    return Generation(tuple(rounds))


def speculate_hierarchically(
    target: Llama,
    middle: Llama,
    draft: Llama,
    prompt: Sequence[int],
    count: int,
    policy: Policy | Tree,
    min_draft_length: int = 6,
    temperature: float = 0.0,
    seed: int = 0,
    *,
    stop: Collection[int] = (),
    cache: KVCache | None = None,
) -> Generation:
    """Continue a prompt with two levels of speculation, as HierSpec does (arXiv 2505.22179).

    Until there are `min_draft_length` tokens, the draft proposes a chain or a tree, and the middle
    model keeps what it accepts, and adds its own next token. Then the target judges the whole chain
    in one pass. Lossless as :func:`speculate` is.

    Parameters
    ----------
    target, middle, draft : Llama
        The same weights on three back ends, which share one cache: each pass overwrites what the
        cheaper one wrote.
    policy : Policy or Tree
        What the draft proposes at a time; a policy learns what the middle model accepts.
    min_draft_length : int
        Least tokens for the target to judge, 1 or more, but never more than can still be given.
    prompt, count, temperature, seed, stop, cache
        As :func:`speculate`.

    Returns
    -------
    Generation
        Its rounds are the target's: `drafted` counts tokens of the middle model's chains.

    Raises
    ------
    ModelError
        As :func:`speculate`, or if `min_draft_length` is below 1.
    """
    rounds = speculate_rounds(
        target,
        draft,
        prompt,
        count,
        policy,
        temperature,
        seed,
        middle=middle,
        min_draft_length=min_draft_length,
        stop=stop,
        cache=cache,
    )
    return Generation(tuple(rounds))


def speculate_rounds(
    target: Llama,
    draft: Llama,
    prompt: Sequence[int],
    count: int,
    policy: Policy | Tree,
    temperature: float = 0.0,
    seed: int = 0,
    *,
    middle: Llama | None = None,
    min_draft_length: int = 6,
    stop: Collection[int] = (),
    cache: KVCache | None = None,
) -> Iterator[Round]:
    """The rounds of :func:`speculate`, each as soon as it is verified.

    With a middle model, those of :func:`speculate_hierarchically`. Errors, too, come with the first
    round, not with the call.
    """
    models = models_of(target, draft, middle)
    make = drafting(lambda: policy, middle, min_draft_length, stop)
    caches = None if cache is None else [cache]
    one = start(models, make, [prompt], count, temperature, seed, stop, caches)[0]
    while one.goes_on:
        yield run(one.round(), models)


def speculate_many(
    target: Llama,
    draft: Llama,
    prompts: Sequence[Sequence[int]],
    count: int,
    policy: Callable[[], Policy | Tree],
    temperature: float = 0.0,
    seed: int = 0,
    *,
    middle: Llama | None = None,
    min_draft_length: int = 6,
    stop: Collection[int] = (),
    caches: Sequence[KVCache] | None = None,
) -> list[Generation]:
    """Continue many prompts in lock step: each pass serves all sequences that wait for it.

    Every sequence is continued as if it were alone, by :func:`speculate`, or with a middle model by
    :func:`speculate_hierarchically`: with the same tokens and rounds, if all back ends treat each
    token by itself.

    Parameters
    ----------
    prompts : sequence of sequence of int
        Token numbers, one or more each.
    count : int
        Most tokens to give for each.
    policy : callable
        Gives each sequence its policy, or its tree.
    seed : int
        Sequence i has seed + i.
    caches : sequence of KVCache, optional
        What :func:`speq_sim.decoding.prefill_many` made of the prompts.
    target, draft, temperature, middle, min_draft_length, stop
        As :func:`speculate` and :func:`speculate_hierarchically`.

    Returns
    -------
    list of Generation
        In the order of the prompts.

    Raises
    ------
    ModelError
        As :func:`speculate`.
    """
    models = models_of(target, draft, middle)
    make = drafting(policy, middle, min_draft_length, stop)
    return _run_all(models, make, prompts, count, temperature, seed, stop, caches)


def plain(
    target: Llama,
    prompt: Sequence[int],
    count: int,
    temperature: float = 0.0,
    seed: int = 0,
    *,
    stop: Collection[int] = (),
    cache: KVCache | None = None,
) -> list[int]:
    """Continue a prompt token by token: parameters and errors of :func:`speculate`."""
    rounds = plain_rounds(target, prompt, count, temperature, seed, stop=stop, cache=cache)
    return Generation(tuple(rounds)).tokens


def plain_rounds(
    target: Llama,
    prompt: Sequence[int],
    count: int,
    temperature: float = 0.0,
    seed: int = 0,
    *,
    stop: Collection[int] = (),
    cache: KVCache | None = None,
) -> Iterator[Round]:
    """The tokens of :func:`plain`, each as a round of its own, as soon as it is there."""
    models = {Stage.VERIFY: target}
    caches = None if cache is None else [cache]
    one = start(models, no_draft, [prompt], count, temperature, seed, stop, caches)[0]
    while one.goes_on:
        yield run(one.round(), models)


def plain_many(
    target: Llama,
    prompts: Sequence[Sequence[int]],
    count: int,
    temperature: float = 0.0,
    seed: int = 0,
    *,
    stop: Collection[int] = (),
    caches: Sequence[KVCache] | None = None,
) -> list[Generation]:
    """Continue many prompts in lock step, one token a pass: as :func:`speculate_many`."""
    models = {Stage.VERIFY: target}
    return _run_all(models, no_draft, prompts, count, temperature, seed, stop, caches)


def _run_all(
    models: Models,
    make: Make,
    prompts: Sequence[Sequence[int]],
    count: int,
    temperature: float,
    seed: int,
    stop: Collection[int],
    caches: Sequence[KVCache] | None,
) -> list[Generation]:
    sequences = start(models, make, prompts, count, temperature, seed, stop, caches)
    return run_many([each.whole() for each in sequences], models)
