"""Power of two, table and alpha of a row whose codes are going to be chosen weight by weight.

Compensation (:mod:`speq.formats.compensation`) drafts not the weight but the weight and what its
neighbours left to be made up for. That is taken here as a normal distribution around the weight, of
standard deviation :data:`SPREAD` times alpha, so that a cell's expected error is that of the best
of its codes on average.
"""

import functools

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from speq.formats.cells import CELLS, cell_edges
from speq.formats.moments import MAX_SHIFT, Choice, Moments
from speq.formats.tables import DRAFT_UNIT, Family

__all__ = ["ALPHAS", "SPREAD", "choose_spare", "expected_errors", "spread_errors"]

SPREAD = 0.04
"""Standard deviation of what compensation adds to a weight, per unit of alpha (fitted)."""

ALPHAS = 2.0 ** (np.arange(-24, 17) / 16)
"""Scales of the draft values that are tried, a sixteenth of a binade apart."""

_POINTS, _SHARES = hermegauss(25)
_SHARES = _SHARES / _SHARES.sum()


def spread_errors(values: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Squared errors [64, 25, 8] of each cell's middle, spread at 25 places, under each code.

    Parameters
    ----------
    values : array of float64 [8]
        Draft values ``d * 2**-5``.
    alpha : float
        Their scale.
    """
    edges = cell_edges()
    middle = 0.5 * (edges[1:] + edges[:-1])
    middle[0] = 0  # zero itself, for the most part
    spread = middle[:, None] + SPREAD * alpha * _POINTS
    return (spread[:, :, None] - alpha * values) ** 2


def expected(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the last axis, which holds the 25 places of :func:`spread_errors`."""
    return errors @ _SHARES


@functools.lru_cache(maxsize=16)
def expected_errors(members: Family) -> NDArray[np.float64]:
    """Expected squared error [tables, alphas, 64] of a weight in each cell."""
    values = np.array(members.draft_values, dtype=np.float64) * DRAFT_UNIT
    result = np.empty((len(members.tables), len(ALPHAS), CELLS))
    for place, alpha in enumerate(ALPHAS):
        errors = spread_errors(values, alpha)
        for index, table in enumerate(members.tables):
            held = table.slot_of.T < CELLS
            least = np.where(held[:, None, :], errors, np.inf).min(axis=2)
            result[index, place] = expected(least)
    result.flags.writeable = False
    return result


def choose_spare(
    sums: Moments, members: Family, allowed: NDArray[np.integer] | int = MAX_SHIFT
) -> Choice:
    """Each row's shift, table and alpha of least expected error; the lowest among equals.

    Parameters and result are those of :func:`speq.formats.moments.choose`; errors are expected
    ones.
    """
    number = len(sums.energy)
    allowed = np.minimum(np.broadcast_to(allowed, (number,)), MAX_SHIFT)
    errors = expected_errors(members)
    flat = errors.reshape(-1, CELLS).T
    best = Choice(
        np.zeros(number, np.int64),
        np.zeros(number, np.uint8),
        np.ones(number),
        np.full(number, np.inf),
    )
    for shift in range(int(allowed.max(initial=0)) + 1):
        found = (sums.count @ flat) * 4.0**shift
        least = found.argmin(axis=1)
        error = found[np.arange(number), least]
        better = np.flatnonzero((error < best.error) & (allowed >= shift))
        table, place = np.divmod(least[better], len(ALPHAS))
        best.shift[better] = shift
        best.table[better] = table
        best.alpha[better] = ALPHAS[place]
        best.error[better] = error[better]
        sums = sums.halved()
    return best
