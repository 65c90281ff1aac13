"""Device: an accelerator as seen from software."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.formats.image import PLANES, Extent, memory_image
from speq.formats.packed_reader import PackedReader
from speq.formats.packing import PackedTensor
from speq.parameters import Parameters
from speq_sim.golden.rounding import RESULT_TYPES
from speq_sim.host.registers import RegisterBlock
from speq_sim.host.transport import Packet, Transport

__all__ = ["Device", "DeviceError", "Matrix", "Result"]

SCHEMA = "speq-accelerator/1"
MAGIC = int.from_bytes(b"SPEQ", "little")


class DeviceError(RuntimeError):
    """The unit is not the one described, refused a command, or stopped with a fault."""


@dataclasses.dataclass(frozen=True, eq=False)
class Matrix:
    """A weight matrix in the unit's memory.

    Attributes
    ----------
    extent : Extent
        Its sizes.
    bases : tuple of int
        Address of each plane, in bytes.
    alpha : array of float32 [N] or None
        Scale of each row's draft result.
    """

    extent: Extent
    bases: tuple[int, ...]
    alpha: NDArray[np.float32] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What one job computed.

    Attributes
    ----------
    raw : array [M, N]
        In the design's result format, as it left the array.
    values : array of float32 [M, N]
        With alpha applied, if the job was a draft (docs/numerics.md).
    """

    raw: NDArray[np.floating]
    values: NDArray[np.float32]


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
        self._pending: deque[tuple[Matrix, str, int]] = deque()
        if self.registers.read("ID") != MAGIC:
            raise DeviceError("no accelerator answers: check the address of its registers")
        for difference in self.registers.differences():
            raise DeviceError(
                f"the unit is not the one described ({difference}): use the files that were "
                f"emitted with it"
            )

    def load(self, tensor: PackedTensor) -> Matrix:
        """Lay a matrix out for the design and put it into memory.

        Raises
        ------
        FormatError, ParameterError
            If the design cannot read it.
        """
        image = memory_image(tensor, self.parameters)
        bases = []
        for region in image.regions:
            bases.append(self._allocate(region.nbytes))
            self._transport.write_memory(bases[-1], region.tobytes())
        return Matrix(image.extent, tuple(bases), image.alpha)

    def load_file(self, path: Path, names: Iterable[str] | None = None) -> dict[str, Matrix]:
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

        Parameters
        ----------
        matrix : Matrix
            The weights.
        mode : str
            ``"verify"`` or ``"draft"``. A plain matrix is drafted at full precision.
        activations : array of float16 [M, K], optional
            M tokens, at most as many as the design serves at once. Without them the job works on
            those of the job before.
        tokens : int, optional
            M, where there are no activations.

        Raises
        ------
        DeviceError
            If the unit rejects the command.
        ValueError
            If the activations do not fit the matrix.
        """
        extent = matrix.extent
        if activations is not None:
            if activations.dtype != np.float16 or activations.shape[1:] != (extent.inputs,):
                raise ValueError(
                    f"activations are {activations.dtype} of shape {activations.shape}, but the "
                    f"matrix takes float16 [M, {extent.inputs}]"
                )
            tokens = len(activations)
        if tokens is None:
            raise ValueError("there are neither activations nor a number of tokens: give one")
        mode = "verify" if extent.plain else mode
        self._command(matrix, mode, tokens, keep=activations is None)
        if activations is not None:
            self._transport.send(self._packet(activations))
        self._pending.append((matrix, mode, tokens))

    def collect(self) -> Result:
        """Results of the oldest job that was not collected.

        Raises
        ------
        DeviceError
            If the unit stopped before it was done; :meth:`resume` makes it ready again.
        """
        if not self._pending:
            raise DeviceError("no job is pending: submit one first")
        packet = self._receive()
        matrix, mode, tokens = self._pending.popleft()
        if packet is None or packet.void:
            raise DeviceError(f"the unit stopped ({self.fault()}): resume it and submit again")
        return self._result(matrix, mode, tokens, packet.data)

    def run(
        self, matrix: Matrix, mode: str, activations: NDArray[np.float16]
    ) -> NDArray[np.float32]:
        """The product of a matrix and any number of tokens, alpha applied: [M, N].

        More tokens than the design serves at once take several passes over the weights.
        """
        step = self.parameters.tokens
        parts = []
        for start in range(0, len(activations), step):
            self.submit(matrix, mode, activations[start : start + step])
            parts.append(self.collect().values)
        return np.concatenate(parts)

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
        fields = {"mode": self.parameters.modes.index(mode), "tokens": tokens, "keep": int(keep)}
        if self.parameters.drafts:
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

    def _result(self, matrix: Matrix, mode: str, tokens: int, data: bytes) -> Result:
        """Undo the order of the packet: output tiles, tokens, rows."""
        design, extent = self.parameters, matrix.extent
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
        scaled = raw.astype(np.float32)
        if mode == "draft" and matrix.alpha is not None:
            scaled = scaled * matrix.alpha
        return Result(np.ascontiguousarray(raw), scaled)
