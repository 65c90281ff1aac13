"""Moments of weights by cell: all that a row's draft error depends on.

With the moments S0, S1 (number and sum of magnitudes in each cell) and S2 (sum of squares), the
squared error of row n, drafted as `alpha * d[code]` with alpha of least squares, is

    S2[n] - (sum over cells of d[code] * S1[n, cell])**2 / (sum of d[code]**2 * S0[n, cell])

so tables, draft values and powers of two are chosen without reading a weight twice.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from speq.formats.cells import CELLS, CELLS_PER_BINADE
from speq.formats.tables import DRAFT_UNIT, Family

__all__ = ["MAX_SHIFT", "Choice", "Moments", "choose", "moments"]

MAX_SHIFT = 3
"""Powers of two below the largest exact row exponent that are tried for each row."""

_BLOCK_WEIGHTS = 1 << 18
"""Weights handled at a time, so that intermediate arrays stay in the cache."""


@dataclasses.dataclass(frozen=True)
class Moments:
    """Moments of the stored magnitudes of rows, by cell.

    Parameters
    ----------
    count, total : arrays of float64 [N, 64]
        S0 and S1: (weighted) number and sum of magnitudes in each cell.
    energy : array of float64 [N]
        S2: (weighted) sum of squared magnitudes.
    """

    count: NDArray[np.float64]
    total: NDArray[np.float64]
    energy: NDArray[np.float64]

    def rows(self, index: NDArray | slice) -> "Moments":
        """Moments of some rows."""
        return Moments(self.count[index], self.total[index], self.energy[index])

    def halved(self) -> "Moments":
        """Moments of the same rows stored one power of two lower (exact)."""
        return Moments(_lower(self.count), _lower(self.total) / 2, self.energy / 4)


def _lower(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums by cell of weights that are stored one power of two lower."""
    # A normal binade moves down whole; the first two, spaced alike, move to half their cell.
    spaced = 2 * CELLS_PER_BINADE
    result = np.zeros_like(sums)
    result[:, :CELLS_PER_BINADE] = sums[:, 0:spaced:2] + sums[:, 1:spaced:2]
    result[:, CELLS_PER_BINADE:-CELLS_PER_BINADE] = sums[:, spaced:]
    return result


def moments(stored: NDArray[np.uint16], importance: NDArray[np.float64] | None = None) -> Moments:
    """Moments of stored patterns.

    Parameters
    ----------
    stored : array of uint16 [N, K]
        FP16 patterns of magnitude below 2.
    importance : array of float64 [K], optional
        Weight of each input's squared error, such as the mean square of its activation times
        ``2**(-2 c[k])``; by default all 1.
    """
    rows, columns = stored.shape
    count = np.zeros((rows, CELLS))
    total = np.zeros((rows, CELLS))
    energy = np.zeros(rows)
    magnitude = np.arange(1 << 14, dtype=np.uint16).view(np.float16).astype(np.float32)
    step = max(1, _BLOCK_WEIGHTS // max(columns, 1))
    for start in range(0, rows, step):
        block = stored[start : start + step] & np.uint16(0x3FFF)
        places = (block >> 8) + (np.arange(len(block)) * CELLS)[:, None]
        values = magnitude[block]
        shape, bins = (len(block), CELLS), len(block) * CELLS
        here = slice(start, start + len(block))
        if importance is None:
            weighted, weights = values, None
            energy[here] = np.einsum("nk,nk->n", values, values, dtype=np.float64)
        else:
            weighted = values * importance
            weights = np.broadcast_to(importance, values.shape).ravel()
            energy[here] = np.einsum("nk,nk->n", weighted, values)
        places = places.ravel()
        count[here] = np.bincount(places, weights, bins).reshape(shape)
        total[here] = np.bincount(places, weighted.ravel(), bins).reshape(shape)
    return Moments(count, total, energy)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What each of N rows chose.

    Parameters
    ----------
    shift : array of int64 [N]
        Powers of two by which the row is stored lower than its moments say, 0 or more.
    table : array of uint8 [N]
        Index of its table.
    alpha : array of float64 [N]
        Least-squares scale of the draft values ``d * 2**-5``; 1 where all of them are zero.
    error : array of float64 [N]
        Squared error of the draft in units of the moments' weights.
    """

    shift: NDArray[np.int64]
    table: NDArray[np.uint8]
    alpha: NDArray[np.float64]
    error: NDArray[np.float64]


def choose(sums: Moments, family: Family, allowed: NDArray[np.integer] | int = MAX_SHIFT) -> Choice:
    """Each row's shift and table of least squared error; the lowest among equals.

    Parameters
    ----------
    sums : Moments
        Rows at their largest exponents.
    family : Family
        Tables and draft values.
    allowed : int or array of int [N]
        Largest shift that keeps each row exact.
    """
    number = len(sums.energy)
    allowed = np.minimum(np.broadcast_to(allowed, (number,)), MAX_SHIFT)
    energy = sums.energy
    best = Choice(
        np.zeros(number, np.int64),
        np.zeros(number, np.uint8),
        np.ones(number),
        np.full(number, np.inf),
    )
    for shift in range(int(allowed.max(initial=0)) + 1):
        table, alpha, gain = _best_tables(sums, family)
        error = np.maximum(energy - gain * 4.0**shift, 0.0)
        better = np.flatnonzero((error < best.error) & (allowed >= shift))
        best.shift[better] = shift
        for name, values in (("table", table), ("alpha", alpha), ("error", error)):
            getattr(best, name)[better] = values[better]
        sums = sums.halved()
    return best


def _best_tables(
    sums: Moments, family: Family
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
    """Best table of each row, its alpha, and the energy that the draft explains."""
    values = np.array(family.draft_values, dtype=np.float64) * DRAFT_UNIT
    drafts = np.stack([values[list(table.codes)] for table in family.tables], axis=1)
    cross = sums.total @ drafts
    square = sums.count @ (drafts * drafts)
    gain = np.divide(cross * cross, square, out=np.zeros_like(cross), where=square > 0)
    table = np.argmax(gain, axis=1).astype(np.uint8)
    index = (np.arange(len(table)), table)
    alpha = np.divide(cross[index], square[index], out=np.ones(len(table)), where=square[index] > 0)
    return table, alpha, gain[index]
