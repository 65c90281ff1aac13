"""Prepared matrices: the results of the golden model, bit for bit, by one float64 product.

The definitions (:mod:`speq_sim.golden.modes`, :mod:`speq_sim.golden.nibbles`) split all weights
anew into error-free pieces for every product. Here a matrix is kept as float64 numbers, exactly,
and multiplied once by BLAS. A result is taken from that product only where it is certain to be the
exact sum, rounded (:mod:`speq_sim.golden.certain` has the proof); all others are computed by the
definition. So nothing here can change a bit, only the time.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.blocks import BFP6, BlockFloat, BlockFormat, block_floating_point
from speq_sim.golden.certain import error_bounds, round_certainly, round_exact
from speq_sim.golden.checks import check_activations, check_depth, check_format
from speq_sim.golden.rounding import RESULT_TYPES, ResultFormat
from speq_sim.golden.special import to_float64

__all__ = ["Definition", "Prepared", "Rows", "multiply_groups"]

Rows = NDArray[np.intp] | slice
Definition = Callable[[Rows, NDArray[np.float16], BlockFormat, ResultFormat], NDArray[np.floating]]
"""Results of some rows by the definition: rows, activations, format of blocks, result format."""

BLOCK_ELEMENTS = 1 << 17
"""Results treated at a time: what is made of them stays in a cache."""


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A matrix kept for many products in one mode: 8 bytes a weight, besides what it was made from.

    :mod:`speq_sim.golden.preparing` makes them.

    Parameters
    ----------
    weights : NDArray
        N x K float64: weights times ``2**-(t + r[n])``, exactly.
    norms : NDArray
        N float64: Euclidean norms of the rows, or a trifle more.
    span : float
        What :func:`speq_sim.golden.certain.span_of` gives; infinite if a weight is not finite:
        then every result is by the definition.
    shifts : NDArray
        K int64: s[k].
    in_blocks : bool
        Whether activations are taken in block floating point.
    definition : callable
        Results of some rows by the definition.
    """

    weights: NDArray[np.float64]
    norms: NDArray[np.float64]
    span: float
    shifts: NDArray[np.int64]
    in_blocks: bool
    definition: Definition

    def multiply(
        self,
        activations: NDArray[np.float16],
        form: BlockFormat = BFP6,
        result_format: ResultFormat = "fp32",
    ) -> NDArray[np.floating]:
        """What the definition gives, bit for bit.

        Parameters
        ----------
        activations : NDArray
            x, M x K float16.
        form : BlockFormat
            What becomes of the activations before 4-bit weights; VERIFY and MIDDLE ignore it.
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
        check_activations(activations)
        check_depth(self.weights, activations)
        check_format(result_format)
        numbers = self._numbers(activations, form)
        return self._results(activations, numbers, form, result_format)

    def _results(
        self,
        activations: NDArray[np.float16],
        numbers: NDArray[np.float64],
        form: BlockFormat,
        result_format: ResultFormat,
    ) -> NDArray[np.floating]:
        """Results of activations, of which `numbers` are what the mode sees."""
        regular = np.isfinite(numbers).all(axis=1) & np.isfinite(self.span)
        if regular.all():
            return self._regular(activations, numbers, form, result_format)
        shape = len(activations), len(self.weights)
        results = np.empty(shape, dtype=RESULT_TYPES[result_format])
        results[~regular] = self.definition(slice(None), activations[~regular], form, result_format)
        if regular.any():
            results[regular] = self._regular(
                activations[regular], numbers[regular], form, result_format
            )
        return results

    def _numbers(self, activations: NDArray[np.float16], form: BlockFormat) -> NDArray[np.float64]:
        """Activations with their shifts, exactly; NaN or infinite where they are not finite."""
        if not self.in_blocks:
            return to_float64(activations) * np.ldexp(1.0, self.shifts)
        return _block_numbers(block_floating_point(activations, self.shifts, form))

    def _regular(
        self,
        activations: NDArray[np.float16],
        numbers: NDArray[np.float64],
        form: BlockFormat,
        result_format: ResultFormat,
    ) -> NDArray[np.floating]:
        """Results of finite operands."""
        tokens, outputs = len(numbers), len(self.weights)
        results = np.empty((tokens, outputs), dtype=RESULT_TYPES[result_format])
        bounds = error_bounds(numbers, self.span)
        exact = not bounds.any()
        step = max(1, BLOCK_ELEMENTS // max(tokens, 1))
        for start in range(0, outputs, step):
            rows = slice(start, start + step)
            near = numbers @ self.weights[rows].T
            if exact:
                round_exact(near, results[:, rows])
                continue
            errors = np.multiply.outer(bounds, self.norms[rows])
            uncertain = round_certainly(near, errors, results[:, rows])
            if uncertain.any():
                places = np.nonzero(uncertain.any(axis=1))[0]
                columns = start + np.nonzero(uncertain.any(axis=0))[0]
                results[np.ix_(places, columns)] = self.definition(
                    columns, activations[places], form, result_format
                )
        return results


def multiply_groups(
    matrices: Sequence[Prepared],
    activations: NDArray[np.float16],
    form: BlockFormat = BFP6,
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """Products of INT4 matrices that lie side by side along k, each with inputs of its own.

    The same as :meth:`Prepared.multiply` of each of them; activations are converted together.

    Parameters
    ----------
    matrices : sequence of Prepared
        G of them, by :func:`speq_sim.golden.preparing.prepare_integers`, of N outputs each.
    activations, form, result_format
        As there, K being the sum over all matrices.

    Returns
    -------
    NDArray
        G x M x N float32 or float16.

    Raises
    ------
    TypeError, ValueError
        If a type, a shape or a range is wrong, or a block would lie in two groups.
    """
    check_activations(activations)
    check_format(result_format)
    ends = np.cumsum([matrix.weights.shape[1] for matrix in matrices])
    if activations.shape[1] != ends[-1]:
        raise ValueError(
            f"groups have K = {ends[-1]} columns together and activations {activations.shape[1]}: "
            f"give both the same K"
        )
    if (ends[:-1] % form.size).any():
        raise ValueError(
            f"groups end at {ends[:-1].tolist()}, within blocks of {form.size} activations: make "
            f"groups of a multiple of that"
        )
    blocks = block_floating_point(activations, None, form)
    numbers = np.split(_block_numbers(blocks), ends[:-1], axis=1)
    halves = np.split(activations, ends[:-1], axis=1)
    return np.stack(
        [
            matrix._results(*inputs, form, result_format)
            for matrix, *inputs in zip(matrices, halves, numbers, strict=True)
        ]
    )


def _block_numbers(blocks: BlockFloat) -> NDArray[np.float64]:
    """What blocks stand for, exactly; NaN where an activation is not finite."""
    units = np.ldexp(1.0, blocks.spread_exponent() - (14 + blocks.form.bits))
    numbers = np.where(blocks.negative, -blocks.magnitude, blocks.magnitude) * units
    numbers[blocks.infinite | blocks.nan] = np.nan
    return numbers
