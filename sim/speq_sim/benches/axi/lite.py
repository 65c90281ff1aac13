"""AXI4-Lite manager: writes and reads registers."""

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import cocotb
from cocotb.handle import LogicObject
from cocotb.triggers import Lock, RisingEdge

from speq_sim.benches.axi.lite_monitor import AxiLiteMonitor
from speq_sim.benches.axi.port import AxiResetError, Port, Response

__all__ = ["AxiLiteMaster"]


class AxiLiteMaster(Port):
    """Manager of a port with 32 data bits. A write and a read may be under way at the same time.

    Parameters
    ----------
    dut, prefix, clock, reset_n
        See :class:`~speq_sim.benches.axi.port.Port`.
    delays : iterable of int
        Cycles, 0 or more, by which each address, each data and each ready for a response is
        delayed. So write addresses come before, with or after their data.

    Attributes
    ----------
    monitor : AxiLiteMonitor
        Checks the port's rules.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str = "s_axi",
        *,
        clock: LogicObject | None = None,
        reset_n: LogicObject | None = None,
        delays: Iterable[int] = repeat(0),
    ) -> None:
        super().__init__(dut, prefix, clock, reset_n)
        self.monitor = AxiLiteMonitor(dut, prefix, clock, reset_n)
        self.delays = iter(delays)
        self._writing = Lock()
        self._reading = Lock()
        for name in ("awvalid", "wvalid", "bready", "arvalid", "rready"):
            self.signal(name).value = 0
        for name in ("awaddr", "awprot", "wdata", "wstrb", "araddr", "arprot"):
            if self.has(name):
                self.signal(name).value = 0

    async def write(self, address: int, value: int, strobes: int = 0xF) -> Response:
        """Write a register.

        Parameters
        ----------
        address : int
            In bytes.
        value : int
            32 bits.
        strobes : int
            Bit i: whether byte i is written.

        Raises
        ------
        AxiResetError
            If a reset comes before the answer.
        """
        async with self._writing:
            await self._out_of_reset()
            data = cocotb.start_soon(self._offer("w", wdata=value, wstrb=strobes))
            taken = await self._offer("aw", awaddr=address)
            # The task is awaited in any case: it must not outlive this call.
            if not (await data and taken and await self._take("b")):
                raise AxiResetError(f"a reset ended the write of {value:#x} to {address:#x}")
            return Response(int(self.signal("bresp").value))

    async def read(self, address: int) -> tuple[int, Response]:
        """Read a register: its 32 bits, and the response.

        Parameters
        ----------
        address : int
            In bytes.

        Raises
        ------
        AxiResetError
            If a reset comes before the answer.
        """
        async with self._reading:
            await self._out_of_reset()
            if not (await self._offer("ar", araddr=address) and await self._take("r")):
                raise AxiResetError(f"a reset ended the read of {address:#x}")
            return int(self.signal("rdata").value), Response(int(self.signal("rresp").value))

    async def _out_of_reset(self) -> None:
        while self.in_reset:
            await RisingEdge(self.clock)

    async def _delay(self) -> bool:
        """Wait for the next delay; whether there was no reset."""
        for _ in range(next(self.delays)):
            await RisingEdge(self.clock)
            if self.in_reset:
                return False
        return True

    async def _offer(self, channel: str, **payload: int) -> bool:
        """Offer a request until it is taken; whether it was, before a reset."""
        if not await self._delay():
            return False
        for name, value in payload.items():
            self.signal(name).value = value
        return await self._handshake(f"{channel}valid", f"{channel}ready")

    async def _take(self, channel: str) -> bool:
        """Wait for a response; whether it came, before a reset. Its values can be read then."""
        if not await self._delay():
            return False
        return await self._handshake(f"{channel}ready", f"{channel}valid")

    async def _handshake(self, ours: str, theirs: str) -> bool:
        edge = RisingEdge(self.clock)
        signal = self.signal(theirs)
        self.signal(ours).value = 1
        transfer = False
        while not transfer:
            await edge
            if self.in_reset:
                break
            transfer = signal.value == 1
        self.signal(ours).value = 0
        return transfer
