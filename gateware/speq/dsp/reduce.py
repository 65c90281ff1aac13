"""Reduction for FPGAs: shifts of four choices a level, then a tree of carry chains."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.block import Block
from speq.layouts import SHIFT_BITS, Specials, product_layout
from speq.parameters import Parameters
from speq.reduce import FIELD_BITS, sum_layout

__all__ = ["ChainReduce"]


class ChainReduce(Block):
    """Exact sum of C products, registered: aligned in one stage, and a stage per level of the tree.

    Members
    -------
    products : C structs
        :func:`speq.layouts.product_layout`.
    enable : 1 + log2(C) bits
        Not looked at: the stages never stop.
    total : struct
        :func:`speq.reduce.sum_layout`.
    """

    stem = "reduce"

    def __init__(self, parameters: Parameters) -> None:
        products = data.ArrayLayout(product_layout(parameters), parameters.columns)
        super().__init__(
            parameters,
            {
                "products": In(products),
                "enable": In(parameters.stages["reduce"]),
                "total": Out(sum_layout(parameters)),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = [self.products[lane] for lane in range(self.parameters.columns)]
        rows = [_shifted(m, lane.value, lane.shift) for lane in lanes]
        flags: Value = Cat(
            Cat(lane.specials[name] for lane in lanes).any() for name, _ in Specials.as_shape()
        )
        for stage in range(len(self.enable)):
            if stage:
                rows = _added(rows)
            rows = [self._registered(m, stage, f"row_{n}", row) for n, row in enumerate(rows)]
            flags = self._registered(m, stage, "specials", flags)
        m.d.comb += [self.total.value.eq(rows[0]), self.total.specials.eq(flags)]
        return m

    def _registered(self, m: Module, stage: int, name: str, value: Value) -> Signal:
        held = Signal(value.shape(), name=f"{name}_{stage}", reset_less=True)
        m.d.sync += held.eq(value)
        return held


def _added(rows: Sequence[Value]) -> list[Value]:
    """Sums of neighbours; a last one without a neighbour goes on alone."""
    pairs = [a + b for a, b in zip(rows[::2], rows[1::2], strict=False)]
    return pairs + ([rows[-1]] if len(rows) % 2 else [])


def _shifted(m: Module, value: Value, shift: Value) -> Value:
    """A signed product in the field: two bits of the shift at a time, the lowest first.

    A choice of four takes two look-up tables of four inputs and their multiplexer.
    """
    for place in range(0, SHIFT_BITS, 2):
        step = 1 << place
        width = min(len(value) + 3 * step, FIELD_BITS)
        choices = [Cat(Const(0, step * n), value).as_signed() for n in range(4)]
        low, high = shift[place], shift[place + 1]
        moved = Signal(signed(width), name=f"by_{step}")
        m.d.comb += moved.eq(Mux(high, Mux(low, *choices[:1:-1]), Mux(low, *choices[1::-1])))
        value = moved
    return value
