"""Passes that a decoding loop asks for, and what runs them: for one sequence, or for many together.

A loop is a generator. It yields the pass that it needs next, is sent the logits, and returns what
it found. So one loop serves a single sequence and many in lock step.
"""

import enum
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from speq_sim.decoding.llama import Llama, Segment

__all__ = ["Models", "Request", "Stage", "Steps", "counted", "run", "run_many"]

T = TypeVar("T")


class Stage(enum.IntEnum):
    """What a pass is for, the cheapest first."""

    DRAFT = 0
    MIDDLE = 1
    VERIFY = 2


@dataclass(frozen=True)
class Request:
    """A pass that a loop waits for."""

    stage: Stage
    segment: Segment

    @property
    def tokens(self) -> int:
        """Tokens of the pass."""
        return len(np.asarray(self.segment.tokens))


Models = Mapping[Stage, Llama]
"""The model of each stage."""

Steps = Generator[Request, NDArray[np.floating], T]
"""Yields requests, is sent logits [R, V], returns a T."""


def counted(steps: Steps[T], counts: dict[Stage, list[int]]) -> Steps[T]:
    """The same steps; the tokens of each of their passes are added to `counts`."""
    try:
        request = next(steps)
        while True:
            counts[request.stage].append(request.tokens)
            request = steps.send((yield request))
    except StopIteration as end:
        return end.value


def run(steps: Steps[T], models: Models) -> T:
    """Run the steps of one sequence."""
    return run_many([steps], models)[0]


def run_many(sequences: Sequence[Steps[T]], models: Models) -> list[T]:
    """Run the steps of many sequences in lock step, and give what each returns.

    The cheapest stage that a sequence waits for runs first, for all that wait for it. So cheap
    passes go on until all sequences wait for the dearest one, which is then shared by all. A
    sequence that has ended takes no part any more.
    """
    results: dict[int, T] = {}
    waiting: dict[int, Request] = {}

    def go_on(index: int, logits: NDArray | None) -> None:
        try:
            waiting[index] = sequences[index].send(logits)
        except StopIteration as end:
            results[index] = end.value

    for index in range(len(sequences)):
        go_on(index, None)
    while waiting:
        stage = min(request.stage for request in waiting.values())
        served = sorted(index for index, request in waiting.items() if request.stage == stage)
        segments = [waiting.pop(index).segment for index in served]
        for index, logits in zip(served, models[stage].forward_many(segments), strict=True):
            go_on(index, logits)
    return [results[index] for index in range(len(sequences))]
