"""The one rounding of a result: to nearest, ties to even, from the exact sum."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.wide import Wide

__all__ = ["CANONICAL_NAN", "RESULT_TYPES", "ResultFormat", "canonical", "round_sums"]

ResultFormat = Literal["fp32", "fp16"]

RESULT_TYPES: dict[str, np.dtype] = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16)}

CANONICAL_NAN: dict[str, int] = {"fp32": 0x7FC00000, "fp16": 0x7E00}
"""Bit pattern of the only NaN a result can be."""


def round_sums(
    sums: Wide, exponents: NDArray[np.int64], result_format: ResultFormat
) -> NDArray[np.floating]:
    """Round ``sums * 2**exponents`` once, to nearest, ties to even.

    The sum is first rounded *to odd* to a float64: cut to at least 27 significant bits, the last
    of which is set when anything was cut off. Rounding that again to p bits gives the bits of a
    single rounding when it has at least p + 2 bits (Boldo and Melquiond, "Emulation of FMA and
    correctly rounded sums: proved algorithms using rounding to odd", 2008): 26 for FP32, fewer for
    FP16 and for subnormal results.

    Parameters
    ----------
    sums : Wide
        M x N, magnitude below ``2**102``.
    exponents : NDArray
        Powers of two that broadcast to M x N, within -126..126.
    result_format : str
        ``"fp32"`` or ``"fp16"``.

    Returns
    -------
    NDArray
        M x N float32 or float16. An exact zero gives +0; too large a magnitude gives infinity.
    """
    negative = sums.high < 0
    low = np.where(negative, np.uint64(0) - sums.low, sums.low)
    high = np.where(negative, ~sums.high + (low == 0), sums.high).view(np.uint64)
    # high < 2**38: with bits 64 and up present, what stays of low beside them is 26 bits.
    long = high != 0
    odd, cut = _cut(low, 38)
    odd = np.where(long, (high << np.uint64(26)) | odd, low)
    odd |= (long & cut).astype(np.uint64)
    # float64 holds integers below 2**53 exactly; a longer one keeps 42 bits or more.
    wide = odd >= np.uint64(1 << 53)
    short, cut = _cut(odd, 11)
    odd = np.where(wide, short | cut, odd)
    powers = 38 * long + 11 * wide + exponents
    signed = np.where(negative, -1.0, 1.0) * odd.astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(signed, powers).astype(RESULT_TYPES[result_format])


def canonical(
    results: NDArray[np.floating], special: NDArray[np.float64], result_format: ResultFormat
) -> NDArray[np.floating]:
    """Put infinities and canonical NaNs where `special` has them.

    Parameters
    ----------
    results : NDArray
        Finite results, of the type of `result_format`; not changed.
    special : NDArray
        Array of the same shape: where it is infinite or NaN, so is the result.
    result_format : str
        ``"fp32"`` or ``"fp16"``.
    """
    dtype = RESULT_TYPES[result_format]
    patterns = np.dtype(f"u{dtype.itemsize}")
    nan = np.array(CANONICAL_NAN[result_format], dtype=patterns).view(dtype)
    results = np.where(np.isinf(special), np.copysign(dtype.type(np.inf), special), results)
    return np.where(np.isnan(special), nan, results).astype(dtype, copy=False)


def _cut(values: NDArray[np.uint64], bits: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Drop low bits: what is left, and whether any dropped bit was set."""
    mask = np.uint64((1 << bits) - 1)
    return values >> np.uint64(bits), (values & mask) != 0
