"""What the bounds of prepared matrices promise, in fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prepared_operands import MODES, halves, prepare, stored

from speq_sim import golden
from speq_sim.golden import certain

U = Fraction(1, 2**53)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(MODES),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 7, 60]),
    st.integers(1, 31),
)
@example("verify", 1, 7, 31)
@example("verify", 1, 60, 31)
@example("middle", 1, 60, 31)
def test_bounds_hold_in_fractions(mode, seed, depth, spread):
    """Of exact products no partial sum exceeds 2**53 units; of others e is what the proof asks."""
    generator = np.random.default_rng(seed)
    weights = stored(mode, generator, (3, depth), spread)
    exponents = None if mode == "integers" else generator.integers(-64, 64, 3)
    matrix = prepare(mode, weights, None, exponents)
    x = halves(generator, (4, depth), spread)
    if mode in ("verify", "middle"):
        # Proportional to a row: Cauchy and Schwarz are equal, and the bound is at its tightest.
        x[0] = golden.middle_values(weights)[0] if mode == "middle" else weights[0]
    numbers = matrix._numbers(x, golden.BlockFormat(12, 4))
    bounds = certain.error_bounds(numbers, matrix.span)
    gamma = depth * U / (1 - depth * U)
    for token, bound in zip(numbers, bounds, strict=True):
        for w, norm in zip(matrix.weights, matrix.norms, strict=True):
            total = sum(abs(Fraction(a) * Fraction(b)) for a, b in zip(w, token, strict=True))
            if bound:
                assert Fraction(float(bound * norm)) >= (gamma + 4 * U) * total
            else:
                largest = sum(abs(Fraction(b)) for b in token) * max(abs(Fraction(a)) for a in w)
                assert total <= largest <= 2**53 * unit(w) * unit(token)


def unit(numbers):
    """Largest power of two that divides them all: any, if they are all zero."""
    found = Fraction(0)
    for number in map(Fraction, numbers):
        if number:
            lowest = number.numerator & -number.numerator
            part = Fraction(lowest, number.denominator)
            found = min(found, part) if found else part
    return found


@pytest.mark.parametrize(
    ("numbers", "span", "exact"),
    [
        ((2.0**30, 2.0**-22), 1.0, True),
        ((2.0**31, 2.0**-22), 1.0, False),
        ((2.0**30, -(2.0**30), 2.0**-22), 1.0, False),
        ((2.0**30, 2.0**-22), 2.0, False),
        ((2.0**30, 3 * 2.0**-21), 2.0, True),
        ((0.0, 0.0), 2.0**40, True),
    ],
)
def test_exact_products_end_at_53_bits(numbers, span, exact):
    assert (certain.error_bounds(np.array([numbers]), span)[0] == 0) == exact


def test_exact_zeros_are_positive():
    results = np.ones((1, 2), dtype=np.float32)
    certain.round_exact(np.array([[-0.0, 0.0]]), results)
    assert not results.view(np.uint32).any()
