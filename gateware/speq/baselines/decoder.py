"""OliVe's decoder: an outlier-victim pair of slots to two operands (exponent, integer)."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from speq.baselines.layouts import abfloat_of, operand_layout, slots_layout
from speq.baselines.parameters import BaselineParameters
from speq.block import Block

__all__ = ["PairDecoder"]


class PairDecoder(Block):
    """One pair, combinational; it stands at the array's border, one per row and column.

    The identifier ``100...0`` in a slot says that its value was sacrificed (the victim): it is
    zero, and the other slot is an outlier in abfloat. Without an identifier both are integers in
    two's complement, which therefore never are the least one. With two identifiers both are zero:
    the paper's encoder never writes that; each is a victim, and the identifier as abfloat is zero,
    too.

    Members
    -------
    slots : two slots
    operands : two operands
        Of the even and the odd slot.
    """

    stem = "decoder"
    clocked = False

    def __init__(self, parameters: BaselineParameters) -> None:
        operands = data.ArrayLayout(operand_layout(parameters), 2)
        super().__init__(
            parameters, {"slots": In(slots_layout(parameters)), "operands": Out(operands)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for number, operand in enumerate(self.operands):
            slot, other = self.slots[number], self.slots[1 - number]
            exponent, outlier = self._abfloat(m, slot)
            victim, outlying = _identifies(slot), _identifies(other)
            m.d.comb += [
                operand.exponent.eq(exponent & outlying.replicate(len(exponent))),
                operand.integer.eq(
                    Mux(outlying, outlier, slot) & (~victim).replicate(self.parameters.bits)
                ),
            ]
        return m

    def _abfloat(self, m: Module, slot: Value) -> tuple[Value, Value]:
        """Exponent and integer of an outlier."""
        form = abfloat_of(self.parameters)
        mantissa = slot[: form.mantissa_bits]
        exponent = slot[form.mantissa_bits : form.mantissa_bits + form.exponent_bits]
        magnitude = Cat(mantissa, slot[:-1].any())
        integer = Signal(signed(self.parameters.bits), name="outlier")
        m.d.comb += integer.eq(Mux(slot[-1], -magnitude, magnitude))
        return exponent + form.bias, integer


def _identifies(slot: Value) -> Value:
    return slot[-1] & ~slot[:-1].any()
