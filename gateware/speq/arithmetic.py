"""Functions that build adders. They take values and return values."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

__all__ = [
    "carry_save",
    "choose",
    "compress",
    "digit_rows",
    "full_adder",
    "lookup",
    "select",
    "select_adder",
]


def full_adder(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """Bitwise full adders: sums, and carries of the same width, each worth twice its sum.

    The carry is written over ``a ^ b``, which the sum needs too: synthesis keeps this sharing.
    """
    half = a ^ b
    return half ^ c, (a & b) | (c & half)


def carry_save(m: Module, rows: Sequence[Value], width: int) -> tuple[Value, Value]:
    """Compress rows to two with the same sum modulo ``2**width`` (a Wallace tree).

    Whole rows at a time, which keeps the emitted text short; :func:`compress` is for rows that
    leave many bits empty. Taking the rows in reverse at each level makes a row of the array 1 to
    4 % smaller than other orders.

    Parameters
    ----------
    rows : sequence of Value
        Unsigned numbers of up to `width` bits.
    """
    rest = [Cat(row, Const(0, width - len(row))) for row in rows]
    while len(rest) > 2:
        full = len(rest) // 3 * 3
        compressed: list[Value] = []
        for a, b, c in zip(rest[0:full:3], rest[1:full:3], rest[2:full:3], strict=True):
            total = Signal(width, name="sum_row")
            carry = Signal(width, name="carry_row")
            sums, carries = full_adder(a, b, c)
            m.d.comb += [total.eq(sums), carry.eq(Cat(Const(0, 1), carries)[:width])]
            compressed += [total, carry]
        rest = [*compressed, *rest[full:]][::-1]
    return rest[0], rest[1] if len(rest) == 2 else Const(0, width)


def compress(m: Module, rows: Sequence[tuple[int, Value]], width: int) -> tuple[Value, Value]:
    """Compress rows to two with the same sum modulo ``2**width`` (a Dadda tree over columns).

    Parameters
    ----------
    rows : sequence of (place, bits)
        Unsigned numbers and the power of two of their bit 0. Bits outside a row take no adders.
    """
    columns: list[list[Value]] = [[] for _ in range(width)]
    for place, bits in rows:
        for column, bit in zip(columns[place:], bits, strict=False):
            column.append(bit)
    limits = [2]
    while limits[-1] * 3 // 2 < max(map(len, columns)):
        limits.append(limits[-1] * 3 // 2)
    for limit in reversed(limits):
        carries: list[Value] = []
        for bits in columns:
            bits += carries
            carries = []
            while len(bits) > limit:
                use = 3 if len(bits) > limit + 1 else 2
                total, carry = _add_bits(m, *bits[:use])
                del bits[:use]
                bits.append(total)
                carries.append(carry)
    first = Cat(*(bits[0] if bits else Const(0, 1) for bits in columns))
    second = Cat(*(bits[1] if len(bits) > 1 else Const(0, 1) for bits in columns))
    return first, second


def _add_bits(m: Module, *bits: Value) -> tuple[Value, Value]:
    """Half or full adder of single bits.

    The full adder is spelt out in the seven gates that sum and carry can share: 1 % less of a
    multiplier than :func:`full_adder`, which in turn is the smaller one in whole rows.
    """
    total, carry = Signal(name="sum_bit"), Signal(name="carry_bit")
    both = bits[0] & bits[1]
    if len(bits) == 2:
        m.d.comb += [total.eq(bits[0] ^ bits[1]), carry.eq(both)]
    else:
        half = (bits[0] | bits[1]) & ~both
        with_third = half & bits[2]
        m.d.comb += [
            total.eq((half | bits[2]) & ~with_third),
            carry.eq(both | with_third),
        ]
    return total, carry


def digit_rows(m: Module, weight: Value, one: Value, three: Value) -> list[tuple[int, Value]]:
    """Partial products of an unsigned multiplication in radix 4.

    Each pair of bits of `weight` selects 0, 1, 2 or 3 times the other factor. The triple is an
    input: an array computes it once per column and broadcasts it, so that a multiplier has half the
    rows of a bitwise one and none of the sign handling of a recoded one.

    Parameters
    ----------
    weight : Value
        n bits; ceil(n/2) digits.
    one, three : Value
        The other factor (w bits) and three times it (w + 2 bits).

    Returns
    -------
    list of (place, bits)
        One row per digit, with the power of two of its bit 0.
    """
    width = len(one) + 2
    rows = []
    for place in range(0, len(weight), 2):
        digit = Cat(weight[place : place + 2], Const(0, 1))[:2]
        take_one = digit[0] & ~digit[1]
        take_two = digit[1] & ~digit[0]
        take_three = digit[0] & digit[1]
        row = Signal(width if place + 1 < len(weight) else len(one), name="digit_row")
        m.d.comb += row.eq(
            (one & take_one.replicate(len(one)))
            | (Cat(Const(0, 1), one) & take_two.replicate(len(one) + 1))
            | (three & take_three.replicate(width))
        )
        rows.append((place, row))
    return rows


def choose(selects: Sequence[Value], choices: Sequence[Value]) -> Value:
    """The choice whose select is set; exactly one is, and the first is not looked at."""
    value = choices[0]
    for select_, choice in zip(selects[1:], choices[1:], strict=True):
        value = Mux(select_, choice, value)
    return value


def lookup(values: Sequence[int], width: int, index: Value) -> Value:
    """Constant ``values[index]`` in `width` bits."""
    return select([Const(value, width) for value in values], index)


def select(choices: Sequence[Value], index: Value) -> Value:
    """``choices[index]``, as a tree of multiplexers; the last choice for any index beyond.

    A tree and not an array: synthesis turns an indexed array of constants into a ROM, and may then
    move registers into its ports.
    """
    level = [*choices, *[choices[-1]] * ((1 << len(index)) - len(choices))]
    for bit in index:
        level = [Mux(bit, one, zero) for zero, one in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def select_adder(m: Module, a: Value, b: Value, carry: Value, block: int) -> Value:
    """``a + b + carry``, one bit longer than the longer of the two, in blocks that do not wait.

    A carry-select adder: each block but the first is added with a carry of 0 and of 1, and the
    carry out of the block below chooses. Synthesis flattens the prefix tree of a plain ``+`` into a
    ripple of as many gates as bits, but leaves this structure alone; it is for sums that set the
    clock.

    Parameters
    ----------
    block : int
        Bits of a block.
    """
    width = max(len(a), len(b))
    a, b = (Cat(value, Const(0, width - len(value))) for value in (a, b))
    chosen: list[Value] = []
    for low in range(0, width, block):
        x, y = a[low : low + block], b[low : low + block]
        sums = [Signal(len(x) + 1, name="block_sum") for _ in range(2 if low else 1)]
        if low:
            m.d.comb += [sums[0].eq(x + y), sums[1].eq(x + y + 1)]
            total = Mux(carry, sums[1], sums[0])[: len(x)]
            up = Signal(name="block_carry")
            m.d.comb += up.eq(sums[0][-1] | (sums[1][-1] & carry))
        else:
            m.d.comb += sums[0].eq(x + y + carry)
            total, up = sums[0][:-1], sums[0][-1]
        chosen.append(total)
        carry = up
    return Cat(*chosen, carry)
