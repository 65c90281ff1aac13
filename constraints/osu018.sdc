# OSU 0.18 um. Times in ns, capacitances in pF: the units of the library.
# 40 % of the 13.1 ns of a combinational FP16 multiply-add (OpenHW CVFPU) in this library.
create_clock -name clk -period 5.2 [get_ports clk]
set_input_delay 0 -clock clk [all_inputs]
set_output_delay 0 -clock clk [all_outputs]
set_driving_cell -lib_cell BUFX2 [all_inputs]
set_load 0.037 [all_outputs]
