"""Mapped netlists: what is in them, that they are the ones areas are quoted for, that they run."""

import re
from pathlib import Path

import pytest
from netlist_design import GATES, case, emitted, library

from speq.emission import Emission
from speq.synthesis.area import Job, measure
from speq.synthesis.equivalence import prove_netlist
from speq.synthesis.flow import Switches
from speq.synthesis.liberty import open_liberty
from speq.synthesis.netlist import Netlist, map_netlist
from speq.yosys import YosysError
from speq_sim.benches.running import play
from speq_sim.benches.simulators import SimulationError

CELLS = {"AOI21", "BUF", "DFFE", "DFFN", "INV", "MUX2", "NAND2", "NOR2", "OAI21", "XOR2"}


@pytest.fixture(scope="module")
def emission(tmp_path_factory: pytest.TempPathFactory) -> Emission:
    return emitted(tmp_path_factory.mktemp("netlist"))


@pytest.fixture(scope="module")
def array(emission: Emission) -> Netlist:
    folder = emission.verilog.parent / "array"
    return map_netlist(emission.verilog, emission.top, library(), folder)


def test_it_holds_nothing_but_cells(array: Netlist):
    assert set(array.counts) <= CELLS
    assert {"DFFE", "DFFN"} <= set(array.counts)
    text = array.verilog.read_text()
    assert re.findall(r"^module \\?(\S+?)\(", text, re.MULTILINE) == [array.top]
    instances = re.findall(r"^  ([A-Z]+\d*) \S+ +\($", text, re.MULTILINE)
    assert {cell: instances.count(cell) for cell in set(instances)} == array.counts
    modules = re.findall(r"^module (\w+)\(", array.cells.read_text(), re.MULTILINE)
    assert sorted(modules) == sorted(array.counts)


def test_flip_flops_are_named_after_their_registers(array: Netlist):
    names = re.findall(r"^  DFF[EN] (\S+)", array.verilog.read_text(), re.MULTILINE)
    assert len(names) == array.counts["DFFE"] + array.counts["DFFN"]
    assert all(re.fullmatch(r"\\[\w.$\[\]]+\$_S?DFF\w+_", name) for name in names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("flatten", [True, False])
def test_it_is_the_one_whose_area_is_measured(emission: Emission, tmp_path: Path, flatten: bool):
    module = f"{emission.top}_pe"
    switches = Switches(flatten=flatten)
    netlist = map_netlist(emission.verilog, module, library(), tmp_path, switches=switches)
    job = Job(emission.verilog, module, switches, [(library(), None)], parts=False)
    measured = measure(job).libraries[0].cells
    own = {cell: count for cell, count in measured.items() if not cell.startswith("speq_")}
    assert netlist.counts == own
    modules = re.findall(r"^module ", netlist.verilog.read_text(), re.MULTILINE)
    assert (len(modules) == 1) == flatten


def test_a_library_without_flip_flops(emission: Emission, tmp_path: Path):
    text = re.sub(
        r"cell \(DFF[NE]\).*?\n    pin \(QN?\)[^\n]*\n", "", GATES.read_text(), flags=re.DOTALL
    )
    (tmp_path / "none.lib").write_text(text)
    short = open_liberty([tmp_path / "none.lib"])
    module = f"{emission.top}_round"
    with pytest.raises(YosysError, match=f"netlist of {module}: "):
        map_netlist(emission.verilog, module, short, tmp_path / "out")


def test_it_is_equal_to_its_source(emission: Emission, array: Netlist, tmp_path: Path):
    proof = prove_netlist(emission.verilog, array, tmp_path)
    assert proof.verdict == "equal"
    assert proof.registers > 400
    assert proof.merged + proof.constant > 0
    source, netlist = proof.as_dict()["gates"]
    assert source > netlist > 5000


def test_its_gates_are_bit_exact(emission: Emission, array: Netlist, tmp_path: Path):
    model = array.write_model(tmp_path / "gates.v")
    random = case(emission)
    played = play(model, emission.side_car, [random], tmp_path / "sim")
    results = played.cases["gates"]["streams"]["results"]
    assert results["transfers"] == len(random.payloads["results"])


def test_the_bench_notices_a_wrong_cell(emission: Emission, array: Netlist, tmp_path: Path):
    model = array.write_model(tmp_path / "gates.v")
    text = model.read_text()
    faulty = re.sub(r"^  XOR2 ", "  NAND2 ", text, count=1, flags=re.MULTILINE)
    assert faulty != text
    model.write_text(faulty)
    with pytest.raises(SimulationError):
        play(model, emission.side_car, [case(emission)], tmp_path / "sim")
