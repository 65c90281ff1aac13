"""Column: turns one beat's activations into the operand that its PEs multiply.

This work is done once per column and shared by all R rows: subnormals, special values, column
shifts, block floating point, and the triples that the multipliers select from. Definition:
docs/numerics.md.
"""

from collections.abc import Sequence
from functools import partial, reduce

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.layouts import (
    BRICK_LANES,
    COLUMN_SHIFT_BITS,
    LOW_BITS,
    PAIR_BITS,
    SHIFT_BITS,
    SPLIT_PIPELINE,
    Fp16,
    kind_layout,
    of_nibbles,
    operand_layout,
)
from speq.parameters import Parameters

__all__ = ["Column"]


class Column(Block):
    """Operand of one column, registered.

    Members
    -------
    values : L FP16 numbers
        VERIFY and MIDDLE use the first, QVERIFY the first two.
    shifts : L numbers of 4 bits
        Column shifts; only with packed words.
    kind : struct
        Of the beat (:func:`speq.layouts.kind_layout`); only with more than one lane.
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
        if parameters.packs:
            ports["shifts"] = In(data.ArrayLayout(COLUMN_SHIFT_BITS, lanes))
        if lanes > 1:
            ports["kind"] = In(kind_layout(parameters))
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = [Fp16(self.values[lane]) for lane in range(self.parameters.lanes)]
        exponents = [self._exponent(m, lane, value) for lane, value in enumerate(lanes)]
        significands = [Cat(value.fraction, value.exponent.any()) for value in lanes]
        if len(lanes) == 1:
            exponent, factors = exponents[0], significands
        else:
            exponent, factors = self._align(m, exponents, significands)

        operand = Signal(operand_layout(self.parameters))
        for index, magnitude in enumerate(factors):
            m.d.comb += operand.factors[f"brick_{index}"].one.eq(magnitude)
        special = [value.exponent.all() for value in lanes]
        nans = [s & v.fraction.any() for s, v in zip(special, lanes, strict=True)]
        infinities = [s & ~v.fraction.any() for s, v in zip(special, lanes, strict=True)]
        m.d.comb += [
            operand.signs.eq(self._per_lane([value.sign for value in lanes], repeat=True)),
            operand.nans.eq(self._per_lane(nans)),
            operand.infinities.eq(self._per_lane(infinities)),
            operand.zero.eq(~significands[0].any()),
            operand.exponent.eq(exponent - 2),
        ]
        registered = Signal.like(operand, reset_less=True)
        with m.If(self.enable):
            m.d.sync += registered.eq(operand)
        m.d.comb += self.operand.eq(registered)
        # A longer pipeline has time for the triples behind the register, where PEs have less to do.
        late = self.parameters.pipeline >= SPLIT_PIPELINE
        for index in range(len(factors)):
            factor = (self.operand if late else operand).factors[f"brick_{index}"]
            m.d.comb += factor.three.eq(factor.one + (factor.one << 1))
        return m

    def _exponent(self, m: Module, lane: int, value: data.View) -> Value:
        """Effective exponent plus column shift."""
        exponent = Signal(SHIFT_BITS, name=f"exponent_{lane}")
        effective = Cat(value.exponent[0] | ~value.exponent.any(), value.exponent[1:])
        shift = self.shifts[lane] if self.parameters.packs else 0
        m.d.comb += exponent.eq(effective + shift)
        return exponent

    @property
    def _pairs(self) -> Value:
        """Whether the lanes of this beat are a pair of QVERIFY among four lanes."""
        if self.parameters.lanes < 4 or not self.parameters.integers:
            return Const(0, 1)
        return self.kind.integer & ~self.kind.block

    def _align(
        self, m: Module, exponents: Sequence[Value], significands: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        """Exponent of the beat (in VERIFY the first lane's), and what each brick multiplies."""
        pairs = [
            self._larger(m, a, b) for a, b in zip(exponents[::2], exponents[1::2], strict=True)
        ]
        block = reduce(partial(self._larger, m), pairs)
        shared = Mux(self._pairs, pairs[0], block) if self.parameters.lanes == 4 else block
        aligned = []
        for lane, (exponent, significand) in enumerate(zip(exponents, significands, strict=True)):
            behind = Signal(SHIFT_BITS, name=f"behind_{lane}")
            # A magnitude of 12 bits and the bit below it, on which it rounds.
            places = Signal(PAIR_BITS + 1, name=f"aligned_{lane}")
            m.d.comb += [
                behind.eq(shared - exponent),
                places.eq(Cat(Const(0, 2), significand) >> behind),
            ]
            aligned.append(places)
        magnitudes = [_rounded(m, places, self.parameters.draft_bits) for places in aligned]
        exponent = Mux(of_nibbles(self.kind), shared, exponents[0])
        return exponent, self._factors(m, significands[0], aligned, magnitudes)

    def _larger(self, m: Module, a: Value, b: Value) -> Value:
        larger = Signal(SHIFT_BITS, name="larger")
        m.d.comb += larger.eq(Mux(b > a, b, a))
        return larger

    def _factors(
        self,
        m: Module,
        verify: Value,
        aligned: Sequence[Value],
        magnitudes: Sequence[Value],
    ) -> list[Value]:
        """What each brick multiplies: parts of the significand, or the lanes' magnitudes."""
        halves = [verify[:LOW_BITS], verify[LOW_BITS:]]
        if self.parameters.lanes == 2:
            blocks = [part for magnitude in magnitudes for part in _halves(magnitude)]
        else:
            blocks = [magnitudes[lane] for lane in BRICK_LANES]
        factors = [
            Mux(of_nibbles(self.kind), *both) for both in zip(blocks, halves * 2, strict=True)
        ]
        if self.parameters.lanes == 4 and self.parameters.integers:
            pair = [_rounded(m, places, PAIR_BITS) for places in aligned[:2]]
            parts = [part for magnitude in pair for part in _halves(magnitude)]
            factors = [Mux(self._pairs, *both) for both in zip(parts, factors, strict=True)]
        return factors

    def _per_lane(self, flags: Sequence[Value], *, repeat: bool = False) -> Value:
        """One flag per lane.

        VERIFY and MIDDLE: the first lane's, in every lane or in the first alone. A pair: each of
        the two flags for the two lanes whose bricks it shares.
        """
        if len(flags) == 1:
            return flags[0]
        rest = [flags[0] if repeat else Const(0, 1)] * (len(flags) - 1)
        lanes = Mux(of_nibbles(self.kind), Cat(*flags), Cat(flags[0], *rest))
        if len(flags) == 4 and self.parameters.integers:
            lanes = Mux(self._pairs, Cat(*flags[:2], *flags[:2]), lanes)
        return lanes


def _halves(magnitude: Value) -> tuple[Value, Value]:
    """Low and high part of a magnitude of 12 bits."""
    return magnitude[:LOW_BITS], magnitude[LOW_BITS:]


def _rounded(m: Module, aligned: Value, bits: int) -> Value:
    """The upper `bits` of an aligned significand, to nearest, halves away from zero.

    Only a largest magnitude can overflow: it saturates.
    """
    kept = aligned[-bits - 1 :]
    magnitude = Signal(bits, name="magnitude")
    m.d.comb += magnitude.eq(kept[1:] + (kept[0] & ~kept[1:].all()))
    return magnitude
