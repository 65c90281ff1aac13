"""When a float64 product of matrices is certain to round to the golden model's result.

Let ``s`` be the exact sum of K products ``w[k] * x[k]``, ``y`` what BLAS gives for it, and ``u`` be
``2**-53``. All w and x are exact in float64, and nothing leaves its normal range: all are multiples
of ``2**-112`` up to ``2**112``. Two cases are certain.

1. *The product is exact.* All w of a row are multiples of a power of two ``a``, all x of a token
   of ``b``. So every partial sum, in any order, with or without fused multiply-adds, is a
   multiple of ``a * b`` and at most ``max|w| * sum|x|``. If that is at most ``2**53 * a * b``, no
   operation rounds, and ``y == s``. Most tokens in front of 4-bit weights are of this kind.
2. *The product is near enough.* In any order, with or without fused multiply-adds,
   ``|y - s| <= gamma * sum|w[k] * x[k]| <= gamma * |w| * |x|``, with Euclidean norms and ``gamma =
   K*u / (1 - K*u)`` (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1;
   Cauchy and Schwarz). Let ``e`` be at least ``(gamma + 4*u) * |w| * |x|``. In float64 ``low = y -
   e`` and ``high = y + e`` are rounded by at most ``u * (|y| + e)``, and ``|y| <= (1 + gamma) *
   |w| * |x|``, so that is below ``2*u * |w| * |x|``, which e has to spare. Hence ``low <= s <=
   high``. Rounding to the result format is monotone: if low and high round to the same bits, s
   rounds to them too.

A result near zero, or halfway between two numbers of the format, is never certain by case 2: low
and high lie on either side of it. Bits are compared, so that +0 and -0 differ.

This holds for a matrix product that sums K products per result, as BLAS libraries do; not for
methods like Strassen's.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["error_bounds", "norms_of", "round_certainly", "round_exact", "span_of"]

UNIT_ROUNDOFF = 2.0**-53

FINEST_WEIGHT = 24
"""Weights of every mode, without their row exponents, are multiples of ``2**-FINEST_WEIGHT``."""

FINEST_ACTIVATION = 25
"""Activations of every mode are multiples of ``2**-FINEST_ACTIVATION``, below ``2**32``."""

MARGIN = 1 + 2.0**-20
"""Covers all roundings of norms and bounds: of K + 10 operations at most, K up to ``2**16``."""


def span_of(weights: NDArray[np.float64]) -> float:
    """The largest, over all rows, of max|w| over ``a``, the power of two that divides the row.

    Parameters
    ----------
    weights : NDArray
        N x K, finite, before row exponents, which do not change it.
    """
    largest = np.abs(weights).max(axis=1, initial=0)
    return float((largest / _units(weights, FINEST_WEIGHT)).max(initial=0))


def norms_of(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean norms of rows, or a trifle more."""
    with np.errstate(invalid="ignore"):
        return np.sqrt((numbers * numbers).sum(axis=1)) * MARGIN


def error_bounds(activations: NDArray[np.float64], span: float) -> NDArray[np.float64]:
    """For each token, what times a row's norm is e; 0 where all its products are exact.

    Parameters
    ----------
    activations : NDArray
        M x K, finite.
    span : float
        Of the weights, by :func:`span_of`.

    Returns
    -------
    NDArray
        M float64.
    """
    reach = np.abs(activations).sum(axis=1) * (span * MARGIN)
    exact = reach <= 2.0**53 * _units(activations, FINEST_ACTIVATION)
    errors = (activations.shape[1] + 8) * UNIT_ROUNDOFF * MARGIN
    return np.where(exact, 0, errors * norms_of(activations))


def round_exact(sums: NDArray[np.float64], results: NDArray[np.floating]) -> None:
    """Round exact sums into `results`; a sum of zero is +0."""
    _rounded(np.add, sums, 0.0, results)


def round_certainly(
    near: NDArray[np.float64], errors: NDArray[np.float64], results: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Round into `results`, and say where that is not certain to be the exact sum rounded.

    Parameters
    ----------
    near, errors : NDArray
        y and e, M x N.
    results : NDArray
        M x N float32 or float16, which is overwritten.
    """
    low = np.empty_like(results)
    _rounded(np.subtract, near, errors, low)
    _rounded(np.add, near, errors, results)
    patterns = np.dtype(f"u{results.itemsize}")
    return low.view(patterns) != results.view(patterns)


def _units(numbers: NDArray[np.float64], finest: int) -> NDArray[np.float64]:
    """Largest power of two that divides all numbers of a row; infinite if all are zero."""
    bits = np.bitwise_or.reduce((numbers * 2.0**finest).astype(np.int64), axis=1)
    # The lowest bit set, in two's complement: the same for a number and its negative.
    return np.where(bits == 0, np.inf, (bits & -bits) * 2.0**-finest)


def _rounded(
    operation: np.ufunc,
    near: NDArray[np.float64],
    other: NDArray[np.float64] | float,
    results: NDArray[np.floating],
) -> None:
    """A sum or difference in float64, rounded into `results` without a copy."""
    with np.errstate(over="ignore", under="ignore"):
        operation(near, other, out=results, dtype=np.float64, casting="same_kind")
