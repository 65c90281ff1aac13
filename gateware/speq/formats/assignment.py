"""Minimum-cost assignment of cells to codes of limited capacity."""

import numpy as np
from numpy.typing import NDArray

from speq.formats.tables import SLOTS

__all__ = ["assign"]


def assign(cost: NDArray[np.float64]) -> NDArray[np.intp]:
    """Minimum-cost assignment of cells to codes of limited capacity.

    Parameters
    ----------
    cost : array of float64 [64, 8]
        Cost of each cell under each code.

    Returns
    -------
    array of int [64]
        Code of each cell; no code more than 16 times. The shortest-augmenting-path method
        (Hungarian method with potentials) on 16 equal places per code: exact.
    """
    cells = len(cost)
    places = np.repeat(cost, SLOTS, axis=1)
    count = places.shape[1]
    owner = np.full(count + 1, -1)
    cell_price = np.zeros(cells)
    place_price = np.zeros(count + 1)
    for cell in range(cells):
        owner[count] = cell
        place = count
        shortest = np.full(count, np.inf)
        before = np.full(count, count)
        visited = np.zeros(count + 1, dtype=bool)
        while owner[place] >= 0:
            visited[place] = True
            current = owner[place]
            reduced = places[current] - cell_price[current] - place_price[:count]
            closer = ~visited[:count] & (reduced < shortest)
            shortest[closer] = reduced[closer]
            before[closer] = place
            open_places = np.where(visited[:count], np.inf, shortest)
            place = int(np.argmin(open_places))
            step = open_places[place]
            cell_price[owner[visited]] += step
            place_price[visited] -= step
            shortest[~visited[:count]] -= step
        while place != count:
            previous = before[place]
            owner[place] = owner[previous]
            place = int(previous)
    result = np.empty(cells, dtype=np.intp)
    taken = np.flatnonzero(owner[:count] >= 0)
    result[owner[taken]] = taken // SLOTS
    return result
