"""Processing element: holds a weight word while tokens stream past, and multiplies it."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from speq.arithmetic import lookup, select
from speq.block import Block, place
from speq.formats import family
from speq.layouts import (
    BRICK_LANES,
    LOW_BITS,
    SHIFT_BITS,
    DraftWeight,
    Fp16,
    Specials,
    brick_bits,
    draft_word,
    kind_layout,
    load_enables,
    of_nibbles,
    operand_layout,
    product_layout,
)
from speq.multiply import Multiplier
from speq.parameters import DRAFTS_PER_WORD, WORD_BITS, Parameters

__all__ = ["ProcessingElement"]

DRAFT_BITS = 6
MIDPOINT = 0x80
"""What MIDDLE takes for the low byte, which it does not read."""
MIDPOINT_BITS = 8


class ProcessingElement(Block):
    """Two weight words (one loads while the other works), the multiplier, a product register.

    Members
    -------
    word : 16 bits
        Weight word to load: an FP16 pattern (VERIFY), a decoded weight in each byte (MIDDLE), or a
        weight of 4 bits in each nibble.
    load : 4 bits
        Take the nibbles of `word` into the waiting register; in FP16-only designs 1 bit for all.
    swap : 1 bit
        Make the waiting word the working one.
    operand : struct
        The column's activations.
    kind : struct
        Of the beat (:func:`speq.layouts.kind_layout`); not in FP16-only designs.
    part : 1 or 2 bits
        Which weights of the word meet this beat; only where a mode takes several beats.
    enable : a bit for each stage
        Move the registers of the stage; the last takes a new product at the clock edge.
    product : struct
        Registered :func:`speq.layouts.product_layout`. Its shift is 0..58.
    """

    stem = "pe"
    _multiplier: type[Block] = Multiplier

    def __init__(self, parameters: Parameters) -> None:
        self.multiplier = self._multiplier(parameters)
        ports = {
            "word": In(WORD_BITS),
            "load": In(load_enables(parameters)),
            "swap": In(1),
            "operand": In(operand_layout(parameters)),
            "enable": In(parameters.stages["multiply"]),
            "product": Out(product_layout(parameters)),
        }
        if parameters.has_low_bits:
            ports["kind"] = In(kind_layout(parameters))
        if parameters.word_beats > 1:
            ports["part"] = In(range(parameters.word_beats))
        super().__init__(parameters, ports, self.multiplier)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._kind_here, self._part_here = (self._arrived(m, name) for name in ("kind", "part"))
        waiting = Signal(WORD_BITS, reset_less=True)
        working = Signal(WORD_BITS, reset_less=True)
        bits = WORD_BITS // len(self.load)
        for number, enable in enumerate(self.load):
            with m.If(enable):
                m.d.sync += waiting.word_select(number, bits).eq(
                    self.word.word_select(number, bits)
                )
        with m.If(self.swap):
            m.d.sync += working.eq(waiting)

        drafts = self._lane_drafts(m, working) if self.parameters.has_nibbles else []
        exact = Fp16(self._as_fp16(m, working, drafts))
        if self.parameters.lanes == 1:
            drafts = []
        m.d.comb += self.product.eq(self._product(m, exact, drafts))
        return m

    def _arrived(self, m: Module, name: str) -> Any:
        """A member that says what the beat is, where there is one."""
        return getattr(self, name, None)

    def _product(self, m: Module, exact: data.View, drafts: Sequence[data.View]) -> Value:
        """The product register, and the multiplier in front of it."""
        signs = self._signs(exact, drafts)
        multiplier = place(m, "multiplier", self.multiplier)
        m.d.comb += [
            multiplier.factors.eq(self.operand.factors),
            multiplier.negative.eq(Cat(self._per_brick(signs))),
        ]
        for index, bits in enumerate(self._brick_weights(exact, drafts)):
            m.d.comb += multiplier.weights[f"brick_{index}"].eq(bits)
        if drafts:
            m.d.comb += multiplier.kind.eq(self._kind_here)

        shift, specials = self._shift(exact), self._specials(exact, drafts, signs)
        if self.multiplier.clocked:
            m.d.comb += multiplier.enable.eq(self.enable[0])
            shift, specials = self._held(m, shift[:SHIFT_BITS], specials)
        product = Signal(product_layout(self.parameters), reset_less=True)
        with m.If(self.enable[-1]):
            m.d.sync += [
                product.value.eq(multiplier.product),
                product.shift.eq(shift),
                product.specials.eq(specials),
            ]
        return product

    def _held(self, m: Module, shift: Value, specials: Value) -> tuple[Signal, Signal]:
        """What goes beside the registers in the multiplier."""
        shift_held = Signal(len(shift), reset_less=True)
        specials_held = Signal(len(specials), reset_less=True)
        with m.If(self.enable[0]):
            m.d.sync += [shift_held.eq(shift), specials_held.eq(specials)]
        return shift_held, specials_held

    # Weights -----------------------------------------------------------------------------------

    def _as_fp16(self, m: Module, word: Value, drafts: Sequence[data.View]) -> Value:
        """The word as FP16, for the beats that multiply one weight.

        MIDDLE takes a byte and puts the low byte at its midpoint. One lane takes weights of 4 bits
        on the same path: an integer magnitude is a subnormal.
        """
        pattern = word
        if self.parameters.middles:
            low, high = word[:MIDPOINT_BITS], word[MIDPOINT_BITS:]
            high = Mux(self._kind_here.middle & ~self._part_here[0], low, high)
            pattern = Cat(Mux(self._kind_here.middle, MIDPOINT, low)[:MIDPOINT_BITS], high)
        if self.parameters.lanes == 1 and drafts:
            (draft,) = drafts
            spare = WORD_BITS - 1 - DRAFT_BITS
            subnormal = Cat(self._magnitude(draft), Const(0, spare), draft.sign)
            pattern = Mux(of_nibbles(self._kind_here), subnormal, pattern)
        exact = Signal(WORD_BITS)
        m.d.comb += exact.eq(pattern)
        return exact

    def _lane_drafts(self, m: Module, word: Value) -> list[data.View]:
        """The weights of 4 bits that meet this beat, one per lane."""
        lanes = self.parameters.lanes
        nibbles = data.View(draft_word, word)
        drafts = []
        for lane in range(lanes):
            draft = Signal(DraftWeight, name=f"draft_{lane}")
            offered = [nibbles[first + lane] for first in range(0, DRAFTS_PER_WORD, lanes)]
            chosen = offered[0] if lanes == DRAFTS_PER_WORD else select(offered, self._part())
            if lanes == DRAFTS_PER_WORD and self.parameters.integers:
                # QVERIFY: two weights a beat, either in two lanes that lie two apart.
                pair = self._kind_here.integer & ~self._kind_here.block
                partner = nibbles[lane ^ 2]
                chosen = Mux(pair & (self._part_here[0] ^ (lane >> 1)), partner, chosen)
            m.d.comb += draft.eq(chosen)
            drafts.append(draft)
        return drafts

    def _part(self) -> Value:
        """Which nibbles of the word: as many bits as there are beats of all lanes."""
        return self._part_here[: exact_log2(DRAFTS_PER_WORD // self.parameters.lanes)]

    def _magnitude(self, draft: data.View) -> Value:
        """A draft magnitude, from the code; of INT4 the code itself, or 8."""
        magnitude = Const(0, DRAFT_BITS)
        if self.parameters.drafts:
            values = family(self.parameters.family).draft_values
            magnitude = lookup(values, DRAFT_BITS, draft.code)
        if self.parameters.integers:
            integer = Cat(draft.code, draft.sign & ~draft.code.any(), Const(0, 2))
            magnitude = Mux(self._kind_here.integer, integer, magnitude)
        return magnitude

    def _brick_weights(self, exact: data.View, drafts: Sequence[data.View]) -> list[Value]:
        significand = Cat(exact.fraction, exact.exponent.any())
        if not drafts:
            return [significand]
        low, high = significand[:LOW_BITS], significand[LOW_BITS:]
        magnitudes = self._per_brick([self._magnitude(draft) for draft in drafts])
        return [
            Mux(of_nibbles(self._kind_here), magnitude, part)
            for magnitude, part in zip(magnitudes, (low, low, high, high), strict=True)
        ]

    def _per_brick(self, of_lanes: Sequence[Value]) -> list[Value]:
        """What a lane has, for each of its bricks."""
        if len(of_lanes) == len(BRICK_LANES):
            return [of_lanes[lane] for lane in BRICK_LANES]
        per_lane = len(brick_bits(self.parameters)) // len(of_lanes)
        return [value for value in of_lanes for _ in range(per_lane)]

    def _shift(self, exact: data.View) -> Value:
        """Left shift of the product; a weight of 4 bits counts as exponent 1."""
        exponent = Cat(exact.exponent[0] | ~exact.exponent.any(), exact.exponent[1:])
        if self.parameters.lanes > 1:
            exponent = Mux(of_nibbles(self._kind_here), Const(1, 1), exponent)
        return exponent + self.operand.exponent

    # Signs and special values ------------------------------------------------------------------

    def _signs(self, exact: data.View, drafts: Sequence[data.View]) -> list[Value]:
        """Sign of each lane's product; in VERIFY every lane's is the same."""
        if not drafts:
            return [exact.sign ^ self.operand.signs]
        return [
            Mux(of_nibbles(self._kind_here), draft.sign, exact.sign) ^ self.operand.signs[lane]
            for lane, draft in enumerate(drafts)
        ]

    def _specials(
        self, exact: data.View, drafts: Sequence[data.View], signs: Sequence[Value]
    ) -> Value:
        """NaN and signed infinities of the products in all lanes."""
        special = exact.exponent.all()
        nibbles = of_nibbles(self._kind_here) if drafts else Const(0, 1)
        special = special & ~nibbles
        weight_zero = ~(exact.exponent.any() | exact.fraction.any())
        weight_infinite = special & ~exact.fraction.any()
        nan = special & exact.fraction.any() | weight_infinite & self.operand.zero
        infinities = []
        for lane, sign in enumerate(signs):
            zero = weight_zero
            if drafts:
                draft_zero = ~self._magnitude(drafts[lane]).any()
                # Beyond the first lane VERIFY presents neither infinities nor NaNs.
                zero = draft_zero if lane else Mux(nibbles, draft_zero, weight_zero)
            infinite = self.operand.infinities[lane]
            nan = nan | self.operand.nans[lane] | infinite & zero
            infinities.append((infinite if lane else infinite | weight_infinite, sign))
        specials = {
            "nan": nan,
            "positive_infinity": Cat(*(is_inf & ~sign for is_inf, sign in infinities)).any(),
            "negative_infinity": Cat(*(is_inf & sign for is_inf, sign in infinities)).any(),
        }
        return Cat(*(specials[name] for name, _ in Specials.as_shape()))
