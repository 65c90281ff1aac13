"""Orthonormal Hadamard transforms, in the time of butterflies."""

import functools

import numpy as np
from numpy.typing import NDArray

from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.hadamard_matrices import base_matrix

__all__ = ["MOST_BASE", "factor", "hadamard_matrix", "hadamard_transform"]

MOST_BASE = 512
"""Largest order of a matrix that is multiplied as a whole."""


@functools.cache
def factor(order: int) -> tuple[int, int]:
    """Split an order n into ``2**k`` and the least m that a construction has, ``n = 2**k * m``.

    Of the orders up to :data:`MOST_BASE`, m is 1, q + 1 or 2(q + 1) for prime powers q (Paley I and
    II), or 172 (:func:`speq_sim.decoding.hadamard_matrices.base_matrix`).

    Returns
    -------
    tuple of int
        ``2**k`` and m.

    Raises
    ------
    ModelError
        If there is none. The message names the order.
    """
    if order >= 1:
        base = order // (order & -order)
        while base <= min(order, MOST_BASE):
            if base_matrix(base) is not None:
                return order // base, base
            base *= 2
    raise ModelError(
        f"no Hadamard transform of order {order} is known here: orders are powers of two times 1, "
        f"172, or q + 1 or 2(q + 1) for a prime power q; leave this rotation out"
    )


def hadamard_transform(x: NDArray) -> NDArray:
    """``x @ H`` over the last axis, with the orthonormal matrix of :func:`hadamard_matrix`.

    n = 2**k * m elements take k butterflies and m multiplications each. Every vector is treated by
    itself: its result does not depend on those beside it, to the last bit.

    Parameters
    ----------
    x : NDArray
        [..., n], float32 or float64.

    Returns
    -------
    NDArray
        [..., n], of the type of `x`.

    Raises
    ------
    ModelError
        If the order n is not supported.
    TypeError
        If `x` is of another type.
    """
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(f"x is {x.dtype}: give float32 or float64")
    order = x.shape[-1]
    butterflies, base = factor(order)
    values = x.reshape(-1, butterflies, base)
    if base > 1:
        # Over two axes and a batch, so that the shape BLAS sees is the same for every batch.
        values = values @ base_matrix(base).astype(x.dtype)
    half = 1
    while half < butterflies:
        pairs = values.reshape(-1, butterflies // (2 * half), 2, half * base)
        first, second = pairs[:, :, 0], pairs[:, :, 1]
        values = np.stack((first + second, first - second), axis=2)
        half *= 2
    return (values * x.dtype.type(order**-0.5)).reshape(x.shape)


def hadamard_matrix(order: int) -> NDArray[np.float64]:
    """The orthonormal matrix H [n, n]: Sylvester's of order 2**k, Kronecker the base, over sqrt(n).

    ``H @ H.T = I``. H is symmetric for powers of two, but not in general.

    Raises
    ------
    ModelError
        If the order is not supported.
    """
    butterflies, base = factor(order)
    matrix = np.ones((1, 1))
    while len(matrix) < butterflies:
        matrix = np.kron(np.array([[1, 1], [1, -1]]), matrix)
    return np.kron(matrix, base_matrix(base)) / np.sqrt(order)
