"""Recipes measured on a model, and the best of them."""

import dataclasses
import functools
from collections.abc import Collection, Sequence

import numpy as np

from speq_sim import golden
from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.evaluation import Context, measure_draft
from speq_sim.decoding.evaluation.measuring import divergences_of, matches_of
from speq_sim.decoding.golden_backend import GoldenBackend, PackedLayers
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.recipes.knapsack import Point
from speq_sim.decoding.recipes.speed import MissFit, Prediction, predict
from speq_sim.decoding.speculative import Fixed
from speq_sim.decoding.weights import LlamaWeights
from speq_sim.performance.passes import draft_bits

__all__ = ["Judge", "Measured", "pick", "thinned"]


@dataclasses.dataclass(frozen=True)
class Measured:
    """A recipe on some texts.

    Parameters
    ----------
    point : Point
        The recipe.
    bits : float
        Average bits of a weight that its draft pass reads, of planes alone.
    acceptance : float
        Accepted over judged tokens, in the loop of speculation.
    agreement : float
        Share of positions with the same likeliest token, teacher-forced.
    kl : float
        Mean KL(target || draft) of the same positions, in nats.
    judged, misses, positions : int
        Counts behind `acceptance`: drafted tokens that were judged, and wrong ones among them; and
        positions behind the other two.
    lossless : bool
        Whether all tokens were those of plain decoding.
    """

    point: Point
    bits: float
    acceptance: float
    agreement: float
    kl: float
    judged: int
    misses: int
    positions: int
    lossless: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Judge:
    """Measures recipes on the golden model of the array, all on the same texts.

    Parameters
    ----------
    weights : LlamaWeights
        The model.
    layers : PackedLayers
        Its matrices; all recipes share what is prepared of them.
    found : sequence of Context
        Texts of plain greedy decoding, as :attr:`target` read them.
    caches : sequence of KVCache
        What :func:`speq_sim.decoding.prefill_many` made of their prompts.
    draft_format : BlockFormat
        Activations of DRAFT.
    length : int
        Tokens of a draft.
    stop : frozenset of int
        Tokens that end a text.
    """

    weights: LlamaWeights
    layers: PackedLayers
    found: Sequence[Context]
    caches: Sequence[KVCache]
    draft_format: golden.BlockFormat
    length: int = 4
    stop: frozenset[int] = frozenset()

    @functools.cached_property
    def target(self) -> Llama:
        """What verifies."""
        return Llama(self.weights, GoldenBackend(self.layers, "verify"))

    @functools.cached_property
    def plain(self) -> tuple[str, ...]:
        """Layers that are not packed."""
        return tuple(name for name, layer in self.layers.items() if layer.is_plain)

    def measure(self, point: Point) -> Measured:
        """Draft with a recipe, in the loop and position by position.

        Raises
        ------
        ModelError
            If no drafted token was judged, as all texts have one token; or a pass fails.
        """
        backend = GoldenBackend(self.layers, "draft", self.draft_format, point.recipe)
        count = max(len(each.tokens) for each in self.found)
        results = measure_draft(
            self.target,
            Llama(self.weights, backend),
            self.found,
            self.caches,
            count,
            lambda: Fixed(self.length),
            self.stop,
        )
        judged = sum(each["judged"] for each in results)
        if not judged:
            raise ModelError("no drafted token was judged: measure on more tokens")
        accepted = sum(each["accepted"] for each in results)
        matches = [match for each in results for match in matches_of(each)]
        return Measured(
            point,
            draft_bits(self.weights.config, point.recipe, self.plain),
            accepted / judged,
            sum(matches) / len(matches),
            float(np.concatenate([divergences_of(each) for each in results]).mean()),
            judged,
            judged - accepted,
            len(matches),
            all(each["lossless"] for each in results),
        )


def thinned(points: Sequence[Point], count: int) -> list[Point]:
    """About `count` of the points, evenly over the logarithm of their bytes, both ends included.

    Parameters
    ----------
    points : sequence of Point
        By increasing bytes, one or more.
    count : int
        2 or more; fewer are given where points are far apart.
    """
    sizes = np.log([point.nbytes for point in points])
    wanted = np.linspace(sizes[0], sizes[-1], count)
    places = sorted({int(np.abs(sizes - each).argmin()) for each in wanted})
    return [points[place] for place in places]


def pick(
    points: Sequence[Point],
    config: LlamaConfig,
    fit: MissFit,
    context: int,
    plain: Collection[str] = (),
) -> tuple[Point, Prediction]:
    """The point with the greatest predicted speedup at the acceptance of a fit.

    Parameters
    ----------
    points : sequence of Point
        One or more; of equals the first.
    config : LlamaConfig
    fit : MissFit
        Acceptance by the sum of KL.
    context : int
        Positions before a round.
    plain : collection of str
        Layers that are not packed.
    """

    def prediction(point: Point) -> Prediction:
        return predict(config, point.recipe, fit.acceptance(point.kl), context, plain)

    best = max(points, key=lambda point: prediction(point).speedup)
    return best, prediction(best)
