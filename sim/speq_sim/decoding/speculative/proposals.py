"""What is proposed, and how the next model judges it, on one cache that all models share.

Between steps, the cache holds every token but the last, which the next pass takes first. A model
that judges overwrites what the cheaper one wrote.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from numpy.typing import NDArray

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.llama import Segment
from speq_sim.decoding.speculative.acceptance import accept_tree
from speq_sim.decoding.speculative.passes import Request, Stage, Steps
from speq_sim.decoding.speculative.policies import Policy
from speq_sim.decoding.speculative.rules import Rule
from speq_sim.decoding.speculative.sampling import probabilities

__all__ = ["ChainDrafter", "Gatherer", "Judged", "NoDraft", "Proposal", "Proposer", "judge"]


@dataclass
class Proposal:
    """Tokens to be judged.

    Attributes
    ----------
    tokens : list of int
        A chain, or the nodes of a tree, each behind its parent.
    logits : list of NDArray
        [V] that each token of a chain was chosen from.
    parents : list of int or None
        Of a tree: the place of each node's parent in `tokens`, or -1 for the first level.
    """

    tokens: list[int] = field(default_factory=list)
    logits: list[NDArray] = field(default_factory=list)
    parents: list[int] | None = None


@dataclass(frozen=True)
class Judged:
    """What a model made of a proposal.

    Attributes
    ----------
    tokens : tuple of int
        Those that it accepted, and its own token behind them.
    logits : list of NDArray
        [V] of this model, that each of `tokens` has been judged by or chosen from.
    drafted, accepted, judged : int
        As :class:`speq_sim.decoding.speculative.generation.Round` has them.
    """

    tokens: tuple[int, ...]
    logits: list[NDArray]
    drafted: int
    accepted: int
    judged: int


class Proposer(Protocol):
    """What makes proposals for one sequence."""

    spare: int
    """Slots that its passes take beyond those of the longest path."""

    def propose(self, last: int, cache: KVCache, most: int) -> Steps[Proposal]:
        """A proposal whose paths have up to `most` tokens, 0 or more, behind `last`.

        The cache may be longer then.
        """
        ...

    def learn(self, judged: Judged) -> None:
        """What became of the proposal."""
        ...


class NoDraft:
    """Proposes nothing: plain decoding."""

    spare = 0

    def propose(self, last: int, cache: KVCache, most: int) -> Steps[Proposal]:
        """An empty chain."""
        yield from ()
        return Proposal()

    def learn(self, judged: Judged) -> None:
        """Nothing is learnt."""


class ChainDrafter:
    """Drafts a chain, one pass a token, as a policy says; a stop token ends it.

    Parameters
    ----------
    policy : Policy
    rule : Rule
        Chooses tokens.
    stop : collection of int
        Tokens behind which nothing is wanted.
    """

    spare = 0

    def __init__(self, policy: Policy, rule: Rule, stop: Collection[int]) -> None:
        self._policy = policy
        self._rule = rule
        self._stop = stop

    def propose(self, last: int, cache: KVCache, most: int) -> Steps[Proposal]:
        """A chain of up to `most` tokens."""
        chain = Proposal()
        limit = min(self._policy.longest(), most)
        while len(chain.tokens) < limit:
            logits = (yield Request(Stage.DRAFT, Segment([last], cache)))[-1]
            last = self._rule.choose(logits)
            chain.tokens.append(last)
            chain.logits.append(logits)
            if last in self._stop or not self._policy.goes_on(float(probabilities(logits).max())):
                break
        return chain

    def learn(self, judged: Judged) -> None:
        """Tell the policy."""
        self._policy.record(judged.drafted, judged.accepted)


class Gatherer:
    """Gathers a chain of a middle model's own tokens, with the help of a draft.

    Sampled tokens are the middle model's by distribution: the rule of acceptance makes them so. So
    the next model may judge them as drawn from the middle model's probabilities.

    Parameters
    ----------
    inner : Proposer
        The draft; it learns what the middle model accepts.
    rule : Rule
    stop : collection of int
    least : int
        Least tokens to gather, 1 or more, if there is room.
    """

    def __init__(self, inner: Proposer, rule: Rule, stop: Collection[int], least: int) -> None:
        self.spare = inner.spare
        self._inner = inner
        self._rule = rule
        self._stop = stop
        self._least = least

    def propose(self, last: int, cache: KVCache, most: int) -> Steps[Proposal]:
        """A chain of `least` to `most` tokens, or one that ends in a stop token."""
        chain = Proposal()
        while len(chain.tokens) < min(self._least, most):
            start = cache.length
            room = most - len(chain.tokens) - 1
            found = yield from self._inner.propose(last, cache, room)
            judged = yield from judge(Stage.MIDDLE, last, found, cache, start, self._rule)
            self._inner.learn(judged)
            tokens = until_stop(judged.tokens, self._stop)
            chain.tokens += tokens
            chain.logits += judged.logits[: len(tokens)]
            last = chain.tokens[-1]
            if last in self._stop:
                break
        return chain

    def learn(self, judged: Judged) -> None:
        """Nothing is learnt from the target."""


def judge(
    stage: Stage, last: int, proposal: Proposal, cache: KVCache, start: int, rule: Rule
) -> Steps[Judged]:
    """Judge a proposal in one pass over `last` and its tokens.

    The pass overwrites the cache from slot `start` on, that of `last`. The cache then ends behind
    the accepted tokens: all of it from `start` on is of the model that judges.
    """
    tokens, parents = proposal.tokens, proposal.parents
    cache.cut(start)
    slots = None if parents is None else [start - 1, *(start + 1 + place for place in parents)]
    logits = yield Request(stage, Segment([last, *tokens], cache, slots))
    if parents is None:
        verdict = rule.judge(tokens, proposal.logits, logits)
        path, token = list(range(verdict.accepted)), verdict.token
        rejected = verdict.accepted < len(tokens)
    else:
        path, token = accept_tree(tokens, parents, logits)
        rejected = (path[-1] if path else -1) in parents
    rows = [0, *(1 + place for place in path)]
    cache.keep(start, [start + row for row in rows])
    return Judged(
        (*(tokens[place] for place in path), token),
        [logits[row] for row in rows],
        len(tokens),
        len(path),
        len(path) + rejected,
    )


def until_stop(tokens: Sequence[int], stop: Collection[int]) -> tuple[int, ...]:
    """The tokens up to the first stop token, and it."""
    for place, token in enumerate(tokens):
        if token in stop:
            return tuple(tokens[: place + 1])
    return tuple(tokens)
