"""Choosing among the codes of each cell so that draft errors cancel in the layer's output.

Where a table has spare codes, several draft values can stand for one weight, and every one of them
decodes to it. What counts is not the error of each weight but that of the sum: with H, the mean of
``x x^T`` over the inputs x of the layer, a row's error e costs ``e H e^T``. Codes are chosen

1. column by column, those of the strongest inputs first: each weight takes the value nearest to
   itself plus what the columns before left to be made up for. This is GPTQ's error feedback
   (Frantar et al., arXiv 2210.17323), but nothing is rounded: the word keeps the weight;
2. by coordinate descent: weight by weight, whatever code lowers the cost;

for a few alphas per row, of which the best stays, with alpha of least squares under H at the end.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from speq.formats.cells import CELLS, LOW_BITS
from speq.formats.errors import FormatError
from speq.formats.tables import DRAFT_UNIT, Family

__all__ = ["NO_MOMENTS", "Compensated", "compensate", "output_errors"]

DAMPING = 0.01
"""Share of H's mean diagonal that is added to it: inputs of other texts are not quite alike."""

FACTORS = (0.92, 1.0, 1.08)
"""Multiples of a row's alpha that are tried."""

SWEEPS = 1
"""Sweeps of coordinate descent."""

NO_MOMENTS = (
    "second moments must be symmetric and positive semi-definite, as every mean of x x^T over "
    "inputs x is: measure them at the inputs of this layer"
)
"""Says that a matrix is none of second moments."""

_BLOCK_COLUMNS = 64
_BLOCK_ROWS = 4096


