"""Matrices in the unit's memory, and what is done to results of each on the way out."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speq.formats.codec import pack_nibbles
from speq.formats.image import Extent
from speq.formats.int4 import Int4Tensor
from speq.modes import INTEGER_MODES
from speq_sim.golden.epilogue import scale_results
from speq_sim.golden.rounding import ResultFormat

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
    result_format: ResultFormat = "fp32",
) -> NDArray[np.floating]:
    """Scale what the array gave, as docs/epilogue.md defines it; alpha only scales drafts.

    Parameters
    ----------
    results : sequence of arrays [M, N]
        Of each part of the matrix, in the design's result format.
    matrix : Matrix or GroupedMatrix
        What they are products of.
    mode : str
        In which mode.
    token_scales : array of float16 [M], optional
        Of activations that were quantised; without them 1.
    result_format : {"fp32", "fp16"}

    Returns
    -------
    array of float32 or float16 [M, N]
    """
    values = np.stack(results).astype(np.float32)
    factors = [part.alpha if mode == "draft" else part.scale for part in matrix.parts]
    outputs = values.shape[2]
    rows = np.stack([np.ones(outputs) if factor is None else factor for factor in factors], axis=1)
    tokens = np.ones(values.shape[1]) if token_scales is None else token_scales
    return scale_results(values, rows.astype(np.float32), tokens.astype(np.float32), result_format)
