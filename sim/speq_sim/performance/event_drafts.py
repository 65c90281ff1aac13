"""What a round of each method does, step by step, with acceptance tossed token by token.

The loops are those of :mod:`speq_sim.decoding.speculative`, with coins in the place of models.
"""

import dataclasses
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from speq_sim.decoding.speculative.passes import Stage
from speq_sim.performance.checks import check_count, check_number
from speq_sim.performance.speculation import LONGEST

__all__ = [
    "ChainDraft",
    "Coins",
    "Draft",
    "HierarchyDraft",
    "NoDraft",
    "Pass",
    "Proposal",
    "Steps",
    "TreeDraft",
    "judge",
]

T = TypeVar("T")


class Pass(NamedTuple):
    """A pass that a sequence waits for."""

    stage: Stage
    """What it is for."""

    tokens: int
    """Tokens of the sequence in it."""

    ahead: int
    """Positions of the cache that were written in this round before it."""


class Proposal(NamedTuple):
    """What is to be judged."""

    tokens: int
    """Of a chain, or nodes of a tree."""

    acceptances: Sequence[float]
    """Chance of each token of a path, each to be tossed if those before it were accepted."""


Steps = Generator[Pass, None, T]
"""Yields passes, returns a T."""

_BLOCK = 4096


class Coins:
    """Independent tosses.

    Parameters
    ----------
    random : Generator
        Gives one number for each toss.
    """

    def __init__(self, random: np.random.Generator) -> None:
        self._numbers = _uniform(random)

    def toss(self, chance: float) -> bool:
        """Whether an event of this chance, 0 to 1, happens."""
        return next(self._numbers) < chance

    def run(self, chances: Sequence[float]) -> int:
        """How many of the events happen before the first one that does not."""
        for count, chance in enumerate(chances):
            if next(self._numbers) >= chance:
                return count
        return len(chances)


class Draft(Protocol):
    """How a sequence comes to tokens for the target to judge."""

    def propose(self, coins: Coins, most: int, ahead: int = 0) -> Steps[Proposal]:
        """The passes of one proposal.

        Parameters
        ----------
        coins : Coins
            Decides.
        most : int
            Most tokens of a path, 0 or more: no more can be given.
        ahead : int
            Positions of the cache that were written in this round before.
        """
        ...


@dataclasses.dataclass(frozen=True)
class NoDraft:
    """Plain decoding."""

    def propose(self, coins: Coins, most: int, ahead: int = 0) -> Steps[Proposal]:
        """Nothing."""
        yield from ()
        return Proposal(0, ())


@dataclasses.dataclass(frozen=True)
class ChainDraft:
    """A chain, one draft pass a token.

    Parameters
    ----------
    acceptance : float
        Chance of each token that is judged, 0 to 1.
    length : int
        Most tokens, 0 or more.
    stop : float
        Chance to stop behind each token, 0 to 1, whatever would become of it (see
        :class:`speq_sim.performance.draft_policies.Confidence`).
    """

    acceptance: float
    length: int
    stop: float = 0.0

    def __post_init__(self) -> None:
        check_number("acceptance", self.acceptance, 0.0, 1.0)
        check_count("draft length", self.length, 0, LONGEST)
        check_number("chance to stop", self.stop, 0.0, 1.0)

    def propose(self, coins: Coins, most: int, ahead: int = 0) -> Steps[Proposal]:
        """A chain of up to `most` tokens."""
        limit = min(self.length, most)
        drafted = 0
        while drafted < limit:
            yield Pass(Stage.DRAFT, 1, ahead + drafted)
            drafted += 1
            if self.stop and coins.toss(self.stop):
                break
        return Proposal(drafted, (self.acceptance,) * drafted)


@dataclasses.dataclass(frozen=True)
class TreeDraft:
    """A tree, one draft pass a level, as :class:`speq_sim.decoding.speculative.Tree` shapes it.

    Parameters
    ----------
    level_acceptance : tuple of float
        Chances that a node of each level is the target's token, if the path before it was accepted;
        one or more.
    width : int
        Nodes that each pass extends (the first one: the root alone), and children of each; 1 or
        more.
    nodes : int
        Most nodes of a proposal, without the root; the pass that judges has one more. 1 or more.
    """

    level_acceptance: tuple[float, ...]
    width: int = 10
    nodes: int = 29

    def __post_init__(self) -> None:
        check_count("levels of a tree", len(self.level_acceptance), 1, LONGEST)
        for level, chance in enumerate(self.level_acceptance, 1):
            check_number(f"acceptance at level {level}", chance, 0.0, 1.0)
        check_count("width of a tree", self.width, 1, LONGEST)
        check_count("nodes of a tree", self.nodes, 1, LONGEST)

    def propose(self, coins: Coins, most: int, ahead: int = 0) -> Steps[Proposal]:
        """A tree of up to `most` levels."""
        levels = min(len(self.level_acceptance), most)
        children = fed = 0
        for level in range(levels):
            tokens = self.width if level else 1
            yield Pass(Stage.DRAFT, tokens, ahead + fed)
            fed += tokens
            children += tokens * self.width
        return Proposal(min(self.nodes, children), self.level_acceptance[:levels])


@dataclasses.dataclass(frozen=True)
class HierarchyDraft:
    """A chain of a middle model, gathered with the help of a draft (arXiv 2505.22179).

    Parameters
    ----------
    inner : ChainDraft or TreeDraft
        The draft; its acceptance is by the middle model.
    acceptance : float
        Chance of each token of the chain to be the target's, 0 to 1.
    minimum : int
        Least tokens of the chain, 1 or more, if so many can still be given.
    """

    inner: ChainDraft | TreeDraft
    acceptance: float
    minimum: int

    def __post_init__(self) -> None:
        check_number("acceptance of the middle model", self.acceptance, 0.0, 1.0)
        check_count("least tokens of a chain", self.minimum, 1, LONGEST)

    def propose(self, coins: Coins, most: int, ahead: int = 0) -> Steps[Proposal]:
        """Inner rounds until the chain is long enough."""
        gathered = 0
        while gathered < min(self.minimum, most):
            here = ahead + gathered
            found = yield from self.inner.propose(coins, most - gathered - 1, here)
            gathered += yield from judge(Stage.MIDDLE, found, coins, here)
        return Proposal(gathered, (self.acceptance,) * gathered)


def judge(stage: Stage, proposal: Proposal, coins: Coins, ahead: int = 0) -> Steps[int]:
    """The pass that judges a proposal; returns the accepted tokens and one of its own."""
    yield Pass(stage, proposal.tokens + 1, ahead)
    return coins.run(proposal.acceptances) + 1


def _uniform(random: np.random.Generator) -> Iterator[float]:
    while True:
        yield from random.random(_BLOCK).tolist()
