import pytest

from speq.synthesis.fpga import FAMILIES, KINDS, estimate
from speq.yosys import YosysError

PRODUCT = """
module product(input clk, input [17:0] a, b, output reg [35:0] y);
  reg [17:0] p, q;
  always @(posedge clk) begin p <= a; q <= b; y <= p * q; end
endmodule
"""

ROWS = """
module rows(input clk, input [7:0] a, output [7:0] y, z);
  row one(.clk(clk), .a(a), .y(y));
  row two(.clk(clk), .a(a), .y(z));
endmodule
module row(input clk, input [7:0] a, output reg [7:0] y);
  always @(posedge clk) y <= a;
endmodule
"""

MEMORY = """
module memory(input clk, write, input [4:0] at, input [7:0] d, output [7:0] q);
  reg [7:0] words [0:31];
  always @(posedge clk) if (write) words[at] <= d;
  assign q = words[at];
endmodule
"""


@pytest.fixture
def counts(tmp_path):
    """Counts of Verilog text in a family."""

    def run(text, top, family, **others):
        path = tmp_path / "design.v"
        path.write_text(text)
        return estimate(path, top, family, **others).counts

    return run


@pytest.mark.parametrize(
    ("family", "blocks"), [("xc7", 2), ("xcup", 2), ("cyclonev", 1), ("ecp5", 1)]
)
def test_the_packed_product_takes_one_block_or_two(counts, family, blocks):
    # 18 bits without a sign are 19 with one; the shorter operand of a DSP48 has 18 with the sign.
    found = counts(PRODUCT, "product", family)
    assert tuple(found) == KINDS
    assert found["dsp_blocks"] == blocks
    assert found["block_rams"] == found["lut_rams"] == 0


def test_a_block_of_ice40_has_16_bits(counts):
    small = PRODUCT.replace("17:0", "15:0").replace("35:0", "31:0")
    assert counts(small, "product", "ice40")["dsp_blocks"] == 1


@pytest.mark.parametrize("family", ["ecp5", "cyclonev"])
def test_kept_modules_keep_their_registers(counts, family):
    assert counts(ROWS, "rows", family)["flip_flops"] == 8
    assert counts(ROWS, "rows", family, kept=["row"])["flip_flops"] == 16


@pytest.mark.parametrize("family", ["xc7", "ecp5", "cyclonev"])
def test_a_small_memory_is_made_of_tables(counts, family):
    found = counts(MEMORY, "memory", family)
    assert found["lut_rams"] > 0
    assert found["block_rams"] == found["flip_flops"] == 0


def test_an_unknown_family_is_refused_with_the_known_ones(counts):
    with pytest.raises(ValueError, match=f"'stratix' is not known: use one of.*{[*FAMILIES][-1]}"):
        counts(PRODUCT, "product", "stratix")


def test_a_kept_module_that_is_not_there_is_refused(counts):
    with pytest.raises(YosysError, match="column"):
        counts(ROWS, "rows", "ecp5", kept=["column"])
