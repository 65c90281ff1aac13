"""Slow and obvious: docs/numerics.md in Python integers and fractions, one element at a time."""

import math
from fractions import Fraction

NAN = {"fp32": 0x7FC00000, "fp16": 0x7E00}


def value(pattern):
    """Fraction, or a float infinity or NaN, of an FP16 pattern."""
    sign = -1 if pattern & 0x8000 else 1
    biased, fraction = pattern >> 10 & 31, pattern & 1023
    if biased == 31:
        return math.nan if fraction else sign * math.inf
    return sign * significand(pattern) * Fraction(2) ** (exponent(pattern) - 25)


def significand(pattern):
    return (pattern & 1023) + (1024 if pattern >> 10 & 31 else 0)


def exponent(pattern):
    return max(pattern >> 10 & 31, 1)


def multiply(a, b):
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a * b
    return float(a) * float(b)


def total(products):
    """Exact sum with the special-value table."""
    special = [p for p in products if not isinstance(p, Fraction)]
    if not special:
        return sum(products, Fraction(0))
    if any(math.isnan(p) for p in special) or len(set(special)) > 1:
        return math.nan
    return special[0]


def round_to(exact, result_format):
    """Bit pattern of the nearest number, ties to even."""
    fraction_bits, exponent_bits = {"fp32": (23, 8), "fp16": (10, 5)}[result_format]
    bias = 2 ** (exponent_bits - 1) - 1
    infinity = (2**exponent_bits - 1) << fraction_bits
    sign = 1 << (fraction_bits + exponent_bits)
    if not isinstance(exact, Fraction):
        if math.isnan(exact):
            return NAN[result_format]
        return infinity + (sign if exact < 0 else 0)
    if exact == 0:
        return 0
    magnitude = abs(exact)
    scale = floor_log2(magnitude)
    scale = max(scale, 1 - bias)
    integer = nearest_even(magnitude / Fraction(2) ** (scale - fraction_bits))
    # The hidden bit adds one to the exponent field, and so does a carry out of the fraction.
    pattern = ((scale + bias - 1) << fraction_bits) + integer
    return min(pattern, infinity) + (sign if exact < 0 else 0)


def floor_log2(magnitude):
    guess = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    return guess if Fraction(2) ** guess <= magnitude else guess - 1


def nearest_even(number):
    floor = number.numerator // number.denominator
    rest = number - floor
    return floor + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2 == 1))


def dot(weights, activations, shifts, row_exponent, result_format):
    """One VERIFY result: patterns of stored weights and activations, to a pattern."""
    products = [
        multiply(value(w), multiply(value(x), Fraction(2) ** s))
        for w, x, s in zip(weights, activations, shifts, strict=True)
    ]
    return round_to(multiply(total(products), Fraction(2) ** -row_exponent), result_format)


def block_values(activations, shifts, bits, size):
    """block(x, s, b, B) of one token: values, and E, q per activation."""
    seen = []
    for k, (x, s) in enumerate(zip(activations, shifts, strict=True)):
        first = k // size * size
        neighbours = range(first, min(first + size, len(activations)))
        largest = max(exponent(activations[i]) + shifts[i] for i in neighbours)
        scale = Fraction(2) ** (bits - 11 - (largest - exponent(x) - s))
        q = min(math.floor(significand(x) * scale + Fraction(1, 2)), 2**bits - 1)
        sign = -1 if x & 0x8000 else 1
        number = value(x)
        if isinstance(number, Fraction):
            number = sign * q * Fraction(2) ** (largest - 14 - bits)
        seen.append((number, largest, q))
    return seen


def draft_dot(nibbles, d, activations, shifts, row_exponent, form, result_format):
    """One DRAFT result, to a pattern; `form` is (b, B)."""
    seen = block_values(activations, shifts, *form)
    products = [
        multiply((-1 if nibble & 8 else 1) * Fraction(d[nibble & 7], 32), x)
        for nibble, (x, _, _) in zip(nibbles, seen, strict=True)
    ]
    return round_to(multiply(total(products), Fraction(2) ** -row_exponent), result_format)


def int4(nibble):
    """Sign and magnitude, but -8 instead of a negative zero."""
    sign, magnitude = nibble >> 3, nibble & 7
    return (-magnitude if magnitude else -8) if sign else magnitude


def integer_dot(nibbles, activations, form, result_format):
    """One QDRAFT or QVERIFY result, to a pattern."""
    seen = block_values(activations, [0] * len(activations), *form)
    products = [
        multiply(Fraction(int4(nibble)), x) for nibble, (x, _, _) in zip(nibbles, seen, strict=True)
    ]
    return round_to(total(products), result_format)


def middle(pattern):
    """A stored weight below 2 with its low byte at the midpoint."""
    return pattern // 256 * 256 + 128
