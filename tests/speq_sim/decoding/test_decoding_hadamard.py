"""Every base matrix is a Hadamard matrix, and the transform is its product."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq_sim.decoding import ModelError, hadamard_matrix, hadamard_transform
from speq_sim.decoding.hadamard import MOST_BASE, factor
from speq_sim.decoding.hadamard_matrices import base_matrix

NAMED = (1, 12, 20, 28, 36, 44, 52, 60, 76, 100, 108, 140, 172, 244, 344)
"""Among them fields of 7**2, 5**2, 3**5 and 7**3 elements, and Williamson's 172."""
ORDERS = (1, 2, 4, 8, 12, 24, 36, 40, 48, 64, 80, 96, 172, 768)
MODEL_SIZES = {
    576: (16, 36),
    768: (64, 12),
    1536: (128, 12),
    4864: (64, 76),
    5632: (128, 44),
    8960: (64, 140),
    11008: (64, 172),
    13824: (128, 108),
    14336: (512, 28),
}


def test_every_base_matrix_is_a_hadamard_matrix():
    # Integers, so that the comparison is exact.
    found = [order for order in range(1, 361) if base_matrix(order) is not None]
    for order in found:
        matrix = base_matrix(order)
        assert set(np.unique(matrix)) <= {-1, 1}
        np.testing.assert_array_equal(matrix @ matrix.T, order * np.eye(order, dtype=np.int64))
    assert set(NAMED) <= set(found)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 2e-6), (np.float64, 1e-14)])
def test_the_transform_is_the_product(order, dtype, error):
    matrix = hadamard_matrix(order)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(order), rtol=0, atol=1e-13)
    x = np.random.default_rng(order).standard_normal((3, 2, order)).astype(dtype)
    found = hadamard_transform(x)
    assert found.dtype == dtype
    assert found.shape == x.shape
    np.testing.assert_allclose(found, x @ matrix, rtol=0, atol=error * np.sqrt(order))


@given(st.sampled_from(ORDERS), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_a_vector_is_transformed_alike_in_every_batch(order, count, seed):
    x = np.random.default_rng(seed).standard_normal((count, order)).astype(np.float32)
    together = hadamard_transform(x)
    for row, expected in zip(x, together, strict=True):
        np.testing.assert_array_equal(hadamard_transform(row), expected)


def test_the_input_stays_as_it_is():
    x = np.ones((2, 8))
    hadamard_transform(x)
    np.testing.assert_array_equal(x, np.ones((2, 8)))


def test_the_matrix_is_sylvesters_for_powers_of_two():
    signs = [[(-1) ** (i & j).bit_count() for j in range(16)] for i in range(16)]
    np.testing.assert_array_equal(hadamard_matrix(16), np.array(signs) / 4)


@pytest.mark.parametrize(("order", "parts"), MODEL_SIZES.items())
def test_sizes_of_models_are_supported(order, parts):
    assert factor(order) == parts


@pytest.mark.parametrize("order", [0, -4, 3, 6, 9, 92, 188, 4 * MOST_BASE + 4, 18944 + 4])
def test_other_orders_are_refused(order):
    with pytest.raises(ModelError, match=f"no Hadamard transform of order {order} is known"):
        factor(order)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="x is float16: give float32 or float64"):
        hadamard_transform(np.ones(4, dtype=np.float16))
