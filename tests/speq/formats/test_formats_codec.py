"""The codec is lossless: exhaustively for named tables, by Hypothesis for all legal ones."""

import numpy as np
import pytest
from formats_strategies import families
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.formats import (
    FormatError,
    Planes,
    decode,
    draft_codes,
    draft_magnitudes,
    draft_values,
    encode,
    family,
    from_planes,
    middle_patterns,
    to_planes,
)
from speq.formats.cells import cell_edges, join, split
from speq.parameters import TABLE_NAMES

BELOW_TWO = np.flatnonzero(np.arange(1 << 16) & 0x4000 == 0).astype(np.uint16)


def test_the_space_is_all_patterns_below_two():
    assert len(BELOW_TWO) == 32768
    assert np.all(np.abs(BELOW_TWO.view(np.float16)) < 2)


def test_cells_split_and_join_every_pattern():
    sign, cell, low = split(BELOW_TWO)
    assert np.array_equal(join(sign, cell, low), BELOW_TWO)
    edges = cell_edges()
    magnitude = np.abs(BELOW_TWO.view(np.float16).astype(float))
    assert np.all(edges[cell] <= magnitude)
    assert np.all(magnitude < edges[cell + 1])
    with pytest.raises(FormatError, match="magnitude 2 or above"):
        split([0x4000])


def check_round_trip(member):
    bits = np.tile(BELOW_TWO, (len(member.tables), 1))
    choice = np.arange(len(member.tables))
    words = encode(bits, member, choice)
    assert np.array_equal(decode(words, member, choice), bits)
    for row, table in enumerate(member.tables):
        assert len(np.unique(words[row])) == 32768
        sign, cell, low = split(BELOW_TWO)
        assert np.array_equal(words[row] >> 15, sign)
        assert np.array_equal(words[row] >> 12 & 7, np.array(table.codes)[cell])
        assert np.array_equal(words[row] >> 8 & 15, np.array(table.slots)[cell])
        assert np.array_equal(words[row] & 0xFF, low)
    return bits, words, choice


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_pattern_of_every_named_table(name):
    member = family(name)
    bits, words, choice = check_round_trip(member)
    assert np.array_equal(from_planes(to_planes(words)), words)
    middle = middle_patterns(words, member, choice)
    assert np.array_equal(middle, (bits & 0xFF00) | 0x80)
    sign = 1 - 2 * (bits >> 15).astype(int)
    for row, table in enumerate(member.tables):
        codes = np.array(table.codes)[bits[row] >> 8 & 63]
        expected = sign[row] * np.array(member.draft_values)[codes]
        nibbles = draft_codes(words[row])
        assert np.array_equal(draft_magnitudes(nibbles, member), expected)
        assert np.array_equal(draft_values(nibbles, member) * 32, expected)


@given(families())
@settings(max_examples=25, deadline=None)
def test_every_pattern_of_any_legal_family(member):
    check_round_trip(member)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_all_words_that_no_weight_has_are_refused(name):
    member = family(name)
    for index, table in enumerate(member.tables):
        used = set(encode(BELOW_TWO[None], member, [index])[0].tolist())
        unused = [
            (code << 12) | (slot << 8)
            for code in range(8)
            for slot in range(16)
            if table.inverse[code][slot] is None
        ]
        assert len(unused) == 128 - sum(map(len, table.cells))
        assert table.has_spare or len(unused) == 64
        for word in unused:
            assert word not in used
            with pytest.raises(FormatError, match="row 0, column 1 has a slot that its code does"):
                decode(np.array([[min(used), word]], dtype=np.uint16), member, [index])


@given(st.integers(0, 5), st.integers(0, 9), st.randoms(use_true_random=False))
def test_planes_hold_even_inputs_in_low_nibbles(rows, columns, random):
    words = np.array(
        [[random.randrange(1 << 16) for _ in range(columns)] for _ in range(rows)], dtype=np.uint16
    ).reshape(rows, columns)
    planes = to_planes(words)
    assert planes.draft.shape == planes.middle.shape == (rows, (columns + 1) // 2)
    assert np.array_equal(from_planes(planes), words)
    for row in range(rows):
        for k in range(columns):
            word = int(words[row, k])
            shift = 4 * (k % 2)
            assert planes.draft[row, k // 2] >> shift & 15 == word >> 12
            assert planes.middle[row, k // 2] >> shift & 15 == word >> 8 & 15
            assert planes.low[row, k] == word & 0xFF
    if columns % 2 and rows:
        assert not np.any(planes.draft[:, -1] >> 4)
        assert not np.any(planes.middle[:, -1] >> 4)


def test_planes_of_two_sizes_are_refused():
    planes = to_planes(np.zeros((2, 5), dtype=np.uint16))
    with pytest.raises(FormatError, match=r"the middle plane has shape \(2, 2\), .*\(2, 3\)"):
        from_planes(Planes(planes.draft, planes.middle[:, :2], planes.low))


@pytest.mark.parametrize(
    ("bits", "choice", "message"),
    [
        (np.full((1, 1), 0x4000, np.uint16), [0], "magnitude 2 or above"),
        (np.full((1, 1), 0x7E00, np.uint16), [0], "magnitude 2 or above"),
        (np.zeros((1, 1), np.int16), [0], r"have dtype int16, but must be uint16"),
        (np.zeros(3, np.uint16), [0], r"have shape \(3,\), but must be a matrix"),
        (np.zeros((2, 1), np.uint16), [0], r"table choices have shape \(1,\)"),
        (np.zeros((1, 1), np.uint16), [4], r"a row names table 4, but .* tables 0\.\.3"),
        (np.zeros((1, 1), np.uint16), [-1], r"a row names table -1"),
        (np.zeros((1, 1), np.uint16), [0.5], r"table choices have dtype float64"),
    ],
)
def test_encode_refuses(bits, choice, message):
    with pytest.raises(FormatError, match=message):
        encode(bits, family("fitted-4"), choice)
