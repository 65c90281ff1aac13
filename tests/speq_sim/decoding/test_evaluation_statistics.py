"""Intervals by resampling prompts, and figures from the counts of prompts."""

import numpy as np
import pytest

from speq_sim.decoding.evaluation.statistics import difference, draws, median, ratio
from speq_sim.decoding.evaluation.summary import compare, summarise

KINDS = ["chat"] * 5 + ["code"] * 3


def result(accepted, judged, agreed, kl, lossless=True):
    return {
        "accepted": accepted,
        "judged": judged,
        "drafted": judged + 1,
        "rounds": 4,
        "emitted": accepted + 4,
        "lossless": lossless,
        "agreed": agreed,
        "kl": kl,
    }


def test_prompts_are_drawn_within_their_kind():
    drawn = draws(KINDS, 500)
    assert drawn[:, :5].max() == 4
    assert drawn[:, 5:].min() == 5
    assert set(np.unique(drawn)) == set(range(8))
    np.testing.assert_array_equal(drawn, draws(KINDS, 500))


def test_kinds_may_be_mixed():
    drawn = draws(["a", "b", "a", "b"], 200)
    assert set(np.unique(drawn[:, [0, 2]])) == {0, 2}
    assert set(np.unique(drawn[:, [1, 3]])) == {1, 3}


def test_an_interval_is_about_that_of_the_binomial():
    random = np.random.default_rng(4)
    hits = random.binomial(50, 0.8, size=200)
    found = ratio(hits, np.full(200, 50), draws(["a"] * 200))
    half = 1.96 * (0.8 * 0.2 / 10_000) ** 0.5
    assert found["value"] == pytest.approx(hits.sum() / 10_000)
    assert found["low"] == pytest.approx(found["value"] - half, abs=0.25 * half)
    assert found["high"] == pytest.approx(found["value"] + half, abs=0.25 * half)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(5)
    drawn = draws(["a"] * 40, 400)
    covered = 0
    for _ in range(200):
        hits = random.binomial(30, 0.7, size=40)
        found = ratio(hits, np.full(40, 30), drawn)
        covered += found["low"] <= 0.7 <= found["high"]
    assert 0.88 <= covered / 200 <= 0.99


def test_differences_are_paired():
    random = np.random.default_rng(6)
    base = random.integers(10, 40, size=30)
    drawn = draws(["a"] * 30)
    found = difference((base + 5, np.full(30, 50)), (base, np.full(30, 50)), drawn)
    assert found == {"value": 0.1, "low": 0.1, "high": 0.1}
    alone = ratio(base, np.full(30, 50), drawn)
    assert alone["high"] - alone["low"] > 0.05


def test_one_prompt_has_no_interval_and_nothing_has_no_value():
    drawn = draws(["a"])
    assert ratio([3], [4], drawn) == {"value": 0.75, "low": None, "high": None}
    assert ratio([0], [0], drawn) == {"value": None, "low": None, "high": None}


def test_a_median_is_over_positions():
    values = [np.array([1.0, 2.0, 3.0]), np.array([10.0])]
    found = median(values, draws(["a", "a"], 300))
    assert found["value"] == 2.5
    assert (found["low"], found["high"]) == (2.0, 10.0)


def test_figures_by_kind_and_of_all():
    results = {
        "a-1": result(6, 8, "1101", "0.5 0 0 0.1"),
        "b-1": result(2, 8, "10", "1 3"),
        "a-2": result(8, 8, "11", "0 0", lossless=False),
    }
    kinds = {"a-1": "a", "b-1": "b", "a-2": "a", "c-1": "c"}
    found = summarise(results, kinds)
    assert list(found) == ["a", "b", "all"]
    assert found["all"]["acceptance"]["value"] == pytest.approx(16 / 24, abs=1e-6)
    assert found["a"]["acceptance"]["value"] == 0.875
    assert found["b"]["accepted_length"]["value"] == 0.5
    assert found["all"]["tokens_per_round"]["value"] == pytest.approx(28 / 12, abs=1e-6)
    assert found["all"]["agreement"]["value"] == 0.75
    assert found["all"]["kl_mean"]["value"] == pytest.approx(4.6 / 8)
    assert found["a"]["kl_median"]["value"] == 0
    assert [found[kind]["lossless"] for kind in found] == [False, True, False]
    assert found["all"]["positions"] == 8


def test_comparison_is_of_the_prompts_that_both_have():
    results = {"a-1": result(6, 8, "11", "0 0"), "a-2": result(8, 8, "11", "0 0")}
    others = {"a-1": result(4, 8, "10", "0 0")}
    kinds = {"a-1": "a", "a-2": "a"}
    found = compare(results, others, kinds)
    assert found["all"]["acceptance"]["value"] == 0.25
    assert found["all"]["agreement"]["value"] == 0.5
    assert compare(results, {}, kinds) == {}
