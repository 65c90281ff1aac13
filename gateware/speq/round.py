"""Rounding: an exact accumulator to FP32 or FP16, to nearest, ties to even.

The only rounding in the array. The row exponent and the mode's unit are exact powers of two, undone
here. FP32 results are always normal or zero (docs/numerics.md gives the ranges); FP16 results
overflow to infinity and underflow through subnormals.
"""

import dataclasses

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.accumulate import accumulator_layout
from speq.arithmetic import select_adder
from speq.block import Block
from speq.layouts import PAIR_BITS, ROW_EXPONENT_BITS, kind_layout
from speq.multiply import block_place
from speq.parameters import SPLIT_PIPELINE, Parameters
from speq.reduce import ACCUMULATOR_BITS

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


STEPS = (64, 32, 16, 8, 4, 2, 1)
"""Digits that are dropped at a time, if they are all copies of the sign."""

_CUTS: dict[int, tuple[int, ...]] = {1: (), 2: (16,), 3: (16, 1), 4: (32, 8, 1), 5: (64, 32, 8, 1)}
"""Steps behind which registers stand, by number of stages."""


ADDER_BLOCK = 6
"""Bits of the longer pipelines' rounding that do not wait for a carry."""


@dataclasses.dataclass(frozen=True)
class _Found:
    """A sum on its way through normalisation.

    Parameters
    ----------
    rest : Value
        Digits from the top one down; in the end leading digit (the sign's opposite, unless
        subnormal), fraction, and one bit to round on.
    below : 1 bit
        Any one among the digits below.
    exponent : Value
        FP16: biased exponent of the top bit. FP32: that before anything was dropped.
    moves : tuple of Value
        Steps that dropped digits, the smallest first; FP32 subtracts them at the end.
    negative : 1 bit
        The sign.
    specials : View
        :class:`speq.layouts.Specials`.
    """

    rest: Value
    below: Value
    exponent: Value
    moves: tuple[Value, ...]
    negative: Value
    specials: data.View


class Round(Block):
    """One output element, registered.

    A pipelined row takes two stages, cut where 15 digits are left to drop, or three or four, with
    rounding in one of its own.

    Members
    -------
    total : struct
        :data:`speq.accumulate.accumulator_layout`.
    row_exponent : signed 7 bits
        ``t + r[n]``; only with packed words.
    kind : struct
        Of the tile (:func:`speq.layouts.kind_layout`); not in FP16-only designs.
    enable : P bits
        Move each of the P stages' registers; the last takes a new result.
    value : 32 or 16 bits
        The result's pattern.
    """

    stem = "round"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "total": In(accumulator_layout),
            "enable": In(parameters.stages["round"]),
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
        found = self._normalise(m)
        negative, specials = found.negative, found.specials

        # A negative sum is inverted but not incremented: its magnitude goes on below bit 0 with
        # ones for ever. Nothing but ones below the kept bits is one more in their last place.
        magnitude = found.rest ^ negative.replicate(len(found.rest))
        below = found.below
        carried = negative & ~below
        up = Mux(carried, magnitude[:2].any(), magnitude[0] & (below | magnitude[1]))
        if self.parameters.pipeline < SPLIT_PIPELINE:
            biased = Mux(magnitude[-1], self._biased(found), 0)
            packed = Signal(fmt.fraction + len(biased))
            m.d.comb += packed.eq(Cat(magnitude[1:-1], biased) + up)
        else:
            packed = self._packed(m, found, magnitude, up)

        infinite = specials.positive_infinity | specials.negative_infinity
        nan = specials.nan | (specials.positive_infinity & specials.negative_infinity)
        if self.parameters.result_format == "fp16":
            overflow = packed[fmt.fraction :] >= (1 << fmt.exponent) - 1
        else:
            overflow = Const(0, 1)
        value = Signal(len(self.value), reset_less=True)
        with m.If(self.enable[-1]):
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

    def _packed(self, m: Module, found: "_Found", magnitude: Value, up: Value) -> Value:
        """Fraction, and the exponent less what was dropped, rounded: all in one addition."""
        # FP16 overflows: its exponent may be too long.
        bits = self._format.exponent if found.moves else EXPONENT_BITS
        exponent, dropped = found.exponent[:bits], Const(0, bits)
        if found.moves:
            # The exponent is one too large, for the complement.
            dropped = ~Cat(*found.moves, Const(0, bits))[:bits]
        leads = magnitude[-1].replicate(bits)
        fraction = magnitude[1:-1]
        rounded = select_adder(
            m,
            Cat(fraction, exponent & leads),
            Cat(Const(0, len(fraction)), dropped & leads),
            up,
            ADDER_BLOCK,
        )
        return rounded[: len(fraction) + bits]

    def _normalise(self, m: Module) -> "_Found":
        """Drop copies of the sign from the top, as far as the format's exponents reach down."""
        fp16 = self.parameters.result_format == "fp16"
        total = self.total
        found = _Found(
            total.value[:-1], Const(0, 1), self._top_exponent(m), (), total.value[-1],
            total.specials,
        )  # fmt: skip
        cuts = _CUTS[self.parameters.stages["round"]]
        for step in STEPS:
            top = found.rest[-step:]
            move = Mux(found.negative, top.all(), ~top.any())
            exponent, moves = found.exponent, found.moves
            if fp16:
                # Stop at exponent 1: what then stays below a leading one is a subnormal.
                move = move & (exponent > step)
                exponent = Signal(signed(EXPONENT_BITS), name=f"exponent_{step}")
                m.d.comb += exponent.eq(found.exponent - Mux(move, step, 0))
            else:
                moves = (move, *moves)
            rest, below = self._moved(m, found, step, move)
            found = dataclasses.replace(
                found, rest=rest, below=below, exponent=exponent, moves=moves
            )
            if step in cuts:
                found = self._registered(m, found, cuts.index(step))
        return found

    def _moved(self, m: Module, found: "_Found", step: int, move: Value) -> tuple[Value, Value]:
        """What is left of a sum after a step, and whether a one is below it."""
        rest, keep = found.rest, self._format.fraction + 2
        shifted = Signal(len(rest), name=f"by_{step}")
        m.d.comb += shifted.eq(Mux(move, Cat(Const(0, step), rest[: len(rest) - step]), rest))
        excess = max(0, len(rest) - (keep + step - 1))
        return shifted[excess:], found.below | shifted[:excess].any()

    def _registered(self, m: Module, found: "_Found", stage: int) -> "_Found":
        """All that goes on, in registers that move with a stage."""

        def register(name: str, value: Value) -> Signal:
            held = Signal(Value.cast(value).shape(), name=f"{name}_{stage}", reset_less=True)
            with m.If(self.enable[stage]):
                m.d.sync += held.eq(value)
            return held

        specials = register("specials", found.specials.as_value())
        return _Found(
            register("rest", found.rest),
            register("below", found.below),
            register("exponent", found.exponent),
            tuple(register("moved", Cat(*found.moves))) if found.moves else (),
            register("negative", found.negative),
            data.View(found.specials.shape(), specials),
        )

    def _biased(self, found: "_Found") -> Value:
        """Biased exponent of the top bit that was kept."""
        if self.parameters.result_format == "fp16":
            return found.exponent
        return (found.exponent - Cat(*found.moves))[: self._format.exponent]

    def _top_exponent(self, m: Module) -> Value:
        """Biased exponent of the accumulator's top magnitude bit."""
        top = ACCUMULATOR_BITS - 2 + self._format.bias
        if self.parameters.pipeline >= SPLIT_PIPELINE and self.parameters.result_format == "fp32":
            top += 1
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
