"""Packing returns every tensor byte for byte, and drafts no worse than it says."""

from pathlib import Path

import numpy as np
import pytest
from formats_strategies import any_tensors, families, finite_matrices
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.formats import (
    FormatError,
    Scale,
    decode,
    draft_codes,
    draft_values,
    encode,
    family,
    from_planes,
    middle_patterns,
    pack,
    unpack,
)
from speq.formats.container import read_weights
from speq.formats.scale import apply_scale
from speq.parameters import TABLE_NAMES

DATA = Path(__file__).parents[2] / "data"
TILES = ("smollm2-135m-q-proj", "stories15m-wq")


def tile(name):
    return read_weights(DATA / f"{name}.safetensors")["weight"]


def powers(packed):
    exponents = packed.scale.row_exponents[:, None] + packed.scale.columns.astype(int)
    return 2.0 ** -exponents.astype(float)


def drafted(packed, member):
    """Draft weights in units of the original weights, from the planes alone."""
    nibbles = draft_codes(from_planes(packed.planes))
    scale = packed.alpha[:, None].astype(float) * powers(packed)
    return draft_values(nibbles, member).astype(float) * scale


def sqnr(exact, found):
    exact = exact.astype(float)
    return 10 * np.log10(np.sum(exact**2) / np.sum((exact - found) ** 2))


@given(any_tensors(), st.sampled_from(TABLE_NAMES))
@settings(max_examples=200, deadline=None)
def test_any_tensor_comes_back(bits, name):
    member = family(name)
    packed = pack(bits, member)
    back = unpack(packed, member)
    assert back.dtype == np.float16
    assert back.shape == bits.shape
    assert back.tobytes() == bits.tobytes()
    assert packed.is_plain == (packed.reason is not None)


@given(finite_matrices(), families())
@settings(max_examples=60, deadline=None)
def test_any_finite_matrix_under_any_family(bits, member):
    packed = pack(bits, member)
    assert unpack(packed, member).tobytes() == bits.tobytes()


@given(finite_matrices(), families(), st.data())
@settings(max_examples=100, deadline=None)
def test_stored_values_are_the_weights_for_every_scale_and_table(bits, member, data):
    """VERIFY does not see packing: v * 2**-(t + r + c) is the weight, whatever was chosen."""
    rows, columns = bits.shape
    lists = {"min_size": rows, "max_size": rows}
    scale = Scale(
        data.draw(st.integers(-6, 12)),
        np.array(data.draw(st.lists(st.integers(-6, 6), **lists))),
        np.array(data.draw(st.lists(st.integers(-4, 0), min_size=columns, max_size=columns))),
    )
    choice = data.draw(st.lists(st.integers(0, len(member.tables) - 1), **lists))
    try:
        stored = apply_scale(bits, scale)
    except FormatError:
        return
    decoded = decode(encode(stored, member, choice), member, choice).view(np.float16)
    exponents = scale.row_exponents[:, None] + scale.columns.astype(int)
    exact = bits.view(np.float16).astype(float)
    assert np.array_equal(np.ldexp(decoded.astype(float), -exponents), exact)
    packed = pack(bits, member, scale=scale)
    assert unpack(packed, member).tobytes() == bits.tobytes()
    assert np.array_equal(packed.scale.row_exponents, scale.row_exponents)


ADVERSARIAL = {
    "zeros": np.zeros((3, 5)),
    "negative zeros": -np.zeros((3, 5)),
    "subnormals": np.full((2, 3), 2.0**-24) * [1, 3, -5],
    "largest": np.full((2, 2), 65504.0),
    "two": np.array([[2.0, -2.0], [1.0, 0.0]]),
    "a row of zeros": np.array([[0.0, 0.0], [3.0, -0.5]]),
    "wide range": np.array([[2.0**-24, 65504.0]]),
    "one weight": np.array([[0.3]]),
    "half zeros": np.tile([0.0, 0.25], (4, 16)),
}


@pytest.mark.parametrize("name", TABLE_NAMES)
@pytest.mark.parametrize("case", ADVERSARIAL)
def test_adversarial_tensors(case, name):
    weights = ADVERSARIAL[case].astype(np.float16)
    member = family(name)
    packed = pack(weights, member)
    assert unpack(packed, member).tobytes() == weights.tobytes()


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (np.array([[1.0, np.inf]]), "it holds Inf or NaN"),
        (np.array([[1.0, np.nan]]), "it holds Inf or NaN"),
        (np.ones(4), "it has 1 dimensions, and only matrices are packed"),
        (np.ones((2, 0)), "it is empty"),
        (np.array([[4.0, 2.0**-24], [2.0**-24, 4.0]]), "no exact power of two brings it below 2"),
    ],
)
def test_tensors_stored_plain_say_why(weights, reason):
    packed = pack(weights.astype(np.float16), family("fitted-4"))
    assert packed.is_plain
    assert packed.reason == reason
    assert packed.draft_sqnr_db is None


