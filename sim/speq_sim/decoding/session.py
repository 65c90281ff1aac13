"""A method of decoding that is ready to run: its models, and what their passes cost."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence

from speq.parameters import Parameters
from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.speculative import (
    Fixed,
    Generation,
    Policy,
    Round,
    Tree,
    plain_rounds,
    speculate_rounds,
)
from speq_sim.performance.passes import Costs, predicted_speedup

__all__ = ["Session", "room_for"]


@dataclasses.dataclass(frozen=True)
class Session:
    """A method, ready to decode.

    Parameters
    ----------
    method : str
        One of :data:`speq_sim.decoding.preparation.METHODS`, or ``qspec-plain``.
    target : Llama
        What verifies, or decodes plainly.
    draft, middle : Llama or None
        The cheaper models, where the method has them.
    costs : Costs
        Bytes of their passes.
    draft_bits : float or None
        Average bits of a weight that a draft pass reads.
    """

    method: str
    target: Llama
    draft: Llama | None
    middle: Llama | None
    costs: Costs
    draft_bits: float | None

    def cost(self, context: int) -> float:
        """Cost of a draft pass over that of the pass that judges it, for ``Adaptive``.

        Parameters
        ----------
        context : int
            Positions that the cache holds.

        Raises
        ------
        ModelError
            If the method drafts nothing.
        """
        if self.costs.draft is None:
            raise ModelError(f"method {self.method!r} drafts nothing, so that no draft has a cost")
        judge = self.costs.middle or self.costs.target
        return self.costs.draft.bytes(1, context) / judge.bytes(1, context)

    def rounds(
        self,
        prompt: Sequence[int],
        count: int,
        policy: Policy | Tree | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        *,
        min_draft_length: int = 6,
        stop: Collection[int] = (),
        cache: KVCache | None = None,
    ) -> Iterator[Round]:
        """The rounds of the method: :func:`speq_sim.decoding.speculate_rounds` or `plain_rounds`.

        Parameters and errors are those of that function. Plain decoding asks no policy; without
        one, others draft a token a round.
        """
        if self.draft is None:
            return plain_rounds(
                self.target, prompt, count, temperature, seed, stop=stop, cache=cache
            )
        return speculate_rounds(
            self.target,
            self.draft,
            prompt,
            count,
            Fixed(1) if policy is None else policy,
            temperature,
            seed,
            middle=self.middle,
            min_draft_length=min_draft_length,
            stop=stop,
            cache=cache,
        )

    def speedup(
        self, generation: Generation, prompt_tokens: int, design: Parameters | None = None
    ) -> float:
        """:func:`speq_sim.performance.predicted_speedup` with the costs of the method."""
        return predicted_speedup(generation, prompt_tokens, self.costs, design)


def room_for(config: LlamaConfig, prompt: Sequence[int], count: int | None, most: int) -> int:
    """Tokens to give behind a prompt: `count`, or, if that is None, up to `most` that fit.

    Raises
    ------
    ModelError
        If the prompt is empty, leaves no room in the context, or `count` is more than there is.
    """
    if not prompt:
        raise ModelError("the prompt has no tokens, so that nothing can follow it: give a text")
    room = config.context - len(prompt)
    if room < 1:
        raise ModelError(
            f"the prompt has {len(prompt)} tokens, which leaves no room in the model's context of "
            f"{config.context}: shorten it"
        )
    if count is None:
        return min(most, room)
    if not 1 <= count <= room:
        raise ModelError(
            f"{count} tokens were asked for, but behind the prompt of {len(prompt)} the model's "
            f"context of {config.context} has room for 1 to {room}: give --tokens within that"
        )
    return count
