"""Matrix jobs: what an array is asked to compute, in whole matrices."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.formats import Family, encode
from speq.parameters import MAX_PRODUCTS, Parameters
from speq_sim import golden
from speq_sim.golden.checks import (
    check_activations,
    check_exponents,
    check_integers,
    check_nibbles,
    check_shifts,
    check_weights,
)

__all__ = ["Job", "expected"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One product of a weight matrix and some activation vectors, in one mode.

    Build one with :meth:`plain`, :meth:`packed`, :meth:`draft`, :meth:`middle` or :meth:`integer`.

    Parameters
    ----------
    mode : str
        One of :data:`speq.modes.MODES`.
    family : Family or None
        The code tables of the words; None for plain FP16 patterns, which bypass the decoder, and
        for INT4 weights.
    codes : NDArray
        What the array loads, N x K: uint16 words (VERIFY), uint8 high bytes of words (MIDDLE), or
        uint8 nibbles (draft weights in DRAFT, INT4 weights in QDRAFT and QVERIFY).
    values : NDArray or None
        float16 N x K values that the words stand for (VERIFY, and MIDDLE whole).
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
        check_weights("codes", self.codes, np.uint16 if self.mode == "verify" else np.uint8)
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
        check_nibbles(nibbles)
        outputs, depth = nibbles.shape
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

    @classmethod
    def middle(
        cls,
        values: NDArray[np.float16],
        activations: NDArray[np.float16],
        family: Family,
        row_tables: ArrayLike | None = None,
        shifts: NDArray[np.integer] | None = None,
        row_exponents: NDArray[np.integer] | None = None,
    ) -> "Job":
        """MIDDLE of packed weights, of which the high bytes are loaded; all as :meth:`packed`."""
        job = cls.packed(values, activations, family, row_tables, shifts, row_exponents)
        return dataclasses.replace(job, mode="middle", codes=_high_bytes(job.codes))

    @classmethod
    def integer(
        cls, nibbles: NDArray[np.uint8], activations: NDArray[np.float16], *, verify: bool
    ) -> "Job":
        """QVERIFY, or else QDRAFT, of INT4 weights.

        Parameters
        ----------
        nibbles : NDArray
            Sign and magnitude of each weight, 1000 for -8: uint8 N x K below 16.
        activations : NDArray
            x, float16 M x K. For QSpec's draft pass they are INT4 numbers, as
            :func:`speq_sim.golden.quantise_activations` makes them.
        verify : bool
            Which of the two modes.
        """
        check_nibbles(nibbles)
        return cls(
            mode="qverify" if verify else "qdraft",
            family=None,
            codes=nibbles,
            values=None,
            activations=activations,
            shifts=check_shifts(None, nibbles.shape[1]),
            row_exponents=check_exponents(None, nibbles.shape[0]),
            row_tables=np.zeros(nibbles.shape[0], dtype=np.int64),
        )

    def with_rows(self, outputs: int) -> "Job":
        """The job with rows of zeros added up to N = `outputs`, of table 0 and exponent 0."""
        extra = outputs - self.outputs
        zero = self._zero_codes()[0]
        rows = ((0, extra), (0, 0))
        return dataclasses.replace(
            self,
            codes=np.pad(self.codes, rows, constant_values=zero),
            values=None if self.values is None else np.pad(self.values, rows),
            row_exponents=np.pad(self.row_exponents, (0, extra)),
            row_tables=np.pad(self.row_tables, (0, extra)),
        )

    def padded_codes(self, depth: int) -> NDArray:
        """Codes N x `depth`: each row filled up with its code of zero."""
        zeros = self._zero_codes()[self.row_tables]
        padding = np.repeat(zeros[:, None], depth - self.depth, axis=1)
        return np.concatenate([self.codes, padding], axis=1)

    def _zero_codes(self) -> NDArray:
        """The code of zero in each table: of MIDDLE, whose weights are never zero, its high byte.

        Whatever it stands for meets zero activations, or gives results that are dropped.
        """
        if self.family is None or self.mode == "draft":
            return np.zeros(8, dtype=self.codes.dtype)
        count = len(self.family.tables)
        words = encode(np.zeros((count, 1), dtype=np.uint16), self.family, np.arange(count))[:, 0]
        return _high_bytes(words) if self.mode == "middle" else words


def expected(job: Job, parameters: Parameters) -> NDArray[np.floating]:
    """What the golden model computes: M x N in the result format of the design.

    Parameters
    ----------
    job : Job
        The job.
    parameters : Parameters
        Of the design: only the draft lanes, the draft activations and the result format matter.
    """
    lanes, result_format = parameters.draft_lanes, parameters.result_format
    scaling = (job.shifts, job.row_exponents)
    match job.mode:
        case "draft":
            d, form = job.family.draft_values, _draft_format(parameters)
            return golden.draft(job.codes, d, job.activations, *scaling, form, result_format)
        case "middle":
            return golden.middle(job.values, job.activations, *scaling, result_format)
        case "qdraft":
            form = _draft_format(parameters)
            return golden.integer_draft(job.codes, job.activations, form, result_format)
        case "qverify":
            return golden.integer_verify(job.codes, job.activations, lanes, result_format)
        case _:
            return golden.verify_packed(job.values, job.activations, *scaling, result_format)


def _draft_format(parameters: Parameters) -> golden.BlockFormat:
    return golden.block_format(parameters.activation_format, parameters.draft_lanes)


def _high_bytes(words: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Sign, code and slot: the draft and the middle plane."""
    return (words >> 8).astype(np.uint8)


def _tables(row_tables: ArrayLike | None, outputs: int, family: Family) -> NDArray[np.int64]:
    tables = None if row_tables is None else np.asarray(row_tables)
    return check_integers("row tables", tables, outputs, 0, len(family.tables) - 1)
