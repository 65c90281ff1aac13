"""Decoder, product and PE of the baselines, to the last case where the space allows."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.sim import Simulator

from speq.baselines.decoder import PairDecoder
from speq.baselines.parameters import PRESETS, BaselineParameters
from speq.baselines.pe import ProcessingElement
from speq.baselines.product import Product
from speq.block import Block, inlined, module_name
from speq.emission import design_rtlil
from speq.yosys import verilog_from_rtlil
from speq_sim.golden.baselines.abfloat import FORMATS
from speq_sim.golden.baselines.accumulators import wrapped
from speq_sim.golden.baselines.pairs import decode_fields
from speq_sim.proofs.bit_parallel import Circuit
from speq_sim.proofs.mutation import mutated_module

OLIVE = ("olive4", "olive8")


def circuit(block: Block, folder: Path) -> Circuit:
    return Circuit(verilog_from_rtlil(design_rtlil(block)), module_name(block), folder)


def signed(values: np.ndarray, bits: int) -> np.ndarray:
    return wrapped(values.astype(np.int64), bits)


def decoded(block: Block, bits: int, folder: Path) -> tuple[np.ndarray, ...]:
    """All pairs of slots, and what the circuit makes of them: exponents and integers."""
    slots = np.arange(1 << bits, dtype=np.int64)
    pairs = np.stack(np.meshgrid(slots, slots, indexing="ij"), -1).reshape(-1, 2)
    packed = circuit(block, folder).evaluate(slots=pairs[:, 0] | pairs[:, 1] << bits)["operands"]
    width = bits + {4: 3, 8: 5}[bits]
    operands = np.stack([packed >> np.uint64(width * i) for i in range(2)], -1).astype(np.int64)
    return pairs, operands >> bits & ((1 << (width - bits)) - 1), signed(operands, bits)


@pytest.mark.parametrize("name", OLIVE)
def test_every_pair_is_decoded(name: str, tmp_path: Path) -> None:
    """All 2**8 pairs of 4-bit slots, all 2**16 of 8-bit slots, exponents and integers."""
    parameters = PRESETS[name]
    pairs, exponents, integers = decoded(PairDecoder(parameters), parameters.bits, tmp_path)
    wanted = decode_fields(pairs, parameters.bits)
    assert np.array_equal(exponents, wanted[0])
    assert np.array_equal(integers, wanted[1])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("exponent + form.bias", "exponent + form.bias - 1"),
        ("& (~victim)", "& (victim | ~victim)"),
        ("slot[:-1].any())\n", "1)\n"),
        ("Mux(slot[-1], -magnitude, magnitude)", "magnitude"),
        ("self.slots[1 - number]", "self.slots[number]"),
        ("exponent & outlying.replicate(len(exponent))", "exponent"),
    ],
)
def test_a_faulty_decoder_is_seen(old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.baselines.decoder", old, new)
    pairs, exponents, integers = decoded(faulty.PairDecoder(PRESETS["olive4"]), 4, tmp_path)
    wanted = decode_fields(pairs, 4)
    same = np.array_equal(exponents, wanted[0]) and np.array_equal(integers, wanted[1])
    assert not same


def operands(parameters: BaselineParameters) -> tuple[np.ndarray, np.ndarray]:
    """Exponents and integers of every operand a border can give."""
    slots = np.arange(1 << parameters.bits)
    integers = signed(slots, parameters.bits)
    if parameters.kind == "tender":
        return np.zeros_like(integers), integers
    outliers = FORMATS[parameters.bits].fields(slots)
    return (
        np.concatenate([np.zeros_like(integers), outliers[0]]),
        np.concatenate([integers, outliers[1]]),
    )


def products_of(block: Block, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Products of all pairs of operands, and what they should be."""
    parameters = block.parameters
    exponents, integers = operands(parameters)
    packed = (integers & ((1 << parameters.bits) - 1)) | exponents << parameters.bits
    count = len(packed)
    a, b = np.repeat(np.arange(count), count), np.tile(np.arange(count), count)
    got = circuit(block, folder).evaluate(activation=packed[a], weight=packed[b])["product"]
    exact = (integers[a] * integers[b]) << (exponents[a] + exponents[b])
    bits = parameters.accumulator_bits
    return signed(got, bits), wrapped(exact, bits)


