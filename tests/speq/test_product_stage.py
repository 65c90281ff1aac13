"""Products of 4-bit weights through column and PE: every weight times every activation."""

from collections.abc import Callable
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from product_circuits import DESIGNS, Numbers, Stage, place_of

from speq.formats import family
from speq.parameters import Parameters
from speq_sim.golden.blocks import BlockFormat, block_floating_point
from speq_sim.golden.int4 import INTEGERS

PATTERNS = np.arange(1 << 16, dtype=np.uint16)
NIBBLES = np.arange(16)
INTEGER_PATTERNS = INTEGERS.astype(np.float16).view(np.uint16)
NAN, POSITIVE, NEGATIVE = 1, 2, 4
"""Bits of the port ``specials``."""

MODES = ("draft", "qdraft", "qverify")


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Stage]:
    """Compile a product stage, once."""
    return cache(lambda name: Stage(DESIGNS[name], tmp_path_factory.mktemp(name)))


def _form(parameters: Parameters, mode: str) -> BlockFormat:
    """Format of the activations that one beat multiplies."""
    lanes = parameters.mode_lanes(mode)
    if lanes == 1:
        return BlockFormat(11, 1)
    return BlockFormat(12 if mode == "qverify" else parameters.draft_bits, lanes)


def _weights(parameters: Parameters, words: Numbers, mode: str) -> Numbers:
    """What the nibbles of the first beat stand for, N x lanes of the mode."""
    nibbles = words[:, None] >> 4 * np.arange(parameters.mode_lanes(mode)) & 15
    if mode != "draft":
        return INTEGERS[nibbles]
    values = np.array(family(parameters.family).draft_values, np.int64)
    return np.where(nibbles >> 3, -1, 1) * values[nibbles & 7]


def _check(
    stage: Stage, words: Numbers, values: NDArray[np.uint16], mode: str, shifts: Numbers
) -> None:
    """Value, shift and specials of each product, as docs/numerics.md has them.

    `values` are N x lanes of the mode; the lanes that it leaves out take noise.
    """
    parameters = stage.parameters
    form = _form(parameters, mode)
    lanes = parameters.lanes
    offered = np.random.default_rng(9).integers(0, 1 << 16, (len(words), lanes), np.uint16)
    offered[:, : form.size] = values
    found = stage.products(words, offered, np.broadcast_to(shifts, offered.shape), mode)

    activations = np.ascontiguousarray(values).view(np.float16)
    block = block_floating_point(activations, shifts[: form.size], form)
    weights = _weights(parameters, words, mode)
    negative = (weights < 0) ^ block.negative
    infinite = block.infinite & (weights != 0)
    is_nan = (block.nan | block.infinite & (weights == 0)).any(axis=1)
    special = np.where((infinite & ~negative).any(axis=1), POSITIVE, 0)
    special |= np.where((infinite & negative).any(axis=1), NEGATIVE, 0)
    # Beside a NaN nothing else counts, and beside an infinity not the value.
    assert np.array_equal(found["specials"] & NAN != 0, is_nan)
    assert np.array_equal(found["specials"][~is_nan], special[~is_nan])
    finite = ~is_nan & (special == 0)
    assert finite.any()
    sums = (weights * np.where(block.negative, -block.magnitude, block.magnitude)).sum(axis=1)
    assert np.array_equal(found["value"][finite], sums[finite] << place_of(parameters))
    assert np.array_equal(found["shift"][finite], block.exponent[finite, 0] - 1)


def _every_product(stage: Stage, mode: str) -> None:
    """Each lane takes all nibbles with all patterns, beside any nibbles and finite numbers."""
    parameters = stage.parameters
    random = np.random.default_rng(3)
    finite = PATTERNS[PATTERNS & 0x7C00 != 0x7C00]
    count = NIBBLES.size * PATTERNS.size
    for lane in range(parameters.mode_lanes(mode)):
        words = random.integers(0, 1 << 16, count) & ~(15 << 4 * lane)
        words |= np.repeat(NIBBLES, PATTERNS.size) << 4 * lane
        values = random.choice(finite, (count, parameters.mode_lanes(mode)))
        values[:, lane] = np.tile(PATTERNS, NIBBLES.size)
        shifts = random.integers(0, 16 if mode == "draft" else 1, parameters.lanes)
        _check(stage, words, values, mode, shifts)


@pytest.mark.parametrize("name", ["all_4", "all_2", "all_1", "split_4", "split_1"])
def test_every_int4_weight_times_every_activation(
    name: str, stages: Callable[[str], Stage]
) -> None:
    """QVERIFY: either lane of a pair, or the only one."""
    _every_product(stages(name), "qverify")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *((name, mode) for name in ("all_4", "all_2", "all_1") for mode in ("draft", "qdraft")),
        *((name, mode) for name in ("bfp8", "bfp12") for mode in MODES),
        *((name, mode) for name in ("qspec_4", "qspec_1") for mode in MODES[1:]),
        *((name, mode) for name in ("dsp_4", "dsp_2", "dsp_1") for mode in MODES),
    ],
)
def test_every_weight_times_every_activation(
    name: str, mode: str, stages: Callable[[str], Stage]
) -> None:
    """Every 4-bit mode of every PE; :mod:`test_array_exhaustive` has those of the fast suite."""
    _every_product(stages(name), mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "name",
    ["all_4", "bfp12", "all_2", "all_1", "dsp_4", "dsp_2", "dsp_1", "ice40_1", "ice40_split_1"],
)
def test_random_words_and_activations(name: str, mode: str, stages: Callable[[str], Stage]) -> None:
    """All lanes at once take anything, and in one case in three finite numbers alone."""
    stage = stages(name)
    random = np.random.default_rng(4)
    lanes = stage.parameters.mode_lanes(mode)
    for finite in (False, True, True):
        words = random.integers(0, 1 << 16, 1 << 15)
        values = random.integers(0, 1 << 16, (len(words), lanes), np.uint16)
        if finite:
            values &= 0xBFFF
        shifts = random.integers(0, 16 if mode == "draft" else 1, stage.parameters.lanes)
        _check(stage, words, values, mode, shifts)


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("name", ["all_4", "bfp12", "all_2", "all_1", "dsp_4", "dsp_2"])
def test_every_pair_of_int4_numbers(name: str, mode: str, stages: Callable[[str], Stage]) -> None:
    """A product stage gives the integer dot product: every pair in every two lanes."""
    stage = stages(name)
    lanes = stage.parameters.mode_lanes(mode)
    random = np.random.default_rng(5)
    pair = np.arange(256)
    for first, second in [*combinations(range(lanes), 2)] or [(0, 0)]:
        chosen = random.integers(0, 256, (1 << 16, stage.parameters.lanes))
        chosen[:, first], chosen[:, second] = np.repeat(pair, 256), np.tile(pair, 256)
        words = (chosen[:, :lanes] >> 4 << 4 * np.arange(lanes)).sum(axis=1)
        values = INTEGER_PATTERNS[chosen & 15]
        found = stage.products(words, values, 0 * chosen, mode)
        dots = (INTEGERS[chosen >> 4] * INTEGERS[chosen & 15])[:, :lanes].sum(axis=1)
        unit = -13 - _form(stage.parameters, mode).bits - place_of(stage.parameters)
        assert np.array_equal(np.ldexp(found["value"].astype(float), found["shift"] + unit), dots)
        assert not found["specials"].any()
