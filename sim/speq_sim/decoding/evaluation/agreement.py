"""Teacher-forced agreement: the draft's next token against the target's, in the target's context.

At every generated position the draft is given the target's tokens and the target's keys and values
of all positions before; only those of the position itself are its own. So every position is judged,
whatever the draft said before, as in the first draft of a round of speculation.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.llama import Llama, Segment
from speq_sim.decoding.speculative import prefill_many

__all__ = ["Agreement", "Context", "agree", "contexts", "divergence"]

_MOST_TOKENS = 256
"""Tokens of a pass: enough for products to be fast, few enough for their logits to be small."""


@dataclasses.dataclass(frozen=True, eq=False)
class Context:
    """A sequence as the target read it.

    Parameters
    ----------
    prompt, tokens : tuple of int
        Token numbers; `tokens` are the n that were generated behind the prompt of P.
    cache : KVCache
        Keys and values of the target, of the P + n - 1 positions before the last token.
    logits : NDArray
        float32 [n, V]: the target's, each row for one of `tokens`.
    """

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    cache: KVCache
    logits: NDArray[np.float32]

    @property
    def inputs(self) -> list[int]:
        """The token before each generated one."""
        return [self.prompt[-1], *self.tokens[:-1]]


@dataclasses.dataclass(frozen=True, eq=False)
class Agreement:
    """Draft against target on one sequence.

    Parameters
    ----------
    matches : NDArray
        bool [n]: whether both have the same likeliest token (the lowest number among equals).
    divergences : NDArray
        float64 [n]: KL(target || draft) of the softmax at temperature 1, in nats.
    """

    matches: NDArray[np.bool_]
    divergences: NDArray[np.float64]


def contexts(
    target: Llama,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[int]],
    caches: Sequence[KVCache] | None = None,
) -> list[Context]:
    """Let the target read prompts and what follows them; only the latter passes the head.

    Parameters
    ----------
    target : Llama
    prompts, continuations : sequence of sequence of int
        Token numbers, one or more each.
    caches : sequence of KVCache, optional
        What :func:`speq_sim.decoding.prefill_many` made of the prompts; they stay as they are.

    Returns
    -------
    list of Context
        Logits take 4 bytes a token and element of the vocabulary.

    Raises
    ------
    ModelError
        If a continuation is empty, or :meth:`speq_sim.decoding.Llama.forward_many` refuses.
    """
    if not all(map(len, continuations)):
        raise ModelError("a continuation of 0 tokens has nothing to agree on: give 1 or more")
    if caches is None:
        caches = prefill_many(target, prompts)
    found = [
        Context(
            tuple(prompt),
            tuple(tokens),
            cache.copy(len(prompt) + len(tokens)),
            np.empty((0, target.config.vocabulary), dtype=np.float32),
        )
        for prompt, tokens, cache in zip(prompts, continuations, caches, strict=True)
    ]
    filled = []
    for group in _groups(found):
        passed = target.forward_many([Segment(each.inputs, each.cache) for each in group])
        for each, logits in zip(group, passed, strict=True):
            filled.append(dataclasses.replace(each, logits=logits.astype(np.float32)))
    return filled


def agree(draft: Llama, found: Sequence[Context]) -> list[Agreement]:
    """Compare a draft with the target at every generated position.

    All positions of a sequence are the nodes of one tree pass: each follows the slot that the
    target wrote for the position before.

    Parameters
    ----------
    draft : Llama
        The same architecture.
    found : sequence of Context
        Of :func:`contexts`; their caches stay as they are.

    Returns
    -------
    list of Agreement
        In the order of `found`.

    Raises
    ------
    ModelError
        As :meth:`speq_sim.decoding.Llama.forward_many`.
    """
    return [
        _compare(each.logits, logits)
        for group in _groups(found)
        for each, logits in zip(group, draft.forward_many(list(map(_tree, group))), strict=True)
    ]


def divergence(target: NDArray, draft: NDArray) -> NDArray[np.float64]:
    """KL(target || draft) of the softmax of each row, in nats, computed in float64.

    Parameters
    ----------
    target, draft : NDArray
        Logits [..., V], finite.

    Returns
    -------
    NDArray
        float64 [...], 0 or more.
    """
    p, q = _log_softmax(target), _log_softmax(draft)
    # Never negative but by rounding.
    return np.maximum((np.exp(p) * (p - q)).sum(axis=-1), 0)


def _compare(target: NDArray, draft: NDArray) -> Agreement:
    matches = target.argmax(axis=-1) == draft.argmax(axis=-1)
    return Agreement(matches, divergence(target, draft))


def _log_softmax(logits: NDArray) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _tree(each: Context) -> Segment:
    count, first = len(each.tokens), len(each.prompt) - 2
    return Segment(each.inputs, each.cache.copy(spare=count), parents=range(first, first + count))


def _groups(found: Sequence[Context]) -> Iterator[list[Context]]:
    """Sequences in order, as many at a time as make a pass."""
    group: list[Context] = []
    held = 0
    for each in found:
        if group and held + len(each.tokens) > _MOST_TOKENS:
            yield group
            group, held = [], 0
        group.append(each)
        held += len(each.tokens)
    if group:
        yield group
