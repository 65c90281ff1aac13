"""The golden models of OliVe and Tender against their definitions, value by value in Python."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq_sim.golden.baselines import olive, tender
from speq_sim.golden.baselines.abfloat import FORMATS
from speq_sim.golden.baselines.accumulators import integer_products, wrapped
from speq_sim.golden.baselines.pairs import LARGEST_OUTLIER, decode, decode_fields, encode

E2M1 = {0: 0, 1: 12, 2: 16, 3: 24, 4: 32, 5: 48, 6: 64, 7: 96}
"""Values of the magnitude codes, as the paper's summary has their range: 12 to 96."""

BITS = (4, 8)


def signed(slot: int, bits: int) -> int:
    return slot - (1 << bits) if slot >> (bits - 1) else slot


def outlier(slot: int, bits: int) -> int:
    """An abfloat from its definition."""
    exponent_bits, mantissa_bits, bias = {4: (2, 1, 2), 8: (4, 3, 4)}[bits]
    code = slot % (1 << (bits - 1))
    if code == 0:
        return 0
    exponent, mantissa = divmod(code, 1 << mantissa_bits)
    assert exponent < 1 << exponent_bits
    magnitude = ((1 << mantissa_bits) + mantissa) << (exponent + bias)
    return -magnitude if slot >> (bits - 1) else magnitude


def pair(left: int, right: int, bits: int) -> tuple[int, int]:
    mark = 1 << (bits - 1)
    if left == mark and right == mark:
        return 0, 0
    if left == mark:
        return 0, outlier(right, bits)
    if right == mark:
        return outlier(left, bits), 0
    return signed(left, bits), signed(right, bits)


def all_pairs(bits: int) -> np.ndarray:
    slots = np.arange(1 << bits)
    return np.stack(np.meshgrid(slots, slots, indexing="ij"), -1).reshape(-1, 2)


def test_e2m1_is_12_to_96() -> None:
    assert FORMATS[4].magnitudes.tolist() == list(E2M1.values())
    assert FORMATS[8].magnitudes[[1, 127]].tolist() == [9 << 4, 15 << 19]


@pytest.mark.parametrize("bits", BITS)
def test_every_pair_decodes_by_the_definition(bits: int) -> None:
    pairs = all_pairs(bits)
    wanted = [pair(int(left), int(right), bits) for left, right in pairs]
    assert decode(pairs, bits).tolist() == [list(values) for values in wanted]
    exponents, integers = decode_fields(pairs, bits)
    assert (integers << exponents == np.array(wanted)).all()
    limit = 1 << (bits - 1)
    assert -limit < integers.min() <= integers.max() < limit


@pytest.mark.parametrize("bits", BITS)
def test_what_a_pair_can_hold_is_encoded_without_error(bits: int) -> None:
    """All pairs but those with an outlier of zero and those above the encoder's largest."""
    pairs = all_pairs(bits)
    values = decode(pairs, bits)
    exact = values[np.abs(values).max(axis=1) <= LARGEST_OUTLIER[bits]]
    for keep in ("larger", "left"):
        assert np.array_equal(decode(encode(exact, bits, keep), bits), exact)


@given(
    values=st.lists(st.floats(-150, 150, width=32), min_size=2, max_size=2),
    keep=st.sampled_from(["larger", "left"]),
)
def test_a_pair_is_the_nearest_of_its_kind(values: list[float], keep: str) -> None:
    """Outliers are those beyond 9.5; one of them survives, and nothing beats the value it gets."""
    got = decode(encode(np.array(values), 4, keep), 4).tolist()
    outlying = [abs(value) > 9.5 for value in values]
    if not any(outlying):
        for value, code in zip(values, got, strict=True):
            assert abs(code) <= 7
            assert all(abs(value - code) <= abs(value - other) for other in range(-7, 8))
        return
    kept = 0 if outlying[0] else 1
    if all(outlying) and keep == "larger" and abs(values[1]) > abs(values[0]):
        kept = 1
    assert got[1 - kept] == 0
    grid = [sign * size for size in list(E2M1.values())[1:] for sign in (1, -1)]
    distances = [abs(Fraction(values[kept]) - other) for other in grid]
    assert abs(Fraction(values[kept]) - got[kept]) == min(distances)


