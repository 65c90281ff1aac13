"""Matrix jobs: what an array is asked to compute, in whole matrices."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.formats import Family, encode
from speq.parameters import DRAFTS_PER_WORD, MAX_PRODUCTS, Parameters
from speq_sim import golden
from speq_sim.golden.checks import (
    check_activations,
    check_exponents,
    check_integers,
    check_shifts,
    check_weights,
)

__all__ = ["Job", "expected"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One product of a weight matrix and some activation vectors, in one mode.

    Build one with :meth:`plain`, :meth:`packed` or :meth:`draft`.

    Parameters
    ----------
    mode : str
        ``"verify"`` or ``"draft"``.
    family : Family or None
        The code tables of the words; None for plain FP16 patterns, which bypass the decoder.
    codes : NDArray
        What the array loads: uint16 words N x K (VERIFY), or uint8 draft nibbles N x K (DRAFT).
    values : NDArray or None
        float16 N x K values that the words stand for (VERIFY).
    activations : NDArray
        float16 M x K.
    shifts : NDArray
        s[k], K integers 0..15.
    row_exponents : NDArray
        t + r[n], N integers -64..63.
    row_tables : NDArray
        Index of each row's table in the family, N integers 0..7.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong.
    """

    mode: str
    family: Family | None
    codes: NDArray
    values: NDArray[np.float16] | None
    activations: NDArray[np.float16]
    shifts: NDArray[np.int64]
    row_exponents: NDArray[np.int64]
    row_tables: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_weights("codes", self.codes, np.uint8 if self.mode == "draft" else np.uint16)
        check_activations(self.activations)
        if not self.tokens or not self.outputs or not 0 < self.depth <= MAX_PRODUCTS:
            raise ValueError(
                f"a job of M = {self.tokens}, N = {self.outputs}, K = {self.depth} cannot be run: "
                f"each must be 1 or more, and K {MAX_PRODUCTS} at most: split a longer matrix "
                f"along k"
            )
        if self.codes.shape[1] != self.depth:
            raise ValueError(
                f"weights have K = {self.codes.shape[1]} columns and activations {self.depth}: "
                f"give both the same K"
            )

    @property
    def tokens(self) -> int:
        """M."""
        return self.activations.shape[0]

    @property
    def outputs(self) -> int:
        """N."""
        return self.codes.shape[0]

    @property
    def depth(self) -> int:
        """K."""
        return self.activations.shape[1]

    @classmethod
    def plain(cls, weights: NDArray[np.float16], activations: NDArray[np.float16]) -> "Job":
        """VERIFY of FP16 weights N x K, stored as they are."""
        check_weights("weights", weights, np.float16)
        return cls(
            mode="verify",
            family=None,
            codes=weights.view(np.uint16),
            values=weights,
            activations=activations,
            shifts=check_shifts(None, weights.shape[1]),
            row_exponents=check_exponents(None, weights.shape[0]),
            row_tables=np.zeros(weights.shape[0], dtype=np.int64),
        )

    @classmethod
    def packed(
        cls,
        values: NDArray[np.float16],
        activations: NDArray[np.float16],
        family: Family,
        row_tables: ArrayLike | None = None,
        shifts: NDArray[np.integer] | None = None,
        row_exponents: NDArray[np.integer] | None = None,
    ) -> "Job":
        """VERIFY of packed weights.

        Parameters
        ----------
        values : NDArray
            v, float16 N x K, magnitudes below 2: the stored values.
        activations : NDArray
            x, float16 M x K.
        family : Family
            The code tables that turn `values` into words.
        row_tables : array_like or None
            Table of each row, N integers; None stands for the first.
        shifts, row_exponents : NDArray or None
            s[k] and t + r[n]; None stands for zeros.
        """
        check_weights("values", values, np.float16)
        outputs, depth = values.shape
        tables = _tables(row_tables, outputs, family)
        return cls(
            mode="verify",
            family=family,
            codes=encode(values.view(np.uint16), family, tables),
            values=values,
            activations=activations,
            shifts=check_shifts(shifts, depth),
            row_exponents=check_exponents(row_exponents, outputs),
            row_tables=tables,
        )

    @classmethod
    def draft(
        cls,
        nibbles: NDArray[np.uint8],
        activations: NDArray[np.float16],
        family: Family,
        row_tables: ArrayLike | None = None,
        shifts: NDArray[np.integer] | None = None,
        row_exponents: NDArray[np.integer] | None = None,
    ) -> "Job":
        """DRAFT of draft words ``sign << 3 | code``, uint8 N x K; the rest as :meth:`packed`."""
        check_weights("nibbles", nibbles, np.uint8)
        outputs, depth = nibbles.shape
        if nibbles.size and nibbles.max() > 15:
            raise ValueError(f"nibbles reach {nibbles.max()}, but a draft word is 4 bits: 0..15")
        return cls(
            mode="draft",
            family=family,
            codes=nibbles,
            values=None,
            activations=activations,
            shifts=check_shifts(shifts, depth),
            row_exponents=check_exponents(row_exponents, outputs),
            row_tables=_tables(row_tables, outputs, family),
        )

    def with_rows(self, outputs: int) -> "Job":
        """The job with rows of zero words added up to N = `outputs`, of table 0 and exponent 0."""
        extra = outputs - self.outputs
        zero = 0 if self.mode == "draft" else self._zero_words()[0]
        rows = ((0, extra), (0, 0))
        return dataclasses.replace(
            self,
            codes=np.pad(self.codes, rows, constant_values=zero),
            values=None if self.values is None else np.pad(self.values, rows),
            row_exponents=np.pad(self.row_exponents, (0, extra)),
            row_tables=np.pad(self.row_tables, (0, extra)),
        )

    def words(self, depth: int) -> NDArray[np.uint16]:
        """VERIFY words N x `depth`: each row filled up with its word of +0."""
        zeros = self._zero_words()[self.row_tables]
        padding = np.repeat(zeros[:, None], depth - self.depth, axis=1)
        return np.concatenate([self.codes, padding], axis=1)

    def draft_words(self, depth: int, rows: int, columns: int, lanes: int) -> NDArray[np.uint16]:
        """Draft weights in the order (tile, quarter, row, column), four per word.

        The first is in the low nibble. Quarter ``q = s*lanes + l`` of the tile that starts at k0
        has in column j the draft weight of ``k = k0 + s*columns*lanes + j*lanes + l``. Tiles are of
        `rows` outputs and ``4 * columns`` inputs, which N and `depth` are multiples of.
        """
        beats = DRAFTS_PER_WORD // lanes
        padded = np.pad(self.codes, ((0, 0), (0, depth - self.depth))).astype(np.uint16)
        tiles = padded.reshape(self.outputs // rows, rows, -1, beats, columns, lanes)
        nibbles = tiles.transpose(0, 2, 3, 5, 1, 4).reshape(-1, DRAFTS_PER_WORD)
        places = 4 * np.arange(DRAFTS_PER_WORD, dtype=np.uint16)
        return np.bitwise_or.reduce(nibbles << places, axis=1)

    def _zero_words(self) -> NDArray[np.uint16]:
        """The word of +0 in each table."""
        if self.family is None:
            return np.zeros(1, dtype=np.uint16)
        count = len(self.family.tables)
        zeros = np.zeros((count, 1), dtype=np.uint16)
        return encode(zeros, self.family, np.arange(count))[:, 0]


def expected(job: Job, parameters: Parameters) -> NDArray[np.floating]:
    """What the golden model computes: M x N in the result format of the design.

    Parameters
    ----------
    job : Job
        The job.
    parameters : Parameters
        Of the design: only the draft lanes and the result format matter.
    """
    result_format = parameters.result_format
    if job.mode == "draft":
        return golden.draft(
            job.codes,
            job.family.draft_values,
            job.activations,
            job.shifts,
            job.row_exponents,
            parameters.draft_lanes,
            result_format,
        )
    return golden.verify_packed(
        job.values, job.activations, job.shifts, job.row_exponents, result_format
    )


def _tables(row_tables: ArrayLike | None, outputs: int, family: Family) -> NDArray[np.int64]:
    tables = None if row_tables is None else np.asarray(row_tables)
    return check_integers("row tables", tables, outputs, 0, len(family.tables) - 1)
