"""Column: turns one beat's activations into the operand that its PEs multiply.

This work is done once per column and shared by all R rows: subnormals, special values, column
shifts, block floating point, and the triples that the multipliers select from. Definition:
docs/numerics.md.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import combinations

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
    Fp16,
    kind_layout,
    of_nibbles,
    operand_layout,
)
from speq.parameters import Parameters

__all__ = [
    "Column",
    "ColumnParts",
    "aligned_significand",
    "effective_exponent",
    "larger",
    "largest",
    "rounded",
    "significand_of",
    "takes_single",
]


class ColumnParts:
    """What any column makes of its beat's kind: a part of :class:`Column` and its variants."""

    parameters: Parameters
    kind: data.View

    @property
    def pairs(self) -> Value:
        """Whether the lanes of this beat are a pair of QVERIFY among four lanes."""
        if self.parameters.lanes < 4 or not self.parameters.integers:
            return Const(0, 1)
        return self.kind.integer & ~self.kind.block

    def flags(
        self, operand: data.View, lanes: Sequence[data.View], single: data.View
    ) -> list[object]:
        """Assignments of signs and special values of an operand."""
        return [
            operand.signs.eq(self._per_lane(lanes, single, lambda value: value.sign, repeat=True)),
            operand.nans.eq(self._per_lane(lanes, single, _is_nan)),
            operand.infinities.eq(self._per_lane(lanes, single, _is_infinite)),
            operand.zero.eq(~significand_of(single).any()),
        ]

    def _per_lane(
        self,
        values: Sequence[data.View],
        single: data.View,
        flag: Callable[[data.View], Value],
        *,
        repeat: bool = False,
    ) -> Value:
        """One flag per lane.

        VERIFY and MIDDLE: that of their one value, in every lane or in the first alone. A pair:
        each of the two flags for the two lanes whose bricks it shares.
        """
        flags = [flag(value) for value in values]
        if len(flags) == 1:
            return flags[0]
        first = flag(single)
        rest = [first if repeat else Const(0, 1)] * (len(flags) - 1)
        lanes = Mux(of_nibbles(self.kind), Cat(*flags), Cat(first, *rest))
        if len(flags) == 4 and self.parameters.integers:
            lanes = Mux(self.pairs, Cat(*flags[:2], *flags[:2]), lanes)
        return lanes


class Column(ColumnParts, Block):
    """Operand of one column, registered.

    Members
    -------
    values : L FP16 numbers
        VERIFY and MIDDLE use the first, QVERIFY the first two.
    shifts : L numbers of 4 bits
        Column shifts; only with packed words.
    single, single_shift
        In longer pipelines with several lanes: the one value of VERIFY and MIDDLE and its shift,
        apart from the lanes', so that the mode is needed late.
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
        if takes_single(parameters):
            ports["single"] = In(Fp16)
            if parameters.packs:
                ports["single_shift"] = In(COLUMN_SHIFT_BITS)
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = [Fp16(self.values[lane]) for lane in range(self.parameters.lanes)]
        shifts = self.shifts if self.parameters.packs else [0] * len(lanes)
        exponents = [
            effective_exponent(m, f"exponent_{lane}", value, shifts[lane])
            for lane, value in enumerate(lanes)
        ]
        significands = [significand_of(value) for value in lanes]
        single, single_exponent = lanes[0], exponents[0]
        if takes_single(self.parameters):
            single = Fp16(self.single)
            shift = self.single_shift if self.parameters.packs else 0
            single_exponent = effective_exponent(m, "exponent_single", single, shift)
        if len(lanes) == 1:
            exponent, factors = exponents[0], significands
        else:
            shared, aligned = self._align(m, exponents, significands)
            exponent = Mux(of_nibbles(self.kind), shared, single_exponent)
            factors = self._factors(m, significand_of(single), aligned)

        operand = Signal(operand_layout(self.parameters))
        for index, magnitude in enumerate(factors):
            m.d.comb += operand.factors[f"brick_{index}"].one.eq(magnitude)
        m.d.comb += [
            *self.flags(operand, lanes, single),
            operand.exponent.eq(exponent - 2),
        ]
        registered = Signal.like(operand, reset_less=True)
        with m.If(self.enable):
            m.d.sync += registered.eq(operand)
        m.d.comb += self.operand.eq(registered)
        # A longer pipeline has time for the triples behind the register, where PEs have less to do.
        late = self.parameters.splits_products
        for index in range(len(factors)):
            factor = (self.operand if late else operand).factors[f"brick_{index}"]
            m.d.comb += factor.three.eq(factor.one + (factor.one << 1))
        return m

    def _align(
        self, m: Module, exponents: Sequence[Value], significands: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        """Exponent of the lanes' block, and their significands aligned to it."""
        pairs = [larger(m, a, b) for a, b in zip(exponents[::2], exponents[1::2], strict=True)]
        if takes_single(self.parameters):
            block = largest(m, exponents)
        else:
            block = reduce(partial(larger, m), pairs)
        shared = Mux(self.pairs, pairs[0], block) if self.parameters.lanes == 4 else block
        aligned = []
        for lane, (exponent, significand) in enumerate(zip(exponents, significands, strict=True)):
            aligned.append(aligned_significand(m, lane, shared, exponent, significand))
        return shared, aligned

    def _factors(self, m: Module, verify: Value, aligned: Sequence[Value]) -> list[Value]:
        """What each brick multiplies: parts of the significand, or the lanes' magnitudes."""
        magnitudes = [rounded(m, places, self.parameters.draft_bits) for places in aligned]
        halves = [verify[:LOW_BITS], verify[LOW_BITS:]]
        if self.parameters.lanes == 2:
            blocks = [part for magnitude in magnitudes for part in _halves(magnitude)]
        else:
            blocks = [magnitudes[lane] for lane in BRICK_LANES]
        factors = [
            Mux(of_nibbles(self.kind), *both) for both in zip(blocks, halves * 2, strict=True)
        ]
        if self.parameters.lanes == 4 and self.parameters.integers:
            pair = [rounded(m, places, PAIR_BITS) for places in aligned[:2]]
            parts = [part for magnitude in pair for part in _halves(magnitude)]
            factors = [Mux(self.pairs, *both) for both in zip(parts, factors, strict=True)]
        return factors


