import pytest

from speq.synthesis import Job, Sources, measure
from speq.yosys import YosysError

RESET = """
module keep #(parameter WIDTH = 2)
    (input clk, rst_n, en, input [WIDTH-1:0] d, output reg [WIDTH-1:0] q, r);
  always @(posedge clk or negedge rst_n)
    if (!rst_n) q <= 1; else if (en) q <= d;
  always @(posedge clk or negedge rst_n)
    if (!rst_n) r <= 2; else r <= d;
endmodule
"""

INCLUDING = (
    '`include "width.vh"\nmodule wide(input [`WIDTH-1:0] a, output y); assign y = ^a; endmodule'
)

PACKAGE = "package sizes; localparam int N = 3; typedef logic [N-1:0] word_t; endpackage"
USER = (
    "module user import sizes::*; (input word_t a, b, output word_t y); assign y = a & b; endmodule"
)

FAULTS = {
    "latch": (
        "module t(input en, d, output reg q); always @* if (en) q = d; endmodule",
        "[Ll]atch",
    ),
    "absent": ("module t(input a, output y); missing m(a, y); endmodule", "missing"),
    "drivers": (
        "module t(input a, b, output y); assign y = ~a; assign y = ~b; endmodule",
        r"signal (t\.y|in t) has several drivers|t\.v, line 1: .*driver",
    ),
    "syntax": ("module t(input a output y); endmodule", r"syntax error|t\.v, line 1: ."),
}


@pytest.fixture
def write(tmp_path):
    def files(**texts):
        paths = []
        for name, text in texts.items():
            stem, _, suffix = name.rpartition("_")
            paths.append(tmp_path / f"{stem}.{suffix}")
            paths[-1].write_text(text)
        return tuple(paths)

    return files


def count(sources, top):
    return measure(Job(sources, top, parts=False)).count


@pytest.mark.parametrize("slang", [False, True])
def test_parameters_are_set_and_resets_made_synchronous(write, slang):
    files = write(keep_v=RESET)
    for width in (2, 5):
        sources = Sources(files, parameters={"WIDTH": str(width)}, slang=slang)
        measured = count(Sources(**vars(sources) | {"synchronous_resets": True}), "keep")
        assert measured.flip_flops == 2 * width
        # Every bit has at least a gate for its reset.
        assert measured.combinational_transistors >= 4 * 2 * width
    with pytest.raises(YosysError, match=r"make resets synchronous \(--synchronous-resets\)"):
        count(Sources(files, slang=slang), "keep")


def test_folders_of_included_files_are_searched(write, tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "width.vh").write_text("`define WIDTH 4\n")
    measured = count(Sources(write(wide_v=INCLUDING), (folder,)), "wide")
    assert 3 * 4 * 4 <= measured.combinational_transistors < 3 * 6 * 4


def test_slang_reads_packages(write):
    files = write(sizes_sv=PACKAGE, user_sv=USER)
    assert count(Sources(files, slang=True), "user").combinational_transistors == 3 * 6


@pytest.mark.parametrize("slang", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_clocked_circuit_is_refused(write, fault, slang):
    text, message = FAULTS[fault]
    with pytest.raises(YosysError, match=rf"synthesis of t: .*({message})"):
        count(Sources(write(t_v=text), slang=slang), "t")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"files": ()}, "name at least one"),
        ({"files": ("x.vhd",)}, "x.vhd is neither Verilog"),
        ({"files": ("nowhere.v",)}, r"nowhere\.v does not exist"),
        ({"include": ("nowhere",)}, "include folder .*nowhere does not exist"),
        ({"parameters": {"A": "1; exec"}}, "'A' = '1; exec' is not a name and a number"),
    ],
)
def test_wrong_arguments_are_named(write, tmp_path, arguments, message):
    given = {"files": write(keep_v=RESET)}
    for key, value in arguments.items():
        paths = key in ("files", "include")
        given[key] = tuple(tmp_path / name for name in value) if paths else value
    with pytest.raises(ValueError, match=message):
        Sources(**given)


def test_a_blank_in_a_path_is_named(tmp_path):
    path = tmp_path / "my file.v"
    path.write_text(RESET)
    with pytest.raises(ValueError, match="has a blank, quotation mark or semicolon"):
        Sources((path,))
