"""Column: turns one beat's activations into the operand that its PEs multiply.

This work is done once per column and shared by all R rows: subnormals, special values, column
shifts, block floating point, and the triples that the multipliers select from. Definition:
docs/numerics.md.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.layouts import (
    COLUMN_SHIFT_BITS,
    LOW_BITS,
    SHIFT_BITS,
    SIGNIFICAND_BITS,
    Fp16,
    brick_bits,
    operand_layout,
)
from speq.parameters import Parameters

__all__ = ["Column"]

BLOCK_BITS = 6
"""Magnitude of a block-floating-point activation with four lanes."""


class Column(Block):
    """Operand of one column, registered.

    Members
    -------
    values : L FP16 numbers
        In VERIFY the first is used.
    shifts : L numbers of 4 bits
        Column shifts; only with DRAFT.
    draft : 1 bit
        Mode of the tile that the beat belongs to; only with DRAFT.
    enable : 1 bit
        Take a new operand at the clock edge.
    operand : struct
        :func:`speq.layouts.operand_layout`.
    """

    stem = "column"

    def __init__(self, parameters: Parameters) -> None:
        lanes = parameters.lanes
        ports = {
            "values": In(data.ArrayLayout(Fp16, lanes)),
            "enable": In(1),
            "operand": Out(operand_layout(parameters)),
        }
        if parameters.drafts:
            ports |= {"shifts": In(data.ArrayLayout(COLUMN_SHIFT_BITS, lanes)), "draft": In(1)}
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = [Fp16(self.values[lane]) for lane in range(self.parameters.lanes)]
        exponents = [self._exponent(m, lane, value) for lane, value in enumerate(lanes)]
        significands = [Cat(value.fraction, value.exponent.any()) for value in lanes]
        if len(lanes) == 1:
            block_exponent, magnitudes = exponents[0], significands
        else:
            block_exponent, magnitudes = self._block(m, exponents, significands)

        operand = Signal(operand_layout(self.parameters))
        for index, magnitude in enumerate(self._brick_factors(significands[0], magnitudes)):
            factor = operand.factors[f"brick_{index}"]
            m.d.comb += [
                factor.one.eq(magnitude),
                factor.three.eq(magnitude + (magnitude << 1)),
            ]
        special = [value.exponent.all() for value in lanes]
        m.d.comb += [
            operand.signs.eq(self._per_lane([value.sign for value in lanes], repeat=True)),
            operand.nans.eq(
                self._per_lane([s & v.fraction.any() for s, v in zip(special, lanes, strict=True)])
            ),
            operand.infinities.eq(
                self._per_lane([s & ~v.fraction.any() for s, v in zip(special, lanes, strict=True)])
            ),
            operand.zero.eq(~significands[0].any()),
            operand.exponent.eq(block_exponent - 2),
        ]
        registered = Signal.like(operand, reset_less=True)
        with m.If(self.enable):
            m.d.sync += registered.eq(operand)
        m.d.comb += self.operand.eq(registered)
        return m

    def _exponent(self, m: Module, lane: int, value: data.View) -> Value:
        """Effective exponent plus column shift."""
        exponent = Signal(SHIFT_BITS, name=f"exponent_{lane}")
        effective = Cat(value.exponent[0] | ~value.exponent.any(), value.exponent[1:])
        shift = self.shifts[lane] if self.parameters.drafts else 0
        m.d.comb += exponent.eq(effective + shift)
        return exponent

    def _block(
        self, m: Module, exponents: Sequence[Value], significands: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        """Block exponent (in VERIFY the first exponent) and block-floating-point magnitudes."""
        largest = exponents[0]
        for other in exponents[1:]:
            larger = Signal(SHIFT_BITS, name="larger")
            m.d.comb += larger.eq(Mux(other > largest, other, largest))
            largest = larger
        kept = BLOCK_BITS if self.parameters.lanes == 4 else SIGNIFICAND_BITS
        magnitudes = []
        for lane, (exponent, significand) in enumerate(zip(exponents, significands, strict=True)):
            behind = Signal(SHIFT_BITS, name=f"behind_{lane}")
            aligned = Signal(kept + 1, name=f"aligned_{lane}")
            magnitude = Signal(kept, name=f"magnitude_{lane}")
            m.d.comb += [
                behind.eq(largest - exponent),
                aligned.eq((Cat(Const(0, 1), significand) >> behind)[SIGNIFICAND_BITS - kept :]),
                # Round half away from zero; only the largest magnitude can overflow: saturate.
                magnitude.eq(aligned[1:] + (aligned[0] & ~aligned[1:].all())),
            ]
            magnitudes.append(magnitude)
        return Mux(self.draft, largest, exponents[0]), magnitudes

    def _brick_factors(self, verify: Value, draft: Sequence[Value]) -> list[Value]:
        """What each brick multiplies: parts of the significand, or the lanes' magnitudes."""
        low, high = verify[:LOW_BITS], verify[LOW_BITS:]
        match self.parameters.lanes:
            case 1:
                return [verify]
            case 2:
                parts = [part for d in draft for part in (d[:LOW_BITS], d[LOW_BITS:])]
            case _:
                parts = list(draft)
        return [
            Mux(self.draft, part, of_verify)[:bits]
            for part, of_verify, (_, bits) in zip(
                parts, (low, high, low, high), brick_bits(self.parameters), strict=True
            )
        ]

    def _per_lane(self, flags: Sequence[Value], *, repeat: bool = False) -> Value:
        """One flag per lane; in VERIFY the first lane's, in every lane or in the first alone."""
        if len(flags) == 1:
            return flags[0]
        rest = [flags[0] if repeat else Const(0, 1)] * (len(flags) - 1)
        return Mux(self.draft, Cat(*flags), Cat(flags[0], *rest))
