"""The parameter object: presets, design files, every refusal, derived figures."""

import dataclasses
import re
import tomllib
from itertools import permutations, product
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from speq.boards.settings import BOARDS
from speq.design_files import load
from speq.parameters import (
    MAX_DIMENSION,
    MAX_TOKENS,
    MODES,
    PRESETS,
    TABLE_NAMES,
    ParameterError,
    Parameters,
    check_accelerator,
)

HW = Path(__file__).parents[2] / "hw"
OTHERS = {"small-all"}
TINY = PRESETS["tiny"]
LEGAL = {"rows": 4, "columns": 8, "port_words": 4}


def refusal(**changes):
    """The message with which a change of the preset tiny is refused."""
    with pytest.raises(ParameterError) as caught:
        TINY.replace(**changes)
    return str(caught.value)


# Presets and design files ---------------------------------------------------------------------


def test_presets_have_their_shapes():
    shapes = {name: (p.rows, p.columns, p.port_words, p.tokens) for name, p in PRESETS.items()}
    assert shapes == {
        "tiny": (4, 4, 4, 4),
        "small": (8, 8, 8, 8),
        "edge": (16, 16, 16, 8),
        "server": (64, 64, 64, 16),
    }


def test_every_preset_has_a_design_file_and_every_file_a_preset():
    assert {path.stem for path in HW.glob("*.toml")} - OTHERS - set(BOARDS) == set(PRESETS)


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_has_a_design_file(name):
    design = load(HW / f"{name}.toml")
    assert design.name == name
    check_accelerator(design)


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_design_file_starts_from_a_preset(name):
    path = HW / f"{name}.toml"
    design = load(path)
    assert design.name == name.replace("-", "_")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["preset"] in PRESETS


def test_one_design_file_has_every_mode():
    assert load(HW / "small-all.toml").modes == MODES


@pytest.mark.parametrize("name", PRESETS)
def test_a_design_file_spells_out_its_preset(name):
    assert load(HW / f"{name}.toml") == load(name) == PRESETS[name]
    spelt = tomllib.loads((HW / f"{name}.toml").read_text(encoding="utf-8"))
    assert set(spelt) | {"name"} == {field.name for field in dataclasses.fields(Parameters)}


def test_a_design_file_may_start_from_a_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('preset = "small"\nname = "other"\ndraft_lanes = 1\n')
    assert load(path) == PRESETS["small"].replace(name="other", draft_lanes=1)