@dataclasses.dataclass(frozen=True)
class Compensated:
    """What compensation chose for N rows.

    Parameters
    ----------
    codes : array of uint8 [N, K]
        Code of each weight, one of its cell's.
    alpha : array of float64 [N]
        Scale of each row's draft result.
    error : array of float64 [N]
        ``e H e^T`` of each row, in units of the stored weights.
    energy : array of float64 [N]
        The same of the weights themselves.
    """

    codes: NDArray[np.uint8]
    alpha: NDArray[np.float64]
    error: NDArray[np.float64]
    energy: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Some rows, as the steps need them.

    `weights` float32 [N, K] with the columns' powers of two undone, `sign` float32 [N, K],
    `cell` [N, K], `barred` float32 [tables, 64, 8]: infinite where a cell does not have a code,
    `table` [N], `values` float32 [K, 8]: draft values at each column.
    """

    weights: NDArray[np.float32]
    sign: NDArray[np.float32]
    cell: NDArray[np.uint16]
    barred: NDArray[np.float32]
    table: NDArray[np.intp]
    values: NDArray[np.float32]

    def nearest(
        self, column: int, target: NDArray[np.float32], alpha: NDArray[np.float32]
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Allowed codes [N] whose signed draft values [N] are nearest to a target [N]."""
        offered = self.offered(column, alpha)
        cost = (target[:, None] - offered) ** 2 + self.barred[self.table, self.cell[:, column]]
        codes = cost.argmin(axis=1)
        return codes, offered[np.arange(len(codes)), codes]

    def offered(self, column: int, alpha: NDArray[np.float32]) -> NDArray[np.float32]:
        """Signed draft values [N, 8] of a column's weights under each code."""
        return (alpha * self.sign[:, column])[:, None] * self.values[column]

    def drafts(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Signed draft values [N, K] of codes, without alpha."""
        return self.sign * self.values[np.arange(codes.shape[1]), codes]


def compensate(
    stored: NDArray[np.uint16],
    columns: NDArray[np.integer],
    members: Family,
    tables: NDArray[np.integer],
    alpha: NDArray[np.float64],
    second_moments: NDArray[np.floating],
) -> Compensated:
    """Choose a code for every weight.

    Parameters
    ----------
    stored : array of uint16 [N, K]
        Stored FP16 patterns, magnitudes below 2.
    columns : array of int [K]
        Column exponents c[k].
    members : Family
        The tables.
    tables : array of int [N]
        Table of each row.
    alpha : array of float64 [N]
        Scale of the draft values to begin with.
    second_moments : array [K, K]
        H, symmetric and positive semi-definite, its diagonal neither near FP32's largest numbers
        nor near its least.

    Raises
    ------
    FormatError
        If H is not positive semi-definite.
    """
    moments = _damped(second_moments)
    order = np.argsort(-np.diag(moments), kind="stable")
    # Rows of U give what an error in one column asks of those behind it: U^T U is H's inverse.
    try:
        inverse = np.linalg.inv(moments[np.ix_(order, order)])
        feedback = np.linalg.cholesky(inverse).T.astype(np.float32)
    except np.linalg.LinAlgError:
        raise FormatError(NO_MOMENTS) from None
    single = moments.astype(np.float32)
    parts = []
    for start in range(0, len(stored), _BLOCK_ROWS):
        here = slice(start, start + _BLOCK_ROWS)
        rows = _rows(stored[here], columns, members, tables[here])
        parts.append(_best_of_factors(rows, alpha[here], single, feedback, order))
    names = (field.name for field in dataclasses.fields(Compensated))
    return Compensated(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def output_errors(
    errors: NDArray[np.float32], second_moments: NDArray[np.floating]
) -> NDArray[np.float64]:
    """``e H e^T`` [N] of each row of errors [N, K], with the same damping."""
    moments = _damped(second_moments).astype(np.float32)
    return _quadratic(errors, moments)


def _damped(second_moments: NDArray[np.floating]) -> NDArray[np.float64]:
    moments = second_moments.astype(np.float64)
    mean = float(np.mean(np.diag(moments))) or 1.0
    moments[np.diag_indices_from(moments)] += DAMPING * mean
    return moments


def _rows(
    stored: NDArray[np.uint16],
    columns: NDArray[np.integer],
    members: Family,
    tables: NDArray[np.integer],
) -> _Rows:
    undo = (2.0 ** -columns.astype(np.float64)).astype(np.float32)
    values = np.array(members.draft_values, dtype=np.float32) * np.float32(DRAFT_UNIT)
    held = np.stack([table.slot_of.T < CELLS for table in members.tables])
    return _Rows(
        stored.view(np.float16).astype(np.float32) * undo,
        np.where(stored & np.uint16(0x8000), np.float32(-1), np.float32(1)),
        stored >> np.uint16(LOW_BITS) & np.uint16(CELLS - 1),
        np.where(held, np.float32(0), np.float32(np.inf)),
        tables.astype(np.intp),
        undo[:, None] * values,
    )


def _best_of_factors(
    rows: _Rows,
    alpha: NDArray[np.float64],
    moments: NDArray[np.float32],
    feedback: NDArray[np.float32],
    order: NDArray[np.intp],
) -> Compensated:
    codes, scale, error = _fed_back(rows, alpha * FACTORS[0], feedback, order), None, None
    scale, error = _fitted(rows, codes, moments)
    for factor in FACTORS[1:]:
        tried = _fed_back(rows, alpha * factor, feedback, order)
        fitted, found = _fitted(rows, tried, moments)
        better = found < error
        codes[better], scale[better], error[better] = tried[better], fitted[better], found[better]
    for _ in range(SWEEPS):
        _descend(rows, codes, scale.astype(np.float32), moments)
        scale, error = _fitted(rows, codes, moments)
    return Compensated(codes, scale, error, _quadratic(rows.weights, moments))


def _fed_back(
    rows: _Rows, alpha: NDArray[np.float64], feedback: NDArray[np.float32], order: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Codes by error feedback, columns in a given order."""
    alpha = alpha.astype(np.float32)
    left = rows.weights[:, order].copy()
    codes = np.empty(left.shape, dtype=np.uint8)
    number = left.shape[1]
    for start in range(0, number, _BLOCK_COLUMNS):
        stop = min(start + _BLOCK_COLUMNS, number)
        block = left[:, start:stop]
        errors = np.empty_like(block)
        for place in range(start, stop):
            at, column = place - start, order[place]
            codes[:, column], drafted = rows.nearest(column, block[:, at], alpha)
            errors[:, at] = (block[:, at] - drafted) / feedback[place, place]
            block[:, at + 1 :] -= np.outer(errors[:, at], feedback[place, place + 1 : stop])
        left[:, stop:] -= errors @ feedback[start:stop, stop:]
    return codes


def _descend(
    rows: _Rows,
    codes: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    moments: NDArray[np.float32],
) -> None:
    """One sweep of coordinate descent: changes `codes`."""
    errors = rows.weights - alpha[:, None] * rows.drafts(codes)
    slope = errors @ moments
    number = slope.shape[1]
    for start in range(0, number, _BLOCK_COLUMNS):
        stop = min(start + _BLOCK_COLUMNS, number)
        block = slope[:, start:stop]
        moved = np.empty_like(block)
        for column in range(start, stop):
            at = column - start
            now = rows.offered(column, alpha)[np.arange(len(codes)), codes[:, column]]
            # The cost in one weight is a parabola: its least lies at this value.
            target = now + block[:, at] / moments[column, column]
            codes[:, column], drafted = rows.nearest(column, target, alpha)
            moved[:, at] = drafted - now
            block -= np.outer(moved[:, at], moments[column, start:stop])
        slope[:, stop:] -= moved @ moments[start:stop, stop:]


def _fitted(
    rows: _Rows, codes: NDArray[np.uint8], moments: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Alpha of least squares under H, and the error with it."""
    drafts = rows.drafts(codes)
    weighted = (drafts @ moments).astype(np.float64)
    cross = np.einsum("nk,nk->n", weighted, rows.weights)
    square = np.einsum("nk,nk->n", weighted, drafts)
    alpha = np.divide(cross, square, out=np.ones(len(cross)), where=square > 0)
    # Alpha is stored in FP32.
    alpha = alpha.astype(np.float32).astype(np.float64)
    return alpha, _quadratic(rows.weights - alpha[:, None].astype(np.float32) * drafts, moments)


def _quadratic(errors: NDArray[np.float32], moments: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.einsum("nk,nk->n", errors @ moments, errors, dtype=np.float64)
