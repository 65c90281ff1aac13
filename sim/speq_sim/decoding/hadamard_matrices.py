"""Hadamard matrices beyond powers of two: Paley's two constructions, and one of Williamson's.

A Hadamard matrix of order m has entries +-1 and orthogonal rows, ``H @ H.T = m * I``.
"""

import functools
import itertools

import numpy as np
from numpy.typing import NDArray

__all__ = ["base_matrix"]

_WILLIAMSON_43 = (7, 25, 44, 77)
"""Classes with entry -1 in the first rows of A, B, C, D; bit i is the class of ``3**i``."""


@functools.cache
def base_matrix(order: int) -> NDArray[np.int64] | None:
    """A Hadamard matrix [order, order] of entries +-1, or None where no construction here has one.

    * 1;
    * Paley I: ``q + 1`` for a prime power q of the form 4i + 3;
    * Paley II: ``2 * (q + 1)`` for a prime power q of the form 4i + 1;
    * Williamson: 172.

    The array is shared and cannot be written to.
    """
    if order == 1:
        matrix = np.ones((1, 1), dtype=np.int64)
    elif order % 4 == 0 and _prime_power(order - 1):
        matrix = _paley_one(order - 1)
    elif order % 8 == 4 and _prime_power(order // 2 - 1):
        matrix = _paley_two(order // 2 - 1)
    elif order == 172:
        matrix = _williamson_172()
    else:
        return None
    matrix.flags.writeable = False
    return matrix


def _prime_power(number: int) -> tuple[int, int] | None:
    """The prime p and exponent r with ``p**r == number``, r of 1 or more, or None."""
    if number < 2:
        return None
    prime = next((p for p in range(2, int(number**0.5) + 1) if number % p == 0), number)
    exponent = 0
    while number % prime == 0:
        number //= prime
        exponent += 1
    return (prime, exponent) if number == 1 else None


def _characters(size: int) -> NDArray[np.int64]:
    """Quadratic characters of ``a - b`` [q, q], for all a and b of the field of q elements.

    The character is 0 of zero, +1 of squares and -1 of the others. An element is a polynomial in x
    over the integers modulo p, of degree below r, reduced by a primitive polynomial: one for which
    the powers of x are all elements but zero. The even powers are the squares.
    """
    prime, degree = _prime_power(size)
    digits = prime ** np.arange(degree)
    for low in itertools.product(range(prime), repeat=degree):
        powers = _powers_of_x(np.array(low), prime, size)
        if powers is not None:
            break
    character = np.zeros(size, dtype=np.int64)
    character[powers @ digits] = np.where(np.arange(size - 1) % 2, -1, 1)
    elements = np.arange(size)[:, None] // digits % prime
    return character[(elements[:, None] - elements) % prime @ digits]


def _powers_of_x(low: NDArray, prime: int, size: int) -> NDArray | None:
    """Coefficients [q - 1, r] of ``x**i`` modulo ``x**r + low``, or None if they repeat sooner."""
    degree = len(low)
    power = np.eye(1, degree, dtype=np.int64)[0]
    powers = [power]
    while True:
        shifted = np.concatenate(([0], power[:-1]))
        power = (shifted - power[-1] * low) % prime
        if len(powers) == size - 1 or not power.any() or np.array_equal(power, powers[0]):
            break
        powers.append(power)
    whole = len(powers) == size - 1 and np.array_equal(power, powers[0])
    return np.array(powers) if whole else None


def _paley_one(size: int) -> NDArray[np.int64]:
    """``I + S`` for the skew conference matrix S of order q + 1."""
    skew = np.ones((size + 1, size + 1), dtype=np.int64)
    skew[0, 0] = 0
    skew[1:, 0] = -1
    skew[1:, 1:] = _characters(size)
    return skew + np.eye(size + 1, dtype=np.int64)


def _paley_two(size: int) -> NDArray[np.int64]:
    """The symmetric conference matrix of order q + 1, with a 2 x 2 matrix for each entry."""
    conference = np.ones((size + 1, size + 1), dtype=np.int64)
    conference[0, 0] = 0
    conference[1:, 1:] = _characters(size)
    signs, diagonal = np.array([[1, 1], [1, -1]]), np.array([[1, -1], [-1, -1]])
    return np.kron(conference, signs) + np.kron(np.eye(size + 1, dtype=np.int64), diagonal)


def _williamson_172() -> NDArray[np.int64]:
    """Williamson's array of four symmetric circulant matrices of order 43.

    Their first rows are constant on the seven classes ``{3**(i + 7*j) mod 43}``. The four rows were
    found by trying all such rows for squared spectra that sum to 172.
    """
    rows = np.ones((4, 43), dtype=np.int64)
    for row, mask in zip(rows, _WILLIAMSON_43, strict=True):
        for power in range(42):
            if mask >> power % 7 & 1:
                row[pow(3, power, 43)] = -1
    index = (np.arange(43)[None, :] - np.arange(43)[:, None]) % 43
    a, b, c, d = (row[index] for row in rows)
    return np.block([[a, b, c, d], [-b, a, -d, c], [-c, d, a, -b], [-d, -c, b, a]])
