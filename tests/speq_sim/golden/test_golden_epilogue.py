"""The golden epilogue, number by number, against its definition in double precision."""

import numpy as np
import pytest

from speq_sim.golden.epilogue import scale_results


def _matrix(*shape: int, seed: int, spread: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    fractions = generator.uniform(-2, 2, shape)
    return np.ldexp(fractions, generator.integers(-spread, spread, shape)).astype(np.float32)


def _one(values: list[float], scales: list[float], token_scale: float) -> float:
    """A result by the definition.

    A product of two FP32 numbers is exact in double precision, and a sum rounded to double first
    rounds to the same FP32 number (53 >= 2 * 24 + 2).
    """
    terms = [float(np.float32(float(y) * float(c))) for y, c in zip(values, scales, strict=True)]
    total = terms[0]
    for term in terms[1:]:
        total = float(np.float32(total + term))
    return float(np.float32(total * float(token_scale)))


@pytest.mark.parametrize("groups", [1, 2, 5])
@pytest.mark.parametrize("spread", [3, 70])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_every_number_by_the_definition(groups: int, spread: int) -> None:
    values = _matrix(groups, 7, 9, seed=groups, spread=spread)
    rows = _matrix(9, groups, seed=10 + spread, spread=spread)
    tokens = _matrix(7, seed=3, spread=spread)
    wanted = np.array(
        [[_one(values[:, m, n], rows[n], tokens[m]) for n in range(9)] for m in range(7)]
    )
    got = scale_results(values, rows, tokens)
    assert got.dtype == np.float32
    assert np.array_equal(got.view(np.uint32), wanted.astype(np.float32).view(np.uint32))
    halves = scale_results(values, rows, tokens, "fp16")
    assert halves.dtype == np.float16
    assert np.array_equal(halves.view(np.uint16), wanted.astype(np.float16).view(np.uint16))


def _scaled(value: int, row: int, token: int = 0x3F800000, result_format: str = "fp32") -> int:
    patterns = (np.array(bits, np.uint32).view(np.float32) for bits in (value, row, token))
    y, c, s = patterns
    result = scale_results(y.reshape(1, 1, 1), c.reshape(1, 1), s.reshape(1), result_format)
    return int(result.view(f"u{result.itemsize}")[0, 0])


@pytest.mark.parametrize(
    ("value", "row", "result_format", "wanted"),
    [
        (0x00000001, 0x3F800000, "fp32", 0x00000001),  # a subnormal stays
        (0x00000001, 0x3F000000, "fp32", 0x00000000),  # a tie, to even
        (0x00000003, 0xBF000000, "fp32", 0x80000002),
        (0x80000000, 0x3F800000, "fp32", 0x80000000),  # zero keeps its sign
        (0x7F7FFFFF, 0x40000000, "fp32", 0x7F800000),
        (0xFF800000, 0x00000000, "fp32", 0x7FC00000),  # infinity times zero
        (0xFFA12345, 0x3F800000, "fp32", 0x7FC00000),  # one NaN for all
        (0xFFA12345, 0x3F800000, "fp16", 0x7E00),
        (0x477FEFFF, 0x3F800000, "fp16", 0x7BFF),  # just below 65520
        (0x477FF000, 0x3F800000, "fp16", 0x7C00),
        (0x33000000, 0x3F800000, "fp16", 0x0000),  # half the least subnormal of FP16
        (0x33000001, 0x3F800000, "fp16", 0x0001),
    ],
)
def test_corners(value: int, row: int, result_format: str, wanted: int) -> None:
    assert _scaled(value, row, result_format=result_format) == wanted


def test_halves_are_rounded_from_the_fp32_number() -> None:
    """The product lies just above a tie of FP16, but its FP32 number lies on it."""
    factor = np.array([1 + 2.0**-12], np.float32)
    assert float(factor[0]) ** 2 > 1 + 2.0**-11
    one = np.ones(1, np.float32)
    got = scale_results(factor.reshape(1, 1, 1), factor.reshape(1, 1), one, "fp16")
    assert got[0, 0] == 1


def test_groups_are_added_in_their_order() -> None:
    values = np.array([1e8, 1.0, -1e8], np.float32).reshape(3, 1, 1)
    ones, one = np.ones((1, 3), np.float32), np.ones(1, np.float32)
    assert scale_results(values, ones, one)[0, 0] == 0
    assert scale_results(values[[0, 2, 1]], ones, one)[0, 0] == 1


@pytest.mark.parametrize(
    ("values", "rows", "tokens", "error", "message"),
    [
        (np.zeros((2, 3), np.float32), None, None, TypeError, "values are float32 of shape"),
        (np.zeros((1, 2, 3)), None, None, TypeError, "values are float64"),
        (np.zeros((0, 2, 3), np.float32), None, None, ValueError, "no group"),
        (None, np.zeros((3, 2), np.float32), None, ValueError, r"row_scales .* N x G = \(3, 1\)"),
        (None, np.zeros((3, 1), np.float16), None, TypeError, "row_scales are float16"),
        (None, None, np.zeros(3, np.float32), ValueError, r"token_scales .* M = \(2,\)"),
        (None, None, [1.0, 2.0], TypeError, "token_scales are list"),
    ],
)
def test_what_does_not_fit_is_refused(
    values: object, rows: object, tokens: object, error: type[Exception], message: str
) -> None:
    values = np.zeros((1, 2, 3), np.float32) if values is None else values
    rows = np.zeros((3, 1), np.float32) if rows is None else rows
    tokens = np.zeros(2, np.float32) if tokens is None else tokens
    with pytest.raises(error, match=message):
        scale_results(values, rows, tokens)


def test_an_unknown_format_is_refused() -> None:
    ones = np.ones((1, 1, 1), np.float32)
    with pytest.raises(ValueError, match="result_format is 'bf16'"):
        scale_results(ones, ones[0], ones[0, 0], "bf16")