def test_a_design_file_names_its_design(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("rows = 4\ncolumns = 8\nport_words = 4\n")
    assert load(path) == Parameters(name="mine", **LEGAL)


def test_overrides_are_toml_values_or_bare_words():
    changed = load(
        "tiny",
        {
            "rows": "8",
            "modes": '["verify"]',
            "family": "bsfp",
            "result_format": '"fp16"',
            "clock_mhz": "0.5",
        },
    )
    assert changed == TINY.replace(
        rows=8, modes=("verify",), family="bsfp", result_format="fp16", clock_mhz=0.5
    )


def test_fields_come_back_from_their_dictionary():
    assert Parameters.from_mapping(TINY.as_dict()) == TINY


def test_modes_have_one_order():
    assert TINY.replace(modes=["draft", "verify"]) == TINY
    assert TINY.modes == ("verify", "draft")
    assert MODES == ("verify", "draft", "middle", "qdraft", "qverify")
    for some in permutations(MODES):
        assert TINY.replace(modes=list(some)).modes == MODES


def test_a_design_point_is_frozen_and_a_key():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TINY.rows = 8
    assert {TINY: 1}[TINY.replace(rows=4)] == 1


# Refusals -------------------------------------------------------------------------------------


WHOLE_NUMBERS = {
    "rows": MAX_DIMENSION,
    "columns": MAX_DIMENSION,
    "tokens": MAX_TOKENS,
    "outstanding": 64,
}


@pytest.mark.parametrize("field", WHOLE_NUMBERS)
@pytest.mark.parametrize("value", [0, -1, "over", 4.0, "4", True, None])
def test_a_whole_number_is_refused_outside_its_range(field, value):
    high = WHOLE_NUMBERS[field]
    value = high + 1 if value == "over" else value
    message = refusal(**{field: value})
    assert message == f"{field} is {value!r}, but must be a whole number 1..{high}"


@pytest.mark.parametrize("field", WHOLE_NUMBERS)
def test_both_ends_of_a_range_are_legal(field):
    for value in (1, WHOLE_NUMBERS[field]):
        assert getattr(TINY.replace(**{field: value, "port_words": 1}), field) == value


@pytest.mark.parametrize("value", [0, -4, 17, 4.0, "4", True, None])
def test_port_words_is_refused_outside_the_tile(value):
    assert refusal(port_words=value) == (
        f"port_words is {value!r}, but must be a whole number 1..16"
    )


@pytest.mark.parametrize(("rows", "columns", "words"), [(4, 4, 3), (4, 6, 4), (4, 6, 9)])
def test_a_transfer_fills_part_of_a_row_or_whole_rows(rows, columns, words):
    assert refusal(rows=rows, columns=columns, port_words=words) == (
        f"port_words is {words}, which neither divides columns = {columns} nor is a multiple of "
        f"it: a transfer must fill part of one row or whole rows"
    )


@pytest.mark.parametrize(
    "modes", [("verify", "draft"), ("verify", "middle"), ("verify", "qdraft", "qverify"), MODES]
)
def test_a_tile_of_narrow_weights_loads_in_four_quarters(modes):
    message = (
        "rows * columns / port_words is 6, but must be a multiple of 4 in a design with "
        'modes beyond "verify", whose transfers each bring a quarter of four times as many words: '
        "raise rows or lower port_words"
    )
    assert refusal(rows=3, columns=4, port_words=2, modes=modes) == message
    assert TINY.replace(rows=3, columns=4, port_words=2, modes=["verify"]).load_cycles == 6


def test_a_tile_loads_in_whole_transfers():
    assert refusal(rows=3, columns=4, port_words=8) == (
        "port_words is 8, which does not divide rows * columns = 12: a tile must load in whole "
        "transfers"
    )


@pytest.mark.parametrize(
    ("field", "value", "choices"),
    [
        ("draft_lanes", 0, "1, 2, 4"),
        ("draft_lanes", 3, "1, 2, 4"),
        ("draft_lanes", 8, "1, 2, 4"),
        ("draft_lanes", True, "1, 2, 4"),
        ("draft_lanes", "4", "1, 2, 4"),
        ("family", "fitted", ", ".join(TABLE_NAMES)),
        ("family", "fitted-2", ", ".join(TABLE_NAMES)),
        ("family", None, ", ".join(TABLE_NAMES)),
        ("result_format", "fp64", "fp32, fp16"),
        ("result_format", 32, "fp32, fp16"),
    ],
)
def test_a_choice_is_refused_with_what_there_is(field, value, choices):
    assert refusal(**{field: value}) == f"{field} is {value!r}, but must be one of {choices}"


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("address_bits", 16, 64),
        ("queue_depth", 2, 64),
        ("activation_values", 16, 1 << 24),
    ],
)
def test_sizes_of_the_accelerator_have_ranges(field, low, high):
    for value in (low, high):
        assert getattr(TINY.replace(**{field: value}), field) == value
    for value in (low - 1, high + 1, float(low), str(low), True, None):
        assert refusal(**{field: value}) == (
            f"{field} is {value!r}, but must be a whole number {low}..{high}"
        )


@pytest.mark.parametrize("value", [0, 3, 512, 64.5, "64", True, None])
def test_a_burst_is_a_power_of_two(value):
    assert refusal(burst_beats=value) == (
        f"burst_beats is {value!r}, but must be one of 1, 2, 4, 8, 16, 32, 64, 128, 256"
    )


@pytest.mark.parametrize(("words", "columns"), [(1, 4), (3, 3), (128, 128), (12, 12)])
def test_an_accelerator_has_a_port_of_an_axi_width(words, columns):
    design = TINY.replace(rows=4, columns=columns, port_words=words)
    with pytest.raises(ParameterError) as caught:
        check_accelerator(design)
    assert str(caught.value) == (
        f"port_words is {words}, but the accelerator's AXI bus needs 2, 4, 8, 16, 32 or 64 "
        f"(32 to 1024 bits)"
    )


