"""Activation loader: packets of activations to rows of a memory, padded with zeros."""

import dataclasses

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from speq.accelerator.layouts import INPUT_BITS, ActivationFault, load_job, packet_stream
from speq.parameters import MAX_PRODUCTS, WORD_BITS, Parameters

__all__ = ["ActivationLoader", "lines", "rows_per_line"]


def rows_per_line(parameters: Parameters) -> int:
    """Rows (C*L values) of one token's inputs in one group: 4/L, or 1 if FP16-only."""
    return parameters.group_inputs // parameters.activations_per_beat


def lines(parameters: Parameters) -> int:
    """Lines that a bank holds. A line is what one token has in one group: `group_inputs` values."""
    return parameters.activation_values // parameters.group_inputs


@dataclasses.dataclass(frozen=True)
class _Inputs:
    """Where in a token's inputs a write is.

    Attributes
    ----------
    known : 1 bit
        The rest holds.
    due : 1 bit
        It has inputs, and thus a transfer of the packet; else it is padding.
    last : 1 bit
        It has the last inputs, or is behind them.
    values : tuple of W single bits
        Which of its values are inputs.
    """

    known: Value
    due: Value
    last: Value
    values: tuple[Value, ...]


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
        job, packet = self.loads.payload, self.packets.payload
        works, step, token_done = Signal(), Signal(), Signal()
        count = self._counted if self.parameters.in_dsp else self._inputs
        inputs = count(m, step, token_done)
        due, last_of_token = inputs.due, inputs.last
        m.d.comb += [
            works.eq(
                self.loads.valid
                & inputs.known
                & ~job.keep
                & self.free
                & (self.fault == ActivationFault.NONE)
            ),
            self.packets.ready.eq(works & due),
            step.eq(works & (self.packets.valid | ~due)),
        ]
        for number, due_here in enumerate(inputs.values):
            value = packet.data.word_select(number, WORD_BITS)
            m.d.comb += self.values[number].eq(Mux(due_here, value, 0))

        line_done = self._place(m, step)
        m.d.comb += token_done.eq(line_done & last_of_token)
        last_token = self._last_token(m, step & token_done)

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

    def _inputs(self, m: Module, step: Value, token_done: Value) -> _Inputs:
        """How many of a token's K inputs are left, from the number of its transfer."""
        words = self.parameters.port_words
        transfers = -(-MAX_PRODUCTS // self.parameters.group_inputs) * self._line_writes
        transfer = Signal(range(transfers))
        left = Signal(signed(INPUT_BITS + 1))
        sent = Cat(Const(0, exact_log2(words)), transfer)
        m.d.comb += left.eq(self.loads.payload.inputs - sent)
        with m.If(step):
            m.d.sync += transfer.eq(Mux(token_done, 0, transfer + 1))
        values = tuple(left > number for number in range(words))
        return _Inputs(Const(1, 1), left > 0, left <= words, values)

    def _counted(self, m: Module, step: Value, token_done: Value) -> _Inputs:
        """The same for FPGAs: counted down, with the comparisons made a transfer ahead.

        A job's first count takes a cycle before its first transfer.
        """
        words, inputs = self.parameters.port_words, self.loads.payload.inputs
        left = Signal(INPUT_BITS)
        known, due, last = Signal(), Signal(), Signal()
        with m.If(~known | step & token_done):
            m.d.sync += [left.eq(inputs), due.eq(1), last.eq(inputs <= words)]
            m.d.sync += known.eq(self.loads.valid & ~self.loads.payload.keep)
        with m.Elif(step):
            m.d.sync += [left.eq(left - words), due.eq(~last), last.eq(last | (left <= 2 * words))]
        with m.If(self.complete):
            m.d.sync += known.eq(0)
        in_last = left[: bits_for(words)]
        values = tuple(due & (~last | (in_last > number)) for number in range(words))
        return _Inputs(known, due, last, values)

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
