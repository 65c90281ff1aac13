# Nangate 45 nm. Times in ns, capacitances in fF: the units of the library.
# 500 MHz.
create_clock -name clk -period 2 [get_ports clk]
set_input_delay 0 -clock clk [all_inputs]
set_output_delay 0 -clock clk [all_outputs]
set_driving_cell -lib_cell BUF_X2 [all_inputs]
set_load 7 [all_outputs]
