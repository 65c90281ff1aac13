"""Back end of the RTL: linear layers in an accelerator behind the host library.

Any transport serves: the compiled simulation of :mod:`speq_sim.benches.accelerator.compiled_unit`,
or a board. The results are those of :class:`speq_sim.decoding.GoldenBackend` with the design's
draft activations, bit for bit.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from speq.formats import family, pack
from speq.formats.packing import PackedTensor
from speq.parameters import Parameters
from speq_sim import golden
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.golden_backend import layer_of, rounded
from speq_sim.host import Device, Matrix

__all__ = ["Meter", "Pass", "RtlBackend", "RtlLayers", "draft_format"]


@dataclasses.dataclass(frozen=True)
class Pass:
    """What the linear layers of one forward pass took.

    Attributes
    ----------
    mode : str
        Of the back end; a recipe may have run single layers in others.
    tokens : int
        Tokens of its first product.
    products : int
        Linear layers, each over all tokens that it was given.
    cycles : int
        Clock cycles, from the first register written for a product to its last result, added over
        all products. What the host does between them takes no time.
    busy_cycles : int
        Those of them in which the unit had a job.
    words, beats : int
        Transfers of the array's weight port, and of the memory port.
    """

    mode: str
    tokens: int
    products: int
    cycles: int
    busy_cycles: int
    words: int
    beats: int

    @property
    def port_busy(self) -> float:
        """Share of all cycles with a transfer of the array's weight port."""
        return self.words / self.cycles


class Meter:
    """Cycles of the linear layers, pass by pass; all back ends on one device share it.

    A pass ends where a layer comes that it has had, or a product in another mode.

    Parameters
    ----------
    device : Device
        Its performance counters are read, and cleared, between passes.
    clock : callable
        Cycles since some moment, such as ``lambda: unit.counts().cycles``. Reading it must take no
        cycle.
    """

    def __init__(self, device: Device, clock: Callable[[], int]) -> None:
        self._device = device
        self._clock = clock
        self._ended: list[Pass] = []
        self._names: set[str] = set()
        self._mode = ""
        self._tokens = self._cycles = 0
        device.clear_counters()

    @property
    def passes(self) -> list[Pass]:
        """All passes, in order; one that was under way ends here."""
        self._end()
        return list(self._ended)

    def measure(
        self, name: str, mode: str, run: Callable[[], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Run the product of a layer for a back end of a mode: what `run` gives, [tokens, N]."""
        if name in self._names or mode != self._mode:
            self._end()
        begun = self._clock()
        found = run()
        self._cycles += self._clock() - begun
        if not self._names:
            self._mode, self._tokens = mode, len(found)
        self._names.add(name)
        return found

    def _end(self) -> None:
        if not self._names:
            return
        counted = self._device.counters()
        self._device.clear_counters()
        self._ended.append(
            Pass(
                self._mode,
                self._tokens,
                len(self._names),
                self._cycles,
                counted["cycles"],
                counted["words"],
                counted["beats"],
            )
        )
        self._names.clear()
        self._cycles = 0


class RtlLayers(Mapping[str, Matrix]):
    """The matrices of a model in the memory of an accelerator.

    Parameters
    ----------
    device : Device
        The accelerator.
    tensors : mapping of str to PackedTensor
        By the names of :class:`speq_sim.decoding.weights.LlamaWeights`; packed with the design's
        family, or plain.

    Raises
    ------
    ModelError
        If the design's results are not FP32, or its activation buffer does not hold the inputs of
        a layer.
    speq.formats.FormatError, speq.parameters.ParameterError
        If the design cannot read a matrix.
    speq_sim.host.DeviceError
        If the memory is full.
    """

    def __init__(self, device: Device, tensors: Mapping[str, PackedTensor]) -> None:
        design = device.parameters
        if design.result_format != "fp32":
            raise ModelError(
                f"the results of design {design.name!r} are {design.result_format}, and decoding "
                f'takes them unrounded: set result_format to "fp32"'
            )
        for name, tensor in tensors.items():
            needed = _padded(design, tensor.shape[1])
            if needed > design.activation_values:
                raise ModelError(
                    f"layer {name!r} has {tensor.shape[1]} inputs, {needed} with padding, but the "
                    f"activation buffer of design {design.name!r} holds "
                    f"{design.activation_values}: raise activation_values"
                )
        self.device = device
        self._matrices: dict[str, Matrix] = {}
        for name, tensor in tensors.items():
            self._matrices[name] = device.load(tensor)

    @classmethod
    def pack(cls, device: Device, matrices: Mapping[str, NDArray[np.float16]]) -> "RtlLayers":
        """Pack every matrix, float16 [N, K], with the design's family, and load it."""
        members = family(device.parameters.family)
        return cls(device, {name: pack(values, members) for name, values in matrices.items()})

    def __getitem__(self, name: str) -> Matrix:
        return self._matrices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._matrices)

    def __len__(self) -> int:
        return len(self._matrices)


class RtlBackend:
    """Multiplies in an accelerator, in one mode, or in the one that a recipe has for a layer.

    Parameters
    ----------
    layers : RtlLayers
        The matrices in its memory.
    mode : {"verify", "draft", "middle"}
        What is computed; the design must have it. Plain matrices are verified in every mode.
    recipe : mapping of str to str, optional
        Mode of single layers, by name, instead of `mode`.
    meter : Meter, optional
        Counts cycles.

    Raises
    ------
    ModelError
        If the design lacks a mode, or the recipe names a layer that is not there.
    """

    def __init__(
        self,
        layers: RtlLayers,
        mode: str,
        recipe: Mapping[str, str] | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._design = layers.device.parameters
        self._recipe = {} if recipe is None else dict(recipe)
        for name in self._recipe:
            layer_of(layers, name)
        built = [each for each in ("verify", "draft", "middle") if each in self._design.modes]
        for each in (mode, *self._recipe.values()):
            if each not in built:
                raise ModelError(
                    f"design {self._design.name!r} does not run packed matrices in mode {each!r}: "
                    f"use one of {', '.join(built)}"
                )
        self._layers = layers
        self._mode = mode
        self._meter = meter

    def multiply(self, name: str, x: NDArray) -> NDArray[np.float32]:
        """Results [tokens, N] of ``float16(x)``; drafts are multiplied by alpha.

        Raises
        ------
        ModelError
            If there is no layer of that name.
        speq_sim.host.DeviceError
            If the unit stops.
        """
        matrix = layer_of(self._layers, name)
        mode = self._recipe.get(name, self._mode)
        inputs = rounded(x)

        def run() -> NDArray[np.float32]:
            # The library cuts by the design's tokens, and knows nothing of the buffer.
            fit = self._design.activation_values // _padded(self._design, matrix.inputs)
            step = len(inputs) if fit >= self._design.tokens else fit
            parts = [inputs[start : start + step] for start in range(0, len(inputs), step)]
            return np.concatenate([self._layers.device.run(matrix, mode, part) for part in parts])

        return run() if self._meter is None else self._meter.measure(name, self._mode, run)


def draft_format(design: Parameters) -> golden.BlockFormat:
    """Activations of DRAFT in a design, for the golden model to compute what it computes."""
    return golden.block_format(design.activation_format, design.lanes)


def _padded(design: Parameters, inputs: int) -> int:
    """Values that one token's inputs take in the activation buffer: whole groups."""
    return -(-inputs // design.group_inputs) * design.group_inputs
