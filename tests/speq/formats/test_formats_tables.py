"""Tables: the named maps, slots and inverses, and every message of an illegal one."""

import itertools

import pytest

from speq.formats import CodeTable, Family, FormatError, family
from speq.parameters import TABLE_NAMES, Parameters

ORDERED = tuple(cell // 8 for cell in range(64))


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_named_families_are_legal_and_as_large_as_the_parameters_say(name):
    member = family(name)
    assert member.name == name
    assert len(member.tables) == Parameters(rows=4, columns=4, port_words=4, family=name).tables
    assert all(0 <= value <= 63 for value in member.draft_values)


def test_truncate_is_the_prefix():
    assert family("truncate").tables[0].codes == tuple(cell >> 3 for cell in range(64))
    assert family("truncate").draft_values == (0, 0, 0, 0, 1, 2, 8, 32)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("speq", [{9}, {11}, {0, 1, 4, 5}, {2, 3, 6, 7}, {8}, {10}, {12, 13}, {14, 15}]),
        ("bsfp", [{0, 1, 2, 3}, {4, 5, 6, 7}, {8}, {9}, {10}, {11}, {12, 13}, {14, 15}]),
    ],
)
def test_exponents_of_the_reconstructed_maps(name, groups):
    codes = family(name).tables[0].codes
    for code, exponents in enumerate(groups):
        assert {cell // 4 for cell in range(64) if codes[cell] == code} == exponents


def test_speq_and_bsfp_draft_every_weight_alike():
    speq, bsfp = family("speq"), family("bsfp")
    for cell in range(64):
        one = speq.draft_values[speq.tables[0].codes[cell]]
        assert one == bsfp.draft_values[bsfp.tables[0].codes[cell]]


@pytest.mark.parametrize("name", ["fitted-1", "fitted-4", "fitted-8"])
def test_fitted_values_ascend_and_large_magnitudes_are_in_order(name):
    member = family(name)
    assert list(member.draft_values) == sorted(set(member.draft_values))
    for table in member.tables:
        upper = table.codes[40:]
        assert sum(b < a for a, b in itertools.pairwise(upper)) <= 2
        assert table.codes[63] == 7
        assert table.codes[0] == 0


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_slots_count_lower_cells_and_the_inverse_inverts(name):
    for table in family(name).tables:
        codes = [(own, *others) for own, others in zip(table.codes, table.spare, strict=True)]
        for cell, code in enumerate(table.codes):
            assert table.slots[cell] == sum(code in lower for lower in codes[:cell])
            assert table.inverse[code][table.slots[cell]] == cell
        used = sum(cell is not None for row in table.inverse for cell in row)
        assert used == sum(map(len, codes))
        assert table.has_spare == (used > 64) == (name == "spare-1")


def test_families_survive_json_values():
    for name in TABLE_NAMES:
        assert Family.from_dict(family(name).as_dict()) == family(name)


def test_unknown_family():
    with pytest.raises(FormatError, match=r"family 'int4' does not exist: use one of truncate, "):
        family("int4")


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (ORDERED[:63], r"a code table has 63 entries, but must have 64"),
        ((*ORDERED[:63], 8), r"a code table has 8 at entry 63: use 0\.\.7"),
        ((-1, *ORDERED[1:]), r"a code table has -1 at entry 0: use 0\.\.7"),
        ((0.5, *ORDERED[1:]), r"a code table has 0\.5 at entry 0: use a whole number"),
        ((True, *ORDERED[1:]), r"a code table has True at entry 0: use a whole number"),
        ((3,) * 17 + ORDERED[17:], r"code 3 has 25 cells, .* move 9 to another code"),
    ],
)
def test_illegal_tables(codes, message):
    with pytest.raises(FormatError, match=message):
        CodeTable(codes)


@pytest.mark.parametrize(
    ("name", "tables", "values", "message"),
    [
        ("", [CodeTable(ORDERED)], [0] * 8, r"a family is named '': give it a non-empty text"),
        ("f", [], [0] * 8, r"family 'f' has 0 tables, .* give 1 to 8"),
        ("f", [CodeTable(ORDERED)] * 9, [0] * 8, r"family 'f' has 9 tables"),
        ("f", [ORDERED], [0] * 8, r"which is no CodeTable: wrap the map"),
        ("f", [CodeTable(ORDERED)], [0] * 7, r"a vector of draft values has 7 entries"),
        ("f", [CodeTable(ORDERED)], [0] * 7 + [64], r"has 64 at entry 7: use 0\.\.63"),
    ],
)
def test_illegal_families(name, tables, values, message):
    with pytest.raises(FormatError, match=message):
        Family(name, tuple(tables), tuple(values))


GOOD = {"name": "f", "draft_values": [0] * 8, "tables": ["01234567" * 8]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"must be an object with exactly the keys"),
        (GOOD | {"more": 1}, r"must be an object with exactly the keys"),
        (GOOD | {"tables": ["0x" * 32]}, r"must be a list of texts of 64 digits"),
        (GOOD | {"tables": "01234567" * 8}, r"must be a list of texts of 64 digits"),
        (GOOD | {"tables": ["9" * 64]}, r"a code table has 9 at entry 0: use 0\.\.7"),
        (GOOD | {"draft_values": 3}, r"must be a list of 8 whole numbers"),
        (GOOD | {"name": 5}, r"a family is named 5"),
    ],
)
def test_damaged_json_values(values, message):
    with pytest.raises(FormatError, match=message):
        Family.from_dict(values)