def test_two_outliers_as_large_keep_the_even_one() -> None:
    assert decode(encode(np.array([-32.0, 32.0]), 4), 4).tolist() == [-32, 0]


def test_outliers_of_eight_bits_end_at_2_to_the_15() -> None:
    values = np.array([1e9, 0.0, -1e9, 0.0])
    assert decode(encode(values, 8), 8).tolist() == [1 << 15, 0, -(1 << 15), 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: encode(np.zeros(3), 4), "no whole pairs"),
        (lambda: encode(np.zeros(2), 4, "right"), "larger or left"),
        (lambda: decode(np.array([16, 0]), 4), r"lie in 0\.\.15"),
        (lambda: integer_products(np.zeros((1, 2), int), np.zeros((1, 3), int)), "same K"),
        (lambda: tender.matmul(np.zeros((1, 2), int), np.zeros((1, 2), int), [1]), "add up to K"),
    ],
)
def test_errors_name_the_mend(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.integers(1, 64))
def test_wrapping_is_twos_complement(values: list[int], bits: int) -> None:
    got = wrapped(np.array(values), bits).tolist()
    for value, wrapped_value in zip(values, got, strict=True):
        assert (value - wrapped_value) % (1 << bits) == 0
        assert -(1 << (bits - 1)) <= wrapped_value < 1 << (bits - 1)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("accumulator_bits", [16, 32])
def test_olive_products_wrap(bits: int, accumulator_bits: int) -> None:
    """Every sum is congruent to the exact one in Python integers, also far beyond the width."""
    random = np.random.default_rng(bits)
    weights, activations = (random.integers(0, 1 << bits, (3, 40)) for _ in range(2))
    weights[:, ::4] = activations[:, ::4] = 1 << (bits - 1)
    weights[:, 1::4] = activations[:, 1::4] = (1 << (bits - 1)) - 1
    sums = olive.matmul(weights, activations, bits, accumulator_bits)
    for m, n in np.ndindex(3, 3):
        exact = 0
        for k in range(0, 40, 2):
            w = pair(*map(int, weights[n, k : k + 2]), bits)
            a = pair(*map(int, activations[m, k : k + 2]), bits)
            exact += sum(x * y for x, y in zip(w, a, strict=True))
        half = 1 << (accumulator_bits - 1)
        assert sums[m, n] == (exact + half) % (2 * half) - half
        if accumulator_bits == 16:
            assert abs(exact) >= half, "the sums were to overflow"


def test_the_search_beats_every_scale_it_tried() -> None:
    random = np.random.default_rng(3)
    matrix = random.standard_t(3, (4, 64))
    for per_row in (True, False):
        for bits in BITS:
            quantised = olive.quantise(matrix, bits, per_row=per_row)
            axis = 1 if per_row else None
            error = ((quantised.values - matrix) ** 2).sum(axis=axis)
            sigma = np.atleast_1d(matrix.std(axis=axis))
            assert quantised.scales.shape == ((4,) if per_row else (1,))
            for factor in range(75, 251, 2):
                scale = 3 * sigma[:, None] * factor / 100 / (1 << (bits - 1))
                other = decode(encode(matrix / scale, bits), bits) * scale
                assert (error <= ((other - matrix) ** 2).sum(axis=axis) * (1 + 1e-12)).all()


def test_an_odd_row_is_padded_and_a_row_of_zeros_is_zero() -> None:
    quantised = olive.quantise(np.zeros((2, 3)), 4, per_row=True)
    assert quantised.slots.shape == (2, 4)
    assert not quantised.values.any()


