"""Toys with AXI ports, in Verilog: a reader that copies memory to a stream, and a loop of streams.

Input `fault` plants a :class:`Fault`, to show that each rule is checked.
"""

import enum
from pathlib import Path


class Fault(enum.IntEnum):
    """What can be planted."""

    none = 0
    # Read port
    drops_arvalid = 1
    changes_araddr = 2
    changes_arlen = 3
    narrow_arsize = 4
    fixed_arburst = 5
    arvalid_in_reset = 6
    waits_for_arready = 7
    undefined_araddr = 8
    # Registers
    drops_bvalid = 11
    changes_bresp = 12
    answers_write_twice = 13
    answers_write_early = 14
    drops_rvalid = 15
    changes_rdata = 16
    answers_read_twice = 17
    answers_read_early = 18
    # Loop
    drops_tvalid = 21
    changes_tdata = 22
    changes_tlast = 23
    changes_tuser = 24
    tvalid_in_reset = 25
    tvalid_after_reset = 26
    waits_for_tready = 27


READ_FAULTS = [fault for fault in Fault if 0 < fault < 10]
REGISTER_FAULTS = [fault for fault in Fault if 10 < fault < 20]
LOOP_FAULTS = [fault for fault in Fault if fault > 20]

ADDRESS, LENGTH, BURSTS = 0x0, 0x4, 0x8
"""Registers of the reader: first address, beats - 1 of a burst, bursts to do (starts it)."""

_READER = """
module toy_reader #(parameter W = 64) (input aclk, input aresetn, input [7:0] fault,
  output [31:0] m_axi_araddr, output [7:0] m_axi_arlen, output [2:0] m_axi_arsize,
  output [1:0] m_axi_arburst, output [2:0] m_axi_arprot,
  output m_axi_arvalid, input m_axi_arready,
  input [W-1:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast,
  input m_axi_rvalid, output m_axi_rready,
  input [7:0] s_axi_awaddr, input s_axi_awvalid, output s_axi_awready,
  input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb, input s_axi_wvalid, output s_axi_wready,
  output [1:0] s_axi_bresp, output s_axi_bvalid, input s_axi_bready,
  input [7:0] s_axi_araddr, input s_axi_arvalid, output s_axi_arready,
  output [31:0] s_axi_rdata, output [1:0] s_axi_rresp, output s_axi_rvalid, input s_axi_rready,
  output [W-1:0] m_axis_tdata, output m_axis_tlast, output [1:0] m_axis_tuser,
  output m_axis_tvalid, input m_axis_tready);
  reg [31:0] regs [0:2];
  reg [7:0] count = 0;
  reg aw = 0, w = 0, b = 0, r = 0, twice_b = 0, twice_r = 0, was_arready = 0;
  reg [7:0] awaddr = 0; reg [31:0] wdata = 0, rdata = 0; reg [3:0] wstrb = 0;
  reg [1:0] bresp = 0, rresp = 0;
  // Reader
  assign m_axi_araddr = fault == {undefined_araddr} ? {32{1'bx}}
                      : fault == {changes_araddr} ? regs[0] + {count[1], 6'b0} : regs[0];
  assign m_axi_arlen = regs[1] ^ (fault == {changes_arlen} & count[1]);
  assign m_axi_arsize = $clog2(W / 8) - (fault == {narrow_arsize});
  assign m_axi_arburst = fault != {fixed_arburst};
  assign m_axi_arprot = 0;
  assign m_axi_arvalid = regs[2] != 0 & ~(fault == {drops_arvalid} & count[1])
                       & ~(fault == {waits_for_arready} & ~was_arready)
                       | fault == {arvalid_in_reset} & ~aresetn;
  assign m_axis_tdata = m_axi_rdata, m_axis_tlast = m_axi_rlast, m_axis_tuser = m_axi_rresp;
  assign m_axis_tvalid = m_axi_rvalid, m_axi_rready = m_axis_tready;
  // Registers
  assign s_axi_awready = ~aw, s_axi_wready = ~w;
  assign s_axi_bvalid = b & ~(fault == {drops_bvalid} & count[1])
                      | fault == {answers_write_early} & aw & ~w;
  assign s_axi_bresp = bresp ^ {fault == {changes_bresp} & count[1], 1'b0};
  assign s_axi_arready = ~r;
  assign s_axi_rvalid = r & ~(fault == {drops_rvalid} & count[1])
                      | fault == {answers_read_early} & s_axi_arvalid;
  assign s_axi_rdata = rdata ^ (fault == {changes_rdata} & count[1]), s_axi_rresp = rresp;
  integer i;
  always @(posedge aclk) begin
    count <= count + 1;
    was_arready <= m_axi_arready;
    if (m_axi_arvalid & m_axi_arready) begin
      regs[0] <= regs[0] + (regs[1] + 1) * (W / 8);
      regs[2] <= regs[2] - 1;
    end
    if (s_axi_awvalid & ~aw) begin aw <= 1; awaddr <= s_axi_awaddr; end
    if (s_axi_wvalid & ~w) begin w <= 1; wdata <= s_axi_wdata; wstrb <= s_axi_wstrb; end
    if (aw & w & ~b) begin
      b <= 1; bresp <= awaddr < 12 ? 0 : 2;
      for (i = 0; i < 4; i = i + 1)
        if (wstrb[i] & awaddr < 12) regs[awaddr[3:2]][8*i +: 8] <= wdata[8*i +: 8];
    end
    twice_b <= 0; twice_r <= 0;
    if (s_axi_bvalid & s_axi_bready) begin
      b <= fault == {answers_write_twice} & ~twice_b; twice_b <= ~twice_b; aw <= 0; w <= 0;
    end
    if (s_axi_arvalid & ~r) begin
      r <= 1; rdata <= s_axi_araddr < 12 ? regs[s_axi_araddr[3:2]] : 0;
      rresp <= s_axi_araddr < 12 ? 0 : 3;
    end
    if (r & s_axi_rvalid & s_axi_rready) begin
      r <= fault == {answers_read_twice} & ~twice_r; twice_r <= ~twice_r;
    end
    if (~aresetn) begin
      aw <= 0; w <= 0; b <= 0; r <= 0; regs[0] <= 0; regs[1] <= 0; regs[2] <= 0;
    end
  end
endmodule
"""

