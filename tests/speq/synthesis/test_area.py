import gzip
import json
import re
from pathlib import Path

import pytest

from speq.synthesis import Count, Job, Switches, measure, measure_all, open_liberty, runs_of
from speq.yosys import YosysError

NAND = "module nand2(input a, b, output y); assign y = ~(a & b); endmodule"

REGISTER = """
module register(input clk, rst, en, input [3:0] d, output reg [3:0] q = 9);
  always @(posedge clk) if (rst) q <= 9; else if (en) q <= d;
endmodule
"""

PLAIN_REGISTER = """
module plain(input clk, input [3:0] d, output reg [3:0] q);
  always @(posedge clk) q <= d;
endmodule
"""

STORE = """
module store(input clk, we, input [1:0] a, input [4:0] d, output [4:0] q);
  reg [4:0] memory [3:0];
  initial begin memory[0] = 1; memory[1] = 2; memory[2] = 3; memory[3] = 4; end
  always @(posedge clk) if (we) memory[a] <= d;
  assign q = memory[a];
endmodule
"""

LATCH = """
module latch(input en, d, output reg q);
  always @* if (en) q = d;
endmodule
"""

TREE = """
module tree(input clk, input [3:0] a, b, output [3:0] x, y);
  leaf one(.clk(clk), .a(a), .b(b), .y(x));
  leaf two(.clk(clk), .a(a), .b(b), .y(y));
endmodule
module leaf(input clk, input [3:0] a, b, output reg [3:0] y);
  always @(posedge clk) y <= a ^ b;
endmodule
"""

MULTIPLY = "module multiply(input [10:0] a, b, output [21:0] y); assign y = a * b; endmodule"

LIBRARY = (Path(__file__).parents[2] / "data" / "toy.lib").read_text()


@pytest.fixture
def source(tmp_path):
    def write(text):
        path = tmp_path / "design.v"
        path.write_text(text)
        return path

    return write


def count(path, top, **switches):
    return measure(Job(path, top, Switches(**switches), parts=False)).count


def test_one_gate_is_four_transistors(source):
    assert count(source(NAND), "nand2") == Count(4, 0)


def test_a_plain_register_is_flip_flops_alone(source):
    assert count(source(PLAIN_REGISTER), "plain") == Count(0, 4)


def test_reset_and_enable_are_paid_for_as_gates(source):
    measured = count(source(REGISTER), "register")
    assert measured.flip_flops == 4
    assert measured.combinational_transistors > 4 * 8


def test_initial_values_cost_nothing(source):
    with_value = count(source(REGISTER), "register")
    assert count(source(REGISTER.replace("q = 9", "q")), "register") == with_value


def test_a_memory_is_flip_flops_and_multiplexers(source):
    measured = count(source(STORE), "store")
    assert measured.flip_flops == 4 * 5
    assert measured.combinational_transistors > 20 * 8


def test_a_latch_is_refused(source):
    with pytest.raises(YosysError, match=r"synthesis of latch: .*[Ll]atch"):
        measure(Job(source(LATCH), "latch"))


def test_the_measure_is_that_of_the_published_figures(source):
    # An 11 x 11 multiplier in the table of peers: 5,610 transistors.
    assert count(source(MULTIPLY), "multiply").combinational_transistors == 5610


def test_booth_is_a_switch_that_is_stated(source):
    path = source(MULTIPLY)
    plain, booth = measure_all(
        [Job(path, "multiply", Switches(booth=booth), parts=False) for booth in (False, True)]
    )
    assert plain.count != booth.count
    assert "default multipliers" in str(plain.switches)
    assert "Booth multipliers" in str(booth.switches)


def test_flattening_shares_what_the_hierarchy_repeats(source):
    area = measure(Job(source(TREE), "tree"))
    parts = {part.module: part for part in area.parts}
    assert area.count.flip_flops == 4
    assert parts["leaf"].instances == 2
    assert parts["leaf"].total.flip_flops == 8
    assert parts["tree"].inclusive == parts["leaf"].inclusive * 2


def test_without_flattening_the_headline_is_the_sum_of_the_parts(source):
    job = Job(source(TREE), "tree", Switches(flatten=False))
    area = measure(job)
    assert runs_of([job]) == 1
    assert area.count == sum((part.total for part in area.parts), Count())


def test_rtlil_is_read_too(source, tmp_path):
    from speq.yosys import run_yosys

    path = source(TREE)
    run_yosys([f"read_verilog {path}", "proc", f"write_rtlil {tmp_path}/tree.il"])
    assert count(tmp_path / "tree.il", "tree") == count(path, "tree")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"design\.vhd is neither Verilog"):
        measure(Job(tmp_path / "design.vhd", "x"))


def test_library_area_counts_every_cell(source, tmp_path):
    (tmp_path / "toy.lib.gz").write_bytes(gzip.compress(LIBRARY.encode()))
    library = open_liberty([tmp_path / "toy.lib.gz"])
    area = measure(Job(source(REGISTER), "register", libraries=[(library, None)]))
    (measured,) = area.libraries
    assert measured.library == "toy"
    assert measured.cells["DFF"] == 4
    assert measured.sequential_area == 44
    areas = {"INV": 2, "BUF": 4, "NAND": 3, "NOR": 3, "AND": 4, "OR": 4, "DFF": 11}
    assert measured.area == sum(areas[cell] * number for cell, number in measured.cells.items())
    assert measured.delay_ps is None
    assert area.as_dict()["area"] == measured.area


def test_a_library_without_areas_is_refused(source, tmp_path):
    (tmp_path / "bare.lib").write_text(re.sub(r"area : \d+;", "", LIBRARY))
    library = open_liberty([tmp_path / "bare.lib"])
    with pytest.raises(YosysError, match=r"toy gave no areas"):
        measure(Job(source(REGISTER), "register", libraries=[(library, None)]))


def test_a_library_that_abc_cannot_use_says_why(source, tmp_path):
    (tmp_path / "few.lib").write_text(LIBRARY.replace('function : "A"', 'function : "0"'))
    library = open_liberty([tmp_path / "few.lib"])
    with pytest.raises(YosysError, match=r"ABC: .*[Cc]annot find buffer"):
        measure(Job(source(REGISTER), "register", libraries=[(library, None)], parts=False))


def test_results_come_in_the_order_of_the_jobs(source, tmp_path):
    (tmp_path / "other.v").write_text(PLAIN_REGISTER)
    jobs = [Job(source(NAND), "nand2"), Job(tmp_path / "other.v", "plain")]
    told = []
    areas = measure_all(jobs, progress=told.append)
    assert [area.top for area in areas] == ["nand2", "plain"]
    assert len(told) == runs_of(jobs) == 4


def test_a_failing_design_is_named(source):
    with pytest.raises(YosysError, match=r"synthesis of absent: .*absent"):
        measure(Job(source(NAND), "absent"))


def test_the_record_is_json_and_explains_itself(source):
    record = json.loads(json.dumps(measure(Job(source(TREE), "tree")).as_dict()))
    assert record["transistors"] == (
        record["combinational_transistors"]
        + 24 * record["flip_flops"]
        + 12 * record["enabled_flip_flops"]
    )
    assert record["area"] is None
    assert record["switches"] == {"flatten": True, "booth": False, "script": "default"}
    assert {part["module"] for part in record["parts"]} == {"tree", "leaf"}