def takes_single(parameters: Parameters) -> bool:
    """Whether a column is given the one value of VERIFY and MIDDLE apart from its lanes'."""
    return parameters.lanes > 1 and (parameters.splits_products or parameters.in_dsp)


def effective_exponent(m: Module, name: str, value: data.View, shift: Value | int) -> Value:
    """Effective exponent plus column shift."""
    exponent = Signal(SHIFT_BITS, name=name)
    effective = Cat(value.exponent[0] | ~value.exponent.any(), value.exponent[1:])
    m.d.comb += exponent.eq(effective + shift)
    return exponent


def larger(m: Module, a: Value, b: Value) -> Value:
    """The larger of two exponents."""
    exponent = Signal(SHIFT_BITS, name="larger")
    m.d.comb += exponent.eq(Mux(b > a, b, a))
    return exponent


def largest(m: Module, exponents: Sequence[Value]) -> Value:
    """The largest exponent by comparing all pairs at once: more gates than a tree, sooner."""
    places = range(len(exponents))
    no_less = {(a, b): Signal(name=f"no_less_{a}_{b}") for a, b in combinations(places, 2)}
    for (a, b), flag in no_less.items():
        m.d.comb += flag.eq(exponents[a] >= exponents[b])
    found: Value = Const(0, SHIFT_BITS)
    for place in places:
        wins = [
            no_less[place, other] if place < other else ~no_less[other, place]
            for other in places
            if other != place
        ]
        found = found | (exponents[place] & Cat(*wins).all().replicate(SHIFT_BITS))
    return found


def aligned_significand(
    m: Module, lane: int, shared: Value, exponent: Value, significand: Value
) -> Value:
    """A significand as far below the top as its exponent is below the shared one."""
    behind = Signal(SHIFT_BITS, name=f"behind_{lane}")
    # A magnitude of 12 bits and the bit below it, on which it rounds.
    places = Signal(PAIR_BITS + 1, name=f"aligned_{lane}")
    m.d.comb += [
        behind.eq(shared - exponent),
        places.eq(Cat(Const(0, 2), significand) >> behind),
    ]
    return places


def significand_of(value: data.View) -> Value:
    """The 11 bits of a number's significand."""
    return Cat(value.fraction, value.exponent.any())


def _is_nan(value: data.View) -> Value:
    return value.exponent.all() & value.fraction.any()


def _is_infinite(value: data.View) -> Value:
    return value.exponent.all() & ~value.fraction.any()


def _halves(magnitude: Value) -> tuple[Value, Value]:
    """Low and high part of a magnitude of 12 bits."""
    return magnitude[:LOW_BITS], magnitude[LOW_BITS:]


def rounded(m: Module, aligned: Value, bits: int) -> Value:
    """The upper `bits` of an aligned significand, to nearest, halves away from zero.

    Only a largest magnitude can overflow: it saturates.
    """
    kept = aligned[-bits - 1 :]
    magnitude = Signal(bits, name="magnitude")
    m.d.comb += magnitude.eq(kept[1:] + (kept[0] & ~kept[1:].all()))
    return magnitude
