"""Device: an accelerator as seen from software."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.formats.image import memory_image
from speq.formats.int4 import Int4Tensor
from speq.formats.packed_reader import PackedReader
from speq.formats.packing import PackedTensor
from speq_sim.golden import quantise_activations
from speq_sim.golden.rounding import ResultFormat
from speq_sim.host.matrix import GroupedMatrix, Matrix, epilogue, split_groups
from speq_sim.host.transport import Transport
from speq_sim.host.unit import DeviceError, Unit

__all__ = ["Device", "Result"]


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What one job computed.

    Attributes
    ----------
    raw : array [M, N]
        In the design's result format, as it left the array.
    values : array of float32 [M, N]
        With alpha or the scales of INT4 applied (:func:`speq_sim.host.matrix.epilogue`).
    """

    raw: NDArray[np.floating]
    values: NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """A job that was queued; `token_scales` only if its activations were quantised."""

    matrix: Matrix
    mode: str
    tokens: int
    token_scales: NDArray[np.float16] | None


class Device(Unit):
    """An accelerator behind a transport: matrices and activations in, products out.

    Parameters
    ----------
    transport : Transport
        The way to it.
    side_car : mapping
        The JSON description that was emitted with its Verilog.
    memory : int
        First address that matrices may take.

    Raises
    ------
    DeviceError
        If what answers is not the unit that the side-car describes.
    """

    def __init__(
        self, transport: Transport, side_car: Mapping[str, Any], *, memory: int = 0
    ) -> None:
        super().__init__(transport, side_car)
        self._free = memory
        self._pending: deque[_Job] = deque()
        self._sent: _Job | None = None

    def load(self, tensor: PackedTensor | Int4Tensor) -> Matrix | GroupedMatrix:
        """Lay a matrix out for the design and put it into memory.

        An INT4 matrix with groups becomes one matrix for each of them.

        Raises
        ------
        DeviceError
            If memory is full.
        FormatError, ParameterError
            If the design cannot read it.
        """
        if not isinstance(tensor, Int4Tensor):
            return self._load(tensor)
        parts = tuple(self._load(part) for part in split_groups(tensor))
        return GroupedMatrix(parts) if tensor.group else parts[0]

    def _load(self, tensor: PackedTensor | Int4Tensor) -> Matrix:
        image = memory_image(tensor, self.parameters)
        bases = []
        for region in image.regions:
            bases.append(self._allocate(region.nbytes))
            self._transport.write_memory(bases[-1], region.tobytes())
        return Matrix(image.extent, tuple(bases), image.alpha, image.scale)

    def load_file(
        self, path: Path, names: Iterable[str] | None = None
    ) -> dict[str, Matrix | GroupedMatrix]:
        """Put matrices of a packed model into memory, one after the other.

        Parameters
        ----------
        path : Path
            What ``scripts/pack_weights.py`` wrote.
        names : iterable of str, optional
            Tensors to load; by default all that are matrices.

        Raises
        ------
        FormatError, ParameterError
            If the file is damaged, or the design cannot read one of them.
        """
        reader = PackedReader(path)
        if names is None:
            names = [name for name in reader.names if len(reader.shape(name)) == 2]
        return {name: self.load(reader.tensor(name)) for name in names}

    def submit(
        self,
        matrix: Matrix,
        mode: str,
        activations: NDArray[np.float16] | None = None,
        *,
        tokens: int | None = None,
    ) -> None:
        """Queue a job.

        In QDRAFT activations are quantised to INT4, a scale per token, and its integers are sent.

        Parameters
        ----------
        matrix : Matrix
            The weights.
        mode : str
            One of :data:`speq.modes.MODES`. A plain matrix is verified in every mode.
        activations : array of float16 [M, K], optional
            M tokens, at most as many as the design serves at once. Without them the job works on
            those of the job before.
        tokens : int, optional
            M, where there are no activations.

        Raises
        ------
        DeviceError
            If the design or the matrix lacks the mode, or the unit rejects the command.
        ValueError
            If the activations do not fit the matrix, or those that the unit keeps are integers and
            this mode takes none, or the other way round.
        """
        mode = self._checked(matrix, mode)
        if activations is None:
            if tokens is None:
                raise ValueError("there are neither activations nor a number of tokens: give one")
            self._queue(_Job(matrix, mode, tokens, self._kept_scales(mode)), None)
            return
        _check_activations(activations, matrix)
        values, scales = _quantised(activations, mode)
        self._queue(_Job(matrix, mode, len(values), scales), values)

    def collect(self) -> Result:
        """Results of the oldest job that was not collected.

        Raises
        ------
        DeviceError
            If the unit stopped before it was done; :meth:`resume` makes it ready again.
        """
        job, raw = self._take()
        return Result(raw, epilogue([raw], job.matrix, job.mode, job.token_scales))

    def run(
        self,
        matrix: Matrix | GroupedMatrix,
        mode: str,
        activations: NDArray[np.float16],
        result_format: ResultFormat = "fp32",
    ) -> NDArray[np.floating]:
        """The product of a matrix and any number of tokens, with all scales applied: [M, N].

        More tokens than the design serves at once take several passes over the weights, and groups
        of inputs a job each; up to ``queue_depth`` jobs are queued at a time.

        Parameters
        ----------
        matrix, mode, activations
            As in :meth:`submit`, for any M of 1 or more.
        result_format : {"fp32", "fp16"}
            Of the product, which is FP32 up to the end.

        Raises
        ------
        DeviceError, ValueError
            As :meth:`submit`; or if jobs are pending, whose results would be mixed up with these.
        """
        if self._pending:
            raise DeviceError(f"{len(self._pending)} jobs are pending: collect them first")
        mode = self._checked(matrix, mode)
        _check_activations(activations, matrix)
        values, scales = _quantised(activations, mode)
        step = self.parameters.tokens
        passes = [slice(start, start + step) for start in range(0, len(values), step)]
        raws = list(self._products(matrix, mode, [values[tokens] for tokens in passes]))
        found = []
        for number, tokens in enumerate(passes):
            parts = raws[number * len(matrix.parts) :][: len(matrix.parts)]
            of_tokens = None if scales is None else scales[tokens]
            found.append(epilogue(parts, matrix, mode, of_tokens, result_format))
        return np.concatenate(found)

    def _products(
        self, matrix: Matrix | GroupedMatrix, mode: str, passes: Iterable[NDArray[np.float16]]
    ) -> Iterator[NDArray[np.floating]]:
        """Results of each part of a matrix for each pass of tokens, some jobs ahead."""
        for values in passes:
            start = 0
            for part in matrix.parts:
                inputs = values[:, start : start + part.inputs]
                start += part.inputs
                self._queue(_Job(part, mode, len(values), None), inputs)
                if len(self._pending) == self.parameters.queue_depth:
                    yield self._take()[1]
        while self._pending:
            yield self._take()[1]

    def _checked(self, matrix: Matrix | GroupedMatrix, mode: str) -> str:
        """The mode in which a matrix is to run."""
        if any(part.extent.plain for part in matrix.parts):
            return "verify"
        if mode not in self.parameters.modes:
            raise DeviceError(
                f"design {self.parameters.name!r} has no mode {mode!r}: use one of "
                f"{', '.join(self.parameters.modes)}, or add it to the design"
            )
        if mode not in matrix.modes:
            raise DeviceError(
                f"the matrix has no weights for mode {mode!r}: it is stored for "
                f"{' and '.join(matrix.modes)}"
            )
        return mode

    def _kept_scales(self, mode: str) -> NDArray[np.float16] | None:
        """Token scales of the activations that the unit has, which must be right for a mode."""
        before = self._sent
        if before is not None and (before.mode == "qdraft") != (mode == "qdraft"):
            raise ValueError(
                f"the activations of the job before are those of {before.mode}, and only QDRAFT "
                f"takes INT4 ones: give activations"
            )
        return before.token_scales if before else None

    def resume(self) -> None:
        """As :meth:`Unit.resume`; all jobs that were not collected are forgotten."""
        super().resume()
        self._pending.clear()
        self._sent = None

    def _queue(self, job: _Job, values: NDArray[np.float16] | None) -> None:
        """Give a command and what it needs."""
        self.command(job.matrix, job.mode, job.tokens, keep=values is None)
        if values is not None:
            self.send(values)
        self._pending.append(job)
        self._sent = job

    def _take(self) -> tuple[_Job, NDArray[np.floating]]:
        """The oldest job and what it gave."""
        if not self._pending:
            raise DeviceError("no job is pending: submit one first")
        job = self._pending[0]
        try:
            return job, self.receive(job.matrix, job.tokens)
        finally:
            self._pending.popleft()

    def _allocate(self, size: int) -> int:
        """Addresses that no burst leaves early: aligned to the longest one."""
        step = self.parameters.longest_burst * self.parameters.bus_bytes
        base = -(-self._free // step) * step
        if base + size > 1 << self.parameters.address_bits:
            raise DeviceError(
                f"{size} more bytes do not fit {self.parameters.address_bits} address bits: load "
                f"less, or set address_bits of the design"
            )
        self._free = base + size
        return base


def _check_activations(activations: NDArray[np.float16], matrix: Matrix | GroupedMatrix) -> None:
    if activations.dtype != np.float16 or activations.shape[1:] != (matrix.inputs,):
        raise ValueError(
            f"activations are {activations.dtype} of shape {activations.shape}, but the "
            f"matrix takes float16 [M, {matrix.inputs}]"
        )


def _quantised(
    activations: NDArray[np.float16], mode: str
) -> tuple[NDArray[np.float16], NDArray[np.float16] | None]:
    """What is handed over, and the scale of each token if that is integers."""
    return quantise_activations(activations) if mode == "qdraft" else (activations, None)
