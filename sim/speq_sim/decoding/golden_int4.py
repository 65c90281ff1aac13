"""Back end of the golden model over INT4 matrices: QSpec's two passes, bit for bit.

What the array and its epilogue give (docs/numerics.md, docs/epilogue.md): groups of inputs are
products of their own, scaled by their rows and added up in order.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from speq.formats import Int4Tensor, QuantisationError, quantise_int4
from speq_sim import golden
from speq_sim.decoding.golden_backend import layer_of, mode_of, rounded

__all__ = ["Int4Backend", "Int4Layer", "Int4Layers"]

IntegerMode = Literal["qdraft", "qverify"]
"""Modes over INT4 matrices."""


@dataclasses.dataclass(frozen=True, eq=False)
class Int4Layer:
    """An INT4 matrix [N, K], cut along k where its scales change.

    Parameters
    ----------
    nibbles : tuple of NDArray
        uint8 [N, inputs of the group], for each of G groups.
    scales : NDArray
        float32 [N, G].
    """

    nibbles: tuple[NDArray[np.uint8], ...]
    scales: NDArray[np.float32]

    @classmethod
    def of(cls, tensor: Int4Tensor) -> "Int4Layer":
        """What an INT4 tensor holds."""
        rows, inputs = tensor.shape
        size = tensor.group or inputs
        parts = np.split(tensor.nibbles, range(size, inputs, size), axis=1)
        scales = tensor.scale.reshape(rows, -1).astype(np.float32)
        return cls(tuple(parts), scales)


class Int4Layers(Mapping[str, Int4Layer | NDArray[np.float16]]):
    """The matrices of a model in INT4, quantised once; those that stay FP16 are arrays.

    Takes 1 byte a weight, and 2 in FP16. Besides, a matrix takes 8 bytes a weight, for both modes
    together, once it was multiplied: it is prepared then, and kept so for all back ends.

    Parameters
    ----------
    matrices : mapping of str to NDArray
        float16 [N, K] by name.
    group : int
        Inputs that share a scale, a multiple of 4; 0 is all of a row.
    clip : {"none", "mse"}
        How scales are chosen (:func:`speq.formats.quantise_int4`).
    fp16 : collection of str
        Names of matrices that stay FP16. So does one that FP16 scales cannot stand for.

    Raises
    ------
    FormatError
        If the group or the clip is not defined.
    """

    def __init__(
        self,
        matrices: Mapping[str, NDArray[np.float16]],
        group: int = 0,
        clip: str = "none",
        fp16: Collection[str] = ("head",),
    ) -> None:
        self._layers: dict[str, Int4Layer | NDArray[np.float16]] = {}
        self._prepared: dict[str, tuple[golden.Prepared, ...]] = {}
        for name, values in matrices.items():
            self._layers[name] = values
            if name in fp16:
                continue
            try:
                self._layers[name] = Int4Layer.of(quantise_int4(values, group, clip))
            except QuantisationError:
                continue

    def prepared(self, name: str) -> tuple[golden.Prepared, ...]:
        """The groups of a layer, or the one FP16 matrix, prepared for many products.

        Raises
        ------
        ModelError
            If there is no layer of that name.
        """
        layer = layer_of(self, name)
        if name not in self._prepared:
            self._prepared[name] = (
                tuple(map(golden.prepare_integers, layer.nibbles))
                if isinstance(layer, Int4Layer)
                else (golden.prepare_verify(layer),)
            )
        return self._prepared[name]

    def __getitem__(self, name: str) -> Int4Layer | NDArray[np.float16]:
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


class Int4Backend:
    """Multiplies by INT4 matrices as one of QSpec's passes does; FP16 matrices are verified.

    Parameters
    ----------
    layers : Int4Layers
        The matrices.
    mode : {"qdraft", "qverify"}
        QDRAFT quantises activations to INT4 with a scale per token; QVERIFY takes them in FP16,
        or nearly so.
    lanes : int
        L of the design, 1, 2 or 4, which decides what QVERIFY sees of activations.

    Raises
    ------
    ModelError
        If there is no such mode.
    ValueError
        If there is no such number of lanes.
    """

    def __init__(self, layers: Int4Layers, mode: IntegerMode, lanes: int = 4) -> None:
        self._layers = layers
        self._mode = mode_of(mode, IntegerMode)
        golden.qverify_format(lanes)  # refuses what is no number of lanes
        self._lanes = lanes

    def multiply(self, name: str, x: NDArray) -> NDArray[np.float32]:
        """Results [tokens, N] of ``float16(x)``, multiplied by the scales.

        Raises
        ------
        ModelError
            If there is no layer of that name.
        """
        layer, inputs = layer_of(self._layers, name), rounded(x)
        matrices = self._layers.prepared(name)
        if not isinstance(layer, Int4Layer):
            return matrices[0].multiply(inputs)
        if self._mode == "qverify":
            scales, form = np.ones(len(inputs)), golden.qverify_format(self._lanes)
        else:
            # One scale for the token, over all groups of weights. INT4 is exact in every format.
            inputs, scales = golden.quantise_activations(inputs)
            form = golden.block_format("bfp6", 4)
        values = golden.multiply_groups(matrices, inputs, form)
        return golden.scale_results(values, layer.scales, scales.astype(np.float32))
