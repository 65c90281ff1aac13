"""What follows from the definition: independence, invisible packing, accuracy, clear errors."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from speq.formats import CodeTable, Family, decode, encode
from speq_sim import golden

REAL_TILES = sorted((Path(__file__).parents[2] / "data").glob("*.safetensors"))
SEEDS = st.integers(0, 1 << 32)
DRAFT_VALUES = [0, 1, 3, 6, 11, 20, 35, 63]
FORMS = [
    golden.block_format(name, lanes)
    for name, lanes in [("fp16", 1), ("bfp12", 2), ("bfp12", 4), ("bfp8", 4), ("bfp6", 4)]
]


def student_t(rng, outputs, depth):
    return (0.03 * rng.standard_t(5, (outputs, depth))).astype(np.float16)


def any_patterns(rng, *shape):
    """FP16 patterns of all kinds, one in 500 of them not finite."""
    patterns = rng.integers(0, 1 << 16, shape, dtype=np.uint16)
    special = rng.random(shape) < 0.002
    finite = np.where((patterns & 0x7C00) == 0x7C00, patterns & 0xBFFF, patterns)
    return np.where(special, patterns | 0x7C00, finite).astype(np.uint16).view(np.float16)


def same(found, wanted):
    pattern = f"u{wanted.itemsize}"
    return found.dtype == wanted.dtype and (found.view(pattern) == wanted.view(pattern)).all()


# Independence ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, depth=st.integers(1, 300), result_format=st.sampled_from(["fp32", "fp16"]))
def test_verify_depends_on_its_row_and_vector_alone(seed, depth, result_format):
    rng = np.random.default_rng(seed)
    w, x = any_patterns(rng, 7, depth), any_patterns(rng, 5, depth)
    y = golden.verify(w, x, result_format)
    alone = [golden.verify(w[[n]], x[[m]], result_format)[0, 0] for m in range(5) for n in range(7)]
    assert same(np.array(alone).reshape(5, 7), y)
    tokens, outputs, order = rng.permutation(5), rng.permutation(7), rng.permutation(depth)
    shuffled = golden.verify(w[outputs][:, order], x[tokens][:, order], result_format)
    assert same(shuffled, y[tokens][:, outputs])


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, blocks=st.integers(1, 60), form=st.sampled_from(FORMS))
def test_draft_depends_on_its_row_vector_and_format_alone(seed, blocks, form):
    rng = np.random.default_rng(seed)
    depth = blocks * form.size
    w = rng.integers(0, 16, (7, depth), dtype=np.uint8)
    x, shifts = any_patterns(rng, 5, depth), rng.integers(0, 16, depth)
    exponents = rng.integers(-64, 64, 7)
    y = golden.draft(w, DRAFT_VALUES, x, shifts, exponents, form)
    for n in range(7):
        for m in range(5):
            one = golden.draft(w[[n]], DRAFT_VALUES, x[[m]], shifts, exponents[[n]], form)
            assert same(one, y[m : m + 1, n : n + 1])
    tokens, outputs = rng.permutation(5), rng.permutation(7)
    # Blocks may change places, and elements within a block.
    order = rng.permutation(np.arange(depth).reshape(blocks, form.size))
    order = rng.permuted(order, axis=1).reshape(-1)
    shuffled = golden.draft(
        w[outputs][:, order],
        DRAFT_VALUES,
        x[tokens][:, order],
        shifts[order],
        exponents[outputs],
        form,
    )
    assert same(shuffled, y[tokens][:, outputs])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, pairs=st.integers(1, 60), lanes=st.sampled_from([1, 2, 4]))
def test_qverify_depends_on_its_row_and_vector_alone(seed, pairs, lanes):
    """Also not on L = 2 or 4: pairs are k // 2 in both."""
    rng = np.random.default_rng(seed)
    w = rng.integers(0, 16, (5, 2 * pairs), dtype=np.uint8)
    x = any_patterns(rng, 3, 2 * pairs)
    y = golden.integer_verify(w, x, lanes)
    for n in range(5):
        for m in range(3):
            assert same(golden.integer_verify(w[[n]], x[[m]], lanes), y[m : m + 1, n : n + 1])
    order = rng.permuted(rng.permutation(np.arange(2 * pairs).reshape(pairs, 2)), axis=1).ravel()
    assert same(golden.integer_verify(w[:, order], x[:, order], lanes), y)
    if lanes == 1:
        values = golden.INTEGERS[w].astype(np.float16)
        assert same(y, golden.verify(values, x))
    else:
        assert same(y, golden.integer_verify(w, x, 6 - lanes))


@pytest.mark.parametrize("path", REAL_TILES, ids=lambda path: path.stem)
def test_qverify_of_a_real_tile_is_close_to_fp16_activations(path):
    """An activation loses at most half of its block's unit, 2**-12 of the block's largest."""
    tile = load_file(path)
    w, x = tile["weight"].astype(np.float64), tile["activations"]
    integers = np.rint(7 * w / np.abs(w).max(axis=1, keepdims=True)).astype(np.int8)
    nibbles = golden.nibbles_of(integers)
    exact, found = (golden.integer_verify(nibbles, x, lanes) for lanes in (1, 4))
    errors = np.square((found - exact).astype(np.float64)).sum()
    signal = np.square(exact.astype(np.float64)).sum()
    assert 0 < errors < signal * 1e-7  # 70 dB


