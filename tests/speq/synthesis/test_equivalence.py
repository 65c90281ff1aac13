"""Netlists against their source: equal ones are proved so, planted faults are found."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from netlist_design import emitted, library

from speq.emission import Emission
from speq.synthesis.equivalence import EquivalenceError, prove_netlist
from speq.synthesis.liberty import find_known
from speq.synthesis.netlist import Netlist, map_netlist
from speq.yosys import YosysError


@pytest.fixture(scope="module")
def emission(tmp_path_factory: pytest.TempPathFactory) -> Emission:
    return emitted(tmp_path_factory.mktemp("equivalence"))


@pytest.fixture(scope="module")
def of_pe(emission: Emission) -> Netlist:
    folder = emission.verilog.parent / "pe"
    return map_netlist(emission.verilog, f"{emission.top}_pe", library(), folder)


@pytest.fixture
def changed(of_pe: Netlist, tmp_path: Path) -> Callable[..., Netlist]:
    """The netlist with one change in its text."""

    def change(pattern: str, replacement: str) -> Netlist:
        text = of_pe.verilog.read_text()
        faulty = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
        assert faulty != text
        (tmp_path / "faulty.v").write_text(faulty)
        return dataclasses.replace(of_pe, verilog=tmp_path / "faulty.v")

    return change


@pytest.mark.parametrize("unit", ["pe", "column", "round", "accumulate", "sequencer"])
def test_units_are_equal(emission: Emission, tmp_path: Path, unit: str):
    module = f"{emission.top}_{unit}"
    netlist = map_netlist(emission.verilog, module, library(), tmp_path)
    proof = prove_netlist(emission.verilog, netlist, tmp_path / "proof")
    assert (proof.verdict, proof.difference) == ("equal", None)
    flip_flops = netlist.counts.get("DFFN", 0) + netlist.counts.get("DFFE", 0)
    assert proof.flip_flops == flip_flops
    assert proof.registers == proof.flip_flops + proof.merged + proof.constant + proof.removed
    assert proof.compared > proof.registers - proof.removed


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"^  NAND2 ", "  NOR2 "),
        (r"^  XOR2 ", "  NAND2 "),
        (r"^  AOI21 ", "  OAI21 "),
        (r"(^  DFFE .*\n    \.CK\(clk\),\n    \.D)\([^\n]*\)", r"\1(1'b0)"),
        (r"(^  DFFE .*\n    \.CK\(clk\),\n    \.D\([^\n]*\),\n    \.E)\([^\n]*\)", r"\1(rst)"),
    ],
)
def test_a_planted_fault_is_refuted(
    emission: Emission, tmp_path: Path, changed: Callable[..., Netlist], pattern, replacement
):
    proof = prove_netlist(emission.verilog, changed(pattern, replacement), tmp_path / "proof")
    assert proof.verdict == "different"
    assert proof.difference


def test_a_cell_model_that_lies_is_refuted(emission: Emission, tmp_path: Path, of_pe: Netlist):
    cells = of_pe.cells.read_text()
    (tmp_path / "cells.v").write_text(cells.replace("~", "", 1))
    netlist = dataclasses.replace(of_pe, cells=tmp_path / "cells.v")
    assert prove_netlist(emission.verilog, netlist, tmp_path / "proof").verdict == "different"


def test_a_flip_flop_on_another_clock_is_refused(
    emission: Emission, tmp_path: Path, changed: Callable[..., Netlist]
):
    faulty = changed(r"(^  DFFE .*\n    \.CK)\(clk\)", r"\1(rst)")
    with pytest.raises(YosysError, match="does not run on the rising edge of clk"):
        prove_netlist(emission.verilog, faulty, tmp_path / "proof")


def test_a_net_that_nothing_drives_is_refused(
    emission: Emission, tmp_path: Path, changed: Callable[..., Netlist]
):
    faulty = changed(r"^  NAND2 \S+ \([^;]*;\n", "")
    with pytest.raises(YosysError, match="has no driver"):
        prove_netlist(emission.verilog, faulty, tmp_path / "proof")


def test_flip_flops_must_be_registers_of_the_source(
    emission: Emission, tmp_path: Path, of_pe: Netlist
):
    other = dataclasses.replace(of_pe, top=f"{emission.top}_column")
    with pytest.raises(YosysError, match="speq_gates_column"):
        prove_netlist(emission.verilog, other, tmp_path / "proof")
    text = of_pe.verilog.read_text().replace("waiting", "renamed")
    (tmp_path / "renamed.v").write_text(text)
    renamed = dataclasses.replace(of_pe, verilog=tmp_path / "renamed.v")
    with pytest.raises(EquivalenceError, match="16 of 64 flip-flops belong to no register"):
        prove_netlist(emission.verilog, renamed, tmp_path / "proof")


def test_no_time_is_no_verdict(emission: Emission, tmp_path: Path, of_pe: Netlist, monkeypatch):
    monkeypatch.setattr("speq.synthesis.equivalence.CONFLICTS", 1)
    with pytest.raises(YosysError, match="did not finish"):
        prove_netlist(emission.verilog, of_pe, tmp_path / "proof", timeout=0.01)


@pytest.mark.skipif(find_known("osu018") is None, reason="qflow-tech-osu018 is not installed")
def test_a_real_library(emission: Emission, tmp_path: Path):
    module = f"{emission.top}_pe"
    netlist = map_netlist(emission.verilog, module, find_known("osu018"), tmp_path)
    assert prove_netlist(emission.verilog, netlist, tmp_path / "proof").verdict == "equal"
