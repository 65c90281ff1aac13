"""Making prepared matrices (:mod:`speq_sim.golden.prepared`) of the weights of every mode."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.blocks import BFP6, BlockFormat
from speq_sim.golden.certain import norms_of, span_of
from speq_sim.golden.checks import check_exponents, check_shifts
from speq_sim.golden.int4 import INTEGERS
from speq_sim.golden.modes import middle, middle_values, verify_packed
from speq_sim.golden.nibbles import DRAFT_BITS, draft, integer_draft
from speq_sim.golden.prepared import Definition, Prepared, Rows
from speq_sim.golden.rounding import ResultFormat
from speq_sim.golden.special import to_float64

__all__ = ["prepare_draft", "prepare_integers", "prepare_middle", "prepare_verify"]

BLOCK_ELEMENTS = 1 << 17
"""Weights converted at a time."""


def prepare_verify(
    values: NDArray[np.float16],
    column_shifts: NDArray[np.integer] | None = None,
    row_exponents: NDArray[np.integer] | None = None,
) -> Prepared:
    """:func:`speq_sim.golden.verify_packed` of these weights.

    Parameters
    ----------
    values, column_shifts, row_exponents
        As there. They are kept, and must not be changed afterwards.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong.
    """

    def definition(
        rows: Rows, x: NDArray[np.float16], _: BlockFormat, result_format: ResultFormat
    ) -> NDArray[np.floating]:
        exponents = _taken(row_exponents, rows)
        return verify_packed(values[rows], x, column_shifts, exponents, result_format)

    return _prepare(values, to_float64, column_shifts, row_exponents, False, definition)


def prepare_middle(
    values: NDArray[np.float16],
    column_shifts: NDArray[np.integer] | None = None,
    row_exponents: NDArray[np.integer] | None = None,
) -> Prepared:
    """:func:`speq_sim.golden.middle` of these weights; parameters and errors as there."""

    def definition(
        rows: Rows, x: NDArray[np.float16], _: BlockFormat, result_format: ResultFormat
    ) -> NDArray[np.floating]:
        exponents = _taken(row_exponents, rows)
        return middle(values[rows], x, column_shifts, exponents, result_format)

    def numbers(block: NDArray[np.float16]) -> NDArray[np.float64]:
        return to_float64(middle_values(block))

    return _prepare(values, numbers, column_shifts, row_exponents, False, definition)


def prepare_draft(
    nibbles: NDArray[np.uint8],
    draft_values: Sequence[int] | NDArray[np.integer],
    column_shifts: NDArray[np.integer] | None = None,
    row_exponents: NDArray[np.integer] | None = None,
) -> Prepared:
    """:func:`speq_sim.golden.draft` of these weights; parameters and errors as there."""

    def definition(
        rows: Rows, x: NDArray[np.float16], form: BlockFormat, result_format: ResultFormat
    ) -> NDArray[np.floating]:
        exponents = _taken(row_exponents, rows)
        return draft(nibbles[rows], draft_values, x, column_shifts, exponents, form, result_format)

    def numbers(block: NDArray[np.uint8]) -> NDArray[np.float64]:
        magnitudes = np.asarray(draft_values) * 2.0**-DRAFT_BITS
        return np.concatenate([magnitudes, -magnitudes])[block]

    return _prepare(nibbles, numbers, column_shifts, row_exponents, True, definition)


def prepare_integers(nibbles: NDArray[np.uint8]) -> Prepared:
    """:func:`speq_sim.golden.integer_draft` of INT4 weights, and so ``integer_verify``.

    The second is the first with blocks of :func:`speq_sim.golden.qverify_format`.
    """

    def definition(
        rows: Rows, x: NDArray[np.float16], form: BlockFormat, result_format: ResultFormat
    ) -> NDArray[np.floating]:
        return integer_draft(nibbles[rows], x, form, result_format)

    def numbers(block: NDArray[np.uint8]) -> NDArray[np.float64]:
        return INTEGERS.astype(np.float64)[block]

    return _prepare(nibbles, numbers, None, None, True, definition)


def _prepare(
    stored: NDArray,
    to_numbers: Callable[[NDArray], NDArray[np.float64]],
    shifts: NDArray[np.integer] | None,
    exponents: NDArray[np.integer] | None,
    in_blocks: bool,
    definition: Definition,
) -> Prepared:
    # A token of zeros costs next to nothing, and all that the definition refuses is refused here.
    depth = stored.shape[1] if np.ndim(stored) == 2 else 0
    definition(slice(None), np.zeros((1, depth), dtype=np.float16), BFP6, "fp32")
    outputs = len(stored)
    powers = np.ldexp(1.0, -check_exponents(exponents, outputs))
    weights = np.empty((outputs, depth))
    norms = np.empty(outputs)
    span = 0.0
    step = max(1, BLOCK_ELEMENTS // max(depth, 1))
    for start in range(0, outputs, step):
        rows = slice(start, start + step)
        numbers = to_numbers(stored[rows])
        span = max(span, span_of(numbers)) if np.isfinite(numbers).all() else np.inf
        weights[rows] = numbers * powers[rows, None]
        norms[rows] = norms_of(weights[rows])
    return Prepared(weights, norms, span, check_shifts(shifts, depth), in_blocks, definition)


def _taken(exponents: NDArray[np.integer] | None, rows: Rows) -> NDArray[np.integer] | None:
    return None if exponents is None else np.asarray(exponents)[rows]
