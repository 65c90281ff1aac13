"""Unit: an accelerator's registers, commands and packets, one job at a time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.formats.image import PLANES
from speq.parameters import MODES, Parameters
from speq_sim.golden.rounding import RESULT_TYPES
from speq_sim.host.matrix import Matrix
from speq_sim.host.registers import RegisterBlock
from speq_sim.host.transport import Packet, Transport

__all__ = ["DeviceError", "Unit"]

SCHEMA = "speq-accelerator/1"
MAGIC = int.from_bytes(b"SPEQ", "little")


class DeviceError(RuntimeError):
    """The unit is not the one described, lacks a mode, refused a command, or stopped."""


class Unit:
    """An accelerator behind a transport: what :class:`speq_sim.host.Device` stands on.

    Parameters
    ----------
    transport : Transport
        The way to it.
    side_car : mapping
        The JSON description that was emitted with its Verilog.

    Raises
    ------
    DeviceError
        If what answers is not the unit that the side-car describes.
    """

    def __init__(self, transport: Transport, side_car: Mapping[str, Any]) -> None:
        if side_car.get("schema") != SCHEMA:
            raise DeviceError(
                f"the side-car's schema is {side_car.get('schema')!r}, but this library knows "
                f"{SCHEMA!r}: use the JSON file that was emitted with the accelerator"
            )
        self.parameters = Parameters.from_mapping(side_car["parameters"])
        self.registers = RegisterBlock(transport, side_car["registers"])
        self._transport = transport
        if self.registers.read("ID") != MAGIC:
            raise DeviceError("no accelerator answers: check the address of its registers")
        for difference in self.registers.differences():
            raise DeviceError(
                f"the unit is not the one described ({difference}): use the files that were "
                f"emitted with it"
            )

    def command(self, matrix: Matrix, mode: str, tokens: int, *, keep: bool) -> None:
        """Write a command and push it, once there is room.

        Raises
        ------
        DeviceError
            If the unit rejects it.
        """
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

    def send(self, activations: NDArray[np.float16]) -> None:
        """Queue the packet of a job: tokens [M, K], each filled up to whole beats."""
        spare = -activations.shape[1] % self.parameters.port_words
        padded = np.pad(activations, ((0, 0), (0, spare)))
        self._transport.send(padded.astype("<f2").tobytes())

    def receive(self, matrix: Matrix, tokens: int) -> NDArray[np.floating]:
        """Results [M, N] of the next job, in the design's result format.

        Raises
        ------
        DeviceError
            If the unit stopped before they were complete, or they are no such results.
        """
        packet = self._receive()
        if packet is None or packet.void:
            raise DeviceError(f"the unit stopped ({self.fault()}): resume it and submit again")
        return self._in_order(matrix, tokens, packet.data)

    def fault(self) -> str:
        """Why the unit stopped, as its registers call it."""
        return self.registers.code("FAULT", "code")

    def stop(self) -> None:
        """Stop the unit: what is under way ends as after a fault. :meth:`resume` ends it."""
        self.registers.write("CONTROL", stop=1)

    def resume(self) -> None:
        """Make a unit ready that stopped or is about to.

        What was sent for jobs and not taken, and what came of them and was not received, is
        dropped.

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

    def clear_counters(self) -> None:
        """Set the performance counters to 0."""
        self.registers.write("CONTROL", clear_counters=1)

    def counters(self) -> dict[str, int]:
        """Cycles with a job pending, AXI beats received, transfers of the array's weight port."""
        return {name.lower(): self.registers.count(name) for name in ("CYCLES", "BEATS", "WORDS")}

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

    def _in_order(self, matrix: Matrix, tokens: int, data: bytes) -> NDArray[np.floating]:
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
        return np.ascontiguousarray(raw)