def test_an_outlier_survives_and_int4_alone_would_lose_it() -> None:
    random = np.random.default_rng(4)
    matrix = random.standard_normal((1, 256))
    matrix[0, 17] = 25.0
    values = olive.quantise(matrix, 4, per_row=False).values
    assert abs(values[0, 17] - 25) < 5
    assert values[0, 16] == 0


@pytest.mark.parametrize("bits", BITS)
def test_tender_groups_by_powers_of_two(bits: int) -> None:
    random = np.random.default_rng(5)
    samples = random.standard_normal((20, 30)) * np.exp2(random.uniform(-8, 3, 30))
    samples += random.standard_normal(30)
    known = tender.calibrate(samples, bits, 5)
    peaks = np.abs(samples - known.bias).max(axis=0)
    top = peaks.max()
    largest = (1 << (bits - 1)) - 1
    for peak, group in zip(peaks, known.groups + 1, strict=True):
        assert peak <= top / 2 ** (group - 1) * (1 + 1e-12)
        assert group == 5 or peak > top / 2**group * (1 - 1e-12)
    assert known.scales.tolist() == pytest.approx([top / (2**g * largest) for g in range(5)])
    assert np.allclose(samples.max(axis=0) - known.bias, known.bias - samples.min(axis=0))
    assert sum(known.sizes) == 30
    assert (np.diff(known.groups[known.order]) >= 0).all()
    integers = tender.quantise_activations(samples, known)
    assert np.abs(integers).max() == largest
    error = samples - known.bias - integers * known.scales[known.groups]
    assert (np.abs(error) <= known.scales[known.groups] / 2 * (1 + 1e-9)).all()


def test_tender_saturates_beyond_its_calibration() -> None:
    known = tender.calibrate(np.array([[1.0, -2.0], [-1.0, 2.0]]), 4, 2)
    assert tender.quantise_activations(np.array([[100.0, -100.0]]), known).tolist() == [[7, -7]]


def test_tender_doubles_between_groups_also_empty_ones() -> None:
    """Worked by hand: ((2 * 3) * 2 + 0) * 2 + 5 * -1 = 19."""
    weights, activations = np.array([[2, 5]]), np.array([[3, -1]])
    assert tender.matmul(weights, activations, [1, 0, 1]).tolist() == [[19]]


@given(st.data())
def test_tender_sums_are_scaled_sums(data: st.DataObject) -> None:
    """Congruent to the sum of group sums times 2 to the groups still to come."""
    sizes = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    depth = sum(sizes)
    operand = st.lists(st.integers(-128, 127), min_size=depth, max_size=depth)
    w, a = data.draw(operand), data.draw(operand)
    bits = data.draw(st.sampled_from([16, 32]))
    exact, start = 0, 0
    for group, size in enumerate(sizes):
        part = range(start, start + size)
        exact += sum(w[k] * a[k] for k in part) << (len(sizes) - 1 - group)
        start += size
    got = tender.matmul(
        np.array(w, int).reshape(1, -1), np.array(a, int).reshape(1, -1), sizes, bits
    )
    half = 1 << (bits - 1)
    assert got[0, 0] == (exact + half) % (2 * half) - half


def test_a_tender_layer_is_close_and_groups_help() -> None:
    """Chunks of 256 rows; channels of very different size; 8 bits within one per cent."""
    random = np.random.default_rng(6)
    activations = random.standard_normal((300, 64)) * np.exp2(random.uniform(-6, 4, 64)) + 0.5
    weights = random.standard_normal((10, 64))
    exact = activations @ weights.T

    def error(bits: int, groups: int) -> float:
        difference = tender.linear(weights, activations, bits, groups) - exact
        return float(np.linalg.norm(difference) / np.linalg.norm(exact))

    assert error(8, 8) < 0.01
    assert error(4, 8) < error(4, 1)
    assert error(8, 8) < error(8, 1)
