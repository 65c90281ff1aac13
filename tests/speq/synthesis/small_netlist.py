"""A mapped netlist of four cells, written by hand, in the cells of ``power_library``."""

from pathlib import Path

from speq.synthesis.flow import Switches
from speq.synthesis.gates import Gates, read_gates
from speq.synthesis.netlist import Netlist

NETLIST = """module small(a, clk, y, q);
  input a, clk;
  output y, q;
  wire inverted;
  INV _0_ (.A(a), .Y(inverted));
  NAND \\unit_3.gate (.A(inverted), .B(q), .Y(y));
  DFF \\unit_3._1_ (.CK(clk), .D(y), .Q(q));
  INV _2_ (.A(y));
endmodule
"""

CELLS = """module INV(input A, output Y); assign Y = ~A; endmodule
module NAND(input A, input B, output Y); assign Y = ~(A & B); endmodule
module DFF(input D, input CK, output Q); reg IQ; assign Q = IQ; always @(posedge CK) IQ <= D;
endmodule
"""


def write_netlist(folder: Path, cells: str = CELLS) -> Netlist:
    """The netlist as the flow leaves it."""
    verilog, functions = folder / "small.netlist.v", folder / "small.cells.v"
    verilog.write_text(NETLIST)
    functions.write_text(cells)
    return Netlist(
        top="small",
        library="powered",
        switches=Switches(),
        verilog=verilog,
        registers=folder / "small.registers.aig",
        cells=functions,
        liberty=(),
        counts={"DFF": 1, "INV": 2, "NAND": 1},
    )


def small_gates(folder: Path) -> Gates:
    """The netlist as arrays."""
    return read_gates(write_netlist(folder), folder)
