"""The register map: fields in their places, the same in every design, constants of the design."""

import dataclasses
import zlib

import pytest

from speq.accelerator.register_model import Access, Field, Register, RegisterMap
from speq.accelerator.registers import MAGIC, ModeCode, register_map, tables_hash
from speq.formats.tables import CodeTable, Family, family
from speq.layouts import Mode
from speq.parameters import MODES, PRESETS, TABLE_NAMES, Parameters

DESIGNS = {
    **PRESETS,
    "verify_only": PRESETS["tiny"].verify_only(),
    "lanes_1": PRESETS["tiny"].replace(draft_lanes=1, result_format="fp16", family="speq"),
    "all_modes": PRESETS["tiny"].replace(modes=MODES, draft_activations="bfp8"),
    "middle_alone": PRESETS["tiny"].replace(modes=("verify", "middle")),
    "largest": Parameters(
        rows=256,
        columns=256,
        port_words=64,
        tokens=64,
        address_bits=64,
        activation_values=1 << 24,
        queue_depth=64,
        outstanding=64,
        burst_beats=256,
    ),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_fields_lie_in_the_block_and_do_not_overlap(name):
    registers = register_map(DESIGNS[name])
    offsets = [register.offset for register in registers]
    assert len(set(offsets)) == len(offsets)
    for register in registers:
        assert register.offset % 4 == 0
        assert register.offset < 4096
        bits = [
            bit
            for field in register.fields
            for bit in range(field.offset, field.offset + field.bits)
        ]
        assert len(set(bits)) == len(bits)
        assert set(bits) <= set(range(32))
        assert register.doc
        assert all(field.doc for field in register.fields)


def test_no_register_moves_from_one_design_to_another():
    places = {}
    for parameters in DESIGNS.values():
        for register in register_map(parameters):
            assert places.setdefault(register.name, register.offset) == register.offset
            for field in register.fields:
                key = (register.name, field.name)
                place = (field.offset, field.bits, field.access)
                assert places.setdefault(key, place) == place


def test_what_is_not_built_in_has_no_register():
    registers = register_map(DESIGNS["verify_only"])
    everything = register_map(PRESETS["tiny"])
    assert {r.name for r in everything} - {r.name for r in registers} == {
        "MIDDLE_BASE",
        "MIDDLE_BASE_HIGH",
        "LOW_BASE",
        "LOW_BASE_HIGH",
    }
    assert [field.name for field in registers["COMMAND"].fields] == ["mode", "keep", "tokens"]
    assert "MIDDLE_BASE" not in registers
    with pytest.raises(KeyError):
        registers["MIDDLE_BASE"]


@pytest.mark.parametrize("name", DESIGNS)
def test_constants_are_those_of_the_design(name):
    p = DESIGNS[name]
    registers = register_map(p)

    def value(register, field):
        return registers[register].field(field).value

    assert registers["ID"].value.to_bytes(4, "little") == b"SPEQ"
    assert registers["ID"].value == MAGIC
    assert (value("SHAPE", "rows"), value("SHAPE", "columns")) == (p.rows, p.columns)
    assert value("FEATURES", "port_words") == p.port_words
    assert value("FEATURES", "tokens") == p.tokens
    assert value("FEATURES", "draft_lanes") == (p.draft_lanes if p.has_nibbles else 1)
    assert value("FEATURES", "group_tiles") == (1 if p.modes == ("verify",) else 4)
    codes = {code.name.lower(): code.value for code in ModeCode}
    assert value("FEATURES", "modes") == sum(1 << codes[mode] for mode in p.modes)
    assert value("LIMITS", "result_words") == {"fp32": 2, "fp16": 1}[p.result_format]
    assert value("LIMITS", "queue_depth") == p.queue_depth
    assert value("LIMITS", "address_bits") == p.address_bits
    assert value("LIMITS", "tables") == p.tables
    bits = {1: 11, 2: 12, 4: {"bfp8": 8}.get(p.draft_activations, 6)}[p.draft_lanes]
    assert value("LIMITS", "draft_bits") == (bits if p.has_nibbles else 0)
    assert value("ACTIVATION_VALUES", "values") == p.activation_values
    expected = tables_hash(family(p.family)) if p.packs else 0
    assert value("TABLES_HASH", "crc") == expected


def test_the_hash_tells_membersand_draft_values_apart():
    hashes = {tables_hash(family(name)) for name in TABLE_NAMES}
    assert len(hashes) == len(TABLE_NAMES)
    tables = family("fitted-4")
    other = dataclasses.replace(tables, draft_values=(*tables.draft_values[:7], 1))
    assert tables_hash(other) not in hashes
    # A name is no part of it: the same tables under another name are the same tables.
    assert tables_hash(dataclasses.replace(tables, name="mine")) == tables_hash(tables)
    content = list(tables.draft_values)
    for table in tables.tables:
        content += table.codes
    assert tables_hash(tables) == zlib.crc32(bytes(content))


def test_the_hash_tells_spare_codes_apart():
    ordered = tuple(cell // 8 for cell in range(64))
    none = ((),) * 64
    spares = [
        none,
        ((1,), *none[1:]),
        ((), (1,), *none[2:]),
        ((1, 2), *none[1:]),
        ((1,), (2,), *none[2:]),
        (*none[:63], (1,)),
    ]
    tables = [CodeTable(ordered, spare) for spare in spares]
    members = [Family("f", (table,), (0,) * 8) for table in tables]
    # Which of two tables has them counts, too.
    members += [Family("f", pair, (0,) * 8) for pair in (tables[:2], tables[1::-1])]
    assert len({tables_hash(member) for member in members}) == len(members)
    content = [0] * 8 + [*ordered] + [255, 1, 2] + [255] * 63
    assert tables_hash(members[3]) == zlib.crc32(bytes(content))


def test_the_encoding_of_modes_is_that_of_the_array():
    codes = register_map(PRESETS["tiny"])["COMMAND"].field("mode").codes
    assert {code.name: code.value for code in codes} == {m.name: m.value for m in Mode}


A, B = (Field(name, 8, Access.READ_ONLY, "text", offset) for name, offset in (("a", 0), ("b", 8)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Field("x", 9, Access.READ_WRITE, "", 24), "field x does not fit 32 bits"),
        (lambda: Field("x", 4, Access.READ_ONLY, "", value=16), "field x cannot hold 16"),
        (lambda: Field("x", 4, Access.PULSE, "", value=1), "field x has a value: make it read"),
        (lambda: Register("X", 2, (), ""), "register X at 0x2 is no word"),
        (lambda: Register("X", 4096, (), ""), "register X at 0x1000 is no word"),
        (lambda: Register("X", 0, (B, A), ""), "field a of register X overlaps"),
        (lambda: Register("X", 0, (A, dataclasses.replace(A, name="c")), ""), "field c of reg"),
        (lambda: Register("X", 0, (A, dataclasses.replace(B, name="a")), ""), "two fields of one"),
        (lambda: RegisterMap((Register("X", 4, (), ""), Register("Y", 0, (), ""))), "order"),
        (lambda: RegisterMap((Register("X", 0, (), ""), Register("Y", 0, (), ""))), "order"),
        (lambda: RegisterMap((Register("X", 0, (), ""), Register("X", 4, (), ""))), "one name"),
    ],
)
def test_a_wrong_map_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
