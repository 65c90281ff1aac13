"""Cuts a region of memory into bursts."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from speq.accelerator.layouts import beat_count_bits
from speq.parameters import BOUNDARY_BYTES, Parameters

__all__ = ["Bursts"]


class Bursts(wiring.Component):
    """Prepares the bursts of one plane, one every three cycles at most.

    A burst is as long as can be: B beats, fewer at the end of the region, and where more would
    cross a multiple of 4,096 bytes. It is offered once there is room for all of it.

    Parameters
    ----------
    parameters : Parameters
        The design point.
    depth : int
        Most beats that there is room for.

    Members
    -------
    load : 1 bit, in
        Begin a region; only while not `busy`.
    base : unsigned, in
        Its address in beats.
    beats : unsigned, in
        Its length; of 0 beats, nothing is done.
    room : unsigned, in
        Beats that there is room for; falls only as bursts are taken.
    busy : 1 bit, out
        Bursts are left to be taken.
    valid : 1 bit, out
        A burst is offered.
    address, length : unsigned, out
        Where it begins, in beats, and its 1 to B beats.
    take : 1 bit, in
        Take it; only while `valid`.
    """

    def __init__(self, parameters: Parameters, depth: int) -> None:
        self.longest = parameters.longest_burst
        self.boundary = BOUNDARY_BYTES // parameters.bus_bytes
        address_bits = parameters.address_bits - exact_log2(parameters.bus_bytes)
        super().__init__(
            {
                "load": In(1),
                "base": In(address_bits),
                "beats": In(beat_count_bits(parameters)),
                "room": In(range(depth + 1)),
                "busy": Out(1),
                "valid": Out(1),
                "address": Out(address_bits),
                "length": Out(range(self.longest + 1)),
                "take": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal.like(self.beats)
        prepared = Signal()
        final = Signal()
        with m.If(self.load):
            m.d.sync += [
                self.address.eq(self.base),
                left.eq(self.beats),
                self.busy.eq(self.beats != 0),
            ]
        with m.Elif(self.take):
            m.d.sync += [
                self.address.eq(self.address + self.length),
                left.eq(left - self.length),
                self.busy.eq(~final),
            ]

        # Lengths and room are compared a cycle apart, to keep the paths short.
        limit = Signal.like(self.length)
        m.d.comb += limit.eq(self._limit())
        with m.If(~prepared):
            m.d.sync += [
                final.eq(left <= limit),
                self.length.eq(Mux(left <= limit, left, limit)),
            ]
        m.d.sync += [
            prepared.eq(self.busy & ~self.take),
            self.valid.eq(prepared & ~self.take & (self.length <= self.room)),
        ]
        return m

    def _limit(self) -> Value:
        """Most beats that a burst may have here."""
        within = self.address[: exact_log2(self.boundary)]
        to_boundary = self.longest - within[: exact_log2(self.longest)]
        if self.longest == self.boundary:
            return to_boundary
        return Mux(within >= self.boundary - self.longest, to_boundary, self.longest)
