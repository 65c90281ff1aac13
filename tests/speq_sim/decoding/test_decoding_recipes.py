"""Recipes: the knapsack against brute force, sensitivities, speedup, fit and choice."""

import importlib.resources
import itertools
import json
import math

import numpy as np
import pytest
from decoding_models import random_model
from hypothesis import given
from hypothesis import strategies as st

from speq_sim import golden
from speq_sim.decoding import (
    FastBackend,
    GoldenBackend,
    Llama,
    ModelError,
    PackedLayer,
    PackedLayers,
    plain,
    prefill_many,
)
from speq_sim.decoding.evaluation import agree, contexts
from speq_sim.decoding.recipes import (
    PLANES,
    Judge,
    MissFit,
    default_recipe,
    fit_misses,
    frontier,
    measure_sensitivities,
    nested_recipes,
    pick,
    point_of,
    predict,
    thinned,
)
from speq_sim.performance import PassCost, draft_bits, matrix_bytes

WEIGHTS = random_model(3)
SHAPES = WEIGHTS.config.matrix_shapes()
LAYERS = PackedLayers.pack(WEIGHTS.matrices, "bsfp")
BYTES = {name: {mode: matrix_bytes(SHAPES[name], mode) for mode in PLANES} for name in SHAPES}
PROMPTS = ((3, 60, 17), (8, 25))
FORM = golden.block_format("bfp6", 4)
NAMES = ("head", "layer.0.q", "layer.0.k", "layer.1.down")


def small(costs):
    """Sensitivities of a few matrices, and bytes that differ."""
    sensitivities = {
        name: {"draft": draft, "middle": middle}
        for name, (draft, middle) in zip(NAMES, costs, strict=False)
    }
    nbytes = {
        name: {"draft": 10 + 3 * place, "middle": 21 + 5 * place, "verify": 40 + 11 * place}
        for place, name in enumerate(sensitivities)
    }
    return sensitivities, nbytes


def every_recipe(sensitivities, nbytes):
    return [
        point_of(dict(zip(sensitivities, modes, strict=True)), sensitivities, nbytes)
        for modes in itertools.product(PLANES, repeat=len(sensitivities))
    ]


# Quarters: sums are exact, so that equal is equal.
COSTS = st.lists(
    st.tuples(*[st.integers(0, 40).map(lambda n: n / 4)] * 2), min_size=1, max_size=len(NAMES)
)


@given(COSTS)
def test_no_recipe_of_as_many_bytes_is_better(costs):
    sensitivities, nbytes = small(costs)
    others = every_recipe(sensitivities, nbytes)
    points = nested_recipes(sensitivities, nbytes)
    best = [
        point
        for point in points
        if all(each.kl >= point.kl for each in others if each.nbytes <= point.nbytes)
    ]
    # Behind the corner without any KL, further planes save nothing.
    assert all(point in best for point in points if point.kl > 0)


@given(COSTS, st.fractions(0, 2))
def test_every_price_of_a_byte_has_its_optimum(costs, price):
    sensitivities, nbytes = small(costs)

    def total(points):
        return min(float(point.kl) + price * point.nbytes for point in points)

    points = nested_recipes(sensitivities, nbytes)
    assert total(points) == pytest.approx(float(total(every_recipe(sensitivities, nbytes))))


@given(COSTS)
def test_recipes_are_nested(costs):
    sensitivities, nbytes = small(costs)
    points = nested_recipes(sensitivities, nbytes)
    assert set(points[0].recipe.values()) == {"draft"}
    assert set(points[-1].recipe.values()) == {"verify"}
    for one, next_one in itertools.pairwise(points):
        changed = [name for name in one.recipe if one.recipe[name] != next_one.recipe[name]]
        assert len(changed) == 1
        ranks = [PLANES.index(point.recipe[changed[0]]) for point in (one, next_one)]
        assert ranks[0] < ranks[1]
        assert one.nbytes < next_one.nbytes


@given(COSTS)
def test_the_frontier_has_every_choice_of_the_head(costs):
    sensitivities, nbytes = small(costs)
    points = frontier(sensitivities, nbytes)
    for one, next_one in itertools.pairwise(points):
        assert one.nbytes < next_one.nbytes
        assert one.kl > next_one.kl
    for mode in PLANES:
        for point in nested_recipes(sensitivities, nbytes, {"head": mode}):
            assert point.recipe["head"] == mode
            assert any(one.nbytes <= point.nbytes and one.kl <= point.kl for one in points)


def test_the_middle_plane_is_passed_over_where_it_saves_little():
    sensitivities, nbytes = small([(1.0, 0.9), (1.0, 0.1)])
    taken = [point.recipe["head"] for point in nested_recipes(sensitivities, nbytes)]
    assert "middle" not in taken
    taken = [point.recipe["layer.0.q"] for point in nested_recipes(sensitivities, nbytes)]
    assert "middle" in taken


