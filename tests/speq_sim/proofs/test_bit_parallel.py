from pathlib import Path

import numpy as np
import pytest

from speq.yosys import YosysError
from speq_sim.cplusplus import CompilerError
from speq_sim.proofs.bit_parallel import BitParallelError, Circuit, compile_library, netlist

ADDER = """
module adder(input [6:0] a, b, input minus, output [7:0] y, output any, input unused);
  assign y = minus ? a - b : a + b;
  assign any = |a;
endmodule
"""


def test_outputs_of_every_input(tmp_path: Path) -> None:
    """More vectors than fill the last word of lanes, and every value of every input."""
    a, b = np.arange((1 << 15) - 3) & 127, np.arange((1 << 15) - 3) >> 7 & 127
    minus = np.arange((1 << 15) - 3) >> 14
    circuit = Circuit(ADDER, "adder", tmp_path)
    got = circuit.evaluate(a=a, b=b, minus=minus, unused=0 * a)
    assert np.array_equal(got["y"], np.where(minus, a - b, a + b) & 255)
    assert np.array_equal(got["any"], a != 0)


def test_inputs_must_be_those_of_the_module(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"given for \['a'\], but adder has the inputs"):
        Circuit(ADDER, "adder", tmp_path).evaluate(a=np.zeros(1))


def test_registers_need_a_driver_of_their_own(tmp_path: Path) -> None:
    text = "module r(input clk, d, output reg q); always @(posedge clk) q <= d; endmodule"
    found = netlist(text, "r")
    assert (found.flip_flops, set(found.inputs), set(found.outputs)) == (1, {"d"}, {"q"})
    with pytest.raises(BitParallelError, match="r has flip-flops"):
        Circuit(text, "r", tmp_path)


def test_loops_and_latches_are_refused() -> None:
    loop = (
        "module l(input a, output y); wire x; assign x = ~(y & a); assign y = ~(x | a); endmodule"
    )
    with pytest.raises(BitParallelError, match="l has a combinational loop"):
        netlist(loop, "l")
    with pytest.raises(YosysError, match="D latches are not supported"):
        netlist("module n(input e, d, output reg q); always @* if (e) q = d; endmodule", "n")


def test_compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = netlist("module b(input a, output y); assign y = a; endmodule", "b")
    broken = tmp_path / "broken.cc"
    broken.write_text("this is no C++", encoding="utf-8")
    with pytest.raises(CompilerError, match=r"failed on b: .*this"):
        compile_library(circuit, tmp_path, broken)
    library = compile_library(circuit, tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CXX", "nothing")
    assert compile_library(circuit, tmp_path) == library
    with pytest.raises(CompilerError, match="install g\\+\\+"):
        compile_library(circuit, tmp_path / "elsewhere")
