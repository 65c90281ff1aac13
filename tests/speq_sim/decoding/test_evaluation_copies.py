"""Second copies of weights are what their formats say, number by number."""

import math

import numpy as np
import pytest

from speq.formats import QuantisationError
from speq_sim.decoding import ModelError
from speq_sim.decoding.evaluation import COPIES, CopyBackend
from speq_sim.decoding.evaluation.copies import e2m1, int4, mxfp4

E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Magnitudes in the order of their codes; an even code has an even significand."""


def weights(rows=5, inputs=44, seed=1):
    """Rows of different sizes, with a group of zeros, ties between steps, and subnormals."""
    random = np.random.default_rng(seed)
    found = random.standard_normal((rows, inputs)) * 2.0 ** -np.arange(rows)[:, None]
    found[0, :8] = 0
    found[1, :8] = (6, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, -5)
    found[2, :8] = (7.5, 0.5, 1.5, 2.5, -0.5, -7, 6.5, 3)
    found[3, :8] = np.arange(8) * 2.0**-14
    return found.astype(np.float16)


def nearest(value):
    """E2M1 to nearest, ties to the even code, no more than 6."""
    code = min(range(8), key=lambda each: (abs(E2M1[each] - abs(value)), each % 2))
    return math.copysign(E2M1[code], value)


def in_groups(values, group, convert):
    found = np.empty(values.shape)
    for row, line in enumerate(values.astype(np.float64)):
        for at in range(0, len(line), group):
            found[row, at : at + group] = convert(line[at : at + group])
    return found


def integers(line):
    scale = float(np.float16(np.float32(max(map(abs, line))) / np.float32(7))) or 1.0
    return [min(max(round(value / scale), -8), 7) * scale for value in line]


def scaled_fp4(line):
    scale = float(np.float16(np.float32(max(map(abs, line))) / np.float32(6)))
    return [nearest(value / scale) * scale if scale else 0.0 for value in line]


def microscaled(line):
    largest = max(map(abs, line))
    scale = 2.0 ** (math.floor(math.log2(largest)) - 2) if largest else 1.0
    return [nearest(value / scale) * scale for value in line]


@pytest.mark.parametrize(
    ("quantise", "slowly"), [(int4, integers), (e2m1, scaled_fp4), (mxfp4, microscaled)]
)
@pytest.mark.parametrize("group", [8, 12, 128])
def test_a_copy_is_that_of_a_direct_loop(quantise, slowly, group):
    for seed in range(5):
        values = weights(seed=seed)
        np.testing.assert_array_equal(quantise(values, group), in_groups(values, group, slowly))


def test_groups_are_scaled_by_themselves():
    values = np.ones((1, 64), dtype=np.float16)
    values[0, 32:] = 1 / 1024
    np.testing.assert_array_equal(mxfp4(values, 32), values)
    assert not mxfp4(values, 64)[0, 32:].any()


def test_what_is_beyond_six_steps_of_a_power_of_two_is_six():
    np.testing.assert_array_equal(mxfp4(np.array([[7.9, -7.9, 4]], np.float16), 32), [[6, -6, 4]])


@pytest.mark.parametrize(
    ("name", "whole", "of_576"),
    [("int4-g128", 4.125, 4 + 80 / 576), ("e2m1-g128", 4.125, 4 + 80 / 576), ("mxfp4", 4.25, 4.25)],
)
def test_bits_count_the_scale_of_a_short_group(name, whole, of_576):
    assert COPIES[name].bits(1536) == whole
    assert COPIES[name].bits(576) == pytest.approx(of_576)


@pytest.mark.parametrize("name", COPIES)
def test_products_are_rounded_once(name):
    values, x = weights(), np.random.default_rng(3).standard_normal((4, 44)).astype(np.float32)
    backend = CopyBackend({"a": values}, COPIES[name])
    copied = COPIES[name].quantise(values, COPIES[name].group).astype(np.float64)
    exact = x.astype(np.float16).astype(np.float64) @ copied.T
    found = backend.multiply("a", x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=2**-24, atol=1e-13)


def test_a_matrix_without_a_copy_is_named():
    with pytest.raises(QuantisationError, match=r"layer 'a' has no copy: .*rounds to 0"):
        CopyBackend({"a": np.full((2, 8), 6e-8, dtype=np.float16)}, COPIES["int4-g128"])


def test_another_layer_is_an_error():
    with pytest.raises(ModelError, match="'b' is not among the 1 matrices"):
        CopyBackend({"a": weights()}, COPIES["mxfp4"]).multiply("b", np.zeros((1, 44)))
