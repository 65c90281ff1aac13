"""Outlier-victim pairs: two slots side by side, one of which may be sacrificed for the other."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.baselines.abfloat import FORMATS

__all__ = ["LARGEST_OUTLIER", "Keep", "decode", "decode_fields", "encode", "identifier"]

Keep = Literal["larger", "left"]
"""Which of two outliers in a pair survives: the larger (the even one if they are as large, as the
paper is summarised), or always the even one (as the authors' code does)."""

LARGEST_OUTLIER: dict[int, int] = {4: 96, 8: 1 << 15}
"""Largest magnitude that the encoder gives, by the width of the slot.

With 8 bits the format goes on to ``15 * 2**19``, whose products no 32-bit accumulator holds; below
``2**15`` a product stays within ``2**30``. (Our choice.)
"""


def identifier(bits: int) -> int:
    """The slot that marks a victim: 1000 or 10000000."""
    return 1 << (bits - 1)


def decode_fields(
    slots: NDArray[np.integer], bits: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exponent and integer of each slot of many pairs; its value is ``integer * 2**exponent``.

    A slot whose neighbour is the identifier is an outlier, any other an integer in two's
    complement with exponent 0. The identifier itself is zero.

    Parameters
    ----------
    slots : NDArray of int, shape (..., 2 * P)
        Slots, the two of a pair side by side.
    bits : int
        4 or 8.

    Raises
    ------
    ValueError
        If the last axis is odd, or a slot is not below ``2**bits``.
    """
    slots = np.asarray(slots, np.int64)
    _check_pairs(slots)
    if slots.size and not 0 <= slots.min() <= slots.max() < 1 << bits:
        raise ValueError(f"slots must lie in 0..{(1 << bits) - 1}: mask them to {bits} bits")
    form, mark = FORMATS[bits], identifier(bits)
    neighbours = _swapped(slots)
    exponents, outliers = form.fields(slots)
    integers = np.where(slots >= mark, slots - 2 * mark, slots)
    outlying = neighbours == mark
    integers = np.where(outlying, outliers, integers)
    return np.where(outlying, exponents, 0), np.where(slots == mark, 0, integers)


def decode(slots: NDArray[np.integer], bits: int) -> NDArray[np.int64]:
    """Values of slots, in steps of an integer. See :func:`decode_fields`."""
    exponents, integers = decode_fields(slots, bits)
    return integers << exponents


def encode(values: NDArray[np.floating], bits: int, keep: Keep = "larger") -> NDArray[np.int64]:
    """Slots of the nearest pairs.

    A value is an outlier if it is nearer to the least outlier than to the largest integer (a tie is
    none). Integers are rounded to nearest, ties to even. An outlier's neighbour becomes the victim,
    whatever it is.

    Parameters
    ----------
    values : NDArray, shape (..., 2 * P)
        Finite numbers in steps of an integer.
    bits : int
        4 or 8.
    keep : str
        Which of two outliers survives.

    Raises
    ------
    ValueError
        If the last axis is odd, or `keep` is unknown.
    """
    values = np.asarray(values, np.float64)
    _check_pairs(values)
    if keep not in ("larger", "left"):
        raise ValueError(f"keep is {keep!r}, but must be larger or left")
    form, mark = FORMATS[bits], identifier(bits)
    sizes = np.abs(values)
    outlying = sizes > (mark - 1 + form.magnitudes[1]) / 2
    even = np.arange(values.shape[-1]) % 2 == 0
    neighbours, neighbour_outlying = _swapped(sizes), _swapped(outlying)
    beaten = ~even if keep == "left" else (neighbours > sizes) | ((neighbours == sizes) & ~even)
    victim = neighbour_outlying & (~outlying | beaten)
    integers = np.clip(np.rint(values), 1 - mark, mark - 1).astype(np.int64) & (2 * mark - 1)
    outliers = form.nearest(values, LARGEST_OUTLIER[bits])
    return np.where(victim, mark, np.where(outlying, outliers, integers))


def _swapped(array: NDArray) -> NDArray:
    """Each pair's two elements exchanged."""
    return array.reshape(*array.shape[:-1], -1, 2)[..., ::-1].reshape(array.shape)


def _check_pairs(array: NDArray) -> None:
    if array.ndim == 0 or array.shape[-1] % 2:
        raise ValueError(
            f"an array of shape {array.shape} has no whole pairs: pad its last axis to an even "
            f"length with zeros"
        )
