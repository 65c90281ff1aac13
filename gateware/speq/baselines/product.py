"""Product of a baseline PE: from two operands to what is added to the accumulator.

A *brick* is the multiplier of a 4-bit PE. With 8 bits a PE has four, as both papers compose it: an
8-bit integer is ``16 * high + low`` with a signed high and an unsigned low half, and the four
products of halves are worth 1, 16, 16 and 256. Neither source says where the four partial products
meet; here they are added before one accumulator, which is smaller than four accumulators.
"""

from collections.abc import Iterator, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from speq.arithmetic import carry_save, compress
from speq.baselines.brick import brick
from speq.baselines.layouts import abfloat_of, operand_layout
from speq.baselines.parameters import BaselineParameters
from speq.block import Block

__all__ = ["Product"]

HALF_BITS = 4


class Product(Block):
    """Product of two operands, combinational.

    OliVe: ``<a, b> x <c, d> = <a + c, b * d>``: integers multiply, exponents add, a shifter brings
    the product to its place. Each of the bricks has a shifter of its own, as four 4-bit PEs have,
    unless the design has ``shared_shifter``. Bits beyond the accumulator are lost, so the product
    is exact modulo ``2**accumulator_bits``.

    Tender: an integer product.

    Members
    -------
    activation, weight : structs
        :func:`speq.baselines.layouts.operand_layout`.
    product : signed, accumulator bits
    """

    stem = "product"
    clocked = False

    def __init__(self, parameters: BaselineParameters) -> None:
        ports = {
            "activation": In(operand_layout(parameters)),
            "weight": In(operand_layout(parameters)),
            "product": Out(signed(parameters.accumulator_bits)),
        }
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bricks = [
            (place, brick(m, a, b))
            for place, a, b in _bricks(self.activation.integer, self.weight.integer)
        ]
        olive, shared = self.parameters.kind == "olive", self.parameters.shared_shifter
        if olive and not shared:
            total = self._add(m, [self._shifted(m, number << place) for place, number in bricks])
        else:
            integer = _sum(m, bricks, 2 * self.parameters.bits)
            total = self._shifted(m, integer) if shared else integer
        m.d.comb += self.product.eq(total)
        return m

    def _add(self, m: Module, numbers: Sequence[Value]) -> Value:
        """Sum of shifted products modulo ``2**accumulator_bits``: most reach up to the top."""
        if len(numbers) == 1:
            return numbers[0]
        bits = self.parameters.accumulator_bits
        extended = []
        for number in numbers:
            row = Signal(bits, name="row")
            m.d.comb += row.eq(number)
            extended.append(row)
        first, second = carry_save(m, extended, bits)
        return first + second

    def _shifted(self, m: Module, number: Value) -> Value:
        """A signed number times two to the sum of exponents, by stages.

        No stage is wider than the accumulator or the largest shift needs.
        """
        activation, weight = self.activation.exponent, self.weight.exponent
        places = Signal(len(weight) + 1, name="places")
        m.d.comb += places.eq(activation + weight)
        largest = len(number) + 2 * abfloat_of(self.parameters).largest_exponent
        bits = min(self.parameters.accumulator_bits, largest)
        for stage, bit in enumerate(places):
            distance = 1 << stage
            moved = Signal(signed(min(bits, len(number) + distance)), name=f"moved_{distance}")
            m.d.comb += moved.eq(Mux(bit, number << distance, number))
            number = moved
        return number


def _bricks(a: Value, b: Value) -> Iterator[tuple[int, Value, Value]]:
    """Place and factors of each brick."""
    for a_place, a_part in _halves(a):
        for b_place, b_part in _halves(b):
            yield a_place + b_place, a_part, b_part


def _halves(integer: Value) -> list[tuple[int, Value]]:
    """An integer as signed and unsigned parts of 4 bits, each with its place."""
    if len(integer) == HALF_BITS:
        return [(0, integer)]
    return [(0, integer[:HALF_BITS]), (HALF_BITS, integer[HALF_BITS:].as_signed())]


def _sum(m: Module, terms: Sequence[tuple[int, Value]], bits: int) -> Value:
    """Sum of signed numbers at their places, modulo ``2**bits``.

    Instead of a sign's copies up to the top, the tree gets the inverted sign and a constant.
    """
    if len(terms) == 1:
        return terms[0][1]
    rows: list[tuple[int, Value]] = []
    constant = 0
    for place, number in terms:
        top = place + len(number) - 1
        if top >= bits - 1:
            rows.append((place, number[: bits - place]))
        else:
            rows.append((place, Cat(number[:-1], ~number[-1])))
            constant -= 1 << top
    rows.append((0, Const(constant % (1 << bits), bits)))
    first, second = compress(m, rows, bits)
    total = Signal(signed(bits), name="sum")
    m.d.comb += total.eq(first + second)
    return total
