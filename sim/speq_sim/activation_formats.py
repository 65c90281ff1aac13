"""What a format of draft activations does to the output of a layer, in decibels."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from speq.formats import Family
from speq.formats.codec import draft_codes, from_planes
from speq.formats.int4 import quantise_int4
from speq.formats.packing import pack
from speq_sim import golden
from speq_sim.golden import BlockFormat

__all__ = ["LayerNoise", "layer_noise", "sqnr_db"]


@dataclasses.dataclass(frozen=True)
class LayerNoise:
    """Signal to noise of one layer's outputs, in dB.

    Parameters
    ----------
    activations : dict of str to float
        By format: DRAFT in it, against the same draft weights times the FP16 activations. What the
        format alone costs.
    output : dict of str to float
        By format: DRAFT in it, against the FP16 weights times the FP16 activations.
    pairs : float
        QVERIFY with pairs of 12 bits, against the same INT4 weights times the FP16 activations.
    fp16_accumulate : float
        The same product accumulated in FP16, one product after the other, as the kernel of QSpec's
        authors does; for comparison.
    """

    activations: dict[str, float]
    output: dict[str, float]
    pairs: float
    fp16_accumulate: float


def layer_noise(
    weights: NDArray[np.float16],
    inputs: NDArray[np.float16],
    tables: Family,
    formats: Mapping[str, BlockFormat],
) -> LayerNoise:
    """Measure one layer on its real inputs, with the golden model.

    Parameters
    ----------
    weights : NDArray
        float16 N x K.
    inputs : NDArray
        float16 M x K.
    tables : Family
        Code tables that the layer is packed with.
    formats : mapping of str to BlockFormat
        Formats by label.

    Raises
    ------
    ValueError
        If the layer can only be stored plain.
    """
    packed = pack(weights, tables)
    if packed.is_plain:
        raise ValueError(f"the layer cannot be drafted: {packed.reason}")
    codes = draft_codes(from_planes(packed.planes))
    shifts, exponents = -packed.scale.columns.astype(np.int64), packed.scale.row_exponents

    def drafted(form: BlockFormat) -> NDArray[np.float64]:
        results = golden.draft(codes, tables.draft_values, inputs, shifts, exponents, form)
        return results.astype(np.float64) * packed.alpha

    exact = inputs.astype(np.float64) @ weights.astype(np.float64).T
    unchanged = drafted(BlockFormat(11, 1))
    results = {label: drafted(form) for label, form in formats.items()}

    integers = quantise_int4(weights).integers
    wanted = inputs.astype(np.float64) @ integers.astype(np.float64).T
    pairs = golden.integer_verify(golden.nibbles_of(integers), inputs, lanes=2)
    return LayerNoise(
        activations={label: sqnr_db(unchanged, found) for label, found in results.items()},
        output={label: sqnr_db(exact, found) for label, found in results.items()},
        pairs=sqnr_db(wanted, pairs.astype(np.float64)),
        fp16_accumulate=sqnr_db(wanted, _accumulated_in_fp16(integers, inputs)),
    )


def sqnr_db(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Energy of what is wanted over that of the difference; infinite where there is none."""
    noise = float(((found - wanted) ** 2).sum())
    return 10 * float(np.log10((wanted**2).sum() / noise)) if noise else float("inf")


def _accumulated_in_fp16(
    integers: NDArray[np.integer], inputs: NDArray[np.float16]
) -> NDArray[np.float64]:
    """One product after the other into an FP16 sum, each rounded once (fused multiply-add)."""
    total = np.zeros((len(inputs), len(integers)), dtype=np.float16)
    for k in range(inputs.shape[1]):
        product = inputs[:, k : k + 1].astype(np.float64) * integers[:, k].astype(np.float64)
        total = (total.astype(np.float64) + product).astype(np.float16)
    return total.astype(np.float64)
