"""Results: from the array's transfers to the beats of packets."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from speq.accelerator.layouts import OUTPUT_TILE_BITS, packet_stream, result_beats, result_job
from speq.arithmetic import select
from speq.block import Block
from speq.layouts import result_stream
from speq.parameters import Parameters

__all__ = ["Results"]


class Results(Block):
    """Keeps the results of a tile's tokens and sends them beat by beat, a packet per job.

    The FIFO holds ``tokens`` results (two at least) and one more at its output, so that the array
    goes on with the next output tile while those of this one are sent.

    Members
    -------
    jobs : stream, in
        :func:`speq.accelerator.layouts.result_job`; each leaves with its packet's last beat.
    results : stream, in
        :func:`speq.layouts.result_stream`: output_tiles * tokens transfers per job.
    packets : stream, out
        ceil(R * bits / (W * 16)) transfers per result, row 0 in the lowest bits of the first, zeros
        above the last row.
    """

    stem = "results"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "jobs": In(stream.Signature(result_job(parameters))),
            "results": In(result_stream(parameters)),
            "packets": Out(packet_stream(parameters)),
        }
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waits, values, taken = self._queued(m)

        beats, bits = result_beats(self.parameters), self.parameters.port_bits
        part = Signal(range(beats))
        last_part = Signal()
        take = Signal()
        packet = self.packets.payload
        m.d.comb += [
            last_part.eq(part == beats - 1),
            self.packets.valid.eq(waits & self.jobs.valid),
            take.eq(self.packets.valid & self.packets.ready),
            taken.eq(take & last_part),
            packet.data.eq(select([values.word_select(n, bits) for n in range(beats)], part)),
            packet.last.eq(last_part & self._last_result(m, taken)),
            self.jobs.ready.eq(take & packet.last),
        ]
        with m.If(take):
            m.d.sync += part.eq(Mux(last_part, 0, part + 1))
        return m

    def _queued(self, m: Module) -> tuple[Value, Value, Value]:
        """The oldest result: whether there is one, its values, and what takes it.

        On FPGAs it waits in the queue that the array has itself.
        """
        values = self.results.payload.values.as_value()
        if self.parameters.in_dsp:
            return self.results.valid, values, self.results.ready
        depth = max(self.parameters.tokens, 2) + 1
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=len(values), depth=depth)
        m.d.comb += [
            fifo.w_data.eq(values),
            fifo.w_en.eq(self.results.valid),
            self.results.ready.eq(fifo.w_rdy),
        ]
        return fifo.r_rdy, fifo.r_data, fifo.r_en

    def _last_result(self, m: Module, advance: Value) -> Value:
        """Count output tiles and their tokens; returns whether this result is the job's last."""
        job = self.jobs.payload
        # Counted from 1: a comparison without an addition in front of it.
        tile = Signal(OUTPUT_TILE_BITS, init=1)
        last_tile = tile == job.output_tiles
        last_token: object = 1
        if self.parameters.tokens > 1:
            token = Signal(range(self.parameters.tokens))
            last_token = token == job.last_token
            with m.If(advance):
                m.d.sync += token.eq(Mux(last_token, 0, token + 1))
        with m.If(advance & last_token):
            m.d.sync += tile.eq(Mux(last_tile, 1, tile + 1))
        return last_tile & last_token
