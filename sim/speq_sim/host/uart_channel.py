"""Channels: what carries the bytes of the protocol of boards."""

import importlib.util
from typing import Any, Protocol

from speq_sim.host.uart_errors import LinkError

__all__ = ["Channel", "SerialChannel"]


class Channel(Protocol):
    """A way for bytes, both ways; some may be lost or broken."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def read(self, count: int, timeout: float) -> bytes:
        """Up to `count` bytes, fewer if `timeout` seconds pass before they are there."""


class SerialChannel:
    """A serial port of this computer, through pyserial.

    Parameters
    ----------
    port : str
        Its name, such as ``/dev/ttyUSB0`` or ``COM3``.
    baud : int
        Bits per second.

    Raises
    ------
    LinkError
        If pyserial is not installed, or the port cannot be opened.
    """

    def __init__(self, port: str, baud: int) -> None:
        if importlib.util.find_spec("serial") is None:
            raise LinkError("pyserial is not installed: install it with pip install 'speq[fpga]'")
        import serial

        self._lost: type[Exception] = serial.SerialException
        self._name = port
        try:
            self._port: Any = serial.Serial(port, baud, exclusive=True)
        except (self._lost, ValueError, OSError) as error:
            raise LinkError(f"port {port} cannot be opened: {error}") from None
        self._port.reset_input_buffer()

    def close(self) -> None:
        """Give the port back."""
        self._port.close()

    def write(self, data: bytes) -> None:
        """Send bytes.

        Raises
        ------
        LinkError
            If the port is gone.
        """
        try:
            self._port.write(data)
        except (self._lost, OSError) as error:
            raise LinkError(f"port {self._name} is gone: {error}") from None

    def read(self, count: int, timeout: float) -> bytes:
        """Up to `count` bytes, fewer if `timeout` seconds pass. Raises as :meth:`write`."""
        try:
            self._port.timeout = timeout
            return self._port.read(count)
        except (self._lost, OSError) as error:
            raise LinkError(f"port {self._name} is gone: {error}") from None
