"""Accumulation in segments: carries run a segment per stage, so that no adder is long.

A row's sum comes in carry-save form. The accumulator is cut into segments; segment k is added in
stage k, one stage after the one below, with the carry that this one left in a register. So every
stage adds three numbers of a part of the width, and yet takes a beat in every cycle, of the same
token or another: each segment reads and writes its own bits in its own stage.

::

    stage 0     segment 0 | rows of segments 1, 2 wait
    stage 1     sum of 0 waits | segment 1 | rows of segment 2 wait
    stage 2     sums of 0 and 1 wait | segment 2  -> the whole sum

In the longer pipelines a token's old sum is read a stage before it is added, into a register: the
choice among tokens then takes no time from the adder.
"""

import dataclasses

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from speq.accumulate import accumulator_layout
from speq.arithmetic import full_adder, select_adder
from speq.block import Block
from speq.parameters import SPLIT_PIPELINE, Parameters
from speq.reduce import ACCUMULATOR_BITS, sum_layout

__all__ = ["AccumulateSegments", "reads_ahead", "segment_bits"]

BLOCK_BITS = 9
"""Bits that a segment's adder adds without waiting for a carry."""
SPLIT_BLOCK_BITS = 5
"""The same in the longer pipelines."""


def reads_ahead(parameters: Parameters) -> bool:
    """Whether a stage finds its token's old sum in a register, read in the stage before."""
    return (
        parameters.carry_saves and parameters.pipeline >= SPLIT_PIPELINE and parameters.tokens > 1
    )


def segment_bits(segments: int) -> list[int]:
    """Bits of each segment, the lowest first: as even as can be."""
    return [
        (ACCUMULATOR_BITS * (place + 1)) // segments - ACCUMULATOR_BITS * place // segments
        for place in range(segments)
    ]


@dataclasses.dataclass(frozen=True)
class _Beat:
    """A beat between two stages.

    Parameters
    ----------
    sums : Value
        The segments that are added, the lowest first.
    carries : Value
        Two bits, each worth one in the next segment.
    rows : tuple of Value
        What is still to be added.
    specials : Value
        Those of the whole sum once the first segment is added; before, of the addend.
    """

    sums: Value
    carries: Value
    rows: tuple[Value, Value]
    specials: Value


class AccumulateSegments(Block):
    """Adds a beat's sum to the accumulator of the beat's token, a segment per stage.

    Members
    -------
    addend : struct
        :func:`speq.reduce.sum_layout`, in carry-save form.
    first, enable : P bits
        As in :class:`speq.accumulate.Accumulate`, of the beat that each of the P stages takes.
    token : P token numbers
        Side by side; only with more than one token.
    next_token, comes
        Only where old sums are read ahead: the P token numbers of the beats that are about to come
        before each stage, which `first` then is of, too; and whether one comes before the first
        stage at this clock edge. (Before another it does when the stage below takes it.)
    total : struct
        The sum as of the last beat that has left the last stage's adder, registered.
    """

    stem = "accumulate"

    def __init__(self, parameters: Parameters) -> None:
        self.segments = segment_bits(parameters.stages["accumulate"])
        ports = {
            "addend": In(sum_layout(parameters)),
            "first": In(len(self.segments)),
            "enable": In(len(self.segments)),
            "total": Out(accumulator_layout),
        }
        if parameters.tokens > 1:
            ports["token"] = In(len(self.segments) * bits_for(parameters.tokens - 1))
        if reads_ahead(parameters):
            ports |= {"next_token": In(ports["token"].shape), "comes": In(1)}
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = self.addend.rows
        beat = _Beat(Const(0, 0), Const(0, 2), (a, b), self.addend.specials.as_value())
        for number in range(len(self.segments)):
            beat = self._stage(m, number, beat)
        m.d.comb += [
            self.total.value.eq(beat.sums),
            self.total.specials.eq(beat.specials),
        ]
        return m

    def _stage(self, m: Module, number: int, beat: _Beat) -> _Beat:
        """Add one segment; the beat as it is in the registers behind."""
        bits = self.segments[number]
        (a, b), specials = beat.rows, beat.specials
        # The lowest segment keeps the special values, too.
        after = Signal(bits + (len(specials) if number == 0 else 0), name=f"after_{number}")
        kept = self._kept(m, number, after)
        split = self.parameters.pipeline >= SPLIT_PIPELINE
        block = SPLIT_BLOCK_BITS if split else BLOCK_BITS
        total = _sum_of_three(m, kept[:bits], a[:bits], b[:bits], beat.carries, block)
        m.d.comb += after.eq(Cat(total[:bits], kept[bits:] | specials))
        # A carry of 0, 1 or 2 travels as two bits that are worth one each.
        carries = Cat(total[bits:].any(), total[bits + 1])
        behind = _Beat(
            Cat(beat.sums, after[:bits]),
            carries,
            (a[bits:], b[bits:]),
            after[bits:] if number == 0 else specials,
        )
        return self._registered(m, number, behind)

    def _registered(self, m: Module, number: int, beat: _Beat) -> _Beat:
        """Registers that move with a stage."""

        def register(name: str, value: Value) -> Signal:
            held = Signal(len(value), name=f"{name}_{number}", reset_less=True)
            with m.If(self.enable[number]):
                m.d.sync += held.eq(value)
            return held

        a, b = beat.rows
        return _Beat(
            register("sums", beat.sums),
            register("carries", beat.carries),
            (register("row_a", a), register("row_b", b)),
            register("specials", beat.specials),
        )

    def _kept(self, m: Module, number: int, after: Value) -> Value:
        """A segment of the token's accumulator, or zero; written at the clock edge."""
        tokens, enable = self.parameters.tokens, self.enable[number]
        if tokens == 1:
            kept = Signal(len(after), name=f"kept_{number}", reset_less=True)
            with m.If(enable):
                m.d.sync += kept.eq(after)
        else:
            memory = Memory(shape=unsigned(len(after)), depth=tokens, init=[])
            m.submodules[f"memory_{number}"] = memory
            read, write = memory.read_port(domain="comb"), memory.write_port()
            token = self.token.word_select(number, bits_for(tokens - 1))
            m.d.comb += [
                write.addr.eq(token),
                write.en.eq(enable),
                write.data.eq(after),
            ]
            kept = read.data
            if reads_ahead(self.parameters):
                return self._read_ahead(m, number, after, read)
            m.d.comb += read.addr.eq(token)
        return kept & (~self.first[number]).replicate(len(after))

    def _read_ahead(self, m: Module, number: int, after: Value, read: object) -> Signal:
        """The old sum of the beat before a stage, read as that beat came there.

        The memory does not have it yet if it is being added then.
        """
        bits = bits_for(self.parameters.tokens - 1)
        token, coming = (ports.word_select(number, bits) for ports in (self.token, self.next_token))
        comes = self.enable[number - 1] if number else self.comes
        m.d.comb += read.addr.eq(coming)
        old = Mux(self.enable[number] & (token == coming), after, read.data)
        kept = Signal(len(after), name=f"kept_{number}", reset_less=True)
        with m.If(comes):
            m.d.sync += kept.eq(old & (~self.first[number]).replicate(len(after)))
        return kept


def _sum_of_three(m: Module, a: Value, b: Value, c: Value, carries: Value, block: int) -> Value:
    """Sum of three numbers of n bits and two single bits, in n + 2 bits."""
    halves, doubles = full_adder(a, b, c)
    return select_adder(m, Cat(halves, Const(0, 1)), Cat(carries[1], doubles), carries[0], block)
