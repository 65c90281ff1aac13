"""Units of a row for FPGAs: products in DSP blocks, sums on carry chains (``target = "fpga"``).

They compute what the units of the same names beside this folder do, bit for bit, and take their
places in :class:`speq.row.Row` and :class:`speq.array.Array`. An FPGA has multipliers and fast
carries for nothing, registers in plenty, and slow wires: so stages are short and many.
"""
