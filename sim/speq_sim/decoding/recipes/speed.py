"""Predicted speedup of a recipe: what its acceptance and its bytes make of it.

Drafts have a fixed length L, and each token is right with chance a, whatever came before. A round
then gives (1 - a**(L+1)) / (1 - a) tokens, for L draft passes and a verify pass of L + 1 tokens.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from speq_sim.decoding.config import LlamaConfig
from speq_sim.performance.passes import PassCost

__all__ = ["MissFit", "Prediction", "fit_misses", "predict"]

LONGEST = 16
"""Of the drafts that are considered, in tokens."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The best fixed length of drafts, and what it brings.

    Parameters
    ----------
    speedup : float
        Bytes of plain decoding over bytes of the rounds, for the same tokens.
    length : int
        L, 0 if no draft pays: plain decoding on the verify pass then.
    tokens_per_round : float
    """

    speedup: float
    length: int
    tokens_per_round: float


def predict(
    config: LlamaConfig,
    recipe: Mapping[str, str],
    acceptance: float,
    context: int,
    plain: Collection[str] = (),
) -> Prediction:
    """The speedup of a recipe, for the L of 0 to 16 that makes it greatest.

    Parameters
    ----------
    config : LlamaConfig
        The model.
    recipe : mapping of str to str
        Planes of single layers; all others are drafted.
    acceptance : float
        a: chance of a drafted token, 0 to 1.
    context : int
        Positions before the round. Keys and values are read in FP16 by every pass.
    plain : collection of str
        Layers that are not packed.

    Raises
    ------
    ModelError
        If the recipe names a layer or mode that does not exist.
    """
    usual = PassCost.of(config, "plain").bytes(1, context)
    draft = PassCost.of(config, "draft", recipe, plain=plain)
    verify = PassCost.of(config, "verify", plain=plain)
    drafted, tokens = 0, 1.0
    best = Prediction(usual / verify.bytes(1, context), 0, 1.0)
    for length in range(1, LONGEST + 1):
        drafted += draft.bytes(1, context + length - 1)
        tokens += acceptance**length
        speedup = tokens * usual / (drafted + verify.bytes(length + 1, context))
        if speedup > best.speedup:
            best = Prediction(speedup, length, tokens)
    return best


@dataclasses.dataclass(frozen=True)
class MissFit:
    """Chance of a wrong token as a power of KL: ``min(1, factor * kl ** exponent)``.

    Parameters
    ----------
    factor, exponent : float
        Both 0 or more, so that acceptance never rises with KL.
    """

    factor: float
    exponent: float

    def acceptance(self, kl: float) -> float:
        """Chance of a right token at a KL in nats."""
        return 1 - min(1.0, self.factor * kl**self.exponent) if kl > 0 else 1.0


def fit_misses(kl: Sequence[float], misses: Sequence[int], judged: Sequence[int]) -> MissFit:
    """Least squares of log(misses / judged) over log(KL), with an exponent of 0 or more.

    Single acceptances are of some hundred tokens and so jump by a percent or two, while neighbours
    on the curve of recipes hardly differ. The fit takes that noise away before recipes are
    compared. Each recipe weighs as many as it has misses, as the variance of the logarithm of a
    count is about one over it.

    Parameters
    ----------
    kl : sequence of float
        In nats; recipes with a KL of 0 say nothing and are left out.
    misses, judged : sequence of int
        Of the same recipes: drafted tokens that were wrong, and all that were judged.
    """
    points = [
        (math.log(each), math.log(wrong / count), wrong)
        for each, wrong, count in zip(kl, misses, judged, strict=True)
        if each > 0 and wrong > 0
    ]
    if not points:
        return MissFit(0.0, 0.0)
    x, y, weights = np.array(points).T
    weights /= weights.sum()
    dx, dy = x - weights @ x, y - weights @ y
    spread = float(weights @ dx**2)
    exponent = max(float(weights @ (dx * dy)) / spread, 0.0) if spread > 1e-12 else 0.0
    return MissFit(math.exp(float(weights @ y - exponent * (weights @ x))), exponent)
