"""Exponents of a beat's activations, before their tile is known.

The largest exponent of a block is what a column waits for longest. It does not depend on the mode,
so an FPGA finds it a stage earlier, on the way of the activations to the sequencer.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.column import effective_exponent, larger, largest, takes_single
from speq.layouts import COLUMN_SHIFT_BITS, SHIFT_BITS, Fp16
from speq.parameters import Parameters

__all__ = ["Prepare", "prepared_layout"]


def prepared_layout(parameters: Parameters) -> data.StructLayout:
    """A column's activations and their exponents.

    Members
    -------
    values, exponents : L FP16 numbers, L numbers of 6 bits
        The lanes, and their effective exponents plus column shifts.
    single, single_exponent
        The same of the one value of VERIFY and MIDDLE; only with several lanes.
    block, pair : 6 bits
        The largest exponent of all lanes; of the first two, only with four lanes.
    """
    lanes = parameters.lanes
    fields: dict[str, object] = {
        "values": data.ArrayLayout(Fp16, lanes),
        "exponents": data.ArrayLayout(SHIFT_BITS, lanes),
    }
    if takes_single(parameters):
        fields |= {"single": Fp16, "single_exponent": SHIFT_BITS, "block": SHIFT_BITS}
    if lanes == 4:
        fields["pair"] = SHIFT_BITS
    return data.StructLayout(fields)


class Prepare(Block):
    """Activations and exponents of one column, registered.

    Members
    -------
    values, shifts, single, single_shift
        As in :class:`speq.column.Column`.
    enable : 1 bit
        Take new activations at the clock edge.
    prepared : struct
        :func:`prepared_layout`.
    """

    stem = "prepare"

    def __init__(self, parameters: Parameters) -> None:
        lanes = parameters.lanes
        ports = {
            "values": In(data.ArrayLayout(Fp16, lanes)),
            "enable": In(1),
            "prepared": Out(prepared_layout(parameters)),
        }
        if parameters.packs:
            ports["shifts"] = In(data.ArrayLayout(COLUMN_SHIFT_BITS, lanes))
        if takes_single(parameters):
            ports["single"] = In(Fp16)
            if parameters.packs:
                ports["single_shift"] = In(COLUMN_SHIFT_BITS)
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        found = Signal(prepared_layout(self.parameters))
        lanes = range(self.parameters.lanes)
        shifts = self.shifts if self.parameters.packs else [0] * len(lanes)
        m.d.comb += found.values.eq(self.values)
        exponents = [
            effective_exponent(m, f"exponent_{lane}", Fp16(self.values[lane]), shifts[lane])
            for lane in lanes
        ]
        m.d.comb += [found.exponents[lane].eq(exponents[lane]) for lane in lanes]
        if takes_single(self.parameters):
            shift = self.single_shift if self.parameters.packs else 0
            m.d.comb += [
                found.single.eq(self.single),
                found.single_exponent.eq(
                    effective_exponent(m, "exponent_single", Fp16(self.single), shift)
                ),
                found.block.eq(largest(m, exponents)),
            ]
        if len(lanes) == 4:
            m.d.comb += found.pair.eq(larger(m, *exponents[:2]))
        prepared = Signal.like(found, reset_less=True)
        with m.If(self.enable):
            m.d.sync += prepared.eq(found)
        m.d.comb += self.prepared.eq(prepared)
        return m
