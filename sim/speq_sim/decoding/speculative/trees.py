"""Trees of drafted tokens, grown as EAGLE-2 does it (arXiv 2406.16858)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.llama import Segment
from speq_sim.decoding.speculative.passes import Request, Stage, Steps
from speq_sim.decoding.speculative.proposals import Judged, Proposal
from speq_sim.decoding.speculative.sampling import probabilities

__all__ = ["Tree", "TreeDrafter"]


@dataclass(frozen=True)
class Tree:
    """The shape of drafted trees. It stands where a policy would, for greedy decoding.

    Each pass of the draft gives the `width` likeliest children of every node that it takes; the
    next pass takes the `width` likeliest of these children. Of all children, the `nodes` likeliest
    are proposed. How likely a node is: the product of probabilities, at temperature 1, along its
    path.

    Parameters
    ----------
    depth : int
        Passes of the draft, and most tokens of a path, 1 or more.
    width : int
        1 or more.
    nodes : int
        Most tokens of the proposal, 1 or more. The verify pass has one more.

    Raises
    ------
    ModelError
        If one is below 1.
    """

    depth: int = 3
    width: int = 10
    nodes: int = 29

    def __post_init__(self) -> None:
        if min(self.depth, self.width, self.nodes) < 1:
            raise ModelError(
                f"a tree of depth {self.depth}, width {self.width} and {self.nodes} nodes is none: "
                f"give 1 or more each"
            )


@dataclass(frozen=True)
class _Node:
    """A token; `parent` is the place of another node, or -1; `score` the log of its likelihood."""

    token: int
    parent: int
    score: float


class TreeDrafter:
    """Proposes trees.

    Parameters
    ----------
    shape : Tree
    stop : collection of int
        Tokens behind which nothing is wanted: their nodes get no children.
    """

    def __init__(self, shape: Tree, stop: Collection[int]) -> None:
        self.spare = max(shape.width * (shape.depth - 1), shape.nodes)
        self._shape = shape
        self._stop = stop

    def propose(self, last: int, cache: KVCache, most: int) -> Steps[Proposal]:
        """A tree of up to `most` levels."""
        nodes: list[_Node] = []
        grown, fed, above = [_Node(last, -1, 0.0)], [-1], [cache.length - 1]
        slots: dict[int, int] = {}
        for _ in range(min(self._shape.depth, most)):
            slots.update(zip(fed, range(cache.length, cache.length + len(fed)), strict=True))
            tokens = [node.token for node in grown]
            logits = yield Request(Stage.DRAFT, Segment(tokens, cache, above))
            first = len(nodes)
            for place, node, row in zip(fed, grown, logits, strict=True):
                nodes += self._children(place, node.score, row)
            open_ones = [
                place for place in range(first, len(nodes)) if nodes[place].token not in self._stop
            ]
            fed = _likeliest(nodes, open_ones, self._shape.width)
            if not fed:
                break
            grown = [nodes[place] for place in fed]
            above = [slots[node.parent] for node in grown]
        kept = _likeliest(nodes, range(len(nodes)), self._shape.nodes)
        places = {place: index for index, place in enumerate(kept)} | {-1: -1}
        return Proposal(
            [nodes[place].token for place in kept],
            parents=[places[nodes[place].parent] for place in kept],
        )

    def learn(self, judged: Judged) -> None:
        """Nothing is learnt: the shape stays."""

    def _children(self, place: int, score: float, logits: NDArray) -> list[_Node]:
        likely = probabilities(logits)
        width = min(self._shape.width, len(likely))
        best = np.argpartition(-likely, width - 1)[:width]
        return [
            _Node(int(token), place, score + log(likely[token]))
            for token in sorted(best, key=lambda token: (-likely[token], token))
            if likely[token] > 0
        ]


def _likeliest(nodes: Sequence[_Node], places: Sequence[int], most: int) -> list[int]:
    """The `most` likeliest of some nodes, in their order; the first among equals.

    No node is likelier than its parent, which comes before it: so of a whole tree, a tree is kept.
    """
    return sorted(sorted(places, key=lambda place: (-nodes[place].score, place))[:most])