@pytest.mark.parametrize("form", FORMS)
def test_a_short_last_block_is_filled_with_zeros(form):
    rng = np.random.default_rng(form.bits)
    w = rng.integers(0, 16, (5, 13), dtype=np.uint8)
    x, shifts = any_patterns(rng, 3, 13), rng.integers(0, 16, 13)
    wide = ((0, 0), (0, 3))
    filled = golden.draft(
        np.pad(w, wide), DRAFT_VALUES, np.pad(x, wide), np.pad(shifts, (0, 3)), None, form
    )
    assert same(golden.draft(w, DRAFT_VALUES, x, shifts, None, form), filled)


# Packing ----------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS, depth=st.integers(1, 40), result_format=st.sampled_from(["fp32", "fp16"]))
def test_packing_is_invisible(seed, depth, result_format):
    """Any t, r, c and tables: through words and back, the bits are those of the weights."""
    rng = np.random.default_rng(seed)
    exponents = np.clip(rng.integers(-64, 64) + rng.integers(-8, 8, 6), -64, 63)
    if rng.random() < 0.8:
        exponents = rng.integers(-12, 28, 6)
    shifts = rng.integers(0, 16, depth)
    pool = np.repeat(np.arange(8), 16)
    tables = tuple(CodeTable(tuple(rng.permutation(pool)[:64].tolist())) for _ in range(3))
    tables = Family("any", tables, tuple(DRAFT_VALUES))

    # Stored values whose weight is an FP16 number; the others become zero.
    v = (rng.integers(0, 1 << 16, (6, depth), dtype=np.uint16) & 0xBFFF).view(np.float16)
    exact = v.astype(np.float64) * 2.0 ** (shifts - exponents[:, None])
    with np.errstate(over="ignore"):
        w = exact.astype(np.float16)
    kept = w.astype(np.float64) == exact
    v, w = np.where(kept, v, np.float16(0)), np.where(kept, w, np.float16(0))

    choice = rng.integers(0, 3, 6)
    words = encode(v.view(np.uint16), tables, choice)
    stored = decode(words, tables, choice).view(np.float16)
    x = any_patterns(rng, 4, depth)
    found = golden.verify_packed(stored, x, shifts, exponents, result_format)
    assert same(found, golden.verify(w, x, result_format))


# Accuracy ----------------------------------------------------------------------------------------


def integers(values):
    """FP16 numbers in units of 2**-24, as Python integers."""
    scaled = values.astype(np.float64) * 2.0**24
    return scaled.astype(np.int64).astype(object)


def sequential_fp32(w, x):
    """Exact products, added one after the other in FP32."""
    total = np.zeros((len(x), len(w)), dtype=np.float32)
    for k in range(w.shape[1]):
        total += x[:, k].astype(np.float32)[:, None] * w[:, k].astype(np.float32)
    return total


def check_accuracy(w, x):
    """At most half a unit in the last place, and never worse than sequential FP32."""
    exact = integers(x) @ integers(w).T
    found, sequential = golden.verify(w, x), sequential_fp32(w, x)
    unit = Fraction(1, 1 << 48)
    better = 0
    for index, total in np.ndenumerate(exact):
        error = abs(Fraction(float(found[index])) - total * unit)
        other = abs(Fraction(float(sequential[index])) - total * unit)
        assert error <= other
        assert error <= Fraction(float(np.spacing(abs(found[index])))) / 2
        better += error < other
    return better / exact.size


def test_accuracy_on_student_t_weights():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 576)).astype(np.float16)
    assert check_accuracy(student_t(rng, 64, 576), x) > 0.5


def test_real_tiles_are_there():
    assert len(REAL_TILES) >= 2


@pytest.mark.parametrize("path", REAL_TILES, ids=lambda path: path.stem)
def test_accuracy_on_a_real_tile(path):
    """Real weights on the real inputs of their layer, and on those with outliers of 2**15."""
    tile = load_file(path)
    w, x = tile["weight"], tile["activations"]
    assert check_accuracy(w, x[:4]) > 0.4
    outliers = x[4:6].copy()
    outliers[:, ::97] = np.float16(2.0**15)
    check_accuracy(w, outliers)


def adversarial():
    rng = np.random.default_rng(3)
    w, x = student_t(rng, 16, 400), rng.standard_normal((4, 400)).astype(np.float16)
    mirrored = np.concatenate([x, -x], axis=1)
    spread = rng.permutation(800)
    rest = np.zeros((16, 800), np.float16)
    rest[:, ::50] = np.float16(2.0**-24)
    yield "cancellation", (np.concatenate([w, w], axis=1) + rest)[:, spread], mirrored[:, spread]
    yield "all cancels", np.concatenate([w, w], axis=1)[:, spread], mirrored[:, spread]
    subnormal = rng.integers(0, 1 << 10, (16, 400), dtype=np.uint16).view(np.float16)
    yield "subnormal weights", subnormal, x
    yield "subnormal operands", subnormal, subnormal[:4]
    outliers = x.copy()
    outliers[:, ::97] = np.float16(2.0**15) * rng.choice([-1, 1], (4, 5))
    yield "outliers", w, outliers
    patterns = rng.integers(0, 1 << 16, (2, 16, 400), dtype=np.uint16)
    patterns = np.where((patterns & 0x7C00) == 0x7C00, patterns & 0xBFFF, patterns)
    anything = patterns.astype(np.uint16).view(np.float16)
    yield "any exponents", anything[0], anything[1][:4]