def test_the_port_of_an_accelerator_divides_a_row():
    with pytest.raises(ParameterError) as caught:
        check_accelerator(TINY.replace(rows=8, port_words=8))
    assert str(caught.value) == (
        "port_words is 8, but must divide columns = 4 in an accelerator: lower it, or use the "
        "array without a bus"
    )
    for design in PRESETS.values():
        check_accelerator(design)


@pytest.mark.parametrize("value", ["verify", None, 1, {"verify"}])
def test_modes_are_a_list(value):
    assert refusal(modes=value) == (
        f'modes is {value!r}, but must be a list such as ["verify", "draft"]'
    )


@pytest.mark.parametrize("value", ["MIDDLE", "VERIFY", "int4", None, True])
def test_an_unknown_mode_is_refused(value):
    assert refusal(modes=["verify", value]) == (
        f"modes is {value!r}, but must be one of verify, draft, middle, qdraft, qverify"
    )


def test_a_mode_is_named_once():
    assert refusal(modes=["verify", "verify"]) == (
        "modes is ['verify', 'verify'], which names a mode twice: name each once"
    )


@pytest.mark.parametrize("value", [[], ["draft"]])
def test_every_draft_needs_a_verifier(value):
    assert refusal(modes=value) == (
        f'modes is {value!r}, but "verify" must be there: every draft needs a verifier'
    )


@pytest.mark.parametrize("alone", ["qdraft", "qverify"])
@pytest.mark.parametrize("others", [[], ["draft", "middle"]])
def test_the_modes_of_qspec_come_together(alone, others):
    modes = ["verify", *others, alone]
    assert refusal(modes=modes) == (
        f'modes is {modes!r}, but "qdraft" and "qverify" come together: one drafts what the other '
        f"verifies, from the same INT4 weights"
    )


FORMATS = {
    1: {"fp16": 11},
    2: {"bfp12": 12},
    4: {"bfp6": 6, "bfp8": 8, "bfp12": 12},
}
"""Formats of draft activations by lanes, and their magnitude bits (docs/numerics.md)."""


@pytest.mark.parametrize("lanes", FORMATS)
@pytest.mark.parametrize("name", ["fp16", "bfp6", "bfp8", "bfp12"])
def test_formats_of_draft_activations_belong_to_lanes(lanes, name):
    formats = FORMATS[lanes]
    if name in formats:
        design = TINY.replace(draft_lanes=lanes, draft_activations=name)
        assert (design.activation_format, design.draft_bits) == (name, formats[name])
    else:
        assert refusal(draft_lanes=lanes, draft_activations=name) == (
            f"draft_activations is {name!r}, but a PE of draft_lanes = {lanes} takes "
            f"{' or '.join(formats)}: choose one of them, or other draft_lanes"
        )


def test_draft_activations_have_a_default_for_each_number_of_lanes():
    found = {lanes: TINY.replace(draft_lanes=lanes) for lanes in FORMATS}
    assert {design.draft_activations for design in found.values()} == {"auto"}
    names = {lanes: design.activation_format for lanes, design in found.items()}
    assert names == {1: "fp16", 2: "bfp12", 4: "bfp6"}


@pytest.mark.parametrize("value", ["bfp7", "FP16", "", 6, None, True])
def test_an_unknown_format_of_draft_activations_is_refused(value):
    assert refusal(draft_activations=value) == (
        f"draft_activations is {value!r}, but must be one of auto, fp16, bfp12, bfp6, bfp8"
    )


@pytest.mark.parametrize("value", ["", "8x8", "a-b", "a b", "größe", "a.b", None, 3])
def test_a_name_must_fit_a_module(value):
    assert refusal(name=value) == (
        f"name is {value!r}, but becomes part of a Verilog module name: use letters, digits and "
        f"underscores, starting with a letter"
    )


@pytest.mark.parametrize("value", ["", None, 7])
def test_a_target_is_a_text(value):
    assert refusal(target=value) == (
        f"target is {value!r}, but must be a non-empty text: write what the design is meant for, "
        f'such as "generic"'
    )


@pytest.mark.parametrize("value", [0, -1.0, 100_000, float("nan"), float("inf"), "500", True, None])
def test_a_clock_is_a_positive_number(value):
    assert refusal(clock_mhz=value) == (
        f"clock_mhz is {value!r}, but must be a number of megahertz above 0 and below 100000"
    )


