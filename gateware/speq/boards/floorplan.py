"""Floorplan of the array on a chip with DSP blocks.

A placer that is left alone puts the two blocks of a PE, and the PEs of a row, wherever a DSP block
is free: across the chip. Given their places, it gathers everything else around them.
"""

from collections.abc import Iterator

from speq.dsp.layouts import dsp_blocks
from speq.parameters import Parameters

__all__ = ["ecp5_85f"]

_LINES = (10, 34, 58)
"""Rows of the LFE5U-85F that hold DSP blocks (as nextpnr counts them, from the top)."""

_PAIRS = tuple(
    pair
    for x in (*range(4, 63, 9), *range(69, 115, 9))
    for pair in ((x, ("MULT18_0", "MULT18_1")), (x + 4, ("MULT18_4", "MULT18_5")))
)
"""Multipliers of a line, two by two: column of the first (the second is in the next), and names."""


def ecp5_85f(parameters: Parameters) -> str:
    """Commands of Yosys that place the array's DSP blocks, for the netlist that it has mapped.

    A row of the array takes neighbouring pairs of one line, a pair for each PE. Empty if the array
    does not fit that way, or uses no DSP blocks: the placer is left alone then.
    """
    if not parameters.in_dsp:
        return ""
    per_line = len(_PAIRS) // parameters.columns
    if per_line * len(_LINES) < parameters.rows:
        return ""
    # The placer's attributes would be those of all rows if these were one module.
    commands = ["setattr -mod -unset keep_hierarchy *", "flatten", "clean"]
    for cell, place in _places(parameters, per_line):
        commands += [f"select -assert-count 1 {cell}", f'setattr -set BEL "{place}" {cell}']
    return "\n".join(commands)


def _places(parameters: Parameters, per_line: int) -> Iterator[tuple[str, str]]:
    """Pattern of each DSP block's name, and where it goes."""
    lines = -(-parameters.rows // per_line)
    for row in range(parameters.rows):
        # The last lines are full; the first has what is over.
        number, slot = divmod(row + lines * per_line - parameters.rows, per_line)
        for column in range(parameters.columns):
            x, names = _PAIRS[slot * parameters.columns + column]
            for block in range(dsp_blocks(parameters)):
                cell = f"c:*row_{row}.pe_{column}.multiplier.product_{block}_MULT18X18D*"
                yield cell, f"X{x + block}/Y{_LINES[number]}/{names[block]}"