@pytest.mark.parametrize("case", list(adversarial()), ids=lambda case: case[0])
def test_accuracy_on_adversarial_data(case):
    _, w, x = case
    check_accuracy(w, x)


def test_sums_longer_than_one_part():
    """K beyond the 8192 products that one float64 matrix product can take."""
    rng = np.random.default_rng(4)
    w, x = np.abs(any_patterns(rng, 3, 20_000)), np.abs(any_patterns(rng, 2, 20_000))
    w[~np.isfinite(w)] = x[~np.isfinite(x)] = np.float16(65504)
    w[0], x[0] = np.float16(65504), np.float16(65504)
    check_accuracy(w, x)


def test_sums_that_would_leave_float64():
    """Huge products that cancel only after 2**53 units, and small odd ones in between them."""
    rng = np.random.default_rng(5)
    w = np.full((8, 60_000), 65504, dtype=np.float16)
    x = np.full((4, 60_000), 65504, dtype=np.float16)
    x[:, 35_000:] = -65504
    w[:, 25_000:35_000] = rng.integers(1, 64, (8, 10_000)) / 16
    x[:, 25_000:35_000] = 1 / 16
    check_accuracy(w, x)


# Errors -----------------------------------------------------------------------------------------

W, X = np.ones((2, 4), np.float16), np.ones((3, 4), np.float16)
NIBBLES = np.zeros((2, 4), np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: golden.verify(W.astype(np.float32), X), TypeError, "weights are float32"),
        (lambda: golden.verify(W, X[0]), TypeError, r"activations are float16 of shape \(4,\)"),
        (lambda: golden.verify(W, [[1.0]]), TypeError, "activations are list"),
        (lambda: golden.verify(W[:, :3], X), ValueError, "K = 3 columns and activations 4"),
        (lambda: golden.verify(W, X, "bf16"), ValueError, "must be one of fp32, fp16"),
        (lambda: golden.verify_packed(2 * W, X, np.ones(4, int)), ValueError, "below 2"),
        (lambda: golden.verify_packed(np.nan * W, X, np.ones(4, int)), ValueError, "not finite"),
        (lambda: golden.verify_packed(W, X, np.ones(3, int)), ValueError, "must be 4 integers"),
        (lambda: golden.verify_packed(W, X, np.ones(4)), ValueError, "column shifts are float64"),
        (lambda: golden.verify_packed(W, X, np.full(4, 16)), ValueError, r"must lie in 0\.\.15"),
        (
            lambda: golden.verify_packed(W, X, None, np.array([0, 64])),
            ValueError,
            r"row exponents reach from 0 to 64, but must lie in -64\.\.63",
        ),
        (lambda: golden.draft(W, DRAFT_VALUES, X), TypeError, "must be .* uint8"),
        (lambda: golden.draft(NIBBLES + 16, DRAFT_VALUES, X), ValueError, "nibbles reach 16"),
        (lambda: golden.draft(NIBBLES, [64] * 8, X), ValueError, r"draft values .* 0\.\.63"),
        (lambda: golden.draft(NIBBLES, [1] * 7, X), ValueError, "must be 8 integers"),
        (lambda: golden.block_format("bfp6", 3), ValueError, "lanes is 3"),
        (lambda: golden.block_format("fp8", 4), ValueError, "one of fp16, bfp6, bfp8, bfp12"),
        (lambda: golden.BlockFormat(13, 4), ValueError, r"bits is 13, but .* 1\.\.12"),
        (lambda: golden.BlockFormat(6, 0), ValueError, "size is 0, but must be an integer of 1"),
        (lambda: golden.middle(2 * W, X), ValueError, "below 2 in magnitude, so the tensor has no"),
        (lambda: golden.middle(np.nan * W, X), ValueError, "has no middle values"),
        (lambda: golden.integer_draft(NIBBLES + 16, X), ValueError, "a weight of 4 bits is 0..15"),
        (lambda: golden.integer_draft(W, X), TypeError, "nibbles are float16"),
        (lambda: golden.integer_verify(NIBBLES, X, 3), ValueError, "lanes is 3"),
        (lambda: golden.nibbles_of(W), ValueError, "integers are float16: round them"),
        (lambda: golden.nibbles_of(np.array([-9, 2])), ValueError, "reach from -9 to 2, .* clamp"),
        (lambda: golden.quantise_activations(X, 1.5), ValueError, "clip_ratio is 1.5, but"),
        (lambda: golden.quantise_activations(X, group=6), ValueError, "group is 6, but .* of 4"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()
