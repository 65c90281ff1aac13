"""Recipes that come with this package: a file for a model and a family of tables.

They are what ``scripts/fit_recipe.py`` wrote.
"""

import importlib.resources
import json

__all__ = ["SIMPLE", "default_recipe"]

SIMPLE: dict[str, str] = {"head": "middle"}
"""The recipe of a model that none was fitted for: the LM head is the most sensitive matrix."""


def default_recipe(model: str, codec: str) -> dict[str, str]:
    """The recipe to draft with, where the user gives none.

    Parameters
    ----------
    model : str
        Name of a model, as of :data:`speq_sim.decoding.readers.PACKAGES`; anything else, such as a
        path, has no fitted recipe.
    codec : str
        Name of the family of tables that the model is packed with.

    Returns
    -------
    dict of str to str
        Planes of single layers, others are drafted: what was fitted for this model and family, or
        else :data:`SIMPLE`.
    """
    # The folder is listed, so that a path as a name cannot leave it.
    for file in importlib.resources.files(__package__).iterdir():
        if file.name == f"{model}-{codec}.json":
            return json.loads(file.read_text(encoding="utf-8"))
    return dict(SIMPLE)