@pytest.mark.parametrize("kl", [-0.1, math.nan, math.inf])
def test_a_kl_that_is_none(kl):
    with pytest.raises(ModelError, match=r"layer 'head' has a KL that is none"):
        nested_recipes(*small([(0.5, kl)]))


def test_planes_without_bytes():
    sensitivities, _ = small([(0.5, 0.1)])
    with pytest.raises(ModelError, match="'head' has planes of no bytes"):
        nested_recipes(sensitivities, {"head": dict.fromkeys(PLANES, 4)})


@pytest.fixture(scope="module")
def read():
    """Texts that the fast model reads."""
    model = Llama(WEIGHTS, FastBackend(WEIGHTS.matrices))
    return contexts(model, PROMPTS, [plain(model, prompt, 8) for prompt in PROMPTS])


class Routed:
    """One layer on one back end, all others on another: without what is known already."""

    def __init__(self, name, draft, verified):
        self.name, self.draft, self.verified = name, draft, verified

    def multiply(self, name, x):
        return (self.draft if name == self.name else self.verified).multiply(name, x)


def test_sensitivities_are_those_of_whole_passes(read, monkeypatch):
    import speq_sim.decoding.evaluation.agreement as agreement

    monkeypatch.setattr(agreement, "_MOST_TOKENS", 8)  # two passes
    fast = FastBackend(WEIGHTS.matrices)
    seen = []
    found = measure_sensitivities(WEIGHTS, LAYERS, read, fast, FORM, seen.append)
    assert list(found) == list(SHAPES)
    assert len(seen) == len(SHAPES)
    for name in ("layer.0.q", "layer.0.up", "layer.1.v", "head"):
        for mode in ("draft", "middle"):
            backend = Routed(name, GoldenBackend(LAYERS, mode, FORM), fast)
            judged = agree(Llama(WEIGHTS, backend), read)
            expected = np.concatenate([each.divergences for each in judged]).mean()
            assert found[name][mode] == expected > 0


def test_plain_matrices_have_no_sensitivity(read):
    layers = PackedLayers({**LAYERS, "layer.0.q": PackedLayer(WEIGHTS.matrices["layer.0.q"])})
    found = measure_sensitivities(WEIGHTS, layers, read, FastBackend(WEIGHTS.matrices))
    assert set(found) == set(SHAPES) - {"layer.0.q"}


def test_sensitivities_without_texts():
    with pytest.raises(ModelError, match="measured on texts, and there is none"):
        measure_sensitivities(WEIGHTS, LAYERS, [], FastBackend(WEIGHTS.matrices))


@pytest.mark.parametrize("acceptance", [0.0, 0.6, 0.95, 1.0])
def test_the_speedup_is_that_of_the_best_length(acceptance):
    config, recipe, context = WEIGHTS.config, {"head": "verify", "layer.0.up": "middle"}, 20
    found = predict(config, recipe, acceptance, context)
    plain_cost, verify = PassCost.of(config, "plain"), PassCost.of(config, "verify")
    draft = PassCost.of(config, "draft", recipe)
    speedups = []
    for length in range(17):
        tokens = sum(acceptance**power for power in range(length + 1))
        nbytes = sum(draft.bytes(1, context + each) for each in range(length))
        nbytes += verify.bytes(length + 1, context)
        speedups.append(tokens * plain_cost.bytes(1, context) / nbytes)
    assert found.speedup == pytest.approx(max(speedups))
    assert found.length == int(np.argmax(speedups))
    assert found.tokens_per_round == pytest.approx(
        sum(acceptance**power for power in range(found.length + 1))
    )
    assert found.length == 0 or acceptance > 0


def test_more_planes_for_the_same_acceptance_are_slower():
    speedups = [
        predict(WEIGHTS.config, {"head": mode}, 0.9, 20).speedup
        for mode in ("draft", "middle", "verify")
    ]
    assert speedups == sorted(speedups, reverse=True)


def test_the_fit_finds_a_power_law():
    kl = [0.01, 0.04, 0.16, 0.0]
    fit = fit_misses(kl, [100, 200, 400, 7], [1000] * 4)
    assert fit.factor == pytest.approx(1.0)
    assert fit.exponent == pytest.approx(0.5)
    assert fit.acceptance(0.09) == pytest.approx(0.7)
    assert fit.acceptance(0.0) == 1.0
    assert fit.acceptance(100.0) == 0.0


