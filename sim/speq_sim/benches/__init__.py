"""Benches: an emitted design, simulated and held against the golden model.

Benches know a design by its Verilog and its JSON side-car alone; they import no circuit.
"""
