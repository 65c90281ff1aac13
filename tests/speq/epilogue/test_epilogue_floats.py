"""Multiplication, addition and conversion give NumPy's bits: corners by corners, and at random."""

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Const, Module, Value
from float_circuits import OPERATIONS, Bits, circuit_of, verilog_of, wanted
from numpy.typing import NDArray

from speq.epilogue import add, convert, multiply
from speq.epilogue.floats import shift_right
from speq_sim.proofs.bit_parallel import Circuit

RANDOM = 1 << 20

MAGNITUDES = {
    "zero": 0,
    "least subnormal": 1,
    "three of them": 3,
    "a power of two, subnormal": 0x00000400,
    "half the least normal": 0x00400000,
    "beside it": 0x00400001,
    "largest subnormal": 0x007FFFFF,
    "least normal": 0x00800000,
    "next": 0x00800001,
    "twice the least normal": 0x01000000,
    "2**-75, whose square is half the least subnormal": 0x1A000000,
    "beside it, larger": 0x1A000001,
    "2**-64": 0x1F800000,
    "2**-24": 0x33800000,
    "beside it, smaller": 0x337FFFFF,
    "beside it, larger still": 0x33800001,
    "half": 0x3F000000,
    "just below one": 0x3F7FFFFF,
    "one": 0x3F800000,
    "just above one": 0x3F800001,
    "one and a half": 0x3FC00000,
    "one and a third": 0x3FAAAAAB,
    "two": 0x40000000,
    "2**24 - 1": 0x4B7FFFFF,
    "2**24": 0x4B800000,
    "2**63": 0x5F000000,
    "2**64": 0x5F800000,
    "2**103": 0x73000000,
    "half the largest power of two": 0x7E800000,
    "largest power of two": 0x7F000000,
    "beside the largest": 0x7F7FFFFE,
    "largest": 0x7F7FFFFF,
    "infinity": 0x7F800000,
    "least signalling NaN": 0x7F800001,
    "quiet NaN": 0x7FC00000,
    "NaN of all ones": 0x7FFFFFFF,
}


@pytest.fixture(scope="module")
def circuits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Circuit]:
    folder = tmp_path_factory.mktemp("circuits")
    return {name: circuit_of(name, folder) for name in OPERATIONS}


def _wrong(circuit: Circuit, name: str, a: Bits, b: Bits) -> list[str]:
    """Operands, result and what was wanted of the first few wrong results."""
    ports = {"a": a, "b": b}
    got = circuit.evaluate(**{port: ports[port] for port in circuit.netlist.inputs})["y"]
    want = wanted(name, a, b)
    places = np.flatnonzero(got != want)[:5]
    return [f"{a[i]:#010x} {b[i]:#010x}: {got[i]:#x}, not {want[i]:#x}" for i in places]


def _pairs(first: NDArray, second: NDArray) -> tuple[Bits, Bits]:
    a, b = np.meshgrid(first.astype(np.uint32), second.astype(np.uint32), indexing="ij")
    return a.ravel(), b.ravel()


def _corners() -> Bits:
    """Every chosen magnitude, and every power of two with both its neighbours; both signs."""
    chosen = np.array(list(MAGNITUDES.values()), np.int64)
    powers = np.concatenate([1 << np.arange(23), np.arange(1, 255) << 23])
    around = np.concatenate([chosen, powers - 1, powers, powers + 1])
    magnitudes = np.unique(around)
    return np.concatenate([magnitudes, magnitudes | 1 << 31]).astype(np.uint32)


def _random(generator: np.random.Generator) -> tuple[Bits, Bits]:
    return tuple(generator.integers(0, 1 << 32, (2, RANDOM), dtype=np.uint32))


@pytest.mark.parametrize("name", ["multiply", "add"])
def test_all_corners_with_all_corners(circuits: dict[str, Circuit], name: str) -> None:
    corners = _corners()
    assert len(corners) > 1500
    assert _wrong(circuits[name], name, *_pairs(corners, corners)) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_random_patterns(circuits: dict[str, Circuit], name: str) -> None:
    assert _wrong(circuits[name], name, *_random(np.random.default_rng(1))) == []


