# ASAP7, 7 nm predictive, RVT. Times in ps, capacitances in fF: the units of the library.
# 1.5 GHz.
create_clock -name clk -period 666 [get_ports clk]
set_input_delay 0 -clock clk [all_inputs]
set_output_delay 0 -clock clk [all_outputs]
set_driving_cell -lib_cell BUFx2_ASAP7_75t_R [all_inputs]
set_load 2.5 [all_outputs]
