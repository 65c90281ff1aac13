"""Brick: the integer multiplier of a 4-bit PE, spelt out.

Left to Yosys as ``a * b``, the multiplier is merged with the accumulator's adder into one tree as
wide as the accumulator, which nearly doubles the combinational logic of a flattened 4-bit array.
"""

from amaranth.hdl import Const, Module, Signal, Value, signed

from speq.arithmetic import compress

__all__ = ["brick"]


def brick(m: Module, a: Value, b: Value) -> Signal:
    """``a * b`` of two short integers, each signed or unsigned by its shape.

    Baugh and Wooley's way: where exactly one of two bits is a sign, their product counts negative,
    ``-p = ~p - 1``; it goes inverted into the tree, and the ones are collected in a constant.

    Returns
    -------
    Signal
        Signed; as wide as both factors together, and one bit more if neither is signed.
    """
    bits = len(a) + len(b)
    rows: list[tuple[int, Value]] = []
    constant = 0
    for i, a_bit in enumerate(a):
        for j, b_bit in enumerate(b):
            negative = _is_sign(a, i) != _is_sign(b, j)
            product = a_bit & b_bit
            rows.append((i + j, ~product if negative else product))
            constant -= negative << (i + j)
    rows.append((0, Const(constant % (1 << bits), bits)))
    first, second = compress(m, rows, bits)
    total = Signal(bits, name="brick_sum")
    m.d.comb += total.eq(first + second)
    has_sign = a.shape().signed or b.shape().signed
    product = Signal(signed(bits + (not has_sign)), name="brick")
    m.d.comb += product.eq(total.as_signed() if has_sign else total)
    return product


def _is_sign(value: Value, bit: int) -> bool:
    return value.shape().signed and bit == len(value) - 1
