import numpy as np
import pytest
from small_netlist import CELLS, small_gates, write_netlist

from speq.synthesis.gates import read_gates
from speq.yosys import run_yosys


@pytest.fixture(scope="module")
def gates(tmp_path_factory):
    return small_gates(tmp_path_factory.mktemp("gates"))


def test_every_cell_is_there_with_its_pins(gates):
    assert {kind: gates.count(kind) for kind in gates.pins} == {"DFF": 1, "INV": 2, "NAND": 1}
    port = {name: nets.tolist() for name, (_, nets) in gates.ports.items()}
    assert gates.pins["NAND"]["Y"].tolist() == port["y"]
    assert gates.pins["NAND"]["B"].tolist() == port["q"] == gates.pins["DFF"]["Q"].tolist()
    assert gates.pins["INV"]["A"].tolist() == [*port["a"], *port["y"]]


def test_an_open_output_is_no_net(gates):
    assert gates.pins["INV"]["Y"].tolist()[1] == -1
    assert gates.pins["INV"]["Y"].tolist()[0] == gates.pins["NAND"]["A"][0]


def test_a_flip_flop_takes_its_input_at_the_clock(gates):
    cell = gates.cells["DFF"]
    assert (cell.clock, cell.state[1], dict(cell.drives)) == ("CK", "D", {"Q": "state"})
    assert gates.cells["INV"].state is None


def test_cells_know_their_module_and_registers_their_name(gates):
    assert gates.instances["NAND"] == ("unit_3",)
    assert gates.instances["INV"] == ("", "")
    assert gates.names == {int(gates.pins["DFF"]["Q"][0]): ("q",)}


def test_what_hangs_on_a_net_is_added_up(gates):
    loads = gates.loads(
        {"INV": {"A": 1.0}, "NAND": {"A": 10.0, "B": 20.0}, "DFF": {"D": 100.0, "CK": 7}}
    )
    of = {name: loads[nets].tolist() for name, (_, nets) in gates.ports.items()}
    assert of == {"a": [1], "clk": [7], "y": [101], "q": [20]}


def test_what_is_written_for_opensta_is_the_same_netlist(gates, tmp_path):
    path = tmp_path / "scalar.v"
    gates.write_verilog(path)
    cells = tmp_path / "cells.v"
    cells.write_text(CELLS)
    source = write_netlist(tmp_path)
    read = "proc; flatten; opt_clean"
    run_yosys(
        [
            f'read_verilog "{cells}" "{source.verilog}"; hierarchy -top small; {read}',
            "rename small gold; design -stash gold",
            f'read_verilog "{cells}" "{path}"; hierarchy -top small; {read}',
            "rename small gate; design -stash gate",
            "design -copy-from gold -as gold gold; design -copy-from gate -as gate gate",
            "equiv_make gold gate both; cd both; equiv_simple; equiv_induct; equiv_status -assert",
        ]
    )
    assert "NAND NAND_0 (" in path.read_text()
    assert np.isin(gates.pins["INV"]["A"], range(2, gates.nets)).all()


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        ("output Q); reg IQ; assign Q = IQ; always @* if (CK) IQ = D;", "feeds back into itself"),
        ("output Q); reg IQ; assign Q = IQ; always @(negedge CK) IQ <= D;", "no flip-flop on a"),
    ],
)
def test_other_storage_is_refused(tmp_path, function, complaint):
    cells = CELLS.split("module DFF")[0] + f"module DFF(input D, input CK, {function} endmodule\n"
    with pytest.raises(ValueError, match=complaint):
        read_gates(write_netlist(tmp_path, cells), tmp_path)
