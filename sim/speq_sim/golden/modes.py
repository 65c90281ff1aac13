"""VERIFY and DRAFT: what each mode computes of a whole matrix (docs/numerics.md)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.blocks import block_floating_point
from speq_sim.golden.checks import (
    check_activations,
    check_depth,
    check_exponents,
    check_format,
    check_integers,
    check_shifts,
    check_weights,
)
from speq_sim.golden.rounding import ResultFormat, canonical, round_sums
from speq_sim.golden.wide import Split, exact_sums

__all__ = ["draft", "verify", "verify_packed"]

FP16_BITS = 24
"""Every finite FP16 number is a multiple of ``2**-FP16_BITS``, below ``2**16``."""

DRAFT_BITS = 5
"""Fraction bits of a draft value ``d * 2**-5``."""

VERIFY_SPLIT = Split(bits=20, weight_pieces=2, activation_pieces=3, products=8192)
"""Weights are integers below ``2**40``, shifted activations below ``2**55``.

No piece exceeds ``2**20``: a weight's top piece is at most ``2047 * 2**9``, an activation's at most
``2**15``, all others ``2**19``. 8192 products of them stay within ``2**13 * 2**40 = 2**53``.
"""

DRAFT_SPLIT = Split(bits=30, weight_pieces=1, activation_pieces=2, products=1 << 16)
"""Weights are integers of magnitude at most 63, activations below ``2**55``.

An activation's pieces are at most ``2**29`` and ``2**25``: 65,536 products stay below
``2**16 * 2**6 * 2**29 = 2**51``.
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
        scaled = _float64(activations) * 2.0**shifts
    sums = exact_sums(values, _fp16_integers, _finite(scaled) * 2.0**FP16_BITS, VERIFY_SPLIT)
    results = round_sums(sums, -exponents - 2 * FP16_BITS, result_format)
    columns = ~(np.isfinite(values).all(axis=0) & np.isfinite(scaled).all(axis=0))
    special = _special_sums(_float64(values[:, columns]), scaled[:, columns])
    return canonical(results, special, result_format)


def draft(
    nibbles: NDArray[np.uint8],
    draft_values: Sequence[int] | NDArray[np.integer],
    activations: NDArray[np.float16],
    column_shifts: NDArray[np.integer] | None = None,
    row_exponents: NDArray[np.integer] | None = None,
    lanes: int = 4,
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """Exact dot products of draft weights and block-floating-point activations, rounded once.

    Parameters
    ----------
    nibbles : NDArray
        Draft words ``sign << 3 | code``, N x K uint8 below 16, K at most 65,536.
    draft_values : sequence of int
        d, eight integers 0..63, indexed by code.
    activations : NDArray
        x, M x K float16.
    column_shifts : NDArray or None
        s[k], K integers 0..15; None stands for zeros.
    row_exponents : NDArray or None
        t + r[n], N integers -64..63; None stands for zeros.
    lanes : int
        L, block size of the activations: 1, 2 or 4.
    result_format : str
        ``"fp32"`` or ``"fp16"``.

    Returns
    -------
    NDArray
        y, M x N float32 or float16, without the epilogue's factor alpha.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong.
    """
    check_weights("nibbles", nibbles, np.uint8)
    check_activations(activations)
    check_depth(nibbles, activations)
    check_format(result_format)
    if nibbles.size and nibbles.max() > 15:
        raise ValueError(f"nibbles reach {nibbles.max()}, but a draft word is 4 bits: 0..15")
    magnitudes = check_integers("draft values", np.asarray(draft_values), 8, 0, 63)
    exponents = check_exponents(row_exponents, nibbles.shape[0])

    signed = np.concatenate([magnitudes, -magnitudes]).astype(np.float64)
    blocks = block_floating_point(activations, column_shifts, lanes)
    finite = ~(blocks.infinite | blocks.nan)
    # An integer multiple of 2**-24: the exponent is 1 or more, and b is 11 at most.
    magnitude = np.where(finite, blocks.magnitude, 0).astype(np.float64)
    powers = blocks.spread_exponent() - 14 - blocks.bits + FP16_BITS
    integers = np.ldexp(np.where(blocks.negative, -magnitude, magnitude), powers)
    sums = exact_sums(nibbles, lambda block: signed[block], integers, DRAFT_SPLIT)
    results = round_sums(sums, -exponents - DRAFT_BITS - FP16_BITS, result_format)
    columns = ~finite.all(axis=0)
    special = _special_sums(signed[nibbles[:, columns]], _float64(activations[:, columns]))
    return canonical(results, special, result_format)


def _float64(values: NDArray[np.float16]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, 0.0)


def _fp16_integers(values: NDArray[np.float16]) -> NDArray[np.float64]:
    """Finite values in units of the least subnormal; 0 for the others."""
    return _finite(_float64(values)) * 2.0**FP16_BITS


def _special_sums(
    weights: NDArray[np.float64], activations: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sums over the columns that hold an infinity or a NaN: finite, infinite or NaN.

    IEEE arithmetic is the special-value table, and nothing finite overflows float64 here. Not a
    BLAS product, which may skip zeros and so lose infinity times zero.
    """
    sums = np.zeros((activations.shape[0], weights.shape[0]))
    with np.errstate(invalid="ignore"):
        for token, vector in enumerate(activations):
            if weights.shape[1]:
                sums[token] = (weights * vector).sum(axis=1)
    return sums
