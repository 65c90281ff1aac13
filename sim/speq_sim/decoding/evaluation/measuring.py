"""One codec on some prompts: speculation in the loop, and agreement at every position."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.evaluation.agreement import Agreement, Context, agree
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.speculative import Generation, Policy, speculate_many

__all__ = ["divergences_of", "matches_of", "measure_draft"]


def measure_draft(
    target: Llama,
    draft: Llama,
    found: Sequence[Context],
    caches: Sequence[KVCache],
    count: int,
    policy: Callable[[], Policy],
    stop: frozenset[int],
) -> list[dict[str, Any]]:
    """Measure a draft on some prompts, in lock step.

    Parameters
    ----------
    target, draft : Llama
    found : sequence of Context
        The prompts and what plain decoding of the target gave.
    caches : sequence of KVCache
        What :func:`speq_sim.decoding.prefill_many` made of the prompts and the target.
    count : int
        Most tokens, as of the plain decoding.
    policy : callable
        Gives each prompt its policy.
    stop : frozenset of int
        Tokens that end a continuation.

    Returns
    -------
    list of dict
        For each prompt, in JSON values: counts ``accepted``, ``judged``, ``drafted``, ``rounds``,
        ``emitted``; ``lossless``, whether the tokens are those of plain decoding; ``agreed``, a
        text of 1 and 0 for every position; ``kl``, a text of numbers for every position, in nats,
        4 digits each. (Texts, so that a file of them stays short.)
    """
    prompts = [each.prompt for each in found]
    generations = speculate_many(target, draft, prompts, count, policy, stop=stop, caches=caches)
    return [
        _counts(generation, context) | _positions(agreed)
        for generation, context, agreed in zip(generations, found, agree(draft, found), strict=True)
    ]


def matches_of(result: dict[str, Any]) -> list[int]:
    """1 or 0 for every position of a prompt."""
    return [int(digit) for digit in result["agreed"]]


def divergences_of(result: dict[str, Any]) -> np.ndarray:
    """KL of every position of a prompt, float64 [positions], in nats."""
    return np.array([float(number) for number in result["kl"].split()])


def _counts(generation: Generation, context: Context) -> dict[str, Any]:
    rounds = generation.rounds
    return {
        "accepted": sum(each.accepted for each in rounds),
        "judged": sum(each.judged for each in rounds),
        "drafted": sum(each.drafted for each in rounds),
        "rounds": len(rounds),
        "emitted": len(generation.tokens),
        "lossless": tuple(generation.tokens) == context.tokens,
    }


def _positions(found: Agreement) -> dict[str, str]:
    return {
        "agreed": "".join("01"[bool(match)] for match in found.matches),
        "kl": " ".join(f"{value:.4g}" for value in found.divergences),
    }
