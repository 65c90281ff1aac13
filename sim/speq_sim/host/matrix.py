"""Matrices in the unit's memory, and what is done to results of each on the way out."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speq.formats.codec import pack_nibbles
from speq.formats.image import Extent
from speq.formats.int4 import Int4Tensor
from speq.modes import INTEGER_MODES

__all__ = ["GroupedMatrix", "Matrix", "epilogue", "split_groups"]


@dataclasses.dataclass(frozen=True, eq=False)
class Matrix:
    """A weight matrix in the unit's memory, as one job reads it.

    Attributes
    ----------
    extent : Extent
        Its sizes.
    bases : tuple of int
        Address of each plane, in bytes.
    alpha : array of float32 [N] or None
        Scale of each row's draft result.
    scale : array of float16 [N] or None
        Scale of each row of an INT4 matrix; None of others.
    """

    extent: Extent
    bases: tuple[int, ...]
    alpha: NDArray[np.float32] | None = None
    scale: NDArray[np.float16] | None = None

    @property
    def inputs(self) -> int:
        """K."""
        return self.extent.inputs

    @property
    def parts(self) -> tuple["Matrix", ...]:
        """Itself: one job gives its product."""
        return (self,)

    @property
    def modes(self) -> tuple[str, ...]:
        """Modes that its weights are stored for (a plain matrix is verified, whatever is asked)."""
        return INTEGER_MODES if self.scale is not None else ("verify", "draft", "middle")


@dataclasses.dataclass(frozen=True, eq=False)
class GroupedMatrix:
    """An INT4 matrix whose rows have a scale per group of inputs: one job for each group.

    Attributes
    ----------
    parts : tuple of Matrix
        Of each group of inputs, in order.
    """

    parts: tuple[Matrix, ...]

    @property
    def inputs(self) -> int:
        """K, of all groups."""
        return sum(part.inputs for part in self.parts)

    @property
    def modes(self) -> tuple[str, ...]:
        """As :attr:`Matrix.modes`."""
        return INTEGER_MODES


def split_groups(tensor: Int4Tensor) -> list[Int4Tensor]:
    """An INT4 tensor cut along k into tensors of one scale per row, one for each of its groups."""
    if not tensor.group:
        return [tensor]
    rows, columns = tensor.shape
    nibbles = tensor.nibbles
    found = []
    for number, start in enumerate(range(0, columns, tensor.group)):
        part = nibbles[:, start : start + tensor.group]
        scale = np.ascontiguousarray(tensor.scale[:, number])
        found.append(Int4Tensor((rows, part.shape[1]), pack_nibbles(part), scale))
    return found


def epilogue(
    results: Sequence[NDArray[np.floating]],
    matrix: Matrix | GroupedMatrix,
    mode: str,
    token_scales: NDArray[np.float16] | None = None,
) -> NDArray[np.float32]:
    """Scale what the array gave; every step is rounded to FP32.

    DRAFT multiplies by alpha. INT4 modes multiply each group's result by the row's scale, add the
    groups in order, and multiply by the token's scale if there is one.

    Parameters
    ----------
    results : sequence of arrays [M, N]
        Of each part of the matrix, in the design's result format.
    matrix : Matrix or GroupedMatrix
        What they are products of.
    mode : str
        In which mode.
    token_scales : array of float16 [M], optional
        Of activations that were quantised.

    Returns
    -------
    array of float32 [M, N]
    """
    # An infinity, or a NaN, is what the definition gives there: nothing to be warned of.
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        total: NDArray[np.float32] | None = None
        for raw, part in zip(results, matrix.parts, strict=True):
            factor = part.alpha if mode == "draft" else part.scale
            values = raw.astype(np.float32)
            if factor is not None:
                values = values * factor.astype(np.float32)
            total = values if total is None else total + values
        if token_scales is not None:
            total = total * token_scales.astype(np.float32)[:, None]
    return total
