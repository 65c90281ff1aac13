"""The fitter of a table with spare codes (:class:`speq.formats.tables.CodeTable`).

Each cell may have any set of codes; a set costs the cell's weights their expected error
(:mod:`speq.formats.spare_rows`), and each code has room for 16 cells. Prices per code, moved until
no code is overfull, give a first table (Lagrangian relaxation); single changes improve it. That
takes turns with each row's choice of power of two and alpha.
"""

import numpy as np
from numpy.typing import NDArray

from speq.formats.assignment import assign
from speq.formats.cells import CELLS
from speq.formats.fit import normalised, tiny_cells
from speq.formats.moments import MAX_SHIFT, Moments
from speq.formats.spare_rows import ALPHAS, choose_spare, expected, spread_errors
from speq.formats.tables import CODES, DRAFT_UNIT, SLOTS, CodeTable, Family

__all__ = ["fit_spare"]

_SETS = np.array([[bool(number >> code & 1) for code in range(CODES)] for number in range(1, 256)])
"""Every set of codes but the empty one: set s has the codes of the bits of s + 1."""

_ALONE = (1 << np.arange(CODES)) - 1
"""Places of the sets of one code, in the order of the codes."""

_PRICE_ROUNDS = 1500


def fit_spare(
    name: str, sums: Moments, draft_values: tuple[int, ...], *, rounds: int = 3
) -> tuple[Family, float]:
    """Fit one table with spare codes to rows.

    Parameters
    ----------
    name : str
        Name of the family.
    sums : Moments
        Rows to fit to, every one with the same weight. Rows of zeros are left out.
    draft_values : tuple of 8 int
        d, ascending.
    rounds : int
        Turns of rows and table.

    Returns
    -------
    Family
    float
        Mean expected error over energy.
    """
    sums = normalised(sums.rows(np.flatnonzero(sums.energy > 0)))
    values = np.array(draft_values, dtype=np.float64) * DRAFT_UNIT
    sets = np.stack([_set_costs(values, alpha) for alpha in ALPHAS])
    chosen = _by_any_code(sums, sets)
    for _ in range(rounds):
        table = _table(_pooled(sums, *chosen, sets))
        family = Family(name, (table,), draft_values)
        choice = choose_spare(sums, family, MAX_SHIFT)
        chosen = choice.shift, np.searchsorted(ALPHAS, choice.alpha)
    return family, float(np.mean(choice.error))


def _set_costs(values: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Expected squared error [64, 255] of each cell under each set of codes."""
    errors = spread_errors(values, alpha)
    costs = [expected(errors[:, :, codes].min(axis=2)) for codes in _SETS]
    return np.stack(costs, axis=1)


def _by_any_code(
    sums: Moments, sets: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Each row's shift, and place of its alpha, as if every cell had every code."""
    found, level = [], sums
    for shift in range(MAX_SHIFT + 1):
        found.append(4.0**shift * (level.count @ sets[:, :, -1].T))
        level = level.halved()
    least = np.concatenate(found, axis=1).argmin(axis=1)
    shift, place = np.divmod(least, len(ALPHAS))
    return shift, place


def _pooled(
    sums: Moments, shift: NDArray[np.int64], place: NDArray[np.intp], sets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cost [64, 255] of each set at each cell over all rows, as they chose."""
    cost, level = np.zeros(sets.shape[1:]), sums
    for lower in range(MAX_SHIFT + 1):
        for alpha in np.unique(place[shift == lower]):
            rows = (shift == lower) & (place == alpha)
            mass = level.count[rows].sum(axis=0)
            cost += 4.0**lower * mass[:, None] * sets[alpha]
        level = level.halved()
    return cost


def _table(cost: NDArray[np.float64]) -> CodeTable:
    """The best table found for costs [64, 255] of sets of codes."""
    held = _SETS[_priced(cost)].copy()
    while (change := _best_change(held, cost)) is not None:
        for cell, code in change:
            held[cell, code] = not held[cell, code]
    return _laid(held, cost)


def _priced(cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """Sets that cost least, codes' prices included, with no code on more than 16 cells."""
    cells, prices = np.arange(CELLS), np.zeros(CODES)
    step = cost.min(axis=1).sum() / SLOTS / 20
    # One code each is legal, should prices find nothing: where codes are alike, all cells flock.
    best = _ALONE[assign(cost[:, _ALONE])]
    least = cost[cells, best].sum()
    for turn in range(_PRICE_ROUNDS):
        picked = (cost + _SETS @ prices).argmin(axis=1)
        used = _SETS[picked].sum(axis=0)
        total = cost[cells, picked].sum()
        if (used <= SLOTS).all() and total < least:
            best, least = picked, total
        prices = np.maximum(0, prices + step / (1 + turn / 50) * (used - SLOTS) / SLOTS)
    return best


def _best_change(
    held: NDArray[np.bool_], cost: NDArray[np.float64]
) -> list[tuple[int, int]] | None:
    """Places (cell, code) to flip: one more, or one more for one less of the same code."""
    powers = 1 << np.arange(CODES)
    now = cost[np.arange(CELLS), held @ powers - 1]
    floor = 1e-9 * now.sum()
    best, change = floor, None
    for code in range(CODES):
        flipped = held.copy()
        flipped[:, code] = ~flipped[:, code]
        bare = ~flipped.any(axis=1)
        sets = np.where(bare, 0, flipped @ powers - 1)
        gain = np.where(bare, -np.inf, now - cost[np.arange(CELLS), sets])
        more, less = np.where(held[:, code], -np.inf, gain), np.where(held[:, code], gain, -np.inf)
        added, removed = int(more.argmax()), int(less.argmax())
        if held[:, code].sum() < SLOTS:
            if more[added] > best:
                best, change = more[added], [(added, code)]
        elif more[added] + less[removed] > best:
            best, change = more[added] + less[removed], [(added, code), (removed, code)]
    return change


def _laid(held: NDArray[np.bool_], cost: NDArray[np.float64]) -> CodeTable:
    """A table of sets [64, 8], its tiny cells laid in runs as in :func:`speq.formats.fit.tidy`.

    A cell's own code is the one that serves it best alone.
    """
    tiny = tiny_cells(np.flatnonzero(held[:, 0]))
    laid = np.repeat(np.arange(CODES), held[:tiny].sum(axis=0))[::-1][:tiny]
    # Zero takes the least draft value; more codes than one are wasted on what hardly occurs.
    if held[:tiny, 0].any():
        laid = np.concatenate([[0], laid[laid > 0], np.zeros(tiny, dtype=int)])[:tiny]
    alone = np.where(held, cost[:, _ALONE], np.inf).argmin(axis=1)
    codes = [*laid.tolist(), *alone[tiny:].tolist()]
    others = [np.flatnonzero(held[cell]) for cell in range(tiny, CELLS)]
    spare = [tuple(int(c) for c in each if c != codes[tiny + i]) for i, each in enumerate(others)]
    return CodeTable(tuple(codes), (*((),) * tiny, *spare))
