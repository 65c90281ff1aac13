"""Drafts that are a second copy of the weights, in 4 bits with scales: baselines.

A copy takes room beside the FP16 weights: 4 bits a weight and its scales. What it stands for is
multiplied by FP16 activations in float64, and rounded to FP32 once.
"""

import dataclasses
from collections.abc import Callable, Mapping

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from speq.formats import QuantisationError, quantise_int4
from speq_sim.decoding.golden_backend import layer_of, rounded

__all__ = ["COPIES", "CopyBackend", "CopyFormat", "e2m1", "int4", "mxfp4"]

_LARGEST_E2M1 = 6.0
_LARGEST_EXPONENT = 2
"""Of E2M1: 6 is 1.5 * 2**2."""


def int4(values: NDArray[np.float16], group: int) -> NDArray[np.float32]:
    """Integers -7..7 times an FP16 scale per group, round to nearest even.

    Parameters
    ----------
    values : NDArray
        float16 [N, K].
    group : int
        Inputs that share a scale, along k; the last group of a row may be shorter. The largest
        magnitude becomes 7.

    Returns
    -------
    NDArray
        float32 [N, K]: what the copy stands for.
    """
    return quantise_int4(values, group).dequantise()


def e2m1(values: NDArray[np.float16], group: int) -> NDArray[np.float32]:
    """FP4 E2M1 times an FP16 scale per group: the largest magnitude becomes 6.

    Elements are rounded to nearest even. Parameters as :func:`int4`.
    """

    def scale(largest: NDArray[np.float32]) -> NDArray[np.float32]:
        return (largest / _LARGEST_E2M1).astype(np.float16).astype(np.float32)

    return _scaled_e2m1(values, group, scale)


def mxfp4(values: NDArray[np.float16], group: int) -> NDArray[np.float32]:
    """OCP MXFP4: FP4 E2M1 times a power of two (E8M0) per group, 32 in the standard.

    The scale is ``2**(floor(log2(largest)) - 2)``; elements are rounded to nearest even, and what
    is beyond 6 becomes 6. Parameters as :func:`int4`.
    """

    def scale(largest: NDArray[np.float32]) -> NDArray[np.float32]:
        _, exponent = np.frexp(largest)
        power = np.ldexp(np.float32(1), exponent - 1 - _LARGEST_EXPONENT)
        return power.astype(ml_dtypes.float8_e8m0fnu).astype(np.float32)

    return _scaled_e2m1(values, group, scale)


@dataclasses.dataclass(frozen=True)
class CopyFormat:
    """A way to keep a second copy.

    Parameters
    ----------
    quantise : callable
        Takes float16 [N, K] and the group, and gives float32 [N, K].
    group : int
        Inputs that share a scale.
    scale_bits : int
        Bits of a scale.
    """

    quantise: Callable[[NDArray[np.float16], int], NDArray[np.float32]]
    group: int
    scale_bits: int

    def bits(self, inputs: int) -> float:
        """Bits per weight of a row of `inputs`, its scales included."""
        return 4 + self.scale_bits * -(-inputs // self.group) / inputs


COPIES = {
    "int4-g128": CopyFormat(int4, 128, 16),
    "e2m1-g128": CopyFormat(e2m1, 128, 16),
    "mxfp4": CopyFormat(mxfp4, 32, 8),
}
"""Copies by name: 4.125, 4.125 and 4.25 bits a weight where groups are whole."""


class CopyBackend:
    """Multiplies by a copy of matrices.

    Products are float64 sums of BLAS, rounded to FP32: with other tokens in the pass, a result may
    differ in its last bit (rarely: where the sums lie within 1e-15 of the middle of two numbers).

    Parameters
    ----------
    matrices : mapping of str to NDArray
        float16 [N, K] by name.
    form : CopyFormat
        What the copy is kept in. It takes 8 bytes a weight here.

    Raises
    ------
    QuantisationError
        If scales of FP16 cannot stand for a matrix.
    """

    def __init__(self, matrices: Mapping[str, NDArray[np.float16]], form: CopyFormat) -> None:
        self._matrices: dict[str, NDArray[np.float64]] = {}
        for name, values in matrices.items():
            try:
                copied = form.quantise(values, form.group)
            except QuantisationError as error:
                raise QuantisationError(f"layer {name!r} has no copy: {error}") from None
            self._matrices[name] = copied.astype(np.float64)

    def multiply(self, name: str, x: NDArray) -> NDArray[np.float32]:
        """Results [tokens, N] of ``float16(x)``.

        Raises
        ------
        ModelError
            If there is no layer of that name.
        """
        matrix = layer_of(self._matrices, name)
        with np.errstate(over="ignore", invalid="ignore"):
            return (rounded(x).astype(np.float64) @ matrix.T).astype(np.float32)


def _scaled_e2m1(
    values: NDArray[np.float16],
    group: int,
    scale: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    wide = values.astype(np.float32)
    starts = np.arange(0, wide.shape[1], group)
    scales = scale(np.maximum.reduceat(np.abs(wide), starts, axis=1))
    # A group whose scale is 0 in its format has no copy but 0.
    spread = np.repeat(scales, group, axis=1)[:, : wide.shape[1]]
    ratios = np.divide(wide, spread, out=np.zeros_like(wide), where=spread > 0)
    return ratios.astype(ml_dtypes.float4_e2m1fn).astype(np.float32) * spread
