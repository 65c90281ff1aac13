"""The accelerator's memory layout, weight by weight from its definition in docs/accelerator.md."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq.formats import family, pack, quantise_int4, unpack
from speq.formats.codec import decode
from speq.formats.errors import FormatError
from speq.formats.image import Extent, memory_image
from speq.formats.packing import PackedTensor
from speq.parameters import PRESETS, ParameterError, Parameters

TINY = PRESETS["tiny"]

DESIGNS = st.sampled_from(
    [
        TINY,
        TINY.replace(draft_lanes=1),
        TINY.replace(draft_lanes=2, family="speq"),
        Parameters(rows=8, columns=4, port_words=2, family="fitted-8"),
        Parameters(rows=3, columns=8, port_words=2),
        PRESETS["small"],
    ]
)


def random_weights(outputs, inputs, seed):
    """Weights of very different rows, some of 2 and more, with scaled columns."""
    generator = np.random.default_rng(seed)
    weights = generator.standard_normal((outputs, inputs))
    weights *= np.exp2(generator.integers(-6, 2, (outputs, 1)))
    weights *= np.exp2(generator.integers(-4, 1, inputs))
    return weights.astype(np.float16)


def bits(region, width, index):
    """Number `index` of the values of `width` bits that lie side by side in a region."""
    start = index * width
    byte = int(region[start // 8]) | (int(region[start // 8 + 1]) << 8 if width > 8 else 0)
    return byte >> start % 8 & (1 << width) - 1


def places(extent):
    """(place in the order of the planes, n, k) of every weight, from the definition."""
    p = extent.parameters
    lanes, place = p.lanes, 0
    for tile in range(extent.output_tiles):
        for group in range(extent.groups):
            for quarter in range(p.group_tiles):
                for row in range(p.rows):
                    for column in range(p.columns):
                        part, lane = divmod(quarter, lanes)
                        k = group * p.group_inputs + part * p.columns * lanes
                        yield place, tile * p.rows + row, k + column * lanes + lane
                        place += 1


@given(DESIGNS, st.integers(1, 21), st.integers(1, 70), st.integers(0, 1000))
def test_a_packed_matrix_lies_as_defined(design, outputs, inputs, seed):
    weights = random_weights(outputs, inputs, seed)
    members = family(design.family)
    tensor = pack(weights, members)
    if tensor.is_plain:
        return
    image = memory_image(tensor, design)
    extent, (draft, middle, low) = image.extent, image.regions
    beat = 2 * design.port_words
    assert [region.nbytes for region in image.regions] == [n * beat for n in extent.beats]

    shifts = [bits(draft, 4, k) for k in range(extent.groups * design.group_inputs)]
    assert shifts[:inputs] == (-tensor.scale.columns).tolist()
    assert not any(shifts[inputs:])
    rows = draft[extent.shift_beats * beat :].reshape(extent.output_tiles, -1)
    records = rows[:, : extent.record_beats * beat]
    codes = np.ascontiguousarray(rows[:, extent.record_beats * beat :]).reshape(-1)
    for n in range(extent.output_tiles * design.rows):
        record = bits(records[n // design.rows], 16, n % design.rows)
        exponent = (record & 0x7F) - ((record & 0x40) << 1)
        wanted = (tensor.scale.row_exponents[n], tensor.tables[n]) if n < outputs else (0, 0)
        assert (exponent, record >> 8) == wanted

    stored = np.zeros((outputs, inputs))
    for place, n, k in places(extent):
        word = bits(codes, 4, place) << 12 | bits(middle, 4, place) << 8 | bits(low, 8, place)
        table = [tensor.tables[n]] if n < outputs else [0]
        value = decode(np.array([[word]], np.uint16), members, table).view(np.float16)[0, 0]
        if n < outputs and k < inputs:
            stored[n, k] = value
        else:
            assert value == 0
            assert not np.signbit(value)
    scale = tensor.scale.row_exponents[:, None] + tensor.scale.columns.astype(int)
    np.testing.assert_array_equal(np.ldexp(stored, -scale), weights.astype(np.float64))


@pytest.mark.parametrize("design", [TINY, TINY.verify_only(), PRESETS["small"]])
def test_a_plain_matrix_lies_as_defined(design):
    weights = random_weights(7, 37, 3)
    tensor = PackedTensor("fitted-4", weights.shape, plain=weights.view(np.uint16), reason="test")
    image = memory_image(tensor, design)
    (words,) = image.regions
    assert (words.nbytes,) == tuple(2 * design.port_words * n for n in image.extent.beats)
    found = words.view("<u2")
    padded = np.zeros((99, 99), dtype=np.uint16)
    padded[:7, :37] = weights.view(np.uint16)
    for place, n, k in places(image.extent):
        assert found[place] == padded[n, k]


def test_modes_read_whole_planes_from_the_first():
    extent = Extent(PRESETS["edge"], 1536, 576)
    assert extent.beats == (9 + 96 * (1 + 144), 96 * 144, 96 * 288)
    assert [extent.planes_read(mode) for mode in ("draft", "middle", "verify")] == [1, 2, 3]
    plain = Extent(PRESETS["edge"], 1536, 576, plain=True)
    assert plain.beats == (96 * 9 * 4 * 16,)
    assert plain.planes_read("verify") == 1


def refusal(action):
    with pytest.raises((FormatError, ParameterError)) as caught:
        action()
    return str(caught.value)


def test_what_cannot_be_laid_out_is_refused():
    members = family(TINY.family)
    packed = pack(random_weights(4, 16, 1), members)
    vector = pack(np.ones(5, np.float16), members)
    assert "is no matrix" in refusal(lambda: memory_image(vector, TINY))
    other = TINY.replace(family="bsfp")
    assert "decodes 'bsfp': pack it anew" in refusal(lambda: memory_image(packed, other))
    only = TINY.verify_only()
    assert "has no decoder of packed words" in refusal(lambda: memory_image(packed, only))
    wide = TINY.replace(columns=8, port_words=1, rows=4)
    assert "AXI bus needs" in refusal(lambda: memory_image(packed, wide))
    assert "cannot be read" in refusal(lambda: Extent(TINY, 4, 65_537))
    assert "cannot be read" in refusal(lambda: Extent(TINY, 0, 16))


def test_alpha_goes_along():
    members = family(TINY.family)
    tensor = pack(random_weights(4, 64, 1), members)
    alpha = np.arange(1, 5, dtype=np.float32)
    image = memory_image(dataclasses.replace(tensor, alpha=alpha), TINY)
    np.testing.assert_array_equal(image.alpha, alpha)
    assert image.nbytes == sum(region.nbytes for region in image.regions)
    np.testing.assert_array_equal(unpack(tensor, members), random_weights(4, 64, 1))


# INT4 -------------------------------------------------------------------------------------------

QSPEC = TINY.replace(modes=("verify", "draft", "qdraft", "qverify"))

INT4_DESIGNS = st.sampled_from(
    [
        QSPEC,
        QSPEC.replace(draft_lanes=1),
        TINY.replace(modes=("verify", "middle", "qdraft", "qverify"), draft_lanes=2),
        QSPEC.replace(rows=3, columns=8, port_words=2),
    ]
)


@given(INT4_DESIGNS, st.integers(1, 9), st.integers(1, 70))
def test_an_int4_matrix_lies_as_defined(design, outputs, inputs):
    generator = np.random.default_rng(outputs * inputs)
    tensor = quantise_int4(generator.standard_normal((outputs, inputs), np.float32))
    image = memory_image(tensor, design)
    extent, (draft,) = image.extent, image.regions
    tile = 4 * design.columns
    assert extent.groups == -(-inputs // tile)
    assert draft.nbytes == image.nbytes == 2 * design.port_words * extent.beats[0]
    assert len(extent.beats) == extent.planes_read("qdraft") == extent.planes_read("qverify") == 1
    assert np.array_equal(image.scale, tensor.scale)
    assert image.alpha is None

    beat = 2 * design.port_words
    shifts = extent.groups * tile // 2
    records = -(-2 * design.rows // beat) * beat
    assert not draft[:shifts].any()
    rows = draft[shifts:].reshape(extent.output_tiles, -1)
    assert not rows[:, :records].any()
    codes = np.ascontiguousarray(rows[:, records:]).reshape(-1)
    wanted = np.zeros((extent.output_tiles * design.rows, extent.groups * tile), np.uint8)
    wanted[:outputs, :inputs] = tensor.nibbles
    count = 0
    for place, n, k in places(extent):
        assert bits(codes, 4, place) == wanted[n, k]
        count += 1
    assert codes.nbytes * 2 == count == wanted.size


def test_what_cannot_be_laid_out_as_int4_is_refused():
    tensor = quantise_int4(np.ones((4, 16), np.float32))
    assert 'no mode of INT4 weights: add "qdraft"' in refusal(lambda: memory_image(tensor, TINY))
    grouped = quantise_int4(np.ones((4, 16), np.float32), 4)
    assert "a scale per group of 4 inputs" in refusal(lambda: memory_image(grouped, QSPEC))
    Extent(QSPEC, 4, 65_536, int4=True)
    assert "K 1 to 65536" in refusal(lambda: Extent(QSPEC, 4, 65_537, int4=True))
    assert "cannot be read" in refusal(lambda: Extent(QSPEC, 4, 0, int4=True))
    only = TINY.replace(modes=("verify", "qdraft", "qverify"))
    assert "reads INT4 weights laid out like packed ones" in refusal(
        lambda: memory_image(tensor, only)
    )