def test_the_fit_weighs_by_misses():
    """One point with a single miss hardly moves the line of those with many."""
    kl, misses, judged = [0.04, 0.16, 0.0001], [2000, 4000, 1], [10000, 10000, 10000]
    assert fit_misses(kl, misses, judged).exponent == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("kl", "misses", "exponent"),
    [([], [], 0), ([0.1, 0.2], [0, 0], 0), ([0.1, 0.1], [3, 9], 0), ([0.1, 0.2], [9, 3], 0)],
)
def test_acceptance_never_rises_with_kl(kl, misses, exponent):
    fit = fit_misses(kl, misses, [10] * len(kl))
    assert fit.exponent == exponent
    assert fit.acceptance(0.3) <= fit.acceptance(0.2) <= 1


def test_thinned_keeps_the_ends():
    points = nested_recipes({name: {"draft": 1.0, "middle": 0.1} for name in SHAPES}, BYTES)
    few = thinned(points, 5)
    assert len(few) == 5
    assert (few[0], few[-1]) == (points[0], points[-1])
    assert [point.nbytes for point in few] == sorted({point.nbytes for point in few})
    assert thinned(points[:1], 5) == points[:1]


def test_the_pick_pays_for_kl_alone():
    """With nothing to win, four bits; with one matrix that ruins drafts, that one is verified."""
    config = WEIGHTS.config
    harmless = {name: {"draft": 1e-6, "middle": 1e-7} for name in SHAPES}
    fit = MissFit(1.0, 0.5)
    best, prediction = pick(frontier(harmless, BYTES), config, fit, 20)
    assert set(best.recipe.values()) == {"draft"}
    assert prediction == predict(config, best.recipe, fit.acceptance(best.kl), 20)
    harmful = {**harmless, "layer.1.down": {"draft": 2.0, "middle": 1.9}}
    best, _ = pick(frontier(harmful, BYTES), config, fit, 20)
    assert {name for name, mode in best.recipe.items() if mode != "draft"} == {"layer.1.down"}
    assert best.recipe["layer.1.down"] == "verify"


@pytest.fixture(scope="module")
def judge():
    target = Llama(WEIGHTS, GoldenBackend(LAYERS, "verify"))
    caches = prefill_many(target, PROMPTS)
    texts = [plain(target, prompt, 10) for prompt in PROMPTS]
    return Judge(WEIGHTS, LAYERS, contexts(target, PROMPTS, texts, caches), caches, FORM, 3)


def point(recipe):
    return point_of(recipe, {name: {"draft": 1.0, "middle": 0.5} for name in SHAPES}, BYTES)


def test_a_recipe_that_verifies_all_is_never_wrong(judge):
    found = judge.measure(point(dict.fromkeys(SHAPES, "verify")))
    assert (found.acceptance, found.agreement, found.kl, found.misses) == (1.0, 1.0, 0.0, 0)
    assert found.bits == 16
    assert found.lossless


def test_a_recipe_is_measured_as_its_own_draft(judge):
    recipe = {"head": "middle", "layer.0.q": "verify"}
    found = judge.measure(point(recipe))
    backend = GoldenBackend(LAYERS, "draft", FORM, recipe)
    judged = agree(Llama(WEIGHTS, backend), judge.found)
    divergences = np.concatenate([each.divergences for each in judged])
    assert found.kl == pytest.approx(divergences.mean(), rel=1e-3)  # kept in four digits
    assert found.agreement == np.concatenate([each.matches for each in judged]).mean()
    assert found.positions == 20
    assert found.bits == draft_bits(WEIGHTS.config, recipe)
    assert found.acceptance == 1 - found.misses / found.judged < 1
    assert found.lossless


def test_texts_of_one_token_judge_nothing():
    target = Llama(WEIGHTS, GoldenBackend(LAYERS, "verify"))
    texts = [plain(target, prompt, 1) for prompt in PROMPTS]
    caches = prefill_many(target, PROMPTS)
    judge = Judge(WEIGHTS, LAYERS, contexts(target, PROMPTS, texts, caches), caches, FORM)
    with pytest.raises(ModelError, match="no drafted token was judged"):
        judge.measure(point({}))


PACKAGED = sorted(
    file.name
    for file in importlib.resources.files("speq_sim.decoding.recipes").iterdir()
    if file.name.endswith(".json")
)


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_recipes_are_given_for_their_family(name):
    model, codec = name.removesuffix(".json").split("-spare-")
    found = default_recipe(model, f"spare-{codec}")
    file = importlib.resources.files("speq_sim.decoding.recipes") / name
    assert found == json.loads(file.read_text())
    assert "head" in found
    assert set(found.values()) <= set(PLANES)
    assert default_recipe(model, "truncate") == {"head": "middle"}


@pytest.mark.parametrize("name", ["toy", "../recipes/stories15m", "/stories15m", ""])
def test_other_models_read_the_middle_plane_of_the_head(name):
    assert default_recipe(name, "spare-1") == {"head": "middle"}
