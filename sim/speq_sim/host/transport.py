"""Transport: the little that the host library needs to reach an accelerator.

A simulation implements it with bus models, a board with its DMA engines and a mapped register
block; the library above does not know which.
"""

import dataclasses
from typing import Protocol

__all__ = ["Packet", "Transport"]


@dataclasses.dataclass(frozen=True)
class Packet:
    """One packet of results.

    Parameters
    ----------
    data : bytes
        All its beats; the first beat first, little-endian.
    void : bool
        TUSER of its last beat: the unit stopped before the packet was complete.
    """

    data: bytes
    void: bool = False


class Transport(Protocol):
    """A way to an accelerator. All calls block until done, unless it says otherwise."""

    def read(self, offset: int) -> int:
        """Value of the 32-bit register at a byte offset."""

    def write(self, offset: int, value: int) -> None:
        """Set the 32-bit register at a byte offset."""

    def write_memory(self, address: int, data: bytes) -> None:
        """Put bytes into the memory that the accelerator reads weights from."""

    def send(self, packet: bytes) -> None:
        """Queue one packet of activations; returns before it is taken."""

    def flush(self) -> None:
        """Wait until every packet sent was taken."""

    def receive(self) -> Packet | None:
        """The next packet of results, or None if none came for a while (a millisecond, say)."""
