"""Device: an accelerator as seen from software."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from speq.formats.image import PLANES, memory_image
from speq.formats.int4 import Int4Tensor
from speq.formats.packed_reader import PackedReader
from speq.formats.packing import PackedTensor
from speq.parameters import MODES, Parameters
from speq_sim.golden import quantise_activations
from speq_sim.golden.rounding import RESULT_TYPES
from speq_sim.host.matrix import GroupedMatrix, Matrix, epilogue, split_groups
from speq_sim.host.registers import RegisterBlock
from speq_sim.host.transport import Packet, Transport

__all__ = ["Device", "DeviceError", "Result"]

SCHEMA = "speq-accelerator/1"
MAGIC = int.from_bytes(b"SPEQ", "little")


class DeviceError(RuntimeError):
    """The unit is not the one described, refused a command, or stopped with a fault."""


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


class Device:
    """An accelerator behind a transport.

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
        if side_car.get("schema") != SCHEMA:
            raise DeviceError(
                f"the side-car's schema is {side_car.get('schema')!r}, but this library knows "
                f"{SCHEMA!r}: use the JSON file that was emitted with the accelerator"
            )
        self.parameters = Parameters.from_mapping(side_car["parameters"])
        self.registers = RegisterBlock(transport, side_car["registers"])
        self._transport = transport
        self._free = memory
        self._pending: deque[_Job] = deque()
        self._sent: _Job | None = None
        if self.registers.read("ID") != MAGIC:
            raise DeviceError("no accelerator answers: check the address of its registers")
        for difference in self.registers.differences():
            raise DeviceError(
                f"the unit is not the one described ({difference}): use the files that were "
                f"emitted with it"
            )

    def load(self, tensor: PackedTensor | Int4Tensor) -> Matrix | GroupedMatrix:
        """Lay a matrix out for the design and put it into memory.

        An INT4 matrix with groups becomes one matrix for each of them.

        Raises
        ------
        DeviceError
            If the design has no mode for it, or memory is full.
        FormatError, ParameterError
            If the design cannot read it.
        """
        if not isinstance(tensor, Int4Tensor):
            return self._load(tensor)
        if not self.parameters.integers:
            raise DeviceError(
                f"design {self.parameters.name!r} has no mode of INT4 weights: add "
                f'"qdraft" and "qverify" to its modes, or load the tensor packed'
            )
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
        dtype: DTypeLike = np.float32,
    ) -> NDArray[np.floating]:
        """The product of a matrix and any number of tokens, with all scales applied: [M, N].

        More tokens than the design serves at once take several passes over the weights, and groups
        of inputs a job each; up to ``queue_depth`` jobs are queued at a time.

        Parameters
        ----------
        matrix, mode, activations
            As in :meth:`submit`, for any M of 1 or more.
        dtype : float32 or float16
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
            found.append(epilogue(parts, matrix, mode, of_tokens))
        with np.errstate(over="ignore", under="ignore"):
            return np.concatenate(found).astype(dtype, copy=False)

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

    def _queue(self, job: _Job, values: NDArray[np.float16] | None) -> None:
        """Give a command and what it needs."""
        self._command(job.matrix, job.mode, job.tokens, keep=values is None)
        if values is not None:
            self._transport.send(self._packet(values))
        self._pending.append(job)
        self._sent = job

    def _take(self) -> tuple[_Job, NDArray[np.floating]]:
        """The oldest job and what it gave."""
        if not self._pending:
            raise DeviceError("no job is pending: submit one first")
        packet = self._receive()
        job = self._pending.popleft()
        if packet is None or packet.void:
            raise DeviceError(f"the unit stopped ({self.fault()}): resume it and submit again")
        return job, self._matrix_of(job, packet.data)

    def fault(self) -> str:
        """Why the unit stopped, as its registers call it."""
        return self.registers.code("FAULT", "code")

    def stop(self) -> None:
        """Stop the unit: what is under way ends as after a fault. :meth:`resume` ends it."""
        self.registers.write("CONTROL", stop=1)

    def resume(self) -> None:
        """Make a unit ready that stopped or is about to.

        All jobs that were not collected are forgotten, with what was sent for them and what came
        of them.

        Raises
        ------
        DeviceError
            If the unit runs.
        """
        while not self.registers.read("STATUS", "stopped"):
            if not self.registers.read("STATUS", "stopping"):
                raise DeviceError("the unit runs: stop it first")
            self._transport.receive()  # a packet that was begun must leave before it stops
        # A stopped unit swallows activations; once resumed, it would take them for the next job's.
        self._transport.flush()
        while self._transport.receive() is not None:
            pass
        self.registers.write("CONTROL", resume=1)
        self._pending.clear()
        self._sent = None

    def clear_counters(self) -> None:
        """Set the performance counters to 0."""
        self.registers.write("CONTROL", clear_counters=1)

    def counters(self) -> dict[str, int]:
        """Cycles with a job pending, AXI beats received, transfers of the array's weight port."""
        return {name.lower(): self.registers.count(name) for name in ("CYCLES", "BEATS", "WORDS")}

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

    def _receive(self) -> Packet | None:
        """The next packet, or None if the unit has stopped without one."""
        packet = None
        while packet is None:
            # Looked at first: what was sent before the unit stopped is still there to be received.
            stopped = self.registers.read("STATUS", "stopped")
            packet = self._transport.receive()
            if stopped:
                break
        return packet

    def _command(self, matrix: Matrix, mode: str, tokens: int, *, keep: bool) -> None:
        extent, registers = matrix.extent, self.registers
        fields = {"mode": MODES.index(mode), "tokens": tokens, "keep": int(keep)}
        if self.parameters.packs:
            fields["plain"] = int(extent.plain)
        registers.write("COMMAND", **fields)
        registers.write("INPUTS", count=extent.inputs)
        registers.write("OUTPUT_TILES", count=extent.output_tiles)
        for plane, base in zip(PLANES, matrix.bases, strict=False):
            registers.write(f"{plane.upper()}_BASE", address=base & 0xFFFF_FFFF)
            registers.write(f"{plane.upper()}_BASE_HIGH", address=base >> 32)
        while not registers.read("STATUS", "room") and not registers.read("STATUS", "stopped"):
            pass
        refused = registers.read("REJECTIONS")
        registers.write("PUSH", any=1)
        if registers.read("REJECTIONS") != refused:
            raise DeviceError(
                f"the unit rejected the command ({registers.code('REJECTION', 'code')}): "
                f"{mode} of {tokens} tokens, K = {extent.inputs}, {extent.output_tiles} output "
                f"tiles"
            )

    def _packet(self, activations: NDArray[np.float16]) -> bytes:
        """Tokens one after the other, each filled up to whole beats."""
        spare = -activations.shape[1] % self.parameters.port_words
        return np.pad(activations, ((0, 0), (0, spare))).astype("<f2").tobytes()

    def _matrix_of(self, job: _Job, data: bytes) -> NDArray[np.floating]:
        """Undo the order of the packet, output tiles, tokens, rows: [M, N]."""
        design, extent, tokens = self.parameters, job.matrix.extent, job.tokens
        dtype = RESULT_TYPES[design.result_format].newbyteorder("<")
        beats = -(-design.rows * design.result_bits // design.port_bits)
        values = np.frombuffer(data, dtype=dtype)
        wanted = extent.output_tiles * tokens * beats * design.port_bits // design.result_bits
        if len(values) != wanted:
            raise DeviceError(
                f"a packet of {len(data)} bytes came, but the job gives "
                f"{wanted * dtype.itemsize}: the unit and the side-car do not fit"
            )
        values = values.reshape(extent.output_tiles, tokens, -1)[:, :, : design.rows]
        raw = values.swapaxes(0, 1).reshape(tokens, -1)[:, : extent.outputs]
        return np.ascontiguousarray(raw)


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
