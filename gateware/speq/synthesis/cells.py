"""Cells of a library by what they do: a compact picture of a mapped netlist."""

import re
from collections.abc import Mapping

__all__ = ["CLASSES", "cell_class", "cell_mix"]

CLASSES: dict[str, str] = {
    "flip-flops": r"S?DFF|S?E?DF[BRSX]|SDF[HL]|D[LH]L|DLX|DLR|LATCH",
    "multiplexers and adders": r"MUX|FAX?|HAX?|MAJ|FAH|FACON|HACON",
    "XOR and XNOR": r"XOR|XNOR",
    "AOI and OAI": r"AOI|OAI|AO\d|OA\d|A\d+B*\d*O|O\d+B*\d*A",
    "NAND and NOR": r"NAND|NOR",
    "AND and OR": r"AND|OR\d|OR$",
    "inverters and buffers": r"(CLK|CK)?INV|(CLK)?T?BUF|HB\d|CLKDLY|DLY",
}
"""Beginnings of cell names by class, tried in this order (OSU, ASAP7, SkyWater and Nangate)."""

OTHERS = "others"
"""Class of a cell that no pattern fits."""

_PREFIX = re.compile(r"^[A-Z0-9]+(_[A-Z0-9]+)*__")
"""What some libraries put before every name, such as ``sky130_fd_sc_hd__``."""


def cell_class(cell: str) -> str:
    """The class of a cell, from its name.

    Parameters
    ----------
    cell : str
        Type of a cell, such as ``NAND2X1``, ``OAI21xp5_ASAP7_75t_R`` or
        ``sky130_fd_sc_hd__dfxtp_1``.
    """
    name = _PREFIX.sub("", cell.upper())
    for label, beginnings in CLASSES.items():
        if re.match(rf"(?:{beginnings})", name):
            return label
    return OTHERS


def cell_mix(cells: Mapping[str, int]) -> dict[str, int]:
    """Number of cells by class, in the order of :data:`CLASSES`; classes without any left out.

    Parameters
    ----------
    cells : mapping of str to int
        Number of cells by type.
    """
    mix = dict.fromkeys((*CLASSES, OTHERS), 0)
    for cell, number in cells.items():
        mix[cell_class(cell)] += number
    return {label: number for label, number in mix.items() if number}
