"""Significand multiplier of DSP blocks.

VERIFY and MIDDLE multiply two significands in the first block. With two lanes each block multiplies
one weight of 4 bits. With four lanes and activations of 6 bits one block adds *two* such products:
with magnitudes w, x of weights and a, b of activations

    (w + x * 2**12) * (a * 2**12 +- b)  =  +-w*b  +  (w*a +- x*b) * 2**12  +  x*a * 2**24

whose middle term is what is wanted. Bits 12..25 of the product hold it, plus the lowest two bits of
``x*a`` at its bit 12, less one if ``+-w*b`` is negative: both are known. The sign of the first
product goes in front of all of it, and the sign of the second relative to it chooses between + and
-. If a is 0 there is no first product: the second's own sign is in front then.

A QVERIFY beat multiplies one weight per block, with 12 bits.
"""

import dataclasses

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.dsp.layouts import (
    PACKED_PLACE,
    SIGNIFICAND_BITS,
    dsp_blocks,
    dsp_factors,
    packs_products,
)
from speq.layouts import LOW_BITS, PRODUCT_BITS, kind_layout, of_nibbles
from speq.parameters import Parameters

__all__ = ["DspMultiplier"]

MIDDLE_BITS = 14
"""Two products of 6-bit magnitudes with signs of their own, in two's complement."""


@dataclasses.dataclass(frozen=True)
class _Block:
    """One DSP block's work between two stages.

    Parameters
    ----------
    number : int
        Which block.
    factors : tuple of Value
        Its operands, or behind it their product alone.
    negate : 1 bit
        The sign in front of it.
    borrow : 1 bit
        The term below the middle is negative.
    above : 2 bits
        Lowest bits of the term above it.
    """

    number: int
    factors: tuple[Value, ...]
    negate: Value
    borrow: Value
    above: Value


class DspMultiplier(Block):
    """Signed product of significands, or signed sum of products of draft magnitudes.

    Three register stages that never stop: operands, products, sum.

    Members
    -------
    significand : 11 bits
        Of the weight of VERIFY and MIDDLE.
    magnitudes : L numbers of 6 bits
        Of weights of 4 bits; only with several lanes.
    signs : L bits
        Of each lane's product. In VERIFY and MIDDLE all bits are the same.
    factors : struct
        :func:`speq.dsp.layouts.dsp_factors`.
    kind : struct
        Of the beat (:func:`speq.layouts.kind_layout`); only with several lanes.
    product : signed 23 bits
        Registered; products of 4-bit weights start at bit 0.
    """

    stem = "multiplier"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "significand": In(SIGNIFICAND_BITS),
            "signs": In(parameters.lanes),
            "factors": In(dsp_factors(parameters)),
            "product": Out(signed(PRODUCT_BITS)),
        }
        if parameters.lanes > 1:
            ports["magnitudes"] = In(data.ArrayLayout(LOW_BITS, parameters.lanes))
            ports["kind"] = In(kind_layout(parameters))
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        packed = Const(0, 1)
        if packs_products(self.parameters):
            packed = self.kind.block
        blocks = [self._operands(number) for number in range(dsp_blocks(self.parameters))]
        blocks, packed = self._registered(m, 0, blocks, packed)
        products = []
        for block in blocks:
            product = Signal(sum(map(len, block.factors)), name=f"product_{block.number}")
            m.d.comb += product.eq(block.factors[0] * block.factors[1])
            products.append(dataclasses.replace(block, factors=(product,)))
        products, packed = self._registered(m, 1, products, packed)
        total = sum((self._signed(block, packed) for block in products), Const(0, 1))
        product = Signal(self.product.shape(), reset_less=True)
        m.d.sync += product.eq(total)
        m.d.comb += self.product.eq(product)
        return m

    def _operands(self, number: int) -> _Block:
        """Weight and activation of a block."""
        factor = self.factors[f"dsp_{number}"]
        exact = self.significand if number == 0 else Const(0, SIGNIFICAND_BITS)
        if self.parameters.lanes == 1:
            return _Block(0, (exact, factor.low), self.signs[0], Const(0, 1), Const(0, 2))
        nibbles, weight = of_nibbles(self.kind), self.magnitudes[number]
        low = Mux(nibbles, weight, exact)
        if not packs_products(self.parameters):
            operands = (low, factor.low)
            return _Block(number, operands, self.signs[number], Const(0, 1), Const(0, 2))
        upper = self.magnitudes[number + 2] & self.kind.block.replicate(LOW_BITS)
        sign, other = self.signs[number], self.signs[number + 2]
        minus = self.kind.block & (sign ^ other) & ~factor.top_zero
        top = factor.top[:2]
        cross = upper[0] & top[1]
        return _Block(
            number,
            (
                Cat(low, Const(0, PACKED_PLACE - len(low)), upper),
                _packed(factor, minus),
            ),
            Mux(factor.top_zero, other, sign),
            minus & factor.low_any & weight.any(),
            Cat(upper[0] & top[0], cross ^ (upper[1] & top[0])),
        )

    def _signed(self, block: _Block, packed: Value) -> Value:
        """What a block adds to the sum, in front of it its sign."""
        (product,) = block.factors
        whole, missing = Cat(product[: PRODUCT_BITS - 1], Const(0, 1)).as_signed(), block.negate
        if packs_products(self.parameters):
            middle = product[PACKED_PLACE : PACKED_PLACE + MIDDLE_BITS]
            top = (middle[PACKED_PLACE:] - block.above)[: len(block.above)]
            whole = Mux(packed, Cat(middle[:PACKED_PLACE], top).as_signed(), whole)
            # -(x + borrow) is ~x + 1 - borrow.
            missing = block.negate ^ block.borrow
        return (whole ^ block.negate.replicate(PRODUCT_BITS).as_signed()) + missing

    def _registered(
        self, m: Module, stage: int, blocks: list[_Block], packed: Value
    ) -> tuple[list[_Block], Value]:
        """All that goes on to the next stage."""

        def register(name: str, value: Value) -> Value:
            if isinstance(value, Const):
                return value
            held = Signal(len(value), name=f"{name}_{stage}", reset_less=True)
            m.d.sync += held.eq(value)
            return held

        moved = []
        for block in blocks:
            number = block.number
            factors = [
                register(f"factor_{number}_{place}", value)
                for place, value in enumerate(block.factors)
            ]
            moved.append(
                _Block(
                    number,
                    tuple(factors),
                    register(f"negate_{number}", block.negate),
                    register(f"borrow_{number}", block.borrow),
                    register(f"above_{number}", block.above),
                )
            )
        return moved, register("packed", packed)


def _packed(factor: data.View, minus: Value) -> Value:
    """``top << 12`` plus `low`, or less it: only of magnitudes of 6 bits, and not below zero.

    Each bit on its own: shorter than a carry chain, and no more look-up tables than a choice
    between sum and difference, which would both have to come from the column.
    """
    low, borrow = factor.low[:LOW_BITS], minus & factor.low_any
    negated = Cat(bit ^ (minus & low[:place].any()) for place, bit in enumerate(low))
    above = factor.low[LOW_BITS:] | borrow.replicate(PACKED_PLACE - LOW_BITS)
    top = Cat(bit ^ (borrow & ~factor.top[:place].any()) for place, bit in enumerate(factor.top))
    return Cat(negated, above, top)
