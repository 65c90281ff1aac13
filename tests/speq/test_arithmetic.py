"""Adders and selections against Python's integers, in Amaranth's simulator."""

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.arithmetic import carry_save, compress, digit_rows, full_adder, lookup, select


def evaluate(build, widths, vectors):
    """Outputs of combinational logic for each vector of inputs.

    `build(m, inputs)` returns a list of values.
    """
    m = Module()
    inputs = [Signal(width, name=f"input_{place}") for place, width in enumerate(widths)]
    outputs = []
    for place, value in enumerate(build(m, inputs)):
        output = Signal(len(value), name=f"output_{place}")
        m.d.comb += output.eq(value)
        outputs.append(output)
    found = []

    async def bench(context):
        for vector in vectors:
            context.set(Cat(*inputs), pack(vector, widths))
            found.append([context.get(output) for output in outputs])

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def pack(vector, widths):
    result = place = 0
    for number, width in zip(vector, widths, strict=True):
        result |= number << place
        place += width
    return result


def every(widths):
    """All vectors of inputs of these widths."""
    vectors = [()]
    for width in widths:
        vectors = [(*vector, number) for vector in vectors for number in range(1 << width)]
    return vectors


def numbers(width):
    """Any number of that width, the extremes often."""
    top = (1 << width) - 1
    return st.one_of(st.sampled_from((0, 1, top, top >> 1, top ^ top >> 1)), st.integers(0, top))


def test_full_adders_count_ones_bit_by_bit():
    def build(m, inputs):
        return list(full_adder(*inputs))

    vectors = every((2, 2, 2))
    for (a, b, c), (total, carry) in zip(vectors, evaluate(build, (2, 2, 2), vectors), strict=True):
        assert total + 2 * carry == a + b + c
        assert total == a ^ b ^ c


def check_carry_save(widths, width, vectors):
    def build(m, inputs):
        return list(carry_save(m, inputs, width))

    for vector, found in zip(vectors, evaluate(build, widths, vectors), strict=True):
        assert sum(found) % (1 << width) == sum(vector) % (1 << width), vector


@pytest.mark.parametrize(
    ("widths", "width"),
    [((4,), 4), ((3,), 5), ((3, 3), 3), ((3, 3), 4), ((3, 2, 3), 3), ((3, 2, 3), 5)]
    + [((2,) * rows, 5) for rows in (4, 5)]
    + [((1,) * rows, 4) for rows in (6, 7, 9)],
)
def test_carry_save_keeps_the_sum_of_everything(widths, width):
    check_carry_save(widths, width, every(widths))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_carry_save_keeps_the_sum_of_any_rows(data):
    width = data.draw(st.integers(1, 90), label="width")
    widths = data.draw(st.lists(st.integers(1, width), min_size=1, max_size=20), label="widths")
    vector = st.tuples(*map(numbers, widths))
    vectors = data.draw(st.lists(vector, min_size=1, max_size=5), label="vectors")
    check_carry_save(widths, width, vectors)


def check_compress(places, widths, width, vectors):
    def build(m, inputs):
        first, second = compress(m, list(zip(places, inputs, strict=True)), width)
        assert len(first) == len(second) == width
        return [first, second]

    for vector, found in zip(vectors, evaluate(build, widths, vectors), strict=True):
        wanted = sum(number << place for number, place in zip(vector, places, strict=True))
        assert sum(found) % (1 << width) == wanted % (1 << width), vector


@pytest.mark.parametrize(
    ("places", "widths", "width"),
    [
        ((0,), (4,), 6),
        ((0, 0), (3, 3), 4),
        ((0, 2, 1), (3, 2, 3), 6),
        ((0, 0, 0, 0), (2, 2, 2, 2), 3),
        ((0, 2, 4), (3, 3, 3), 7),
        ((0,) * 9, (1,) * 9, 4),
        ((0,) * 9, (1,) * 9, 2),
        ((5, 7), (3, 3), 6),
    ],
)
def test_compress_keeps_the_sum_of_everything(places, widths, width):
    check_compress(places, widths, width, every(widths))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_compress_keeps_the_sum_of_any_rows(data):
    width = data.draw(st.integers(1, 30), label="width")
    row = st.tuples(st.integers(0, width + 2), st.integers(1, 14))
    rows = data.draw(st.lists(row, min_size=1, max_size=14), label="rows")
    places, widths = zip(*rows, strict=True)
    vector = st.tuples(*map(numbers, widths))
    vectors = data.draw(st.lists(vector, min_size=1, max_size=5), label="vectors")
    check_compress(places, widths, width, vectors)


@pytest.mark.parametrize(("weight_bits", "bits"), [(1, 4), (2, 3), (3, 4), (5, 4), (6, 5)])
def test_digit_rows_sum_to_the_product(weight_bits, bits):
    places = []

    def build(m, inputs):
        weight, one = inputs
        three = Signal(bits + 2)
        m.d.comb += three.eq(3 * one)
        rows = digit_rows(m, weight, one, three)
        places.extend(place for place, _ in rows)
        # The top digit of a weight of odd width is 0 or 1: its row needs no more bits.
        assert [len(row) for _, row in rows] == [
            bits + 2 if place + 1 < weight_bits else bits for place, _ in rows
        ]
        return [row for _, row in rows]

    widths = (weight_bits, bits)
    vectors = every(widths)
    found = evaluate(build, widths, vectors)
    assert places == list(range(0, weight_bits, 2))
    for (weight, one), rows in zip(vectors, found, strict=True):
        assert sum(row << place for place, row in zip(places, rows, strict=True)) == weight * one


@pytest.mark.parametrize("count", range(1, 10))
def test_lookup_is_indexing_and_stays_at_the_last(count):
    values = [(37 * place + 11) % 64 for place in range(count)]
    bits = max(1, (count - 1).bit_length())

    def build(m, inputs):
        return [lookup(values, 6, inputs[0])]

    found = evaluate(build, (bits,), every((bits,)))
    assert found == [[values[min(index, count - 1)]] for index in range(1 << bits)]


def test_select_chooses_signals():
    def build(m, inputs):
        index, *choices = inputs
        return [select(choices, index)]

    widths = (2, 3, 3, 3)
    vectors = every(widths)
    for (index, *choices), (found,) in zip(vectors, evaluate(build, widths, vectors), strict=True):
        assert found == choices[min(index, 2)]
