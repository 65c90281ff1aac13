"""VERIFY and MIDDLE: exact products of FP16 weights and activations (docs/numerics.md)."""

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.checks import (
    check_activations,
    check_depth,
    check_exponents,
    check_format,
    check_shifts,
    check_weights,
)
from speq_sim.golden.rounding import ResultFormat, canonical, round_sums
from speq_sim.golden.special import finite, special_sums, to_float64
from speq_sim.golden.wide import Split, exact_sums

__all__ = ["middle", "middle_values", "verify", "verify_packed"]

FP16_BITS = 24
"""Every finite FP16 number is a multiple of ``2**-FP16_BITS``, below ``2**16``."""

VERIFY_SPLIT = Split(bits=20, weight_pieces=2, activation_pieces=3, products=8192)
"""Weights are integers below ``2**40``, shifted activations below ``2**55``.

No piece exceeds ``2**20``: a weight's top piece is at most ``2047 * 2**9``, an activation's at most
``2**15``, all others ``2**19``. 8192 products of them stay within ``2**13 * 2**40 = 2**53``.
"""


def verify(
    weights: NDArray[np.float16],
    activations: NDArray[np.float16],
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """Exact dot products of FP16 weights and activations, rounded once.

    Parameters
    ----------
    weights : NDArray
        w, N x K float16, K at most 65,536.
    activations : NDArray
        x, M x K float16.
    result_format : str
        ``"fp32"`` or ``"fp16"``.

    Returns
    -------
    NDArray
        y, M x N float32 or float16.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong.
    """
    return verify_packed(weights, activations, None, None, result_format)


def verify_packed(
    values: NDArray[np.float16],
    activations: NDArray[np.float16],
    column_shifts: NDArray[np.integer] | None = None,
    row_exponents: NDArray[np.integer] | None = None,
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """VERIFY through the packed domain: stored values, shifted activations, scaled rounding.

    Parameters
    ----------
    values : NDArray
        v, N x K float16, the stored values. Magnitudes stay below 2 wherever the column has a
        shift.
    activations : NDArray
        x, M x K float16.
    column_shifts : NDArray or None
        s[k] = -c[k], K integers 0..15; None stands for zeros.
    row_exponents : NDArray or None
        t + r[n], N integers -64..63; None stands for zeros.
    result_format : str
        ``"fp32"`` or ``"fp16"``.

    Returns
    -------
    NDArray
        ``round(2**-(t + r[n]) * sum over k of v[n,k] * x[m,k] * 2**s[k])``, M x N float32 or
        float16.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong.
    """
    check_weights("weights", values, np.float16)
    check_activations(activations)
    check_depth(values, activations)
    check_format(result_format)
    shifts = check_shifts(column_shifts, values.shape[1])
    exponents = check_exponents(row_exponents, values.shape[0])
    # Bit 14 of a pattern is set from 2 up, in infinities and NaNs too.
    if shifts.any() and ((values.view(np.uint16) & 0x4000) * (shifts > 0)).any():
        raise ValueError(
            "a weight that is not finite and below 2 in magnitude lies in a column with a shift: "
            "scale the tensor below 2, or store it plain with all shifts 0"
        )
    with np.errstate(invalid="ignore"):  # NumPy warns of signalling NaNs
        scaled = to_float64(activations) * 2.0**shifts
    sums = exact_sums(values, _fp16_integers, finite(scaled) * 2.0**FP16_BITS, VERIFY_SPLIT)
    results = round_sums(sums, -exponents - 2 * FP16_BITS, result_format)
    columns = ~(np.isfinite(values).all(axis=0) & np.isfinite(scaled).all(axis=0))
    special = special_sums(to_float64(values[:, columns]), scaled[:, columns])
    return canonical(results, special, result_format)


def middle(
    values: NDArray[np.float16],
    activations: NDArray[np.float16],
    column_shifts: NDArray[np.integer] | None = None,
    row_exponents: NDArray[np.integer] | None = None,
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """Exact dot products of the high bytes of packed weights and FP16 activations, rounded once.

    Parameters
    ----------
    values : NDArray
        v, N x K float16, the stored values of a packed tensor, all below 2 in magnitude; their low
        bytes do not matter.
    activations, column_shifts, row_exponents, result_format
        As in :func:`verify_packed`.

    Returns
    -------
    NDArray
        ``round(2**-(t + r[n]) * sum over k of v''[n,k] * x[m,k] * 2**s[k])``, M x N float32 or
        float16, with v'' of :func:`middle_values`.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong.
    """
    return verify_packed(
        middle_values(values), activations, column_shifts, row_exponents, result_format
    )


def middle_values(values: NDArray[np.float16]) -> NDArray[np.float16]:
    """The values with their low bytes at the midpoint, 0x80: what 8 bits say of them.

    A code and its slot name a cell, which is the high byte of the magnitude, so decoding with
    another low byte is replacing it.

    Raises
    ------
    TypeError, ValueError
        If `values` are no N x K float16, or not finite and below 2 in magnitude.
    """
    check_weights("values", values, np.float16)
    patterns = values.view(np.uint16)
    if (patterns & 0x4000).any():
        raise ValueError(
            "a weight is not finite and below 2 in magnitude, so the tensor has no middle values: "
            "pack it, or verify it"
        )
    return (patterns & 0xFF00 | 0x80).view(np.float16)


def _fp16_integers(values: NDArray[np.float16]) -> NDArray[np.float64]:
    """Finite values in units of the least subnormal; 0 for the others."""
    return finite(to_float64(values)) * 2.0**FP16_BITS
