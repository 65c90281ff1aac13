"""Reading prompts: what every generation begins with, and what generations can share."""

from collections.abc import Sequence

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.llama import Llama, Segment

__all__ = ["begin", "prefill", "prefill_many"]

_MOST_TOKENS = 512
"""Tokens of a pass over prompts, unless one prompt has more: bounds the memory it takes."""


def prefill(target: Llama, prompt: Sequence[int]) -> KVCache:
    """Read a prompt: :func:`prefill_many` for one."""
    return prefill_many(target, [prompt])[0]


def prefill_many(target: Llama, prompts: Sequence[Sequence[int]]) -> list[KVCache]:
    """Read prompts, for any number of generations with the same target.

    Parameters
    ----------
    target : Llama
        The model that verifies; only its passes may fill the caches.
    prompts : sequence of sequence of int
        Token numbers, one or more each.

    Returns
    -------
    list of KVCache
        Each holds its prompt but the last token, which the first pass of a generation takes. A
        generation copies it and leaves it as it is.

    Raises
    ------
    ModelError
        If a prompt is empty, or leaves no room in the context.
    """
    caches = []
    waiting: list[Segment] = []
    held = 0
    for prompt in prompts:
        _check_prompt(target, prompt)
        caches.append(target.cache(len(prompt)))
        if len(prompt) == 1:
            continue
        if waiting and held + len(prompt) - 1 > _MOST_TOKENS:
            target.forward_many(waiting)
            waiting, held = [], 0
        waiting.append(Segment(prompt[:-1], caches[-1], rows=0))
        held += len(prompt) - 1
    target.forward_many(waiting)
    return caches


def begin(
    target: Llama,
    others: Sequence[Llama],
    prompts: Sequence[Sequence[int]],
    count: int,
    spare: int,
    caches: Sequence[KVCache] | None,
) -> list[KVCache]:
    """Caches that hold the prompts but their last tokens, with room for `count` tokens each.

    Parameters
    ----------
    target : Llama
    others : sequence of Llama
        The models that share the caches.
    prompts : sequence of sequence of int
        Token numbers.
    count : int
        Tokens to give.
    spare : int
        Slots for trees.
    caches : sequence of KVCache or None
        Of :func:`prefill_many` for these prompts and this target, if they are read already.

    Raises
    ------
    ModelError
        If there is no prompt or nothing to give, both do not fit into the context, a model of
        `others` has another architecture, or a cache does not fit to its prompt.
    """
    context = target.config.context
    for prompt in prompts:
        if not len(prompt) or count < 1:
            raise ModelError(
                f"{count} tokens behind a prompt of {len(prompt)} were asked for: give 1 or more "
                f"each"
            )
        _check_prompt(target, prompt)
        if len(prompt) + count > context:
            raise ModelError(
                f"{count} tokens behind a prompt of {len(prompt)} are beyond the model's context "
                f"of {context}: ask for {context - len(prompt)} at most"
            )
    if any(other.config != target.config for other in others):
        raise ModelError(
            "draft and target differ in architecture, but share a cache: make both of the same "
            "weights, with different back ends"
        )
    if caches is None:
        caches = prefill_many(target, prompts)
    if len(caches) != len(prompts):
        raise ModelError(
            f"{len(caches)} caches were given for {len(prompts)} prompts: give each one"
        )
    for prompt, cache in zip(prompts, caches, strict=True):
        if cache.config != target.config or cache.length != len(prompt) - 1:
            raise ModelError(
                f"a prepared cache of {cache.length} positions does not fit to a prompt of "
                f"{len(prompt)} tokens: make it with prefill, of this prompt and target"
            )
    return [
        cache.copy(len(prompt) + count, spare)
        for prompt, cache in zip(prompts, caches, strict=True)
    ]


def _check_prompt(target: Llama, prompt: Sequence[int]) -> None:
    context = target.config.context
    if not len(prompt):
        raise ModelError("a prompt of 0 tokens has nothing to continue: give 1 or more")
    if len(prompt) >= context:
        raise ModelError(
            f"a prompt of {len(prompt)} tokens leaves no room in the model's context of {context}: "
            f"shorten it"
        )
