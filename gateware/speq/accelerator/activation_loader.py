"""Activation loader: packets of activations to rows of a memory, padded with zeros."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from speq.accelerator.layouts import INPUT_BITS, ActivationFault, load_job, packet_stream
from speq.parameters import MAX_PRODUCTS, WORD_BITS, Parameters

__all__ = ["ActivationLoader", "lines", "rows_per_line"]


def rows_per_line(parameters: Parameters) -> int:
    """Rows (C*L values) of one token's inputs in one group: 4/L, or 1 if FP16-only."""
    return parameters.group_inputs // parameters.activations_per_beat


def lines(parameters: Parameters) -> int:
    """Lines that a bank holds. A line is what one token has in one group: `group_inputs` values."""
    return parameters.activation_values // parameters.group_inputs


class ActivationLoader(wiring.Component):
    """Takes the packet of each job that has one and writes its rows, W values per cycle.

    The row of token m and row index j is ``m * rows_per_token + j``, so rows are written one after
    the other. Values beyond K, up to the whole group, are written as zeros: those in the last
    transfer of a token instead of what it brings, the others in cycles of their own.

    Parameters
    ----------
    parameters : Parameters
        The design point.

    Members
    -------
    loads : stream, in
        Jobs; each leaves with its last write, one that keeps activations at once.
    packets : stream, in
        Per packet tokens * ceil(K / W) transfers.
    free : 1 bit, in
        The bank to be filled may be written. Stays high until `complete`.
    row : unsigned, out
        Row of the bank to write.
    enables : C*L/W bits, out
        Which W values of it.
    values : W values of 16 bits, out
    complete : 1 bit, out
        This write is the job's last.
    fault : ActivationFault, out
        Once there is one, nothing is taken any more, until reset; the packet is not completed.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        width = parameters.activations_per_beat
        super().__init__(
            {
                "loads": In(stream.Signature(load_job(parameters))),
                "packets": In(packet_stream(parameters)),
                "free": In(1),
                "row": Out(range(lines(parameters) * rows_per_line(parameters))),
                "enables": Out(width // parameters.port_words),
                "values": Out(data.ArrayLayout(WORD_BITS, parameters.port_words)),
                "complete": Out(1),
                "fault": Out(ActivationFault),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = self.parameters.port_words
        job, packet = self.loads.payload, self.packets.payload
        transfers = -(-MAX_PRODUCTS // self.parameters.group_inputs) * self._line_writes
        transfer = Signal(range(transfers))
        left = Signal(signed(INPUT_BITS + 1))
        due, works, step = Signal(), Signal(), Signal()
        m.d.comb += [
            left.eq(job.inputs - Cat(Const(0, exact_log2(words)), transfer)),
            due.eq(left > 0),
            works.eq(
                self.loads.valid & ~job.keep & self.free & (self.fault == ActivationFault.NONE)
            ),
            self.packets.ready.eq(works & due),
            step.eq(works & (self.packets.valid | ~due)),
        ]
        for number in range(words):
            value = packet.data.word_select(number, WORD_BITS)
            m.d.comb += self.values[number].eq(Mux(left > number, value, 0))

        line_done = self._place(m, step)
        last_of_token = left <= words
        token_done = line_done & last_of_token
        last_token = self._last_token(m, step & token_done)
        with m.If(step):
            m.d.sync += transfer.eq(transfer + 1)
            with m.If(token_done):
                m.d.sync += transfer.eq(0)

        last_of_packet = Signal()
        wrong = Signal()
        m.d.comb += [
            last_of_packet.eq(last_of_token & last_token),
            wrong.eq(step & due & (packet.last != last_of_packet)),
            self.complete.eq(step & token_done & last_token & ~wrong),
            self.loads.ready.eq(Mux(job.keep, self.fault == ActivationFault.NONE, self.complete)),
        ]
        with m.If(wrong):
            m.d.sync += self.fault.eq(
                Mux(last_of_packet, ActivationFault.LONG, ActivationFault.SHORT)
            )
        return m

    @property
    def _line_writes(self) -> int:
        return self.parameters.group_inputs // self.parameters.port_words

    def _place(self, m: Module, step: Signal) -> Signal:
        """Count through a row and the rows; returns whether this write is the last of a line."""
        part = Signal(range(len(self.enables)))
        last_part = Signal()
        line_done = Signal()
        of_line = self.row[: exact_log2(rows_per_line(self.parameters))]
        m.d.comb += [
            last_part.eq(part == len(self.enables) - 1),
            line_done.eq(last_part & of_line.all()),
            self.enables.eq(Cat(step & (part == n) for n in range(len(self.enables)))),
        ]
        with m.If(step):
            m.d.sync += part.eq(part + 1)
            with m.If(last_part):
                m.d.sync += [part.eq(0), self.row.eq(self.row + 1)]
        with m.If(self.complete):
            m.d.sync += self.row.eq(0)
        return line_done

    def _last_token(self, m: Module, advance: object) -> object:
        """Count tokens; returns whether this is the job's last."""
        if self.parameters.tokens == 1:
            return 1
        token = Signal(range(self.parameters.tokens))
        last = token == self.loads.payload.last_token
        with m.If(advance):
            m.d.sync += token.eq(Mux(last, 0, token + 1))
        return last
