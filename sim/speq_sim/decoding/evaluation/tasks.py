"""Pieces of a measurement that any process can do: groups of prompts, decoded or drafted for.

A task says all that there is to know, so that a worker needs the model's file and nothing else; and
every task gives the same result in every process. What tasks of one model share (the target, the
draft, the target's caches) is kept in the process, the last of each.
"""

import dataclasses
import functools
import gc
from collections.abc import Callable, Mapping
from typing import Any

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.evaluation.agreement import Context, contexts
from speq_sim.decoding.evaluation.codecs import DraftOptions
from speq_sim.decoding.evaluation.drafts import Draft, Target, make_draft, make_target
from speq_sim.decoding.evaluation.measuring import measure_draft
from speq_sim.decoding.evaluation.record import digest_of_model
from speq_sim.decoding.readers import load_model
from speq_sim.decoding.speculative import (
    Adaptive,
    Confidence,
    Fixed,
    Policy,
    plain_many,
    prefill_many,
)
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["DraftPolicy", "DraftTask", "Measurer", "PlainTask", "measure_elsewhere"]


@dataclasses.dataclass(frozen=True)
class DraftPolicy:
    """A policy by name.

    Parameters
    ----------
    name : str
        ``"fixed"``, ``"adaptive"`` or ``"confidence"``.
    length : int
        Tokens of a draft, or most of them.
    threshold : float
        Of ``"confidence"``.
    """

    name: str
    length: int
    threshold: float

    def maker(self, bits: float) -> Callable[[], Policy]:
        """What gives each prompt its policy; a draft pass costs its bits over 16."""
        if self.name == "adaptive":
            return lambda: Adaptive(bits / 16, self.length)
        if self.name == "confidence":
            return lambda: Confidence(self.threshold, self.length)
        return lambda: Fixed(self.length)


@dataclasses.dataclass(frozen=True)
class PlainTask:
    """Plain decoding of some prompts.

    Parameters
    ----------
    target : str
        As :func:`speq_sim.decoding.evaluation.make_target` names it.
    prompts : mapping of str to tuple of int
        Token numbers, by the prompt's name, which stands for them among all tasks of a model.
    count : int
        Most tokens to give.
    stop : frozenset of int
        Tokens that end a continuation.
    """

    target: str
    prompts: Mapping[str, tuple[int, ...]]
    count: int
    stop: frozenset[int]


@dataclasses.dataclass(frozen=True)
class DraftTask:
    """A draft on some prompts.

    Parameters
    ----------
    codec : str
        Of the draft.
    options : DraftOptions
        Of the draft.
    policy : DraftPolicy
        How much is drafted.
    plain : PlainTask
        The prompts, for the codec's target.
    tokens : mapping of str to tuple of int
        What plain decoding gave, by prompt.
    made : mapping or None
        What the draft was in an earlier run; nothing is measured with another one.
    """

    codec: str
    options: DraftOptions
    policy: DraftPolicy
    plain: PlainTask
    tokens: Mapping[str, tuple[int, ...]]
    made: Mapping[str, Any] | None = None


class Measurer:
    """Does tasks of one model.

    Parameters
    ----------
    weights : LlamaWeights
        The model.
    arithmetic : {"golden", "fast"}
        Of targets.
    """

    def __init__(self, weights: LlamaWeights, arithmetic: str) -> None:
        self._weights = weights
        self._arithmetic = arithmetic
        self._target: Target | None = None
        self._draft: tuple[tuple[str, DraftOptions], Draft] | None = None
        self._caches: dict[tuple[str, ...], list[KVCache]] = {}
        self._contexts: dict[tuple[str, ...], list[Context]] = {}

    def decode(self, task: PlainTask) -> dict[str, tuple[int, ...]]:
        """Tokens of plain decoding, by prompt."""
        target, prompts = self._target_named(task.target), list(task.prompts.values())
        caches = self._caches_of(task)
        found = plain_many(target.model, prompts, task.count, stop=task.stop, caches=caches)
        return {name: tuple(each.tokens) for name, each in zip(task.prompts, found, strict=True)}

    def measure(self, task: DraftTask) -> tuple[dict[str, Any], dict[str, dict] | None]:
        """Measure a draft.

        Returns
        -------
        tuple
            What the draft is: ``digest`` and its bits. And by prompt what
            :func:`speq_sim.decoding.evaluation.measure_draft` gives; None if it is not the draft
            that it was.
        """
        target = self._target_named(task.plain.target)
        draft = self._draft_of(task, target)
        made = {"digest": draft.digest, **draft.bits}
        if task.made is not None and task.made != made:
            return made, None
        names = tuple(task.plain.prompts)
        caches = self._caches_of(task.plain)
        if names not in self._contexts:
            prompts, tokens = task.plain.prompts, task.tokens
            self._contexts[names] = contexts(
                target.model,
                [prompts[name] for name in names],
                [tokens[name] for name in names],
                caches,
            )
        results = measure_draft(
            target.model,
            draft.model,
            self._contexts[names],
            caches,
            task.plain.count,
            task.policy.maker(draft.bits["read"]),
            task.plain.stop,
        )
        return made, dict(zip(names, results, strict=True))

    def __call__(self, task: PlainTask | DraftTask) -> Any:
        """Do a task of either kind."""
        return self.decode(task) if isinstance(task, PlainTask) else self.measure(task)

    def _target_named(self, name: str) -> Target:
        if self._target is None or self._target.name != name:
            self._target = self._draft = None
            self._caches, self._contexts = {}, {}
            gc.collect()
            self._target = make_target(name, self._weights, self._arithmetic)
        return self._target

    def _draft_of(self, task: DraftTask, target: Target) -> Draft:
        wanted = task.codec, task.options
        if self._draft is None or self._draft[0] != wanted:
            self._draft = None
            gc.collect()
            made = make_draft(task.codec, self._weights, target, task.options)
            self._draft = wanted, made
        return self._draft[1]

    def _caches_of(self, task: PlainTask) -> list[KVCache]:
        names = tuple(task.prompts)
        if names not in self._caches:
            model = self._target_named(task.target).model
            self._caches[names] = prefill_many(model, list(task.prompts.values()))
        return self._caches[names]


def measure_elsewhere(model: str, digest: str, arithmetic: str, task: PlainTask | DraftTask) -> Any:
    """Do a task in a worker, which loads the model once and keeps it until it is given another.

    Parameters
    ----------
    model : str
        Name or path, as :func:`speq_sim.decoding.load_model` takes it.
    digest : str
        Of its weights: those of the process that hands out tasks.
    arithmetic : {"golden", "fast"}
        Of targets.
    task : PlainTask or DraftTask
        What to do.

    Raises
    ------
    ModelError
        If the model is not there, or has other weights here.
    """
    return _loaded(model, digest, arithmetic)(task)


@functools.lru_cache(maxsize=1)
def _loaded(model: str, digest: str, arithmetic: str) -> Measurer:
    weights = load_model(model)
    if digest_of_model(weights) != digest:
        raise ModelError(f"{model} has other weights where the worker runs: give all the same file")
    return Measurer(weights, arithmetic)
