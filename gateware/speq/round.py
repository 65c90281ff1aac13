"""Rounding: an exact accumulator to FP32 or FP16, to nearest, ties to even.

The only rounding in the array. The row exponent and the mode's unit are exact powers of two, undone
here. FP32 results are always normal or zero (docs/numerics.md gives the ranges); FP16 results
overflow to infinity and underflow through subnormals.
"""

import dataclasses

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from speq.accumulate import ACCUMULATOR_BITS, accumulator_layout
from speq.block import Block
from speq.layouts import PAIR_BITS, ROW_EXPONENT_BITS, kind_layout
from speq.multiply import block_place
from speq.parameters import Parameters

__all__ = ["Round", "unit"]

VERIFY_UNIT = -48
"""Bit 0 of the accumulator is worth ``2**-48`` in VERIFY."""

DRAFT_FRACTION_BITS = 5
"""A draft magnitude counts ``2**-5``, an INT4 weight 1."""

EXPONENT_BITS = 10
"""Enough for every exponent that occurs on the way, in two's complement."""


@dataclasses.dataclass(frozen=True)
class _Format:
    fraction: int
    exponent: int

    @property
    def bias(self) -> int:
        return (1 << (self.exponent - 1)) - 1

    @property
    def infinity(self) -> int:
        return ((1 << self.exponent) - 1) << self.fraction

    @property
    def quiet_nan(self) -> int:
        return self.infinity | 1 << (self.fraction - 1)


def unit(parameters: Parameters, mode: str) -> int:
    """Power of two that bit 0 of the accumulator is worth in a mode.

    A product of magnitudes ``d * q`` lies ``E - 1`` bits above :func:`speq.multiply.block_place`,
    and is worth ``d * q * 2**(E - 14 - b)``.
    """
    match mode:
        case "verify" | "middle":
            return VERIFY_UNIT
        case "qverify" if parameters.lanes > 1:
            bits = PAIR_BITS
        case _:
            bits = parameters.draft_bits
    fraction = DRAFT_FRACTION_BITS if mode == "draft" else 0
    return -13 - bits - fraction - block_place(parameters)


FORMATS = {"fp32": _Format(fraction=23, exponent=8), "fp16": _Format(fraction=10, exponent=5)}


class Round(Block):
    """One output element, registered.

    Members
    -------
    total : struct
        :data:`speq.accumulate.accumulator_layout`.
    row_exponent : signed 7 bits
        ``t + r[n]``; only with packed words.
    kind : struct
        Of the tile (:func:`speq.layouts.kind_layout`); not in FP16-only designs.
    enable : 1 bit
        Take a new result at the clock edge.
    value : 32 or 16 bits
        The result's pattern.
    """

    stem = "round"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "total": In(accumulator_layout),
            "enable": In(1),
            "value": Out(parameters.result_bits),
        }
        if parameters.packs:
            ports["row_exponent"] = In(signed(ROW_EXPONENT_BITS))
        if parameters.has_low_bits:
            ports["kind"] = In(kind_layout(parameters))
        super().__init__(parameters, ports)
        self._format = FORMATS[parameters.result_format]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fmt = self._format
        negative = self.total.value[-1]
        kept, below, exponent = self._normalise(m, negative)

        # A negative sum is inverted but not incremented: its magnitude goes on below bit 0 with
        # ones for ever. Nothing but ones below the kept bits is one more in their last place.
        magnitude = kept ^ negative.replicate(len(kept))
        carried = negative & ~below
        up = Mux(carried, magnitude[:2].any(), magnitude[0] & (below | magnitude[1]))
        biased = Mux(magnitude[-1], exponent, 0)
        packed = Signal(fmt.fraction + len(exponent))
        m.d.comb += packed.eq(Cat(magnitude[1:-1], biased) + up)

        specials = self.total.specials
        infinite = specials.positive_infinity | specials.negative_infinity
        nan = specials.nan | (specials.positive_infinity & specials.negative_infinity)
        if self.parameters.result_format == "fp16":
            overflow = packed[fmt.fraction :] >= (1 << fmt.exponent) - 1
        else:
            overflow = Const(0, 1)
        value = Signal(len(self.value), reset_less=True)
        with m.If(self.enable):
            m.d.sync += value.eq(Cat(packed[: len(value) - 1], negative))
            with m.If(overflow):
                m.d.sync += value.eq(Cat(Const(fmt.infinity, len(value) - 1), negative))
            with m.If(infinite):
                sign = specials.negative_infinity
                m.d.sync += value.eq(Cat(Const(fmt.infinity, len(value) - 1), sign))
            with m.If(nan):
                m.d.sync += value.eq(fmt.quiet_nan)
        m.d.comb += self.value.eq(value)
        return m

    def _normalise(self, m: Module, negative: Value) -> tuple[Value, Value, Value]:
        """Drop copies of the sign from the top, as far as the format's exponents reach down.

        Returns
        -------
        kept : fraction + 2 bits
            Leading digit (the sign's opposite, unless subnormal), fraction, one bit to round on.
        below : 1 bit
            Any one among the bits below.
        exponent : Value
            Biased exponent of the top bit.
        """
        keep = self._format.fraction + 2
        exponent = self._top_exponent(m)
        rest: Value = self.total.value[:-1]
        below: list[Value] = []
        moves: list[Value] = []
        for step in (64, 32, 16, 8, 4, 2, 1):
            top = rest[-step:]
            move = Mux(negative, top.all(), ~top.any())
            if self.parameters.result_format == "fp16":
                # Stop at exponent 1: what then stays below a leading one is a subnormal.
                move = move & (exponent > step)
                lowered = Signal(signed(EXPONENT_BITS), name=f"exponent_{step}")
                m.d.comb += lowered.eq(exponent - Mux(move, step, 0))
                exponent = lowered
            moves.insert(0, move)
            shifted = Signal(len(rest), name=f"by_{step}")
            m.d.comb += shifted.eq(Mux(move, Cat(Const(0, step), rest[: len(rest) - step]), rest))
            excess = max(0, len(rest) - (keep + step - 1))
            below.append(shifted[:excess].any())
            rest = shifted[excess:]
        if self.parameters.result_format == "fp32":
            exponent = (exponent - Cat(*moves))[: self._format.exponent]
        return rest, Cat(*below).any(), exponent

    def _top_exponent(self, m: Module) -> Value:
        """Biased exponent of the accumulator's top magnitude bit."""
        top = ACCUMULATOR_BITS - 2 + self._format.bias
        units = {mode: top + unit(self.parameters, mode) for mode in self.parameters.modes}
        if not self.parameters.has_low_bits:
            return Const(units["verify"], signed(EXPONENT_BITS))
        exponent = Signal(signed(EXPONENT_BITS), name="top_exponent")
        of_mode: Value = Const(units["verify"], EXPONENT_BITS)
        for mode, is_mode in self._nibble_modes():
            of_mode = Mux(is_mode, Const(units[mode], EXPONENT_BITS), of_mode)
        m.d.comb += exponent.eq(of_mode - (self.row_exponent if self.parameters.packs else 0))
        return exponent

    def _nibble_modes(self) -> list[tuple[str, Value]]:
        """Modes of 4-bit weights and when each is at work; of those that apply the last counts."""
        found: list[tuple[str, Value]] = []
        if self.parameters.drafts:
            found.append(("draft", self.kind.block))
        if self.parameters.integers:
            found += [
                ("qverify", self.kind.integer),
                ("qdraft", self.kind.integer & self.kind.block),
            ]
        return found
