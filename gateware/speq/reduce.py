"""Reduction: aligns a row's products in the fixed-point field and adds them, exactly.

A product is a 23-bit signed integer shifted left by 0..58, so a row of C lanes sums to an integer
of ``81 + log2(C)`` bits. Nothing is compared, normalised or cut: the shift comes straight from the
exponents, and the order of the lanes cannot matter.

In a pipelined row the sum stays in carry-save form, two rows as wide as the accumulator: it is
there that carries run, a segment a stage.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from speq.arithmetic import carry_save
from speq.block import Block
from speq.layouts import Specials, product_layout
from speq.parameters import Parameters

__all__ = ["ACCUMULATOR_BITS", "FIELD_BITS", "Reduce", "sum_layout"]

ACCUMULATOR_BITS = 97
"""The 80-bit field of a product, 16 bits of headroom for 65,536 products, and a sign."""

FIELD_BITS = 81
"""A product in the fixed-point field: 80 bits and a sign."""


def sum_layout(parameters: Parameters) -> data.StructLayout:
    """Sum of a row's products in one beat, and its special values.

    Members
    -------
    value : signed
        The sum; if the row is not pipelined.
    rows : two numbers of 97 bits
        Their sum modulo ``2**97`` is the sum; if the row is pipelined.
    specials : Specials
    """
    if parameters.carry_saves:
        rows = data.ArrayLayout(ACCUMULATOR_BITS, 2)
        return data.StructLayout({"rows": rows, "specials": Specials})
    bits = FIELD_BITS + ceil_log2(parameters.columns)
    return data.StructLayout({"value": signed(bits), "specials": Specials})


class Reduce(Block):
    """Exact sum of C products, registered.

    Members
    -------
    products : C structs
        :func:`speq.layouts.product_layout`.
    enable : 1 bit
        Take a new sum at the clock edge.
    total : struct
        :func:`sum_layout`.
    """

    stem = "reduce"

    def __init__(self, parameters: Parameters) -> None:
        products = data.ArrayLayout(product_layout(parameters), parameters.columns)
        super().__init__(
            parameters,
            {"products": In(products), "enable": In(1), "total": Out(sum_layout(parameters))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = [self.products[lane] for lane in range(self.parameters.columns)]
        rows = []
        for lane in lanes:
            aligned = Signal(signed(FIELD_BITS), name="aligned")
            m.d.comb += aligned.eq(lane.value << lane.shift)
            rows.append(aligned)
        total = Signal(sum_layout(self.parameters), reset_less=True)
        with m.If(self.enable):
            if self.parameters.carry_saves:
                m.d.sync += total.rows.eq(Cat(self._carry_save(m, rows)))
            else:
                m.d.sync += total.value.eq(self._sum(m, rows))
            for name, _ in Specials.as_shape():
                any_lane = Cat(*(lane.specials[name] for lane in lanes)).any()
                m.d.sync += total.specials[name].eq(any_lane)
        m.d.comb += self.total.eq(total)
        return m

    def _sum(self, m: Module, rows: Sequence[Value]) -> Value:
        """Sum of two's complement rows: of their low bits, less the weight of their signs.

        Each sign is worth ``-2**80``; counting them spares the tree the sign extension.
        """
        low = FIELD_BITS - 1
        unsigned_sum = Signal(len(self.total.value) - 1)
        a, b = carry_save(m, [row[:low] for row in rows], len(unsigned_sum))
        negatives = self._negatives(m, rows)
        m.d.comb += unsigned_sum.eq(a + b)
        return Cat(unsigned_sum[:low], unsigned_sum[low:] - negatives)

    def _carry_save(self, m: Module, rows: Sequence[Value]) -> tuple[Value, Value]:
        """The same sum in two rows as wide as the accumulator, modulo its width."""
        low = FIELD_BITS - 1
        signs = Signal(ACCUMULATOR_BITS - low)
        m.d.comb += signs.eq(-self._negatives(m, rows))
        terms = [*(row[:low] for row in rows), Cat(Const(0, low), signs)]
        return carry_save(m, terms, ACCUMULATOR_BITS)

    def _negatives(self, m: Module, rows: Sequence[Value]) -> Signal:
        """How many rows are negative."""
        negatives = Signal(range(len(rows) + 1))
        signs = (row[FIELD_BITS - 1] for row in rows)
        m.d.comb += negatives.eq(sum(signs, Const(0, 1)))
        return negatives
