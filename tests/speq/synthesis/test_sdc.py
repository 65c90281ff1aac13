from pathlib import Path

import pytest

from speq.synthesis.sdc import Sdc, SdcError, read_sdc, sdc_for

CONSTRAINTS = Path(__file__).parents[3] / "constraints"

CLOCK = "create_clock -name core -period 5.2 [get_ports clk]\n"


@pytest.fixture
def read(tmp_path):
    def write(text):
        path = tmp_path / "toy.sdc"
        path.write_text(text)
        return read_sdc(path)

    return write


def test_everything_the_flow_knows_is_read(read, tmp_path):
    text = CLOCK + (
        "# a comment\n\n"
        "set_input_delay 0.5 -clock core [all_inputs -no_clocks]\n"
        "set_output_delay -clock core 0.25 [all_outputs]\n"
        "set_driving_cell -lib_cell BUFX2 [all_inputs]\n"
        "set_load 37e-3 [all_outputs]\n"
    )
    assert read(text) == Sdc(tmp_path / "toy.sdc", "core", "clk", 5.2, 0.5, 0.25, "BUFX2", 0.037)


def test_a_clock_is_enough_and_is_called_like_its_port(read):
    sdc = read("create_clock -period 666 [get_ports {clk_i}]")
    assert (sdc.clock, sdc.port, sdc.period) == ("clk_i", "clk_i", 666)
    assert (sdc.input_delay, sdc.driving_cell, sdc.load) == (0, None, None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("set_false_path -from a", r"toy\.sdc, line 2: .* is not understood: use create_clock"),
        ("set_load 1 2 [all_outputs]", "takes one load, not 2: write, say, set_load"),
        ("set_load -1 [all_outputs]", "the load is -1, but must be at least 0"),
        ("set_load much [all_outputs]", "the load is 'much', but must be a number"),
        ("set_load 1", r"must end in one \[all_outputs\]"),
        ("set_load 1 [all_inputs]", r"must end in one \[all_outputs\]"),
        ("set_load 1 [all_outputs]; set_load 2", "more than one command"),
        ('set_load "1 [all_outputs]', "quotation mark is not closed"),
        ("set_input_delay 1 -clock other [all_inputs]", "-clock is not core"),
        ("set_input_delay 1 -max [all_inputs]", "option -max is not one of -clock"),
        ("set_driving_cell BUFX2 [all_inputs]", "takes -lib_cell and the cell's name"),
        (CLOCK, "create_clock stands twice"),
    ],
)
def test_a_bad_line_is_named_with_its_mend(read, line, message):
    with pytest.raises(SdcError, match=message):
        read(CLOCK + line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("create_clock [get_ports clk]", "-period is '', but must be a number"),
        ("create_clock -period 0 [get_ports clk]", "-period is 0, but must be more than 0"),
        ("create_clock -period 1 wave [get_ports clk]", "'wave' is not expected"),
        ("create_clock -period 1", r"must end in one \[get_ports NAME\]"),
        ("create_clock -period 1 -period 2 [get_ports clk]", "-period is not one of .* once each"),
        ("set_load 1 [all_outputs]", "comes before the clock: put create_clock first"),
        ("# nothing", "toy.sdc has no clock: add create_clock"),
    ],
)
def test_a_bad_clock_is_named_with_its_mend(read, line, message):
    with pytest.raises(SdcError, match=message):
        read(line)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    with pytest.raises(SdcError, match=r"nowhere\.sdc does not exist"):
        read_sdc(tmp_path / "nowhere.sdc")
    (tmp_path / "binary.sdc").write_bytes(b"\xff\xfe")
    with pytest.raises(SdcError, match=r"binary\.sdc cannot be read"):
        read_sdc(tmp_path / "binary.sdc")


def test_a_library_has_the_file_of_the_longest_fitting_name(tmp_path):
    for name in ("toy", "toy_cells", "other"):
        (tmp_path / f"{name}.sdc").touch()
    assert sdc_for("TOY_cells_tt", tmp_path) == tmp_path / "toy_cells.sdc"
    assert sdc_for("strange", tmp_path) is None


FEMTOFARADS = {"asap7": 1, "nangateopencelllibrary": 1, "osu018": 1e3, "sky130_fd_sc_hd": 1e3}


@pytest.mark.parametrize("path", sorted(CONSTRAINTS.glob("*.sdc")), ids=lambda path: path.stem)
def test_both_kinds_of_constraints_say_the_same(path):
    sdc = read_sdc(path)
    words = path.with_suffix(".constr").read_text().split()
    assert [words[0], words[2]] == ["set_driving_cell", "set_load"]
    assert sdc.driving_cell == words[1]
    assert sdc.load * FEMTOFARADS[path.stem] == pytest.approx(float(words[3]))
