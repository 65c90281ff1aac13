"""The multiplier in both modes and the products of a whole PE, to the last case."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speq.block import module_name
from speq.emission import design_rtlil
from speq.formats import family
from speq.layouts import brick_bits
from speq.multiply import PRODUCT_BITS, Multiplier
from speq.parameters import Parameters
from speq.product_stage import ProductStage
from speq.yosys import verilog_from_rtlil
from speq_sim.proofs.bit_parallel import Circuit
from speq_sim.proofs.products import ProductCheck

BASE = Parameters(name="multiply", rows=4, columns=1, port_words=1)
DESIGNS = {
    "4": BASE,
    "2": BASE.replace(draft_lanes=2),
    "1": BASE.replace(draft_lanes=1),
    "verify_only": BASE.replace(modes=("verify",)),
}
LOW_BITS = 6

Numbers = NDArray[np.int64]


def _circuit(parameters: Parameters, folder: Path) -> Circuit:
    block = Multiplier(parameters)
    return Circuit(verilog_from_rtlil(design_rtlil(block)), module_name(block), folder)


def _products(
    circuit: Circuit,
    parameters: Parameters,
    weights: list[Numbers],
    activations: list[Numbers],
    negative: list[Numbers],
    draft: bool,
) -> Numbers:
    """Outputs for one weight part, activation part and sign per brick."""
    ports: dict[str, Numbers] = {"weights": 0 * weights[0], "negative": 0 * weights[0]}
    place = 0
    for brick, (bits, _) in enumerate(brick_bits(parameters)):
        ports["weights"] = ports["weights"] | weights[brick] << place
        place += bits
        ports["negative"] = ports["negative"] | negative[brick] << brick
    place = 0
    ports["factors"] = 0 * weights[0]
    for brick, (_, bits) in enumerate(brick_bits(parameters)):
        both = activations[brick] | 3 * activations[brick] << bits
        ports["factors"] = ports["factors"] | both << place
        place += 2 * bits + 2
    if len(brick_bits(parameters)) > 1:
        ports["draft"] = np.full(len(weights[0]), draft)
    result = circuit.evaluate(**ports)["product"].astype(np.int64)
    return result - ((result >> (PRODUCT_BITS - 1)) << PRODUCT_BITS)


@pytest.mark.parametrize("name", ["4", "1"])
def test_every_product_of_significands(name: str, tmp_path: Path) -> None:
    """All 2**22 pairs, of one or four bricks; half of them negative."""
    parameters = DESIGNS[name]
    circuit = _circuit(parameters, tmp_path)
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
    got = _products(circuit, parameters, *parts, signs, False)
    assert np.array_equal(got, np.where(sign, -1, 1) * weight * activation)


def test_every_pair_of_draft_lanes(tmp_path: Path) -> None:
    """Four lanes: any two take all their values together, while the others take random ones."""
    parameters = DESIGNS["4"]
    circuit = _circuit(parameters, tmp_path)
    random = np.random.default_rng(1)
    values = np.array(family(parameters.family).draft_values, np.int64)
    codes, magnitudes = np.meshgrid(np.arange(16), np.arange(64), indexing="ij")
    alone = np.stack([codes.ravel(), magnitudes.ravel()])
    count = alone.shape[1]
    for first, second in combinations(range(4), 2):
        lanes = [alone[:, random.integers(0, count, count * count)] for _ in range(4)]
        lanes[first], lanes[second] = np.repeat(alone, count, 1), np.tile(alone, count)
        weights = [values[code & 7] for code, _ in lanes]
        signs = [code >> 3 for code, _ in lanes]
        magnitude = [lane[1] for lane in lanes]
        got = _products(circuit, parameters, weights, magnitude, signs, True)
        want = sum(
            np.where(s, -w, w) * q for w, q, s in zip(weights, magnitude, signs, strict=True)
        )
        assert np.array_equal(got, want << LOW_BITS), (first, second)


def test_every_draft_product_of_two_lanes(tmp_path: Path) -> None:
    """Two lanes: each takes every draft weight and every significand, beside random ones."""
    parameters = DESIGNS["2"]
    circuit = _circuit(parameters, tmp_path)
    random = np.random.default_rng(2)
    everything = np.arange(16 * 2048, dtype=np.int64)
    values = np.array(family(parameters.family).draft_values, np.int64)
    for lane in range(2):
        lanes = [np.tile(random.permutation(everything), 16) for _ in range(2)]
        lanes[lane] = np.repeat(everything, 16)
        weights = [values[index & 7] for index in lanes for _ in range(2)]
        signs = [index >> 3 & 1 for index in lanes for _ in range(2)]
        significands = [index >> 4 for index in lanes]
        halves = [h for q in significands for h in (q & 63, q >> LOW_BITS)]
        got = _products(circuit, parameters, weights, halves, signs, True)
        want = sum(
            np.where(signs[2 * i], -1, 1) * weights[2 * i] * significands[i] for i in range(2)
        )
        assert np.array_equal(got, want), lane


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


def _stage(name: str, folder: Path) -> ProductCheck:
    block = ProductStage(DESIGNS[name])
    return ProductCheck(verilog_from_rtlil(design_rtlil(block)), module_name(block), folder)


@pytest.mark.parametrize("name", DESIGNS)
def test_products_of_chosen_weights(name: str, tmp_path: Path) -> None:
    """Through column and PE: each weight with all 65,536 activations."""
    stage = _stage(name, tmp_path)
    for weight, what in WEIGHTS.items():
        assert stage.wrong(weight, weight + 1).sum() == 0, what


@pytest.mark.slow
@pytest.mark.parametrize("name", DESIGNS)
def test_all_products(name: str, tmp_path: Path) -> None:
    """All 2**32; ``scripts/prove_products.py`` does the same and writes a record."""
    assert sum(wrong.sum() for _, wrong in _stage(name, tmp_path).chunks(0, 1 << 16)) == 0


def test_a_fault_in_the_products_is_counted(tmp_path: Path) -> None:
    """With one bit of the product inverted, everything finite and not zero in value is wrong."""
    block = ProductStage(BASE)
    verilog = verilog_from_rtlil(design_rtlil(block))
    top = module_name(block)
    (line,) = [row for row in verilog.splitlines() if row.strip().startswith("assign value =")]
    verilog = verilog.replace(line, line.replace(";", " ^ 23'h1;"))
    wrong = ProductCheck(verilog, top, tmp_path).wrong(0x3C00, 0x3C01)
    assert wrong[0] == 2 * 31 * 1024
