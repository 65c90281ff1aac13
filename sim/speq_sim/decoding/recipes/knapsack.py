"""Recipes that are worth their bytes, given what drafting each matrix costs.

What several drafted matrices cost is taken as the sum of what each costs alone. Then, at a price of
lambda nats a byte, each matrix takes the planes with the least KL + lambda * bytes, whatever the
others take. From lambda = infinity to 0 this gives every corner of the lower convex hull of
(bytes, KL) over all 3**n recipes: each is the exact optimum among recipes of no more bytes. Between
two neighbours a knapsack would find others, which save less than one matrix's upgrade does. That is
little, but for a matrix as large as the LM head of a small model, which is a fifth to a half of all
weights. So :func:`frontier` takes the hull of all others for each choice of the head.
"""

import dataclasses
import itertools
import math
from collections.abc import Collection, Iterator, Mapping

from speq_sim.decoding.errors import ModelError

__all__ = ["PLANES", "Point", "frontier", "nested_recipes", "point_of"]

PLANES: tuple[str, ...] = ("draft", "middle", "verify")
"""Choices for a matrix, by increasing bytes."""


@dataclasses.dataclass(frozen=True)
class Point:
    """A recipe.

    Parameters
    ----------
    recipe : mapping of str to str
        ``draft``, ``middle`` or ``verify`` for every matrix.
    nbytes : int
        Bytes that are read of these matrices.
    kl : float
        Sum of what each costs alone, in nats.
    """

    recipe: Mapping[str, str]
    nbytes: int
    kl: float


def point_of(
    recipe: Mapping[str, str],
    sensitivities: Mapping[str, Mapping[str, float]],
    nbytes: Mapping[str, Mapping[str, int]],
) -> Point:
    """A recipe with the sums of its bytes and of its KL.

    Parameters
    ----------
    recipe : mapping of str to str
        Matrices that are not named are drafted; what has no sensitivity is passed over.
    sensitivities, nbytes : mapping of str to mapping
        As of :func:`nested_recipes`.
    """
    whole = {name: recipe.get(name, "draft") for name in sensitivities}
    kl = sum(sensitivities[name].get(mode, 0.0) for name, mode in whole.items())
    return Point(whole, sum(nbytes[name][mode] for name, mode in whole.items()), kl)


def nested_recipes(
    sensitivities: Mapping[str, Mapping[str, float]],
    nbytes: Mapping[str, Mapping[str, int]],
    fixed: Mapping[str, str] | None = None,
) -> list[Point]:
    """The recipes for every price of a byte, from ``draft`` for all to ``verify`` for all.

    Parameters
    ----------
    sensitivities : mapping of str to mapping
        KL in nats of each matrix in ``draft`` and in ``middle``; in ``verify`` it is 0.
    nbytes : mapping of str to mapping
        Bytes of the same matrices in all three, strictly increasing.
    fixed : mapping of str to str, optional
        Matrices whose planes are not to be chosen.

    Returns
    -------
    list of Point
        Each reads at least the planes that the one before reads, of every matrix: one upgrade, of
        the greatest KL saved per byte (the first in order among equals). A matrix whose planes save
        nothing is upgraded last, so that the last recipe verifies all.

    Raises
    ------
    ModelError
        If bytes do not increase, or a KL is negative or not finite.
    """
    fixed = {} if fixed is None else fixed
    upgrades = sorted(
        (
            upgrade
            for name in sensitivities
            if name not in fixed
            for upgrade in _upgrades(name, {**sensitivities[name], "verify": 0.0}, nbytes[name])
        ),
        # A matrix's own upgrades keep their order: their rates fall, and sorting is stable.
        key=lambda upgrade: -upgrade[0],
    )
    recipe = {name: fixed.get(name, "draft") for name in sensitivities}
    points = [point_of(recipe, sensitivities, nbytes)]
    for _, name, mode in upgrades:
        recipe = {**recipe, name: mode}
        points.append(point_of(recipe, sensitivities, nbytes))
    return points


def frontier(
    sensitivities: Mapping[str, Mapping[str, float]],
    nbytes: Mapping[str, Mapping[str, int]],
    apart: Collection[str] = ("head",),
) -> list[Point]:
    """The recipes of :func:`nested_recipes` for every choice of a few matrices, the best of all.

    Parameters
    ----------
    sensitivities, nbytes : mapping of str to mapping
        As of :func:`nested_recipes`.
    apart : collection of str
        Matrices that are large beside the others; those that are not there are passed over.

    Returns
    -------
    list of Point
        By increasing bytes and decreasing KL: each has less KL than all with fewer bytes.

    Raises
    ------
    ModelError
        As :func:`nested_recipes`.
    """
    names = [name for name in apart if name in sensitivities]
    points = [
        point
        for modes in itertools.product(PLANES, repeat=len(names))
        for point in nested_recipes(sensitivities, nbytes, dict(zip(names, modes, strict=True)))
    ]
    points.sort(key=lambda point: (point.nbytes, point.kl))
    best: list[Point] = []
    for point in points:
        if not best or point.kl < best[-1].kl:
            best.append(point)
    return best


def _upgrades(
    name: str, kl: Mapping[str, float], nbytes: Mapping[str, int]
) -> Iterator[tuple[float, str, str]]:
    """Steps along the hull of a matrix's three choices: KL saved per byte, name, new planes."""
    if not nbytes["draft"] < nbytes["middle"] < nbytes["verify"]:
        raise ModelError(f"layer {name!r} has planes of no bytes: leave it out")
    if not all(0 <= kl[mode] < math.inf for mode in PLANES):
        raise ModelError(f"layer {name!r} has a KL that is none: {dict(kl)}")
    first, second, both = (
        (kl[lower] - kl[upper]) / (nbytes[upper] - nbytes[lower])
        for lower, upper in (("draft", "middle"), ("middle", "verify"), ("draft", "verify"))
    )
    if first < second:  # the middle plane alone is not worth it: both together save more per byte
        yield both, name, "verify"
    else:
        yield first, name, "middle"
        yield second, name, "verify"
