"""Gates: they keep the promises of the AXI4-Stream ports while what is behind them is reset."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.accelerator.layouts import packet_stream
from speq.block import Block
from speq.bus import axi_stream
from speq.parameters import Parameters
from speq.streams import StreamRegister

__all__ = ["ActivationGate", "ResultGate"]


class ActivationGate(Block):
    """Lets packets through, or swallows them.

    While `stop` is high every transfer is swallowed. A packet of which a part was taken before
    `stop` fell, passed on or swallowed, is swallowed up to its TLAST; the next one passes. Whoever
    takes `packets` is reset while `stop` is high: an offer may then be withdrawn.

    Members
    -------
    bus : AXI4-Stream, receiver
    packets : stream, out
        The bus's transfers, in the same cycle.
    stop : 1 bit, in
    """

    stem = "activation_gate"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "bus": In(axi_stream(parameters.port_bits)),
            "packets": Out(packet_stream(parameters)),
            "stop": In(1),
        }
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Of the packet at the port a part was taken; and it is not to go on.
        begun = Signal()
        lost = Signal()
        begins = Signal()
        swallow = Signal()
        taken = self.bus.tvalid & self.bus.tready
        m.d.comb += [
            swallow.eq(self.stop | lost),
            begins.eq(Mux(taken, ~self.bus.tlast, begun)),
            self.bus.tready.eq(swallow | self.packets.ready),
            self.packets.valid.eq(self.bus.tvalid & ~swallow),
            self.packets.payload.data.eq(self.bus.tdata),
            self.packets.payload.last.eq(self.bus.tlast),
        ]
        m.d.sync += [begun.eq(begins), lost.eq(swallow & begins)]
        return m


class ResultGate(Block):
    """Sends packets through a register, and closes the one that is open when they stop.

    `stop` must stay high until `closed`; what gives `packets` is reset meanwhile.

    Members
    -------
    packets : stream, in
    bus : AXI4-Stream, transmitter
        TUSER is 1 in the beat that closes a void packet, with TLAST and no data. All but TREADY are
        registers.
    stop : 1 bit, in
        Nothing more is taken. The beat on the bus stays there until it is taken; if it does not
        end its packet, or none is there and a packet has begun, the closing beat follows.
    closed : 1 bit, out
        `stop` is high, nothing is offered and no packet is open.
    done : 1 bit, out
        The last beat of a packet that is not void is taken from the bus.
    """

    stem = "result_gate"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "packets": In(packet_stream(parameters)),
            "bus": Out(axi_stream(parameters.port_bits, user_bits=1)),
            "stop": In(1),
            "closed": Out(1),
            "done": Out(1),
        }
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout = data.StructLayout({"data": self.parameters.port_bits, "last": 1, "user": 1})
        m.submodules.beat = beat = StreamRegister(layout)
        begun = Signal()  # a packet, of which the last beat is not yet in the register
        packet = self.packets.payload
        m.d.comb += [
            self.packets.ready.eq(beat.i.ready & ~self.stop),
            beat.i.valid.eq(Mux(self.stop, begun, self.packets.valid)),
            beat.i.payload.data.eq(Mux(self.stop, 0, packet.data)),
            beat.i.payload.last.eq(self.stop | packet.last),
            beat.i.payload.user.eq(self.stop),
            beat.o.ready.eq(self.bus.tready),
            self.bus.tvalid.eq(beat.o.valid),
            self.bus.tdata.eq(beat.o.payload.data),
            self.bus.tlast.eq(beat.o.payload.last),
            self.bus.tuser.eq(beat.o.payload.user),
            self.closed.eq(self.stop & ~beat.o.valid & ~begun),
            self.done.eq(
                beat.o.valid & self.bus.tready & beat.o.payload.last & ~beat.o.payload.user
            ),
        ]
        with m.If(beat.take):
            m.d.sync += begun.eq(~beat.i.payload.last)
        return m
