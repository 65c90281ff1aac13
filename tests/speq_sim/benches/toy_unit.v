// A stand-in for the accelerator, with its buses and 64 bits of data. Registers: 0 reads "SPEQ";
// 4 is a mode; 8 a number of beats; 12 a number of bursts; writing an address to 16 reads so many
// bursts from there on and gives each as a packet, TUSER set if a beat of it had a fault. Packets
// of activations come back as results. Modes plant a fault each:
// 1 a waiting read address changes, 2 it is withdrawn, 3 its size is wrong, 4 a waiting result
// changes, 5 registers are not read any more, 6 a waiting result is withdrawn.
module toy (
  input aclk, input aresetn, output irq,
  output [39:0] m_axi_araddr, output [7:0] m_axi_arlen, output [2:0] m_axi_arsize,
  output [1:0] m_axi_arburst, output [3:0] m_axi_arcache, output [2:0] m_axi_arprot,
  output m_axi_arvalid, input m_axi_arready,
  input [63:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast, input m_axi_rvalid,
  output m_axi_rready,
  input [11:0] s_axi_awaddr, input [2:0] s_axi_awprot, input s_axi_awvalid, output s_axi_awready,
  input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb, input s_axi_wvalid, output s_axi_wready,
  output [1:0] s_axi_bresp, output reg s_axi_bvalid, input s_axi_bready,
  input [11:0] s_axi_araddr, input [2:0] s_axi_arprot, input s_axi_arvalid, output s_axi_arready,
  output reg [31:0] s_axi_rdata, output [1:0] s_axi_rresp, output reg s_axi_rvalid,
  input s_axi_rready,
  input [63:0] s_axis_tdata, input s_axis_tlast, input s_axis_tvalid, output s_axis_tready,
  output reg [63:0] m_axis_tdata, output reg m_axis_tlast, output reg m_axis_tuser,
  output reg m_axis_tvalid, input m_axis_tready
);
  reg [31:0] mode, beats, bursts, left, address;
  reg write_fault, read_fault, fault, hidden;
  assign irq = 0;
  assign m_axi_araddr = address;
  assign m_axi_arlen = beats - 1;
  assign m_axi_arsize = mode == 3 ? 2 : 3;
  assign m_axi_arburst = 1;
  assign m_axi_arcache = 3;
  assign m_axi_arprot = 0;
  assign m_axi_arvalid = left != 0 && !hidden;
  wire write = s_axi_awvalid && s_axi_wvalid && !s_axi_bvalid;
  assign s_axi_awready = write;
  assign s_axi_wready = write;
  assign s_axi_bresp = write_fault ? 2 : 0;
  assign s_axi_arready = !s_axi_rvalid && mode != 5;
  assign s_axi_rresp = read_fault ? 2 : 0;
  wire room = !m_axis_tvalid || m_axis_tready;
  assign m_axi_rready = room;
  assign s_axis_tready = room && !m_axi_rvalid;
  always @(posedge aclk) begin
    if (m_axis_tready) m_axis_tvalid <= 0;
    if (m_axis_tvalid && !m_axis_tready && mode == 4) m_axis_tdata <= m_axis_tdata + 1;
    if (m_axis_tvalid && !m_axis_tready && mode == 6) m_axis_tvalid <= 0;
    if (room && (m_axi_rvalid || s_axis_tvalid)) begin
      m_axis_tvalid <= 1;
      m_axis_tdata <= m_axi_rvalid ? m_axi_rdata : s_axis_tdata;
      m_axis_tlast <= m_axi_rvalid ? m_axi_rlast : s_axis_tlast;
      m_axis_tuser <= m_axi_rvalid && (fault || m_axi_rresp != 0);
      fault <= m_axi_rvalid && !m_axi_rlast && (fault || m_axi_rresp != 0);
    end
    hidden <= 0;
    if (m_axi_arvalid && m_axi_arready) begin
      left <= left - 1;
      address <= address + 8 * beats;
    end else if (m_axi_arvalid) begin
      if (mode == 1) address <= address + 8;
      if (mode == 2) hidden <= 1;
    end
    if (s_axi_bready) s_axi_bvalid <= 0;
    if (write) begin
      s_axi_bvalid <= 1;
      write_fault <= s_axi_awaddr > 16 || s_axi_wstrb != 15;
      if (s_axi_awaddr == 4) mode <= s_axi_wdata;
      if (s_axi_awaddr == 8) beats <= s_axi_wdata;
      if (s_axi_awaddr == 12) bursts <= s_axi_wdata;
      if (s_axi_awaddr == 16) begin
        address <= s_axi_wdata;
        left <= bursts;
      end
    end
    if (s_axi_rready) s_axi_rvalid <= 0;
    if (s_axi_arvalid && s_axi_arready) begin
      s_axi_rvalid <= 1;
      read_fault <= s_axi_araddr > 16;
      s_axi_rdata <= s_axi_araddr == 0 ? 32'h51455053 : s_axi_araddr == 4 ? mode : beats;
    end
    if (!aresetn) begin
      {m_axis_tvalid, s_axi_bvalid, s_axi_rvalid, fault, hidden} <= 0;
      {mode, left} <= 0;
      beats <= 4;
      bursts <= 1;
    end
  end
endmodule