def test_an_unknown_parameter_is_refused_with_what_there_is():
    names = ", ".join(sorted(field.name for field in dataclasses.fields(Parameters)))
    wanted = f"'lanes' is not a parameter: use one of {names}"
    assert refusal(lanes=4) == wanted
    for mapping in ({"preset": "tiny", "lanes": 4}, LEGAL | {"lanes": 4}):
        with pytest.raises(ParameterError, match=re.escape(wanted)):
            Parameters.from_mapping(mapping)
    with pytest.raises(ParameterError, match=re.escape(wanted)):
        load("tiny", {"lanes": "4"})


@pytest.mark.parametrize("field", ["rows", "columns", "port_words"])
def test_a_missing_parameter_is_named(field):
    mapping = {key: value for key, value in LEGAL.items() if key != field}
    with pytest.raises(ParameterError) as caught:
        Parameters.from_mapping(mapping)
    assert str(caught.value) == (
        f'{field} is missing: give it, or start from a preset with preset = "small" '
        f"(tiny, small, edge, server)"
    )


@pytest.mark.parametrize("value", ["huge", 3])
def test_an_unknown_preset_in_a_file_is_refused(value):
    with pytest.raises(ParameterError) as caught:
        Parameters.from_mapping({"preset": value})
    assert str(caught.value) == (
        f"preset {value!r} does not exist: use one of tiny, small, edge, server"
    )


@pytest.mark.parametrize("source", ["huge", "hw/tiny", ""])
def test_a_design_is_a_preset_or_a_file(source):
    with pytest.raises(ParameterError) as caught:
        load(source)
    assert str(caught.value) == (
        f"design {source!r} is neither a preset (tiny, small, edge, server) nor a .toml file: "
        f"name one of them"
    )


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "none.toml"
    with pytest.raises(ParameterError) as caught:
        load(path)
    assert str(caught.value) == f"design file {path} does not exist: check the path"


def test_an_unreadable_file_is_named(tmp_path):
    path = tmp_path / "folder.toml"
    path.mkdir()
    with pytest.raises(ParameterError) as caught:
        load(path)
    assert str(caught.value) == f"design file {path} cannot be read: Is a directory"


@pytest.mark.parametrize("content", [b"rows = ", b"rows = 4\nrows = 5\n", b'name = "\xff"\n'])
def test_a_malformed_file_is_named(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ParameterError) as caught:
        load(path)
    assert str(caught.value).startswith(f"design file {path} is not valid TOML: ")


def test_an_illegal_override_is_refused():
    with pytest.raises(ParameterError, match=r"^rows is 'many', but must be a whole number 1\.\."):
        load("tiny", {"rows": "many"})


@pytest.mark.parametrize(
    "question",
    [
        lambda p, mode: p.weights_per_word(mode),
        lambda p, mode: p.mode_lanes(mode),
        lambda p, mode: p.beats_per_token(mode),
        lambda p, mode: p.tile_depth(mode),
        lambda p, mode: p.compute_cycles(mode, 1),
        lambda p, mode: p.tile_cycles(mode, 1),
        lambda p, mode: p.balance_tokens(mode),
        lambda p, mode: p.peak_macs_per_cycle(mode),
        lambda p, mode: p.macs_per_cycle(mode, 1),
    ],
)
@pytest.mark.parametrize("mode", [*MODES[1:], "other"])
def test_a_mode_that_is_not_built_in_has_no_figures(question, mode):
    with pytest.raises(ParameterError) as caught:
        question(TINY.verify_only(), mode)
    assert str(caught.value) == (
        f"mode {mode!r} is not built into design 'tiny_verify_only', which has verify: add it to "
        f"modes, or use another mode"
    )


# Derived figures ------------------------------------------------------------------------------


def test_figures_of_the_accelerator_by_hand():
    edge, server = PRESETS["edge"], PRESETS["server"]
    assert (edge.bus_bytes, edge.longest_burst) == (32, 64)
    assert (server.bus_bytes, server.longest_burst) == (128, 32)
    assert edge.replace(burst_beats=256).longest_burst == 128
    assert (edge.group_tiles, edge.group_inputs, edge.activation_rows) == (4, 64, 256)
    only = edge.verify_only()
    assert (only.group_tiles, only.group_inputs, only.activation_rows) == (1, 16, 1024)


