"""Greedy or sampled: how a draft chooses and how its tokens are judged."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speq_sim.decoding.speculative.acceptance import Verdict, accept_greedy, accept_sampled
from speq_sim.decoding.speculative.sampling import checked_logits, draw, probabilities

__all__ = ["Greedy", "Rule", "Sampled", "rule_of"]


class Rule(Protocol):
    """What a loop of decoding needs."""

    is_greedy: bool

    def choose(self, logits: NDArray) -> int:
        """A token for logits [V]."""
        ...

    def judge(
        self, tokens: Sequence[int], draft_logits: Sequence[NDArray], target_logits: NDArray
    ) -> Verdict:
        """Judge L tokens, each chosen from one of L `draft_logits` [V], by logits [L+1, V]."""
        ...


class Greedy:
    """The likeliest token, the lowest number among equals."""

    is_greedy = True

    def choose(self, logits: NDArray) -> int:
        """The likeliest token."""
        return int(checked_logits(logits).argmax())

    def judge(
        self, tokens: Sequence[int], draft_logits: Sequence[NDArray], target_logits: NDArray
    ) -> Verdict:
        """Accept what the target would have chosen."""
        return accept_greedy(tokens, target_logits)


class Sampled:
    """A token drawn from the softmax, draft and target at the same temperature.

    Parameters
    ----------
    temperature : float
        Above 0.
    random : Generator
    """

    is_greedy = False

    def __init__(self, temperature: float, random: np.random.Generator) -> None:
        self._temperature = temperature
        self._random = random

    def choose(self, logits: NDArray) -> int:
        """A random token."""
        return draw(probabilities(logits, self._temperature), self._random)

    def judge(
        self, tokens: Sequence[int], draft_logits: Sequence[NDArray], target_logits: NDArray
    ) -> Verdict:
        """Accept so that what is emitted follows the target's distribution."""
        p = probabilities(target_logits, self._temperature)
        q = np.empty((len(tokens), p.shape[-1]))
        for place, logits in enumerate(draft_logits):
            q[place] = probabilities(logits, self._temperature)
        return accept_sampled(tokens, q, p, self._random)


def rule_of(temperature: float, seed: int) -> Rule:
    """Greedy at temperature 0, else sampled with a generator of its own."""
    if temperature == 0:
        return Greedy()
    return Sampled(temperature, np.random.default_rng(seed))
