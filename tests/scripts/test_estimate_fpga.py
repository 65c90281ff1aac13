"""scripts/estimate_fpga.py: one small array with and without DSP blocks, and what is refused."""

import json
import sys

import pytest

import _cli
import estimate_fpga
from speq.design_files import load
from speq.dsp.layouts import dsp_blocks
from speq.parameters import ParameterError
from speq.synthesis.fpga import FAMILIES, KINDS, Estimate

SMALL = ("tiny", "--set", "pipeline=4", "--set", "target=fpga", "--set", "family=spare-1")
SMALL += ("--set", "rows=2", "--set", "columns=2", "--set", "port_words=1", "--set", "tokens=2")


def _run(patch, folder, *words):
    path = folder / "figures.json"
    patch.setattr(sys, "argv", ["estimate_fpga.py", *words, "--json", str(path)])
    patch.setattr(_cli, "console", _cli.Console(width=120))
    estimate_fpga.run()
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Of 2 x 2 PEs in an ECP5, mapped by Yosys, and of the twin for standard cells."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("estimate")
        return _run(patch, folder, *SMALL, "--against", "generic", "--family", "ecp5")


def test_every_pe_has_its_dsp_blocks(figures):
    design = load("tiny", {"target": "fpga", "pipeline": "4"})
    counts = figures["targets"]["fpga"]["ecp5"]["counts"]
    assert counts["dsp_blocks"] == 4 * dsp_blocks(design) == 8
    assert figures["targets"]["generic"]["ecp5"]["counts"]["dsp_blocks"] == 0


def test_dsp_blocks_and_carries_spare_tables(figures):
    dsp, generic = (figures["targets"][name]["ecp5"]["counts"] for name in ("fpga", "generic"))
    # In ECP5 a carry cell takes two tables.
    assert dsp["luts"] + 2 * dsp["carry_cells"] < generic["luts"] + 2 * generic["carry_cells"]
    assert dsp["flip_flops"] > generic["flip_flops"]


def test_the_record_names_design_command_and_version(figures):
    assert figures["design"]["rows"] == 2
    assert figures["design"]["target"] == "fpga"
    assert figures["mapped_once"] == ["speq_tiny_row", "speq_tiny_pe"]
    for families in figures["targets"].values():
        (one,) = families.values()
        assert one["family"] == "ecp5"
        assert one["command"].startswith("synth_ecp5")
        assert one["yosys"] == figures["versions"]["pyosys"]
        assert tuple(one["counts"]) == KINDS
        # A row is no cell: what is in it is counted instead.
        assert not any(cell.startswith("speq") for cell in one["cells"])
        assert one["counts"]["luts"] == one["cells"]["LUT4"]


@pytest.fixture
def mapped(monkeypatch):
    """Families and tops that the script asks for; nothing is emitted or mapped."""
    calls = []

    def estimate(verilog, top, family, *, kept):
        calls.append((top, family, verilog.parent.name, kept))
        return Estimate(family, dict.fromkeys(KINDS, 1000 * len(calls)), {}, "0")

    class Emission:
        def __init__(self, point, folder):
            self.verilog = folder / "top.v"
            self.top = f"speq_{point.name}"

    monkeypatch.setattr(estimate_fpga, "estimate", estimate)
    monkeypatch.setattr(estimate_fpga, "emit", Emission)
    return calls


def test_all_families_unless_some_are_named(mapped, monkeypatch, tmp_path, capsys):
    figures = _run(monkeypatch, tmp_path, *SMALL)
    row = ["speq_tiny_row", "speq_tiny_pe"]
    assert mapped == [("speq_tiny", family, "fpga", row) for family in FAMILIES]
    assert list(figures["targets"]) == ["fpga"]
    printed = capsys.readouterr().out
    for family in FAMILIES.values():
        assert family.title in printed
    assert "5,000" in printed


def test_a_narrow_table_shows_whole_numbers():
    many = dict.fromkeys(KINDS, 10_000)
    both = {name: [Estimate("xcup", many, {}, "0")] for name in ("fpga", "generic")}
    console = _cli.Console(width=80)
    with console.capture() as capture:
        console.print(estimate_fpga.table(load("tiny"), both))
    assert capture.get().count("10,000") == 2 * len(KINDS)


def test_a_family_and_its_twin_stand_together(mapped, monkeypatch, tmp_path, capsys):
    words = ("--against", "generic", "--family", "xcup", "--family", "xc7", "--family", "xcup")
    _run(monkeypatch, tmp_path, *SMALL, *words)
    asked = [(family, target) for _, family, target, _ in mapped]
    assert asked == [(f, t) for t in ("fpga", "generic") for f in ("xcup", "xc7")]
    rows = [line for line in capsys.readouterr().out.splitlines() if "Xilinx" in line]
    assert [line.split("│")[1].strip() for line in rows] == (
        ["Xilinx UltraScale+"] * 2 + ["Xilinx 7 series"] * 2
    )
    assert [line.split("│")[3].strip() for line in rows] == ["1,000", "3,000", "2,000", "4,000"]


def test_an_unknown_family_is_refused_with_the_known_ones(mapped, monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit) as leaving:
        _run(monkeypatch, tmp_path, *SMALL, "--family", "stratix")
    assert leaving.value.code == 2
    message = capsys.readouterr().err
    assert "invalid choice: 'stratix'" in message
    assert all(family in message for family in FAMILIES)
    assert not mapped


@pytest.mark.parametrize(
    ("own", "twin", "mend"),
    [("fpga", "fpga", "use generic"), ("generic", "asic", "use fpga")],
)
def test_a_twin_must_have_other_units(mapped, monkeypatch, tmp_path, own, twin, mend):
    words = ("tiny", "--set", "pipeline=4", "--set", f"target={own}", "--against", twin)
    with pytest.raises(ParameterError, match=f"--against is {twin!r}.*{own!r}: {mend}"):
        _run(monkeypatch, tmp_path, *words)
    assert not mapped