def test_widths_and_counts_by_hand():
    design = Parameters(rows=8, columns=16, port_words=4, draft_lanes=2, family="fitted-8")
    assert design.drafts
    assert design.lanes == 2
    assert design.tables == 8
    assert design.multipliers == 128
    assert design.port_bits == 64
    assert design.activations_per_beat == 32
    assert design.result_bits == 32
    assert design.replace(result_format="fp16").result_bits == 16
    assert design.replace(family="bsfp").tables == 1


def test_a_design_without_draft_by_hand():
    design = Parameters(rows=8, columns=16, port_words=4, family="fitted-8").verify_only()
    assert design.name == "custom_verify_only"
    assert not design.drafts
    assert (design.lanes, design.tables, design.activations_per_beat) == (1, 0, 16)
    assert design.multipliers == 128


@pytest.mark.parametrize(
    ("lanes", "beats", "balance", "peak"), [(1, 4, 8.0, 128), (2, 2, 16.0, 256), (4, 1, 32.0, 512)]
)
def test_cycles_by_hand(lanes, beats, balance, peak):
    design = Parameters(rows=8, columns=16, port_words=4, draft_lanes=lanes)
    assert design.load_cycles == 32
    assert (design.tile_depth("verify"), design.tile_depth("draft")) == (16, 64)
    assert (design.beats_per_token("verify"), design.beats_per_token("draft")) == (1, beats)
    assert (design.balance_tokens("verify"), design.balance_tokens("draft")) == (32.0, balance)
    assert design.peak_macs_per_cycle("verify") == 128
    assert design.peak_macs_per_cycle("draft") == peak
    assert design.compute_cycles("draft", 5) == 5 * beats


def test_the_longer_of_loading_and_computing_sets_the_pace():
    server = PRESETS["server"]
    assert server.load_cycles == 64
    assert server.tile_cycles("draft", 16) == 64
    assert server.macs_per_cycle("draft", 16) == 64 * 256 * 16 / 64
    fast = server.replace(port_words=1024)
    assert fast.load_cycles == 4
    assert fast.tile_cycles("verify", 16) == 16
    assert fast.macs_per_cycle("verify", 16) == 4096


MODE_SETS = (
    MODES,
    ("verify",),
    ("verify", "draft"),
    ("verify", "middle"),
    ("verify", "qdraft", "qverify"),
)

WEIGHTS = {"verify": 1, "draft": 4, "middle": 2, "qdraft": 4, "qverify": 4}
"""Weights in a word."""


@st.composite
def designs(draw):
    """Legal design points: a port of part of a row, or of whole rows."""
    rows, columns = draw(st.integers(1, 64)), draw(st.integers(1, 64))
    of_row = [words for words in range(1, columns + 1) if columns % words == 0]
    of_rows = [columns * count for count in range(1, rows + 1) if rows % count == 0]
    modes = draw(st.sampled_from(MODE_SETS))
    ports = of_row + of_rows
    if len(modes) > 1:
        ports = [words for words in ports if rows * columns % (4 * words) == 0]
        assume(ports)
    return Parameters(
        rows=rows,
        columns=columns,
        port_words=draw(st.sampled_from(ports)),
        draft_lanes=draw(st.sampled_from((1, 2, 4))),
        tokens=draw(st.integers(1, MAX_TOKENS)),
        family=draw(st.sampled_from(TABLE_NAMES)),
        modes=modes,
    )


@given(design=designs(), data=st.data())
def test_any_legal_point_obeys_the_closed_formulas(design, data):
    tokens = data.draw(st.integers(1, design.tokens))
    assert design.load_cycles * design.port_words == design.rows * design.columns
    assert Parameters.from_mapping(design.as_dict()) == design
    for mode in design.modes:
        cycles = design.tile_cycles(mode, tokens)
        # The weights of a word are all used once per token.
        assert design.weights_per_word(mode) == WEIGHTS[mode]
        weights = design.multipliers * WEIGHTS[mode]
        assert design.mode_lanes(mode) * design.beats_per_token(mode) == WEIGHTS[mode]
        assert design.rows * design.tile_depth(mode) == weights
        assert design.peak_macs_per_cycle(mode) * design.beats_per_token(mode) == weights
        assert design.macs_per_cycle(mode, tokens) * cycles == pytest.approx(weights * tokens)
        assert design.macs_per_cycle(mode, tokens) <= design.peak_macs_per_cycle(mode)
        bound_by_computing = tokens >= design.balance_tokens(mode)
        assert (cycles == design.compute_cycles(mode, tokens)) == bound_by_computing