def _with_exponents(bits: Bits, exponents: NDArray[np.integer]) -> Bits:
    limited = exponents.clip(0, 254).astype(np.uint32)
    return bits & np.uint32(0x807FFFFF) | limited << np.uint32(23)


def _exponents(bits: Bits) -> NDArray[np.int64]:
    return (bits >> np.uint32(23) & np.uint32(255)).astype(np.int64)


def test_sums_that_cancel_and_sums_that_barely_reach(circuits: dict[str, Circuit]) -> None:
    """Exponents at most 26 apart, with fractions that agree in their upper bits half the time."""
    generator = np.random.default_rng(2)
    a, b = _random(generator)
    b = np.where(generator.random(RANDOM) < 0.5, b, b & np.uint32(0x80000FFF) | a & 0x7FFFF000)
    b = _with_exponents(b, _exponents(a) + generator.integers(-26, 27, RANDOM))
    assert _wrong(circuits["add"], "add", a, b.astype(np.uint32)) == []
    low = a & np.uint32(0x83FFFFFF), b.astype(np.uint32) & np.uint32(0x83FFFFFF)
    assert _wrong(circuits["add"], "add", *low) == []


def test_products_about_both_ends_of_the_range(circuits: dict[str, Circuit]) -> None:
    generator = np.random.default_rng(3)
    for end in (127, 381):
        a, b = _random(generator)
        b = _with_exponents(b, end - _exponents(a) + generator.integers(-30, 31, RANDOM))
        assert _wrong(circuits["multiply"], "multiply", a, b) == []


def test_products_halfway_between_two_results(circuits: dict[str, Circuit]) -> None:
    """Few significant bits each, so that ties are frequent, normal and subnormal results alike."""
    generator = np.random.default_rng(4)
    a, b = _random(generator)
    a &= np.uint32(0xFFFFF000)
    b &= np.uint32(0xFFFFF000)
    assert _wrong(circuits["multiply"], "multiply", a, b) == []
    b = _with_exponents(b, 127 - _exponents(a) + generator.integers(-25, 3, RANDOM))
    assert _wrong(circuits["multiply"], "multiply", a, b) == []


def _around_halves() -> Bits:
    """All FP16 numbers in FP32, the midpoints between them, and neighbours of each.

    The neighbours are eight on either side, and those at all powers of two.
    """
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    exact = halves.view(np.uint32)
    above = np.arange(0x7C00, dtype=np.uint16)
    low, high = (part.view(np.float16).astype(np.float64) for part in (above, above + np.uint16(1)))
    high[-1] = 65536.0  # what is halfway to it overflows
    middles = ((low + high) / 2).astype(np.float32).view(np.uint32)
    centres = np.concatenate([exact, middles, middles | np.uint32(1 << 31)]).astype(np.int64)
    powers = 1 << np.arange(4, 23)
    distances = np.concatenate([np.arange(-8, 9), powers, -powers])
    around = (centres[:, None] + distances).ravel() & 0xFFFFFFFF
    return around.astype(np.uint32)


def test_conversion_around_every_half_and_every_tie(circuits: dict[str, Circuit]) -> None:
    patterns = _around_halves()
    assert len(patterns) > 7_000_000
    assert _wrong(circuits["convert"], "convert", patterns, patterns) == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_lost_sticky_bit_is_noticed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that only results next to a tie can show: ones that a shift drops are forgotten."""

    def forgetful(m: Module, value: Value, amount: Value) -> tuple[Value, Value]:
        return shift_right(m, value, amount)[0], Const(0, 1)

    for module in (add, convert, multiply):
        monkeypatch.setattr(module, "shift_right", forgetful)
    circuit = Circuit(*verilog_of(name), tmp_path)
    halves = _around_halves()
    operands = (halves, halves) if name == "convert" else _pairs(_corners(), _corners())
    assert _wrong(circuit, name, *operands)
