"""Observer of an AXI4-Lite port: checks the rules of both sides on all five channels."""

from typing import Any

import cocotb
from cocotb.handle import LogicObject
from cocotb.triggers import RisingEdge

from speq_sim.benches.axi.port import Channel, Port

__all__ = ["AxiLiteMonitor"]


class AxiLiteMonitor(Port):
    """Checks that offers are held, and that each request is answered once, after it was taken.

    Parameters
    ----------
    dut, prefix, clock, reset_n
        See :class:`~speq_sim.benches.axi.port.Port`.

    Attributes
    ----------
    reads, writes : int
        Responses transferred.
    reads_under_way : int
        Read addresses taken and not answered.
    addresses_under_way, values_under_way : int
        Write addresses and write data taken and not answered.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str = "s_axi",
        clock: LogicObject | None = None,
        reset_n: LogicObject | None = None,
    ) -> None:
        super().__init__(dut, prefix, clock, reset_n)
        self._aw = Channel(self, "aw", ["awaddr"])
        self._w = Channel(self, "w", ["wdata", "wstrb"])
        self._b = Channel(self, "b", ["bresp"])
        self._ar = Channel(self, "ar", ["araddr"])
        self._r = Channel(self, "r", ["rdata", "rresp"])
        self.reads = self.writes = 0
        self._forget()
        cocotb.start_soon(self._run())

    def _forget(self) -> None:
        self.reads_under_way = self.addresses_under_way = self.values_under_way = 0

    async def _run(self) -> None:
        edge = RisingEdge(self.clock)
        channels = (self._aw, self._w, self._b, self._ar, self._r)
        while True:
            await edge
            if self.in_reset:
                for channel in channels:
                    channel.reset()
                self._forget()
                continue
            # Answers before requests: one in the cycle of its request would be too early.
            answered = self._b.observe()
            if self._b.valid and not (self.addresses_under_way and self.values_under_way):
                self._b.fail(f"{self.prefix}_bvalid", "high without a write that was taken")
            if answered:
                self._b.sample()
                self.writes += 1
            self.addresses_under_way += self._aw.observe() - answered
            self.values_under_way += self._w.observe() - answered
            answered = self._r.observe()
            if self._r.valid and not self.reads_under_way:
                self._r.fail(f"{self.prefix}_rvalid", "high without a read that was taken")
            if answered:
                self._r.sample()
                self.reads += 1
            self.reads_under_way += self._ar.observe() - answered
