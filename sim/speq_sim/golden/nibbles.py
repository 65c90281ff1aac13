"""DRAFT, QDRAFT and QVERIFY: 4-bit weights times blocks of activations (docs/numerics.md)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.blocks import BFP6, BlockFormat, block_floating_point, qverify_format
from speq_sim.golden.checks import (
    check_activations,
    check_depth,
    check_exponents,
    check_format,
    check_integers,
    check_nibbles,
)
from speq_sim.golden.int4 import INTEGERS
from speq_sim.golden.rounding import ResultFormat, canonical, round_sums
from speq_sim.golden.special import special_sums, to_float64
from speq_sim.golden.wide import Split, exact_sums

__all__ = ["draft", "integer_draft", "integer_verify"]

DRAFT_BITS = 5
"""Fraction bits of a draft value ``d * 2**-5``."""

UNIT_BITS = 13
"""A block's values are multiples of ``2**-(UNIT_BITS + b)``, since E is 1 or more."""

SPLIT = Split(bits=30, weight_pieces=1, activation_pieces=2, products=1 << 16)
"""Weights are integers of magnitude at most 63, activations below ``2**57``.

An activation is below ``2**b`` times ``2**(E - 1)``, E at most 46. Its pieces are at most ``2**29``
and ``2**27``: 65,536 products stay below ``2**16 * 2**6 * 2**29 = 2**51``.
"""


def draft(
    nibbles: NDArray[np.uint8],
    draft_values: Sequence[int] | NDArray[np.integer],
    activations: NDArray[np.float16],
    column_shifts: NDArray[np.integer] | None = None,
    row_exponents: NDArray[np.integer] | None = None,
    form: BlockFormat = BFP6,
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """Exact dot products of draft weights and blocks of activations, rounded once.

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
    form : BlockFormat
        What becomes of the activations: that of a design is
        ``block_format(parameters.activation_format, parameters.draft_lanes)``.
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
    check_nibbles(nibbles)
    magnitudes = check_integers("draft values", np.asarray(draft_values), 8, 0, 63)
    weights = np.concatenate([magnitudes, -magnitudes])
    exponents = check_exponents(row_exponents, nibbles.shape[0])
    return _dot(
        nibbles, weights, activations, column_shifts, exponents + DRAFT_BITS, form, result_format
    )


def integer_draft(
    nibbles: NDArray[np.uint8],
    activations: NDArray[np.float16],
    form: BlockFormat = BFP6,
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """QDRAFT: exact dot products of INT4 weights and blocks of activations, rounded once.

    Of INT4 activations, as :func:`speq_sim.golden.int4.quantise_activations` makes them, it is the
    integer dot product, whatever the format.

    Parameters
    ----------
    nibbles : NDArray
        INT4 weights as :data:`speq_sim.golden.int4.INTEGERS` reads them, N x K uint8 below 16, K at
        most 65,536.
    activations : NDArray
        x, M x K float16.
    form, result_format
        As in :func:`draft`.

    Returns
    -------
    NDArray
        y, M x N float32 or float16, without the epilogue's scales.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong.
    """
    check_nibbles(nibbles)
    exponents = np.zeros(nibbles.shape[0], dtype=np.int64)
    return _dot(nibbles, INTEGERS, activations, None, exponents, form, result_format)


def integer_verify(
    nibbles: NDArray[np.uint8],
    activations: NDArray[np.float16],
    lanes: int = 4,
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """QVERIFY: exact dot products of INT4 weights and near-FP16 activations, rounded once.

    Parameters
    ----------
    nibbles, activations, result_format
        As in :func:`integer_draft`.
    lanes : int
        L of the design: 1 takes FP16 activations as they are, 2 and 4 pairs of 12 bits.

    Returns
    -------
    NDArray
        y, M x N float32 or float16, without the epilogue's scales.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong.
    """
    return integer_draft(nibbles, activations, qverify_format(lanes), result_format)


def _dot(
    nibbles: NDArray[np.uint8],
    weights: NDArray[np.integer],
    activations: NDArray[np.float16],
    column_shifts: NDArray[np.integer] | None,
    row_exponents: NDArray[np.int64],
    form: BlockFormat,
    result_format: ResultFormat,
) -> NDArray[np.floating]:
    """Sums over ``weights[nibbles]``, times ``2**-row_exponents``, rounded."""
    check_activations(activations)
    check_depth(nibbles, activations)
    check_format(result_format)
    values = weights.astype(np.float64)
    blocks = block_floating_point(activations, column_shifts, form)
    regular = ~(blocks.infinite | blocks.nan)
    magnitude = np.where(regular, blocks.magnitude, 0).astype(np.float64)
    signed = np.where(blocks.negative, -magnitude, magnitude)
    integers = np.ldexp(signed, blocks.spread_exponent() - 1)
    sums = exact_sums(nibbles, lambda block: values[block], integers, SPLIT)
    results = round_sums(sums, -row_exponents - UNIT_BITS - form.bits, result_format)
    columns = ~regular.all(axis=0)
    special = special_sums(values[nibbles[:, columns]], to_float64(activations[:, columns]))
    return canonical(results, special, result_format)
