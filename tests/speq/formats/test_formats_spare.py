"""Spare codes: every code that a cell has decodes to it; texts, and messages of illegal ones."""

import numpy as np
import pytest
from formats_strategies import code_tables, families
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.formats import CodeTable, Family, FormatError, decode, encode, family, middle_patterns
from speq.formats.tables import NO_SLOT

BELOW_TWO = np.flatnonzero(np.arange(1 << 16) & 0x4000 == 0).astype(np.uint16)
ORDERED = tuple(cell // 8 for cell in range(64))
NONE = ((),) * 64


def codes_of(table):
    """Every cell's codes, the own one first."""
    return [(own, *others) for own, others in zip(table.codes, table.spare, strict=True)]


def spared(**spare):
    """ORDERED with spare codes of some cells, as ``c5=(1, 2)``."""
    others = list(NONE)
    for cell, codes in spare.items():
        others[int(cell[1:])] = codes
    return CodeTable(ORDERED, tuple(others))


def check_table(table):
    codes = codes_of(table)
    pairs = 0
    for code in range(8):
        assert len(table.cells[code]) <= 16
        for cell in range(64):
            if code in codes[cell]:
                slot = sum(code in lower for lower in codes[:cell])
                assert table.slot_of[code, cell] == slot
                assert table.cells[code][slot] == table.inverse[code][slot] == cell
                pairs += 1
            else:
                assert table.slot_of[code, cell] == NO_SLOT
                assert cell not in table.inverse[code]
    assert pairs == 64 + sum(map(len, table.spare))
    assert sum(cell is not None for row in table.inverse for cell in row) == pairs
    assert table.slots == tuple(int(table.slot_of[own[0], cell]) for cell, own in enumerate(codes))


def check_every_code(member, index):
    """All 32,768 patterns with each code that their cells have."""
    table = member.tables[index]
    codes = codes_of(table)
    cells = BELOW_TWO >> 8 & 63
    # No two patterns share a word, whatever codes were chosen for them.
    owner = np.full(1 << 16, -1)
    for code in range(8):
        bits = BELOW_TWO[np.array([code in codes[cell] for cell in range(64)])[cells]]
        words = encode(bits[None], member, [index], np.full((1, len(bits)), code))
        assert np.array_equal(words[0] >> 12 & 7, np.full(len(bits), code))
        assert np.array_equal(words[0] & 0x80FF, bits & 0x80FF)
        assert np.array_equal(decode(words, member, [index])[0], bits)
        middle = middle_patterns(words, member, [index])[0]
        assert np.array_equal(middle, (bits & 0xFF00) | 0x80)
        assert np.all(owner[words[0]] == -1)
        owner[words[0]] = bits
    assert np.sum(owner >= 0) == 512 * sum(map(len, codes))
    own = encode(BELOW_TWO[None], member, [index])
    chosen = np.array(table.codes)[cells][None]
    assert np.array_equal(encode(BELOW_TWO[None], member, [index], chosen), own)


def test_every_pattern_with_every_code_of_the_named_table():
    member = family("spare-1")
    assert member.has_spare
    check_table(member.tables[0])
    check_every_code(member, 0)


@given(families(), st.data())
@settings(max_examples=20, deadline=None)
def test_every_pattern_with_every_code_of_any_table(member, data):
    index = data.draw(st.integers(0, len(member.tables) - 1))
    check_table(member.tables[index])
    check_every_code(member, index)


@given(families(spare=True), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_codes_may_differ_from_weight_to_weight_and_tables_from_row_to_row(member, random):
    rows, columns = 9, 31
    generator = np.random.default_rng(random.randrange(2**32))
    bits = generator.choice(BELOW_TWO, (rows, columns))
    choice = generator.integers(0, len(member.tables), rows)
    codes = np.empty((rows, columns), np.uint8)
    for row in range(rows):
        for k in range(columns):
            codes[row, k] = random.choice(
                codes_of(member.tables[choice[row]])[bits[row, k] >> 8 & 63]
            )
    words = encode(bits, member, choice, codes)
    assert np.array_equal(words >> 12 & 7, codes)
    assert np.array_equal(decode(words, member, choice), bits)


@given(code_tables())
@settings(max_examples=60, deadline=None)
def test_a_text_brings_the_table_back(table):
    text = table.as_text()
    assert CodeTable.from_text(text) == table
    assert table.has_spare == (" " in text) == any(table.spare)
    if not table.has_spare:
        # What was written before there were spare codes.
        assert text == "".join(map(str, table.codes))
        assert len(text) == 64
        return
    assert [tuple(map(int, group)) for group in text.split(" ")] == codes_of(table)


def test_a_family_with_one_spare_table_survives_json_values():
    member = Family("f", (CodeTable(ORDERED), spared(c9=(0, 4))), (0, 1, 2, 3, 4, 5, 6, 7))
    assert member.has_spare
    assert not Family("f", member.tables[:1], member.draft_values).has_spare
    values = member.as_dict()
    assert values["tables"][0] == "".join(map(str, ORDERED))
    assert values["tables"][1].split(" ")[8:11] == ["1", "104", "1"]
    assert Family.from_dict(values) == member


def test_numbers_of_numpy_become_plain_ones():
    codes = np.array(ORDERED, dtype=np.uint8)
    table = CodeTable(tuple(codes), tuple(np.array(others, np.uint8) for others in NONE))
    assert table == CodeTable(ORDERED)
    table = CodeTable(tuple(codes), ((np.uint8(3),), *NONE[1:]))
    assert table == spared(c0=(3,))
    assert type(table.spare[0][0]) is int


@pytest.mark.parametrize(
    ("spare", "message"),
    [
        (NONE[:63], r"a code table has spare codes of 63 cells: give 64"),
        (((8,), *NONE[1:]), r"cell 0's list of spare codes has 8 at entry 0: use 0\.\.7"),
        (((1, -1), *NONE[2:], ()), r"cell 0's list of spare codes has -1 at entry 1: use 0\.\.7"),
        ((*NONE[:63], (0.5,)), r"cell 63's list of spare codes has 0\.5 at entry 0: use a whole"),
        (((), (True,), *NONE[2:]), r"cell 1's list of spare codes has True at entry 0"),
        (((2, 1), *NONE[1:]), r"cell 0 has code 0 and the spare codes \(2, 1\): give each once"),
        (((1, 1), *NONE[1:]), r"cell 0 has code 0 and the spare codes \(1, 1\): .* ascending"),
        (((0,), *NONE[1:]), r"cell 0 has code 0 and the spare codes \(0,\): give each once"),
        (((3,),) * 9 + NONE[9:], r"code 3 has 17 cells, .* move 1 to another code"),
    ],
)
def test_illegal_spare_codes(spare, message):
    with pytest.raises(FormatError, match=message):
        CodeTable(ORDERED, spare)


def test_a_code_may_be_full_to_the_last_slot():
    table = CodeTable(ORDERED, ((3,),) * 8 + NONE[8:])
    assert table.cells[3] == (*range(8), *range(24, 32))
    check_table(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (5, "must be a list of texts of 64 digits 0..7, or of 64 groups of them"),
        (None, "must be a list of texts of 64 digits"),
        ("0 1x " + "2 " * 61 + "3", "must be a list of texts of 64 digits"),
        ("0  " + "2 " * 62 + "3", "must be a list of texts of 64 digits"),
        ("\u0663" * 64, "must be a list of texts of 64 digits"),
        ("0 " * 64, "must be a list of texts of 64 digits"),
        ("01 " * 62 + "2", "a code table has 63 entries, but must have 64"),
        ("8 " * 63 + "2", "a code table has 8 at entry 0"),
        (" ".join(["09", *map(str, ORDERED[1:])]), "cell 0's list of spare codes has 9"),
        (" ".join(["00", *map(str, ORDERED[1:])]), "cell 0 has code 0 and the spare codes"),
        ("", "a code table has 0 entries"),
    ],
)
def test_texts_that_are_no_tables(text, message):
    with pytest.raises(FormatError, match=message):
        CodeTable.from_text(text)


REFUSED = r"codes have shape \(.*\) for weights of shape \(1, 2\), or one is not of 0\.\.7"
NOT_HELD = "a weight's cell does not have the code that was chosen for it: choose among the codes"


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([[0]], REFUSED),
        ([0, 0], REFUSED),
        ([[0, 8]], REFUSED),
        ([[0, -1]], REFUSED),
        ([[0, 255]], REFUSED),
        ([[0, 65536]], REFUSED),
        ([[0, 0.5]], REFUSED),
        ([[0, 1]], NOT_HELD),
        ([[3, 5]], NOT_HELD),
    ],
)
def test_codes_that_are_refused(codes, message):
    """Both weights are in cell 0, of code 0 and the spare code 3."""
    member = Family("f", (spared(c0=(3,)),), (0,) * 8)
    bits = np.array([[0x0001, 0x80FF]], dtype=np.uint16)
    words = encode(bits, member, [0], [[3, 0]])
    assert words.tolist() == [[0x3001, 0x80FF]]
    with pytest.raises(FormatError, match=message):
        encode(bits, member, [0], codes)


@given(code_tables(spare=True))
@settings(max_examples=20, deadline=None)
def test_every_code_that_a_cell_lacks_is_refused(table):
    member = Family("f", (table,), (0,) * 8)
    for cell, codes in list(enumerate(codes_of(table)))[::7]:
        for code in set(range(8)) - set(codes):
            with pytest.raises(FormatError, match=NOT_HELD):
                encode(np.array([[cell << 8]], np.uint16), member, [0], [[code]])


def test_every_word_of_no_cell_is_refused():
    member = family("spare-1")
    used = set()
    for cell, codes in enumerate(codes_of(member.tables[0])):
        bits = np.full((1, len(codes)), cell << 8, np.uint16)
        used |= set(encode(bits, member, [0], [codes])[0].tolist())
    assert len(used) == sum(map(len, member.tables[0].cells))
    for prefix in range(128):
        word = np.array([[prefix << 8 | 0x5A]], dtype=np.uint16)
        if prefix << 8 in used:
            assert decode(word, member, [0])[0, 0] & 0xFF == 0x5A
        else:
            with pytest.raises(FormatError, match="row 0, column 0 has a slot that its code does"):
                decode(word, member, [0])
