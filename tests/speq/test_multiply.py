"""The multiplier in every mode and the products of a whole PE, to the last case."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from product_circuits import (
    DESIGNS,
    LOW_BITS,
    Bricks,
    Numbers,
    kind_of,
    place_of,
    product_check,
)

from speq.block import module_name
from speq.emission import design_rtlil
from speq.formats import family
from speq.layouts import brick_bits
from speq.parameters import Parameters
from speq.product_stage import ProductStage
from speq.yosys import verilog_from_rtlil
from speq_sim.golden.int4 import INTEGERS
from speq_sim.proofs.products import BYTES, ProductCheck

WHOLE = [name for name, design in DESIGNS.items() if design.pipeline == 1]
"""Designs whose products come a cycle after their operands, as the exhaustive check takes them."""

FEWER_MODES = ("bfp8", "qspec_4", "qspec_1", "middle")
"""Designs whose parts are all in others of the fast suite, too."""


def _weights(parameters: Parameters, mode: str) -> Numbers:
    """What the sixteen nibbles stand for."""
    if mode != "draft":
        return INTEGERS
    values = np.array(family(parameters.family).draft_values, np.int64)
    return np.concatenate([values, -values])


@pytest.mark.parametrize(
    "name",
    [
        "4",
        "1",
        "ice40_4",
        "ice40_1",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("all_2", "bfp12")),
    ],
)
def test_every_product_of_significands(name: str, tmp_path: Path) -> None:
    """All 2**22 pairs, of one or four bricks; half of them negative."""
    parameters = DESIGNS[name]
    circuit = Bricks(parameters, tmp_path)
    pair = np.arange(1 << 22, dtype=np.int64)
    weight, activation, sign = pair >> 11, pair & 2047, (pair ^ pair >> 11) & 1
    if len(brick_bits(parameters)) == 1:
        parts = [weight], [activation]
    else:
        low = (1 << LOW_BITS) - 1
        parts = (
            [weight & low, weight & low, weight >> LOW_BITS, weight >> LOW_BITS],
            [activation & low, activation >> LOW_BITS] * 2,
        )
    signs = [sign] * len(parts[0])
    got = circuit.products(*parts, signs, "verify")
    assert np.array_equal(got, np.where(sign, -1, 1) * weight * activation)


def _check_lanes(
    circuit: Bricks, mode: str, nibbles: list[Numbers], magnitudes: list[Numbers]
) -> None:
    """One brick per lane, or two of 6 bits each."""
    weights = [_weights(circuit.parameters, mode)[of_lane] for of_lane in nibbles]
    signs = [of_lane >> 3 for of_lane in nibbles]
    want = sum(weight * magnitude for weight, magnitude in zip(weights, magnitudes, strict=True))
    if len(nibbles) == 2:
        weights = [weight for weight in weights for _ in range(2)]
        signs = [sign for sign in signs for _ in range(2)]
        magnitudes = [part for q in magnitudes for part in (q & 63, q >> LOW_BITS)]
    got = circuit.products([abs(weight) for weight in weights], magnitudes, signs, mode)
    assert np.array_equal(got, want << place_of(circuit.parameters))


@pytest.mark.parametrize("mode", ["draft", pytest.param("qdraft", marks=pytest.mark.slow)])
def test_every_pair_of_lanes(mode: str, tmp_path: Path) -> None:
    """Four lanes of 6 bits: any two take all their values together, the others random ones."""
    circuit = Bricks(DESIGNS["4" if mode == "draft" else "qspec_4"], tmp_path)
    random = np.random.default_rng(1)
    alone = np.arange(16 * 64)
    for first, second in combinations(range(4), 2):
        lanes = [random.integers(0, alone.size, alone.size**2) for _ in range(4)]
        lanes[first], lanes[second] = np.repeat(alone, alone.size), np.tile(alone, alone.size)
        _check_lanes(circuit, mode, [lane >> 6 for lane in lanes], [lane & 63 for lane in lanes])


@pytest.mark.parametrize("mode", ["draft", "qdraft", "qverify"])
@pytest.mark.parametrize(
    "name",
    [
        *("2", "all_4", "ice40_4"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("all_2", "bfp8", "bfp12")),
    ],
)
def test_every_product_of_a_lane(name: str, mode: str, tmp_path: Path) -> None:
    """Each lane takes every nibble with every magnitude, beside lanes of random ones."""
    parameters = DESIGNS[name]
    if mode not in parameters.modes:
        return
    bits = 12 if mode == "qverify" else parameters.draft_bits
    circuit = Bricks(parameters, tmp_path)
    random = np.random.default_rng(2)
    everything = np.arange(16 << bits)
    repeats = max(2, (1 << 14) // everything.size)
    for lane in range(parameters.mode_lanes(mode)):
        lanes = [
            np.tile(random.permutation(everything), repeats)
            for _ in range(parameters.mode_lanes(mode))
        ]
        lanes[lane] = np.repeat(everything, repeats)
        magnitudes = [of_lane & (1 << bits) - 1 for of_lane in lanes]
        _check_lanes(circuit, mode, [of_lane >> bits for of_lane in lanes], magnitudes)


WEIGHTS = {
    0x0000: "zero",
    0x8000: "negative zero",
    0x0001: "least subnormal",
    0x83FF: "largest subnormal",
    0x0400: "least normal",
    0x3BFF: "just below one",
    0x3C00: "one",
    0xBC01: "just beyond minus one",
    0x3555: "a third",
    0xC248: "minus pi",
    0x7BFF: "largest",
    0xFBFF: "largest negative",
    0x7C00: "infinity",
    0xFC00: "negative infinity",
    0x7E00: "quiet NaN",
    0xFC01: "signalling NaN",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in FEWER_MODES else name for name in WHOLE],
)
def test_products_of_chosen_weights(name: str, tmp_path: Path) -> None:
    """Through column and PE: each weight with all 65,536 activations.

    In MIDDLE all 256 high bytes, though a decoder makes no more than half of them.
    """
    parameters = DESIGNS[name]
    stage = product_check(parameters, tmp_path)
    for weight, what in WEIGHTS.items():
        assert stage.wrong(weight, weight + 1).sum() == 0, what
    if parameters.middles:
        assert stage.wrong(0, BYTES, middle=kind_of(parameters, "middle")).sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_all_products(name: str, tmp_path: Path) -> None:
    """All 2**32; ``scripts/prove_products.py`` does the same and writes a record."""
    stage = product_check(DESIGNS[name], tmp_path)
    assert sum(wrong.sum() for _, wrong in stage.chunks(0, 1 << 16)) == 0


def test_a_fault_in_the_products_is_counted(tmp_path: Path) -> None:
    """With one bit of the product inverted, everything finite and not zero in value is wrong."""
    parameters = DESIGNS["middle"]
    block = ProductStage(parameters)
    verilog = verilog_from_rtlil(design_rtlil(block))
    top = module_name(block)
    (line,) = [row for row in verilog.splitlines() if row.strip().startswith("assign value =")]
    verilog = verilog.replace(line, line.replace(";", " ^ 23'h1;"))
    stage = ProductCheck(verilog, top, tmp_path)
    assert stage.wrong(0x3C00, 0x3C01)[0] == 2 * 31 * 1024
    assert stage.wrong(0x3C, 0x3D, middle=kind_of(parameters, "middle"))[0] == 2 * 31 * 1024
