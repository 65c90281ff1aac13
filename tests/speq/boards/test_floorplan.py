"""Places of DSP blocks: each its own, and for the names that Yosys gives them."""

import re
from collections import defaultdict

import pytest

from speq.boards.floorplan import ecp5_85f
from speq.design_files import load
from speq.emission import emit
from speq.modes import MODES
from speq.parameters import Parameters
from speq.yosys import YosysError, run_yosys

SMALL = Parameters(
    name="floorplan",
    rows=2,
    columns=2,
    port_words=1,
    tokens=2,
    modes=MODES,
    pipeline=4,
    target="fpga",
)


def _places(parameters):
    return re.findall(r'setattr -set BEL "(\S+)" c:\*row_(\d+)\.pe_(\d+)\.', ecp5_85f(parameters))


def test_every_block_of_the_board_has_a_place_of_its_own():
    design = load("hw/ulx3s.toml")
    places = _places(design)
    assert len({place for place, _, _ in places}) == len(places) == 2 * design.rows * design.columns
    for place, _, _ in places:
        x, y, _ = re.fullmatch(r"X(\d+)/Y(\d+)/MULT18_([0145])", place).groups()
        assert 4 <= int(x) <= 119
        assert int(y) in (10, 34, 58)


def test_blocks_of_a_row_lie_side_by_side():
    of_row = defaultdict(list)
    for place, row, _ in _places(load("hw/ulx3s.toml")):
        of_row[row].append(int(re.match(r"X(\d+)", place)[1]))
    for columns in of_row.values():
        assert columns == sorted(columns)
        assert columns[-1] - columns[0] < 42


@pytest.mark.parametrize("change", [{"target": "generic"}, {"rows": 64}, {"columns": 32}], ids=str)
def test_other_arrays_are_left_to_the_placer(change):
    assert ecp5_85f(load("hw/ulx3s.toml").replace(**change)) == ""


def _mapped(folder, commands):
    emission = emit(SMALL, folder)
    run_yosys(
        [
            f"read_verilog {emission.verilog}",
            "setattr -mod -set keep_hierarchy 1 speq_*_row speq_*_pe",
            f"synth_ecp5 -nowidelut -top {emission.top}",
            *commands,
            f"write_json {folder / 'mapped.json'}",
        ]
    )
    return (folder / "mapped.json").read_text(encoding="utf-8")


def test_yosys_finds_the_blocks(tmp_path):
    netlist = _mapped(tmp_path, ecp5_85f(SMALL).splitlines())
    assert len(re.findall(r'"BEL": "X\d+/Y10/MULT18_[0145]"', netlist)) == 8


def test_a_block_that_is_missing_stops_the_build(tmp_path):
    commands = ecp5_85f(SMALL.replace(columns=4)).splitlines()
    with pytest.raises(YosysError, match="pe_2"):
        _mapped(tmp_path, commands)
