"""OliVe's adaptive biased float (abfloat): the format of outliers."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FORMATS", "Abfloat"]


@dataclasses.dataclass(frozen=True)
class Abfloat:
    """Sign, exponent and mantissa in a slot, and a bias that is the same for all.

    A slot ``sign | exponent | mantissa`` is worth ``sign * (2**mantissa_bits + mantissa) *
    2**(exponent + bias)``, but zero if exponent and mantissa are zero.

    Parameters
    ----------
    exponent_bits, mantissa_bits, bias : int
        Of the format.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int

    @property
    def bits(self) -> int:
        """Width of a slot."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def magnitudes(self) -> NDArray[np.int64]:
        """Value of each magnitude code ``exponent | mantissa``; they increase."""
        exponents, integers = self.fields(np.arange(1 << (self.bits - 1)))
        return integers << exponents

    def fields(self, slots: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Exponent (bias included) and signed integer of each slot.

        Returns
        -------
        exponents, integers : NDArray of int64
            The value is ``integer * 2**exponent``.
        """
        codes = np.asarray(slots, np.int64)
        magnitude = codes & ((1 << (self.bits - 1)) - 1)
        mantissa = codes & ((1 << self.mantissa_bits) - 1)
        integer = np.where(magnitude == 0, 0, (1 << self.mantissa_bits) + mantissa)
        exponent = (magnitude >> self.mantissa_bits) + self.bias
        return exponent, np.where(codes >> (self.bits - 1) & 1, -integer, integer)

    def values(self, slots: NDArray[np.integer]) -> NDArray[np.int64]:
        """Value of each slot."""
        exponents, integers = self.fields(slots)
        return integers << exponents

    def nearest(self, values: ArrayLike, largest: int | None = None) -> NDArray[np.int64]:
        """Slot of the nearest value that is not zero; of two as near, the smaller magnitude.

        Parameters
        ----------
        values : array_like of float
            Finite.
        largest : int, optional
            Magnitudes beyond are not used; by default all are.
        """
        values = np.asarray(values, np.float64)
        grid = self.magnitudes[1:].astype(np.float64)
        if largest is not None:
            grid = grid[grid <= largest]
        middles = (grid[1:] + grid[:-1]) / 2
        code = 1 + np.searchsorted(middles, np.abs(values), side="left")
        return code | np.where(values < 0, 1 << (self.bits - 1), 0)


FORMATS: dict[int, Abfloat] = {4: Abfloat(2, 1, 2), 8: Abfloat(4, 3, 4)}
"""E2M1 with bias 2 (12..96) and E4M3 with bias 4 (144..15 * 2**19), by the width of the slot."""
