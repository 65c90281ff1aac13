"""The fitter: code tables and draft values of least squared error.

Fitting alternates between each row's choice of power of two and table, each table's minimum-cost
assignment of 64 cells to 8 codes x 16 places, and the eight draft values that all tables share;
several starts avoid poor minima. A row's error is divided by its energy, so that every row counts
alike.

The rare tiny cells that lodge in the spare slots of larger codes are laid in runs (:func:`tidy`):
that costs next to no error, and makes the decoder at the memory port a few constant offsets.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from speq.formats.assignment import assign
from speq.formats.cells import CELLS, cell_edges
from speq.formats.moments import Choice, Moments, choose
from speq.formats.tables import CODES, DRAFT_UNIT, MAX_DRAFT_VALUE, CodeTable, Family

__all__ = ["FIT_SHIFT", "fit_family"]

FIT_SHIFT = 1
"""Powers of two below the largest that a row may choose while fitting."""

_PRIOR = 1e-4
"""Share of a row's weights spread over all cells, so that cells no sample fills are placed well."""

_PRIOR_ZERO = 1e-2
"""Further share for the cell of zero, which pruned models fill and samples may not."""


def fit_family(
    name: str,
    sums: Moments,
    tables: int,
    *,
    weight: NDArray[np.float64] | None = None,
    near: Family | None = None,
    starts: int = 4,
    rounds: int = 12,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> tuple[Family, float]:
    """Fit a family to rows.

    Parameters
    ----------
    name : str
        Name of the family.
    sums : Moments
        Rows to fit to. Rows of zeros are left out.
    tables : int
        Number of tables, 1..8.
    weight : array of float64 [N], optional
        Weight of each row's relative error; by default all 1.
    near : Family, optional
        A smaller family, whose draft values the first half of the starts begin with.
    starts, rounds : int
        Starts, and alternations of each start.
    seed : int
        Seed of the random starts; the result depends on the arguments alone.
    report : callable, optional
        Is told the progress, one text per start.

    Returns
    -------
    Family
        Draft values ascending; tables ordered by how many rows choose them, most first.
    float
        Mean relative squared error of the rows (weighted).
    """
    live = np.flatnonzero(sums.energy > 0)
    weight = np.ones(len(live)) if weight is None else np.asarray(weight, dtype=float)[live]
    sums = normalised(sums.rows(live))
    best: tuple[float, Family] | None = None
    generator = np.random.default_rng(seed)
    for start in range(starts):
        values = near.draft_values if near and start < (starts + 1) // 2 else None
        family = _start(name, tables, sums, values, generator)
        family, error = _descend(family, sums, weight, rounds)
        if report is not None:
            report(f"{name}: start {start + 1} of {starts}, {-10 * np.log10(error):.2f} dB")
        if best is None or error < best[0]:
            best = (error, family)
    error, family = best
    uses = np.bincount(choose(sums, family, FIT_SHIFT).table, minlength=tables)
    order = np.argsort(-uses, kind="stable")
    return Family(name, tuple(family.tables[i] for i in order), family.draft_values), error


def normalised(sums: Moments) -> Moments:
    """Rows scaled to energy 1, with the priors mixed in."""
    centres = 0.5 * (cell_edges()[:-1] + cell_edges()[1:])
    prior = np.full(CELLS, _PRIOR / CELLS)
    prior[0] += _PRIOR_ZERO
    number = sums.count.sum(axis=1, keepdims=True)
    count = sums.count + number * prior
    total = sums.total + number * prior * np.where(np.arange(CELLS) == 0, 0.0, centres)
    energy = sums.energy + number[:, 0] * (prior[1:] * centres[1:] ** 2).sum()
    scale = 1 / energy
    return Moments(count * scale[:, None], total * scale[:, None], energy * scale)


def _start(
    name: str,
    tables: int,
    sums: Moments,
    values: tuple[int, ...] | None,
    generator: np.random.Generator,
) -> Family:
    """A first guess: tables for draft scales spread evenly over one binade.

    With powers of two per row and draft values in common, only the scale's place within its binade
    is left for tables to differ in.
    """
    if values is None:
        ratio = generator.uniform(0.55, 0.75)
        powers = np.rint(MAX_DRAFT_VALUE * ratio ** np.arange(CODES - 1, -1, -1.0))
        values = tuple(int(value) for value in np.maximum(powers, np.arange(1, CODES + 1)))
    count, total = sums.count.sum(axis=0), sums.total.sum(axis=0)
    base = total.sum() / count.sum() * generator.uniform(0.03, 0.06)
    made = []
    for index in range(tables):
        drafts = base * 2.0 ** (index / tables) * np.array(values)
        cost = count[:, None] * drafts**2 - 2 * total[:, None] * drafts
        made.append(CodeTable(tidy(assign(cost))))
    return Family(name, tuple(made), values)


def _descend(
    family: Family, sums: Moments, weight: NDArray[np.float64], rounds: int
) -> tuple[Family, float]:
    """Alternate choices, assignments and draft values until nothing improves."""
    error = np.inf
    for _ in range(rounds):
        previous = error
        family = _new_tables(family, sums, weight)
        family, error = _new_values(family, sums, weight)
        if previous - error < 1e-5 * error:
            break
    return family, error


def _pooled(
    family: Family, sums: Moments, weight: NDArray[np.float64], choice: Choice
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Per table, the quadratic and linear coefficients of the pooled error in each cell's value."""
    levels = [sums]
    for _ in range(FIT_SHIFT):
        levels.append(levels[-1].halved())
    pools = []
    for index in range(len(family.tables)):
        square, cross = np.zeros(CELLS), np.zeros(CELLS)
        for shift, level in enumerate(levels):
            rows = np.flatnonzero((choice.table == index) & (choice.shift == shift))
            alpha = choice.alpha[rows] * DRAFT_UNIT
            scale = weight[rows] * alpha * 4.0**shift
            square += (scale * alpha) @ level.count[rows]
            cross += scale @ level.total[rows]
        pools.append((square, cross))
    return pools


def _new_tables(family: Family, sums: Moments, weight: NDArray[np.float64]) -> Family:
    """Minimum-cost assignment of every table to the rows that chose it."""
    values = np.array(family.draft_values, dtype=np.float64)
    tables = []
    pools = _pooled(family, sums, weight, choose(sums, family, FIT_SHIFT))
    for table, pool in zip(family.tables, pools, strict=True):
        square, cross = _filled(*pool)
        cost = square[:, None] * values**2 - 2 * cross[:, None] * values
        tables.append(CodeTable(tidy(assign(cost))) if square.any() else table)
    return Family(family.name, tuple(tables), family.draft_values)


def _filled(
    square: NDArray[np.float64], cross: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the cells above the last filled one a trace of its weights, at their own magnitude."""
    filled = np.flatnonzero(square)
    if filled.size:
        last = filled[-1]
        centres = 0.5 * (cell_edges()[:-1] + cell_edges()[1:])
        square[last + 1 :] = 1e-9 * square[last]
        cross[last + 1 :] = 1e-9 * cross[last] * centres[last + 1 :] / centres[last]
    return square, cross


def _new_values(family: Family, sums: Moments, weight: NDArray[np.float64]) -> tuple[Family, float]:
    """Least-squares draft values at the best common scale that six bits allow, and the error."""
    choice = choose(sums, family, FIT_SHIFT)
    square, cross = np.zeros(CODES), np.zeros(CODES)
    for table, pool in zip(family.tables, _pooled(family, sums, weight, choice), strict=True):
        np.add.at(square, np.array(table.codes), pool[0])
        np.add.at(cross, np.array(table.codes), pool[1])
    real = np.divide(cross, square, out=np.zeros(CODES), where=square > 0)
    best, least = family, float(np.average(choice.error / sums.energy, weights=weight))
    for largest in range(48, MAX_DRAFT_VALUE + 1):
        values = np.clip(np.rint(real * largest / real.max()), 0, MAX_DRAFT_VALUE).astype(int)
        candidate = _ascending(family.name, family.tables, values)
        errors = choose(sums, candidate, FIT_SHIFT).error / sums.energy
        error = float(np.average(errors, weights=weight))
        if error < least:
            best, least = candidate, error
    return best, least


def _ascending(name: str, tables: tuple[CodeTable, ...], values: NDArray) -> Family:
    """Renumber the codes so that draft values ascend."""
    order = np.argsort(values, kind="stable")
    rank = np.argsort(order)
    renamed = tuple(CodeTable(tuple(rank[list(table.codes)].tolist())) for table in tables)
    return Family(name, renamed, tuple(int(value) for value in values[order]))


def tidy(codes: NDArray[np.intp]) -> tuple[int, ...]:
    """Lay the tiny cells of an assignment in runs, with the number of cells per code unchanged.

    Tiny are the cells below the longest run of the lowest code. Cell 0 (zero) gets the lowest
    code; then the codes descend with growing magnitude, because of two tiny cells the larger holds
    more weights and so deserves the smaller draft value.
    """
    tiny = tiny_cells(np.flatnonzero(codes == 0))
    laid = np.sort(codes[:tiny])[::-1]
    if laid.size and laid[-1] == 0:
        laid = np.concatenate([laid[-1:], laid[:-1]])
    return tuple(int(code) for code in np.concatenate([laid, codes[tiny:]]))


def tiny_cells(lowest: NDArray[np.intp]) -> int:
    """Number of cells below the longest run among the cells of the lowest code, ascending."""
    runs = np.split(lowest, np.flatnonzero(np.diff(lowest) > 1) + 1)
    return int(max(runs, key=len)[0]) if lowest.size else 0
