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
from speq.parameters import SPLIT_PIPELINE, Parameters

__all__ = ["Column", "rounded", "takes_single"]


class Column(Block):
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
        Of the beat (:func:`speq.layouts.kind_layout`); only with more than one lane. With two
        stages, that of the beat that the second takes.
    enable : a bit for each stage
        Move the registers of the stage; the last takes a new operand at the clock edge.
    operand : struct
        :func:`speq.layouts.operand_layout`.
    """

    stem = "column"

    def __init__(self, parameters: Parameters) -> None:
        lanes = parameters.lanes
        ports = {
            "values": In(data.ArrayLayout(Fp16, lanes)),
            "enable": In(parameters.stages["columns"]),
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
            self._exponent(m, f"exponent_{lane}", value, shifts[lane])
            for lane, value in enumerate(lanes)
        ]
        single, single_exponent = lanes[0], exponents[0]
        if takes_single(self.parameters):
            single = Fp16(self.single)
            shift = self.single_shift if self.parameters.packs else 0
            single_exponent = self._exponent(m, "exponent_single", single, shift)
        significands = [
            self._held(m, f"significand_{lane}", _significand(value), shifts=len(lanes) > 1)
            for lane, value in enumerate(lanes)
        ]
        one = significands[0]
        if takes_single(self.parameters):
            one = self._held(m, "significand_single", _significand(single))
        single_exponent = self._held_later(m, "exponent_single_held", single_exponent)
        signs = self._flags(m, "signs", lanes, single, lambda value: value.sign)
        nans = self._flags(m, "nans", lanes, single, _is_nan)
        infinities = self._flags(m, "infinities", lanes, single, _is_infinite)
        exponent, aligned = single_exponent, []
        if len(lanes) > 1:
            shared, aligned = self._align(m, exponents, significands)
            exponent = Mux(of_nibbles(self._kind), shared, single_exponent)

        operand = Signal(operand_layout(self.parameters))
        self._multiplied(m, operand.factors, one, aligned)
        m.d.comb += [
            operand.signs.eq(self._per_lane(*signs, repeat=True)),
            operand.nans.eq(self._per_lane(*nans)),
            operand.infinities.eq(self._per_lane(*infinities)),
            operand.zero.eq(~one.any()),
            operand.exponent.eq(exponent - 2),
        ]
        registered = Signal.like(operand, reset_less=True)
        with m.If(self.enable[-1]):
            m.d.sync += registered.eq(operand)
        m.d.comb += self.operand.eq(registered)
        return m

    def _held(self, m: Module, name: str, value: Value, *, shifts: bool = False) -> Value:
        """The value in the registers of the first of two stages; with one stage itself.

        `shifts` says that it is needed for the shifts of significands, and not behind them.
        """
        if len(self.enable) == 1:
            return value
        held = Signal(len(value), name=f"{name}_held", reset_less=True)
        with m.If(self.enable[0]):
            m.d.sync += held.eq(value)
        return held

    def _held_later(self, m: Module, name: str, value: Value, *, shifts: bool = False) -> Value:
        """The same for what is made of exponents."""
        return self._held(m, name, value, shifts=shifts)

    def _flags(
        self,
        m: Module,
        name: str,
        lanes: Sequence[data.View],
        single: data.View,
        flag: Callable[[data.View], Value],
    ) -> tuple[list[Value], Value]:
        """A flag of each lane's value and of the single one, which may be the first lane's."""
        flags = [self._held(m, f"{name}_{lane}", flag(value)) for lane, value in enumerate(lanes)]
        if not takes_single(self.parameters):
            return flags, flags[0]
        return flags, self._held(m, f"{name}_single", flag(single))

    def _exponent(self, m: Module, name: str, value: data.View, shift: Value | int) -> Value:
        """Effective exponent plus column shift."""
        exponent = Signal(SHIFT_BITS, name=name)
        effective = Cat(value.exponent[0] | ~value.exponent.any(), value.exponent[1:])
        m.d.comb += exponent.eq(effective + shift)
        return exponent

    @property
    def _kind(self) -> data.View:
        """Kind of the beat that the second stage works on."""
        return self.kind

    @property
    def _pairs(self) -> Value:
        """Whether the lanes of this beat are a pair of QVERIFY among four lanes."""
        if self.parameters.lanes < 4 or not self.parameters.integers:
            return Const(0, 1)
        return self._kind.integer & ~self._kind.block

    def _align(
        self, m: Module, exponents: Sequence[Value], significands: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        """Exponent of the lanes' block, and their significands aligned to it."""
        if takes_single(self.parameters):
            return self._align_in_two(m, exponents, significands)
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
        return shared, aligned

    def _align_in_two(
        self, m: Module, exponents: Sequence[Value], significands: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        """The same in two stages: distances in the first, shifts in the second.

        Only the second knows the mode, so that the first makes the distances of pairs, too.
        """
        block, behind = self._distances(m, "block", exponents)
        if isinstance(self._pairs, Const):
            shared, shifts = block, behind
        else:
            pair, behind_pair = self._distances(m, "pair", exponents[:2])
            shared = Mux(self._pairs, pair, block)
            shifts = [
                Mux(self._pairs, in_pair, in_block)
                for in_pair, in_block in zip(behind_pair, behind[:2], strict=True)
            ]
            shifts += behind[2:]
        aligned = []
        for lane, (shift, significand) in enumerate(zip(shifts, significands, strict=True)):
            places = Signal(PAIR_BITS + 1, name=f"aligned_{lane}")
            m.d.comb += places.eq(Cat(Const(0, 2), significand) >> shift)
            aligned.append(places)
        return shared, aligned

    def _distances(
        self, m: Module, name: str, exponents: Sequence[Value]
    ) -> tuple[Value, list[Value]]:
        """Largest exponent and how far behind it each is, all held; 15 stands for more, too."""
        largest = Signal(SHIFT_BITS, name=name)
        m.d.comb += largest.eq(self._largest(m, exponents))
        behind = []
        for lane, exponent in enumerate(exponents):
            distance = Signal(SHIFT_BITS, name=f"{name}_behind_{lane}")
            m.d.comb += distance.eq(largest - exponent)
            far = distance[SHIFT_BITS - 2 :].any()
            near = distance[: SHIFT_BITS - 2] | far.replicate(SHIFT_BITS - 2)
            behind.append(self._held_later(m, f"{name}_behind_{lane}", near, shifts=True))
        return self._held_later(m, name, largest, shifts=True), behind

    def _largest(self, m: Module, exponents: Sequence[Value]) -> Value:
        """The largest exponent by comparing all pairs at once: more gates than a tree, sooner."""
        places = range(len(exponents))
        no_less = {(a, b): Signal(name=f"no_less_{a}_{b}") for a, b in combinations(places, 2)}
        for (a, b), flag in no_less.items():
            m.d.comb += flag.eq(exponents[a] >= exponents[b])
        largest = Const(0, SHIFT_BITS)
        for place in places:
            wins = [
                no_less[place, other] if place < other else ~no_less[other, place]
                for other in places
                if other != place
            ]
            largest = largest | (exponents[place] & Cat(*wins).all().replicate(SHIFT_BITS))
        return largest

    def _larger(self, m: Module, a: Value, b: Value) -> Value:
        larger = Signal(SHIFT_BITS, name="larger")
        m.d.comb += larger.eq(Mux(b > a, b, a))
        return larger

    def _multiplied(
        self, m: Module, factors: data.View, one: Value, aligned: Sequence[Value]
    ) -> None:
        """Give each brick what it multiplies, and three times that."""
        magnitudes = self._factors(m, one, aligned) if aligned else [one]
        for index, magnitude in enumerate(magnitudes):
            factor = factors[f"brick_{index}"]
            m.d.comb += [
                factor.one.eq(magnitude),
                factor.three.eq(factor.one + (factor.one << 1)),
            ]

    def _factors(self, m: Module, verify: Value, aligned: Sequence[Value]) -> list[Value]:
        """What each brick multiplies: parts of the significand, or the lanes' magnitudes."""
        magnitudes = [rounded(m, places, self.parameters.draft_bits) for places in aligned]
        halves = [verify[:LOW_BITS], verify[LOW_BITS:]]
        if self.parameters.lanes == 2:
            blocks = [part for magnitude in magnitudes for part in _halves(magnitude)]
        else:
            blocks = [magnitudes[lane] for lane in BRICK_LANES]
        factors = [
            Mux(of_nibbles(self._kind), *both) for both in zip(blocks, halves * 2, strict=True)
        ]
        if self.parameters.lanes == 4 and self.parameters.integers:
            pair = [rounded(m, places, PAIR_BITS) for places in aligned[:2]]
            parts = [part for magnitude in pair for part in _halves(magnitude)]
            factors = [Mux(self._pairs, *both) for both in zip(parts, factors, strict=True)]
        return factors

    def _per_lane(self, flags: Sequence[Value], first: Value, *, repeat: bool = False) -> Value:
        """One flag per lane, from those of all values and of the single one.

        VERIFY and MIDDLE: that of their one value, in every lane or in the first alone. A pair:
        each of the two flags for the two lanes whose bricks it shares.
        """
        if len(flags) == 1:
            return first
        rest = [first if repeat else Const(0, 1)] * (len(flags) - 1)
        lanes = Mux(of_nibbles(self._kind), Cat(*flags), Cat(first, *rest))
        if len(flags) == 4 and self.parameters.integers:
            lanes = Mux(self._pairs, Cat(*flags[:2], *flags[:2]), lanes)
        return lanes


def takes_single(parameters: Parameters) -> bool:
    """Whether a column is given the one value of VERIFY and MIDDLE apart from its lanes'."""
    return parameters.lanes > 1 and parameters.pipeline >= SPLIT_PIPELINE


def _significand(value: data.View) -> Value:
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
