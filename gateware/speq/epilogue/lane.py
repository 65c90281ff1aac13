"""Lane: the scaling of one result per cycle, from an FP32 value of the array to the result."""

from typing import ClassVar

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.block import Block, place
from speq.epilogue.add import SumFields, align, round_sum
from speq.epilogue.convert import to_fp16
from speq.epilogue.multiply import Multiply, ProductFields, round_product
from speq.parameters import Parameters

__all__ = ["GroupLane", "Lane"]

MINUS_ZERO = 0x80000000
"""What can be added to any number without changing it."""


class Lane(Block):
    """Value times row scale times token scale: four register stages, moved by four enables.

    Members
    -------
    value, scale : 32 bits
        FP32: a value of the array, and the scale of its row.
    token_scale : 32 bits
        FP32: the scale of its token, for the stage that `scaled` moves.
    product, scaled, token_product, rounded : 1 bit each
        Move that stage's register.
    result : 32 or 16 bits
        The result, registered.
    """

    stem: ClassVar[str] = "epilogue_lane"
    groups: ClassVar[bool] = False

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "value": In(32),
            "scale": In(32),
            "token_scale": In(32),
            "product": In(1),
            "scaled": In(1),
            "token_product": In(1),
            "rounded": In(1),
            "result": Out(parameters.result_bits),
        }
        if self.groups:
            ports |= {
                "first": In(1),
                "kept": In(32),
                "aligned": In(1),
                "total": In(1),
                "sum": Out(32),
            }
        self.multiply = Multiply(parameters)
        super().__init__(parameters, ports, self.multiply)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        exact = Signal(ProductFields, reset_less=True)
        scaled = Signal(32, reset_less=True)
        token_product = Signal(ProductFields, reset_less=True)
        result = Signal(len(self.result), reset_less=True)
        with m.If(self.product):
            m.d.sync += exact.eq(self._product(m, "by_row", self.value, self.scale))
        with m.If(self.scaled):
            m.d.sync += scaled.eq(round_product(m, exact))
        total = self._summed(m, scaled) if self.groups else scaled
        with m.If(self.token_product):
            m.d.sync += token_product.eq(self._product(m, "by_token", total, self.token_scale))
        rounded = round_product(m, token_product)
        if self.parameters.result_format == "fp16":
            rounded = to_fp16(m, rounded)
        with m.If(self.rounded):
            m.d.sync += result.eq(rounded)
        m.d.comb += self.result.eq(result)
        return m

    def _product(self, m: Module, name: str, a: Value, b: Value) -> data.View:
        multiply = place(m, name, self.multiply)
        m.d.comb += [multiply.a.eq(a), multiply.b.eq(b)]
        return multiply.exact

    def _summed(self, m: Module, scaled: Value) -> Value:
        """The sum over groups, registered."""
        before = Signal(32)
        m.d.comb += before.eq(self.kept)
        with m.If(self.first):
            m.d.comb += before.eq(MINUS_ZERO)
        aligned = Signal(SumFields, reset_less=True)
        total = Signal(32, reset_less=True)
        with m.If(self.aligned):
            m.d.sync += aligned.eq(align(m, scaled, before))
        m.d.comb += self.sum.eq(round_sum(m, aligned))
        with m.If(self.total):
            m.d.sync += total.eq(self.sum)
        return total


class GroupLane(Lane):
    """A lane that also adds over groups of inputs: six register stages.

    Members
    -------
    value, scale, token_scale, product, scaled, token_product, rounded, result
        As in :class:`Lane`; `token_scale` is for the stage that `total` moves.
    first : 1 bit
        For the stage that `scaled` moves: nothing is added to the first group.
    kept : 32 bits
        FP32: for the same stage, the sum of the groups before.
    aligned, total : 1 bit each
        Move that stage's register.
    sum : 32 bits
        FP32: the sum with this group, what `total` would take.
    """

    stem: ClassVar[str] = "epilogue_group_lane"
    groups: ClassVar[bool] = True