def test_a_tensor_that_bsfp_drafts_better_is_stored_plain():
    random = np.random.default_rng(3)
    weights = random.standard_normal((64, 256)) * 0.05
    weights[:, 7] = random.choice([-1, 1], 64) * 0.05 * 20
    weights = weights.astype(np.float16)
    worse = pack(weights, family("fitted-4"), columns=False)
    assert worse.reason == "bsfp would draft it with less error than fitted-4"
    assert not pack(weights, family("bsfp"), columns=False).is_plain
    assert not pack(weights, family("truncate"), columns=False).is_plain
    mended = pack(weights, family("fitted-4"))
    assert mended.scale.columns[7] < 0
    assert mended.draft_sqnr_db > 17


@pytest.mark.parametrize("name", ["fitted-1", "fitted-4", "fitted-8"])
@given(bits=finite_matrices())
@settings(max_examples=60, deadline=None)
def test_never_worse_than_bsfp(name, bits):
    packed = pack(bits, family(name), columns=False)
    control = pack(bits, family("bsfp"), columns=False)
    if not packed.is_plain:
        # The rule counts errors as equal that differ by 1e-9 of the tensor's energy; the figures
        # are those of alpha in float32.
        assert error_share(packed) <= error_share(control) + 2e-9


def error_share(packed):
    return 10 ** (-packed.draft_sqnr_db / 10)


def test_equal_errors_may_differ_in_the_last_digits():
    bits = np.array([[0, 1], [684, 779]], dtype=np.uint16)
    shares = [error_share(pack(bits, family(n), columns=False)) for n in ("fitted-1", "bsfp")]
    assert 0 < shares[0] - shares[1] < 2e-9


@pytest.mark.parametrize("name", TABLE_NAMES)
@pytest.mark.parametrize("tile_name", TILES)
def test_reported_ratios_are_those_of_the_planes(tile_name, name):
    weights, member = tile(tile_name), family(name)
    packed = pack(weights, member)
    assert unpack(packed, member).tobytes() == weights.tobytes()
    assert sqnr(weights, drafted(packed, member)) == pytest.approx(packed.draft_sqnr_db, abs=1e-3)
    words = from_planes(packed.planes)
    middle = middle_patterns(words, member, packed.tables).view(np.float16).astype(float)
    found = sqnr(weights, middle * powers(packed))
    assert found == pytest.approx(packed.middle_sqnr_db, abs=1e-3)


@pytest.mark.parametrize("tile_name", TILES)
def test_order_of_the_families_on_real_weights(tile_name):
    weights = tile(tile_name)
    ratio = {name: pack(weights, family(name)).draft_sqnr_db for name in TABLE_NAMES}
    assert ratio["fitted-8"] >= ratio["fitted-1"]
    assert ratio["fitted-4"] >= ratio["fitted-1"]
    assert ratio["fitted-1"] >= ratio["bsfp"] + 3
    assert ratio["bsfp"] == pytest.approx(ratio["speq"])
    assert ratio["bsfp"] >= ratio["truncate"] + 3


def test_alpha_is_of_least_squares():
    weights, member = tile("stories15m-wq"), family("fitted-4")
    packed = pack(weights, member)
    found, exact = drafted(packed, member), weights.astype(float)
    slope = np.sum(found * exact, axis=1) / np.sum(found**2, axis=1)
    assert np.allclose(slope, 1, atol=1e-6)


def test_importance_moves_the_error_to_inputs_that_matter_less():
    tensors = read_weights(DATA / "smollm2-135m-q-proj.safetensors")
    weights, inputs = tensors["weight"], tensors["activations"].astype(float)
    importance = np.mean(inputs[:8] ** 2, axis=0)
    exact = inputs[8:] @ weights.astype(float).T
    member = family("fitted-4")
    ratio = [
        sqnr(exact, inputs[8:] @ drafted(pack(weights, member, importance=given), member).T)
        for given in (None, importance)
    ]
    assert ratio[1] > ratio[0]


@pytest.mark.parametrize(
    ("weights", "importance", "message"),
    [
        (np.zeros((2, 2)), None, "weights have dtype float64, but must be float16"),
        (np.zeros((2, 2), np.float16), [1, 2, 3], "importance must be 2 finite numbers"),
        (np.zeros((2, 2), np.float16), [1, -1], "importance must be 2 finite numbers"),
        (np.zeros((2, 2), np.float16), [1, np.nan], "importance must be 2 finite numbers"),
    ],
)
def test_pack_refuses(weights, importance, message):
    with pytest.raises(FormatError, match=message):
        pack(weights, family("bsfp"), importance=importance)


def test_an_inexact_scale_is_refused():
    scale = Scale(1, np.zeros(1, int), np.zeros(1, int))
    with pytest.raises(FormatError, match="the scale is not exact for this tensor"):
        pack(np.ones((1, 1), np.float16), family("bsfp"), scale=scale)


def test_strided_and_transposed_tensors():
    weights = tile("stories15m-wq")
    for view in (weights.T, weights[::2, 1::3]):
        packed = pack(view, family("fitted-8"))
        assert np.array_equal(unpack(packed, family("fitted-8")), view)
