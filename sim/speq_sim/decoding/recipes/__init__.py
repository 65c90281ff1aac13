"""Plane recipes: how many planes of each matrix the draft pass reads, 4, 8 or 16 bits.

* :mod:`~speq_sim.decoding.recipes.sensitivity`: what drafting one matrix alone costs;
* :mod:`~speq_sim.decoding.recipes.knapsack`: from that, the recipes that are worth their bytes;
* :mod:`~speq_sim.decoding.recipes.speed`: what acceptance and bytes make of it;
* :mod:`~speq_sim.decoding.recipes.choice`: recipes measured on a model, and the best of them;
* :mod:`~speq_sim.decoding.recipes.packaged`: recipes that come with this package;
* :mod:`~speq_sim.decoding.recipes.plot`: the curve.
"""

from speq_sim.decoding.recipes.choice import Judge, Measured, pick, thinned
from speq_sim.decoding.recipes.knapsack import PLANES, Point, frontier, nested_recipes, point_of
from speq_sim.decoding.recipes.packaged import default_recipe
from speq_sim.decoding.recipes.sensitivity import measure_sensitivities
from speq_sim.decoding.recipes.speed import MissFit, Prediction, fit_misses, predict

__all__ = [
    "PLANES",
    "Judge",
    "Measured",
    "MissFit",
    "Point",
    "Prediction",
    "default_recipe",
    "fit_misses",
    "frontier",
    "measure_sensitivities",
    "nested_recipes",
    "pick",
    "point_of",
    "predict",
    "thinned",
]
