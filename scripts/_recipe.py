"""What fit_recipe.py does: sensitivities, the curve of recipes, measuring, choosing."""

import dataclasses
import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from speq_sim import golden
from speq_sim.decoding import (
    FastBackend,
    GoldenBackend,
    Llama,
    LlamaWeights,
    ModelError,
    PackedLayers,
    plain_many,
    prefill_many,
)
from speq_sim.decoding.evaluation import Context, contexts
from speq_sim.decoding.recipes import (
    PLANES,
    Judge,
    Measured,
    MissFit,
    Point,
    fit_misses,
    frontier,
    measure_sensitivities,
    pick,
    point_of,
    predict,
    thinned,
)
from speq_sim.performance.passes import draft_bits, matrix_bytes

Step = Callable[[str], None]

NAMED: dict[str, dict[str, str]] = {
    "all 4 bits": {},
    "head at middle": {"head": "middle"},
    "head verified": {"head": "verify"},
}
"""Recipes that the chosen one is held against."""

CHOSEN = "chosen"

MOST_CHOICES = 4
"""The best recipe is measured, which may move the fit and so the best: at most so often."""


@dataclasses.dataclass(frozen=True, eq=False)
class Fitting:
    """A model and what its recipe is fitted on.

    Parameters
    ----------
    weights : LlamaWeights
    layers : PackedLayers
    prompts : sequence of sequence of int
        Tokens; every other one is for sensitivities, the rest for measuring recipes.
    stop : frozenset of int
        Tokens that end a text.
    activations : str
        Of drafts.
    positions, judged : int
        Generated tokens that sensitivities and recipes are measured on, about.
    context : int
        Positions before a round, for the bytes of keys and values.
    length : int
        Tokens of the drafts that recipes are measured with.
    """

    weights: LlamaWeights
    layers: PackedLayers
    prompts: Sequence[Sequence[int]]
    stop: frozenset[int]
    activations: str
    positions: int
    judged: int
    context: int
    length: int

    def __post_init__(self) -> None:
        if len(self.prompts) < 2:
            raise ModelError(
                "a recipe is fitted on some prompts and chosen on others: give 2 or more"
            )
        if self.plain and len(self.plain) == len(self.layers):
            raise ModelError("no matrix of the model is packed, so that none has planes to choose")

    @property
    def draft_format(self) -> golden.BlockFormat:
        """Activations of DRAFT, in blocks of four lanes."""
        return golden.block_format(self.activations, 4)

    @property
    def plain(self) -> tuple[str, ...]:
        """Layers that are not packed."""
        return tuple(name for name, layer in self.layers.items() if layer.is_plain)

    def sensitivities(self, step: Step) -> dict[str, dict[str, float]]:
        """KL of each matrix, drafted or at the middle plane alone, on the first half."""
        step("writing the texts for sensitivities")
        backend = FastBackend(self.weights.matrices)
        model = Llama(self.weights, backend)
        found, _ = self._texts(model, self.prompts[::2], self.positions)
        return measure_sensitivities(
            self.weights, self.layers, found, backend, self.draft_format, step
        )

    def judge(self, step: Step) -> Judge:
        """What measures recipes, on the other half."""
        step("writing the texts that recipes are measured on")
        target = Llama(self.weights, GoldenBackend(self.layers, "verify"))
        found, caches = self._texts(target, self.prompts[1::2], self.judged)
        return Judge(
            self.weights, self.layers, found, caches, self.draft_format, self.length, self.stop
        )

    def nbytes(self) -> dict[str, dict[str, int]]:
        """Bytes of every packed matrix by the planes that are read."""
        shapes = self.weights.config.matrix_shapes()
        return {
            name: {mode: matrix_bytes(shapes[name], mode) for mode in PLANES}
            for name, layer in self.layers.items()
            if not layer.is_plain
        }

    def _texts(
        self, model: Llama, prompts: Sequence[Sequence[int]], positions: int
    ) -> tuple[list[Context], list]:
        room = model.config.context - max(map(len, prompts))
        count = min(-(-positions // len(prompts)), room)
        if count < 2:
            raise ModelError(
                f"the longest prompt leaves {max(room, 0)} tokens of the model's context of "
                f"{model.config.context}: shorten it"
            )
        caches = prefill_many(model, prompts)
        texts = plain_many(model, prompts, count, stop=self.stop, caches=caches)
        return contexts(model, prompts, [each.tokens for each in texts], caches), caches


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Recipes of a model.

    Parameters
    ----------
    sensitivities : mapping of str to mapping
        KL in nats by layer and mode.
    curve : sequence of Point
        All recipes of the frontier.
    measured : mapping of str to Measured
        By name; those of the curve without a name are numbered.
    fit : MissFit
        Acceptance by the sum of KL.
    """

    sensitivities: Mapping[str, Mapping[str, float]]
    curve: Sequence[Point]
    measured: Mapping[str, Measured]
    fit: MissFit


def fit_recipe(fitting: Fitting, count: int, step: Step) -> Fitted:
    """Measure sensitivities, then about `count` recipes of the curve, then choose."""
    sensitivities = fitting.sensitivities(step)
    gc.collect()
    nbytes = fitting.nbytes()
    curve = frontier(sensitivities, nbytes)
    judge = fitting.judge(step)
    measured: dict[str, Measured] = {}

    def measure(name: str, point: Point) -> None:
        if not _has(measured, point):
            step(f"measuring {name}")
            measured[name] = judge.measure(point)

    for name, recipe in NAMED.items():
        measure(name, point_of(recipe, sensitivities, nbytes))
    # Of one that verifies everything there is nothing to measure.
    drafting = [point for point in curve if point.kl > 0]
    for number, point in enumerate(thinned(drafting, count), start=1):
        measure(f"recipe {number}", point)
    for number in range(1, MOST_CHOICES + 1):
        fit = _fit(measured)
        best, _ = pick(curve, fitting.weights.config, fit, fitting.context, fitting.plain)
        if _has(measured, best):
            break
        measure(f"choice {number}", best)
    chosen = _chosen(measured, _fit(measured), fitting)
    return Fitted(sensitivities, curve, {**measured, CHOSEN: chosen}, _fit(measured))


def _has(measured: Mapping[str, Measured], point: Point) -> bool:
    return any(each.point.recipe == point.recipe for each in measured.values())


def _fit(measured: Mapping[str, Measured]) -> MissFit:
    found = measured.values()
    return fit_misses(
        [each.point.kl for each in found],
        [each.misses for each in found],
        [each.judged for each in found],
    )


def _chosen(measured: Mapping[str, Measured], fit: MissFit, fitting: Fitting) -> Measured:
    """Of the recipes that were measured, the best at the acceptance of the fit."""
    points = [each.point for each in measured.values()]
    best, _ = pick(points, fitting.weights.config, fit, fitting.context, fitting.plain)
    return next(each for each in measured.values() if each.point is best)


def output_recipe(recipe: Mapping[str, str]) -> dict[str, str]:
    """A recipe as scripts read it: what is not drafted, and the head in any case.

    measure_acceptance.py verifies the head unless it is told otherwise.
    """
    return {name: mode for name, mode in recipe.items() if mode != "draft" or name == "head"}


def figures_of(fitting: Fitting, fitted: Fitted) -> dict[str, Any]:
    """What is written to the JSON file, settings apart."""
    config, plain, context = fitting.weights.config, fitting.plain, fitting.context

    def row(each: Measured) -> dict[str, Any]:
        smooth = fitted.fit.acceptance(each.point.kl)
        prediction = predict(config, each.point.recipe, each.acceptance, context, plain)
        at_fit = predict(config, each.point.recipe, smooth, context, plain)
        return {
            "bits": round(each.bits, 4),
            "kl_sum": each.point.kl,
            "kl": each.kl,
            "acceptance": round(each.acceptance, 4),
            "acceptance_fit": round(smooth, 4),
            "agreement": round(each.agreement, 4),
            "judged": each.judged,
            "positions": each.positions,
            "lossless": each.lossless,
            "speedup": round(prediction.speedup, 4),
            "length": prediction.length,
            "tokens_per_round": round(prediction.tokens_per_round, 3),
            "speedup_fit": round(at_fit.speedup, 4),
            "length_fit": at_fit.length,
            "planes": {mode: list(each.point.recipe.values()).count(mode) for mode in PLANES},
        }

    curve = []
    for point in fitted.curve:
        smooth = fitted.fit.acceptance(point.kl)
        curve.append(
            {
                "bits": round(draft_bits(config, point.recipe, plain), 4),
                "kl_sum": point.kl,
                "acceptance": round(smooth, 4),
                "speedup": round(predict(config, point.recipe, smooth, context, plain).speedup, 4),
            }
        )
    return {
        "chosen": output_recipe(fitted.measured[CHOSEN].point.recipe),
        "recipes": {name: row(each) for name, each in fitted.measured.items()},
        "fit": dataclasses.asdict(fitted.fit),
        "curve": curve,
        "sensitivities": fitted.sensitivities,
        "plain": list(plain),
    }