@pytest.mark.parametrize("accumulator_bits", [16, 48])
@pytest.mark.parametrize("name", PRESETS)
def test_every_product(name: str, accumulator_bits: int, tmp_path: Path) -> None:
    """All operands by all operands: 32**2 and 16**2 with 4 bits, 512**2 and 256**2 with 8.

    With 8 bits OliVe's reach ``15**2 * 2**38``: 48 bits hold all, 16 lose the top of many.
    """
    parameters = PRESETS[name].replace(accumulator_bits=accumulator_bits)
    got, wanted = products_of(Product(parameters), tmp_path)
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("tender8", "constant -= 1 << top", "constant -= 0"),
        ("tender8", "a_place + b_place", "a_place"),
        ("olive8", "number << place)", "number)"),
        ("olive4", "activation + weight", "activation"),
        ("olive4", "Mux(bit, number << distance, number)", "number << distance"),
        ("olive8_shared", "len(weight) + 1", "len(weight)"),
    ],
)
def test_a_faulty_product_is_seen(name: str, old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.baselines.product", old, new)
    got, wanted = products_of(faulty.Product(PRESETS[name]), tmp_path)
    assert not np.array_equal(got, wanted)


def play(parameters: BaselineParameters, steps: list[tuple[str, int, int]]) -> list[int]:
    """The accumulator after each step: a control, and two integers or what comes from below."""
    totals = []
    with inlined():
        pe = ProcessingElement(parameters)
        simulator = Simulator(pe)

        async def bench(context) -> None:
            for control, first, second in steps:
                for name in ("clear", "multiply", "drain", "double"):
                    if hasattr(pe, name):
                        context.set(getattr(pe, name), int(name == control))
                context.set(pe.activation.integer, first)
                context.set(pe.weight.integer, second)
                context.set(pe.below, first)
                await context.tick()
                totals.append(context.get(pe.total))

        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
    return totals


@pytest.mark.parametrize("name", PRESETS)
def test_the_accumulator_clears_holds_adds_and_drains(name: str) -> None:
    steps = [
        ("clear", 5, 5),
        ("multiply", -7, 5),
        ("none", 7, 7),
        ("multiply", 3, 4),
        ("drain", -8, 7),
        ("multiply", 1, 1),
        ("clear", 1, 1),
    ]
    assert play(PRESETS[name], steps) == [0, -35, -35, -23, -8, -7, 0]


def test_tender_doubles() -> None:
    steps = [("clear", 0, 0), ("multiply", -3, 2), ("double", 1, 1), ("multiply", 7, 7)]
    assert play(PRESETS["tender4"], steps) == [0, -6, -12, 37]


@pytest.mark.parametrize("name", ["olive4", "tender4"])
def test_the_accumulator_wraps(name: str) -> None:
    """From 32,767 less a little over the top, in 16 bits; and back."""
    parameters = PRESETS[name].replace(accumulator_bits=16)
    count = 32767 // 49
    steps = [("clear", 0, 0), *[("multiply", 7, 7)] * (count + 1), ("multiply", -7, 7)]
    totals = play(parameters, steps)
    assert totals[count] == 49 * count <= 32767
    assert totals[count + 1] == 49 * (count + 1) - 65536 < 0
    assert totals[count + 2] == 49 * count


def test_doubling_wraps() -> None:
    parameters = PRESETS["tender8"].replace(accumulator_bits=16)
    steps = [("clear", 0, 0), ("multiply", 127, 127), ("double", 0, 0), ("double", 0, 0)]
    assert play(parameters, steps) == [0, 16129, 32258, 64516 - 65536]