def _is_legal(rows, columns, words, modes):
    try:
        Parameters(rows=rows, columns=columns, port_words=words, modes=modes)
    except ParameterError:
        return False
    return True


@pytest.mark.parametrize("rows", range(1, 9))
def test_a_port_is_legal_exactly_if_its_transfers_fill_part_of_one_row_or_whole_rows(rows):
    for columns, words in product(range(1, 9), range(1, 70)):
        transfers = [range(start, start + words) for start in range(0, rows * columns, words)]
        fits = (rows * columns) % words == 0 and all(
            words % columns == 0 or words_of[0] // columns == words_of[-1] // columns
            for words_of in transfers
        )
        assert _is_legal(rows, columns, words, ["verify"]) == fits, (columns, words)
        # Four transfers of nibbles fill whole groups: as many groups as transfers, four at a time.
        fits = fits and len(transfers) % 4 == 0
        assert _is_legal(rows, columns, words, MODES) == fits, (columns, words)


def test_beats_of_a_word():
    beats = {
        modes: [TINY.replace(draft_lanes=lanes, modes=modes).word_beats for lanes in (1, 2, 4)]
        for modes in MODE_SETS
    }
    assert list(beats.values()) == [[4, 2, 2], [1, 1, 1], [4, 2, 1], [2, 2, 2], [4, 2, 2]]


@pytest.mark.parametrize(
    ("lanes", "beats", "peaks"),
    [
        (1, (1, 4, 2, 4, 4), (1, 1, 1, 1, 1)),
        (2, (1, 2, 2, 2, 2), (1, 2, 1, 2, 2)),
        (4, (1, 1, 2, 1, 2), (1, 4, 1, 4, 2)),
    ],
)
def test_five_modes_by_hand(lanes, beats, peaks):
    design = Parameters(rows=8, columns=16, port_words=4, draft_lanes=lanes, modes=MODES)
    for mode, of_token, peak in zip(MODES, beats, peaks, strict=True):
        assert design.beats_per_token(mode) == of_token
        assert design.mode_lanes(mode) == peak
        assert design.peak_macs_per_cycle(mode) == 128 * peak
        assert design.tile_depth(mode) == 16 * WEIGHTS[mode]
        assert design.balance_tokens(mode) == 32 / of_token
        assert design.compute_cycles(mode, 3) == 3 * of_token


def test_what_a_design_contains_by_its_modes():
    names = ("drafts", "middles", "integers", "packs", "has_low_bits", "has_nibbles")
    found = {
        modes: "".join(str(int(getattr(TINY.replace(modes=modes), name))) for name in names)
        for modes in MODE_SETS
    }
    assert list(found.values()) == ["111111", "000000", "100111", "010110", "001011"]
    counts = {
        modes: (design.lanes, design.tables, design.activations_per_beat, design.group_tiles)
        for modes in MODE_SETS
        for design in [TINY.replace(modes=modes)]
    }
    assert list(counts.values()) == [
        (4, 4, 16, 4),
        (1, 0, 4, 1),
        (4, 4, 16, 4),
        (1, 4, 4, 4),
        (4, 0, 16, 4),
    ]


# Units for FPGAs --------------------------------------------------------------------------------


def test_units_for_fpgas_have_stages_of_their_own():
    assert "set pipeline to 4" in refusal(target="fpga")
    design = TINY.replace(target="fpga", pipeline=4)
    assert design.in_dsp
    assert not design.carry_saves
    assert design.stages["reduce"] == 3  # alignment, and two levels of four lanes


@pytest.mark.parametrize("activations", ["bfp8", "bfp12"])
def test_longer_magnitudes_do_not_fit_two_to_a_dsp_block(activations):
    changes = {"target": "fpga", "pipeline": 4, "draft_activations": activations}
    assert 'use "bfp6"' in refusal(**changes)
    assert TINY.replace(**changes | {"draft_lanes": 2, "draft_activations": "bfp12"}).in_dsp
