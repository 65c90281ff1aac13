"""Processing element: holds a weight word while tokens stream past, and multiplies it."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.arithmetic import lookup
from speq.block import Block, place
from speq.formats import family
from speq.layouts import (
    LOW_BITS,
    DraftWeight,
    Fp16,
    Specials,
    brick_bits,
    draft_word,
    load_enables,
    operand_layout,
    product_layout,
)
from speq.multiply import Multiplier
from speq.parameters import WORD_BITS, Parameters

__all__ = ["ProcessingElement"]

DRAFT_BITS = 6


class ProcessingElement(Block):
    """Two weight words (one loads while the other works), the multiplier, a product register.

    Members
    -------
    word : 16 bits
        Weight word to load: an FP16 pattern (VERIFY), or one draft weight in each nibble (DRAFT).
    load : 4 bits
        Take the nibbles of `word` into the waiting register; 1 bit for the word without DRAFT.
    swap : 1 bit
        Make the waiting word the working one.
    operand : struct
        The column's activations.
    draft : 1 bit
        Mode of the working word; only with DRAFT.
    beat : 0, 1 or 2 bits
        Which draft weights of the word meet this beat, of ``4 / L`` beats; only where L < 4.
    enable : 1 bit
        Take a new product at the clock edge.
    product : struct
        Registered :func:`speq.layouts.product_layout`. Its shift is 0..58.
    """

    stem = "pe"

    def __init__(self, parameters: Parameters) -> None:
        self.multiplier = Multiplier(parameters)
        ports = {
            "word": In(WORD_BITS),
            "load": In(load_enables(parameters)),
            "swap": In(1),
            "operand": In(operand_layout(parameters)),
            "enable": In(1),
            "product": Out(product_layout(parameters)),
        }
        if parameters.drafts:
            ports["draft"] = In(1)
            if parameters.word_beats > 1:
                ports["beat"] = In(range(parameters.word_beats))
        super().__init__(parameters, ports, self.multiplier)

    def elaborate(self, platform: object) -> Module:
        m = Module()
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

        exact = Fp16(self._as_fp16(m, working))
        drafts = self._lane_drafts(working) if self.parameters.lanes > 1 else []
        signs = self._signs(exact, drafts)
        multiplier = place(m, "multiplier", self.multiplier)
        m.d.comb += [
            multiplier.factors.eq(self.operand.factors),
            multiplier.negative.eq(self._brick_signs(signs)),
        ]
        for index, bits in enumerate(self._brick_weights(exact, drafts)):
            m.d.comb += multiplier.weights[f"brick_{index}"].eq(bits)
        if drafts:
            m.d.comb += multiplier.draft.eq(self.draft)

        product = Signal(product_layout(self.parameters), reset_less=True)
        with m.If(self.enable):
            m.d.sync += [
                product.value.eq(multiplier.product),
                product.shift.eq(self._shift(exact)),
                product.specials.eq(self._specials(exact, drafts, signs)),
            ]
        m.d.comb += self.product.eq(product)
        return m

    # Weights -----------------------------------------------------------------------------------

    def _as_fp16(self, m: Module, word: Value) -> Value:
        """The word as FP16. One lane drafts on the same path: a draft value is a subnormal."""
        if not self.parameters.drafts or self.parameters.lanes > 1:
            return word
        (draft,) = self._lane_drafts(word)
        subnormal = Cat(self._magnitude(draft), Const(0, WORD_BITS - 1 - DRAFT_BITS), draft.sign)
        pattern = Signal(WORD_BITS)
        m.d.comb += pattern.eq(Mux(self.draft, subnormal, word))
        return pattern

    def _lane_drafts(self, word: Value) -> list[data.View]:
        """The draft weights that meet this beat, one per lane."""
        lanes = self.parameters.draft_lanes
        if self.parameters.word_beats > 1:
            word = word.word_select(self.beat, WORD_BITS // self.parameters.word_beats)
            word = Cat(word, Const(0, WORD_BITS - len(word)))
        drafts = data.View(draft_word, word)
        return [DraftWeight(drafts[lane]) for lane in range(lanes)]

    def _magnitude(self, draft: data.View) -> Value:
        values = family(self.parameters.family).draft_values
        return lookup(values, DRAFT_BITS, draft.code)

    def _brick_weights(self, exact: data.View, drafts: Sequence[data.View]) -> list[Value]:
        significand = Cat(exact.fraction, exact.exponent.any())
        if not drafts:
            return [significand]
        low, high = significand[:LOW_BITS], significand[LOW_BITS:]
        per_lane = len(brick_bits(self.parameters)) // len(drafts)
        magnitudes = [self._magnitude(draft) for draft in drafts for _ in range(per_lane)]
        return [
            Mux(self.draft, magnitude, part)
            for magnitude, part in zip(magnitudes, (low, low, high, high), strict=True)
        ]

    def _shift(self, exact: data.View) -> Value:
        """Left shift of the product; a draft weight counts as exponent 1."""
        exponent = Cat(exact.exponent[0] | ~exact.exponent.any(), exact.exponent[1:])
        if self.parameters.lanes > 1:
            exponent = Mux(self.draft, Const(1, 1), exponent)
        return exponent + self.operand.exponent

    # Signs and special values ------------------------------------------------------------------

    def _signs(self, exact: data.View, drafts: Sequence[data.View]) -> list[Value]:
        """Sign of each lane's product; in VERIFY every lane's is the same."""
        if not drafts:
            return [exact.sign ^ self.operand.signs]
        return [
            Mux(self.draft, draft.sign, exact.sign) ^ self.operand.signs[lane]
            for lane, draft in enumerate(drafts)
        ]

    def _brick_signs(self, signs: Sequence[Value]) -> Value:
        per_lane = len(brick_bits(self.parameters)) // len(signs)
        return Cat(*(sign for sign in signs for _ in range(per_lane)))

    def _specials(
        self, exact: data.View, drafts: Sequence[data.View], signs: Sequence[Value]
    ) -> Value:
        """NaN and signed infinities of the products in all lanes."""
        special = exact.exponent.all()
        if drafts:
            special = special & ~self.draft
        weight_zero = ~(exact.exponent.any() | exact.fraction.any())
        weight_infinite = special & ~exact.fraction.any()
        nan = special & exact.fraction.any() | weight_infinite & self.operand.zero
        infinities = []
        for lane, sign in enumerate(signs):
            zero = weight_zero
            if drafts:
                draft_zero = ~self._magnitude(drafts[lane]).any()
                # Beyond the first lane VERIFY presents neither infinities nor NaNs.
                zero = draft_zero if lane else Mux(self.draft, draft_zero, weight_zero)
            infinite = self.operand.infinities[lane]
            nan = nan | self.operand.nans[lane] | infinite & zero
            infinities.append((infinite if lane else infinite | weight_infinite, sign))
        specials = {
            "nan": nan,
            "positive_infinity": Cat(*(is_inf & ~sign for is_inf, sign in infinities)).any(),
            "negative_infinity": Cat(*(is_inf & sign for is_inf, sign in infinities)).any(),
        }
        return Cat(*(specials[name] for name, _ in Specials.as_shape()))
