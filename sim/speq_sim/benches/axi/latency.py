"""Latencies of a memory: each call gives the cycles from one request to its first beat."""

import random

__all__ = ["Fixed", "Uniform"]


class Fixed:
    """The same latency for every burst.

    Parameters
    ----------
    cycles : int
        1 or more.
    """

    def __init__(self, cycles: int) -> None:
        if cycles < 1:
            raise ValueError(f"a latency of {cycles} cycles: the fastest memory takes 1")
        self.cycles = cycles

    def __call__(self) -> int:
        """Cycles of the next burst."""
        return self.cycles


class Uniform:
    """Latencies drawn evenly from `low` to `high`, both included.

    Parameters
    ----------
    low, high : int
        Cycles; 1 <= low <= high.
    seed : int or str
        Of the sequence.
    """

    def __init__(self, low: int, high: int, seed: int | str) -> None:
        if not 1 <= low <= high:
            raise ValueError(f"latencies of {low} to {high} cycles: need 1 <= low <= high")
        self.low, self.high = low, high
        self._random = random.Random(seed)

    def __call__(self) -> int:
        """Cycles of the next burst."""
        return self._random.randint(self.low, self.high)