_LOOP = """
module toy_loop #(parameter W = 64) (input aclk, input aresetn, input [7:0] fault,
  input [W-1:0] s_axis_tdata, input s_axis_tlast, input s_axis_tvalid, output s_axis_tready,
  output [W-1:0] m_axis_tdata, output m_axis_tlast, output m_axis_tuser,
  output m_axis_tvalid, input m_axis_tready);
  reg full = 0, last = 0, was_ready = 0, was_aresetn = 0; reg [W-1:0] data = 0; reg [7:0] count = 0;
  wire take = m_axis_tvalid & m_axis_tready;
  assign s_axis_tready = ~full | take;
  assign m_axis_tvalid = full & ~(fault == {drops_tvalid} & count[1])
                       & ~(fault == {waits_for_tready} & ~was_ready)
                       | fault == {tvalid_in_reset} & ~aresetn
                       | fault == {tvalid_after_reset} & aresetn & ~was_aresetn;
  assign m_axis_tdata = data ^ (fault == {changes_tdata} & count[1]);
  assign m_axis_tlast = last ^ (fault == {changes_tlast} & count[1]);
  assign m_axis_tuser = data[0] ^ (fault == {changes_tuser} & count[1]);
  always @(posedge aclk) begin
    count <= count + 1;
    was_ready <= m_axis_tready; was_aresetn <= aresetn;
    if (take) full <= 0;
    if (s_axis_tvalid & s_axis_tready) begin
      full <= 1; data <= s_axis_tdata; last <= s_axis_tlast;
    end
    if (~aresetn) full <= 0;
  end
endmodule
"""

_TOPS = {"toy_reader": _READER, "toy_loop": _LOOP}


def emit(folder: Path, top: str) -> Path:
    """Write a toy's Verilog; return its path."""
    text = _TOPS[top]
    for fault in Fault:
        text = text.replace(f"{{{fault.name}}}", str(fault.value))
    path = folder / f"{top}.v"
    path.write_text(text)
    return path
