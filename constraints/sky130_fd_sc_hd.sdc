# SkyWater 130 nm, high density. Times in ns, capacitances in pF: the units of the library.
# 150 MHz.
create_clock -name clk -period 6.66 [get_ports clk]
set_input_delay 0 -clock clk [all_inputs]
set_output_delay 0 -clock clk [all_outputs]
set_driving_cell -lib_cell sky130_fd_sc_hd__buf_2 [all_inputs]
set_load 0.009 [all_outputs]
