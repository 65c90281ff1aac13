"""What a design takes of an FPGA, by Yosys's own mapping: an estimate, without place and route."""

import dataclasses
import json
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from speq.yosys import run_yosys, yosys_version

__all__ = ["FAMILIES", "KINDS", "Estimate", "Family", "estimate"]

KINDS: tuple[str, ...] = (
    "luts",
    "carry_cells",
    "flip_flops",
    "dsp_blocks",
    "lut_rams",
    "block_rams",
)
"""What cells count as (see :class:`Estimate`)."""

_LUT, _CARRY, _FF, _DSP, _LUT_RAM, _BLOCK_RAM = KINDS


@dataclasses.dataclass(frozen=True)
class Family:
    """How Yosys maps to a family of FPGAs.

    Parameters
    ----------
    title : str
        What vendors call it.
    command : str
        Yosys command, to which ``-top`` is added. It places no pads: a design is part of a chip.
    kinds : mapping of str to str
        Pattern of cell names, and what they count as. Cells that none fits are wiring (buffers,
        wide multiplexers).
    """

    title: str
    command: str
    kinds: Mapping[str, str]


_XILINX = {
    r"LUT[1-6]": _LUT,
    r"INV": _LUT,
    r"CARRY[48]": _CARRY,
    r"FD[RSCP]E(_1)?": _FF,
    r"DSP48E[12]": _DSP,
    r"RAM\d+.*|SRL.*": _LUT_RAM,
    r"RAMB\d+E[12]": _BLOCK_RAM,
}

FAMILIES: dict[str, Family] = {
    "xc7": Family("Xilinx 7 series", "synth_xilinx -family xc7 -flatten -noiopad", _XILINX),
    "xcup": Family("Xilinx UltraScale+", "synth_xilinx -family xcup -flatten -noiopad", _XILINX),
    "cyclonev": Family(
        "Intel Cyclone V",
        "synth_intel_alm -family cyclonev -noiopad",
        {
            r"MISTRAL_ALUT\d": _LUT,
            r"MISTRAL_NOT": _LUT,
            r"MISTRAL_ALUT_ARITH": _CARRY,
            r"MISTRAL_FF": _FF,
            r"MISTRAL_MUL\d+X\d+": _DSP,
            r"MISTRAL_MLAB": _LUT_RAM,
            r"MISTRAL_M\d+K": _BLOCK_RAM,
        },
    ),
    "ecp5": Family(
        "Lattice ECP5",
        "synth_ecp5 -nowidelut",
        {
            r"LUT4": _LUT,
            r"CCU2C": _CARRY,
            r"TRELLIS_FF": _FF,
            r"MULT18X18D": _DSP,
            r"TRELLIS_DPR16X4": _LUT_RAM,
            r"DP16KD|PDPW16KD": _BLOCK_RAM,
        },
    ),
    "ice40": Family(
        "Lattice iCE40",
        "synth_ice40 -dsp",
        {
            r"SB_LUT4": _LUT,
            r"SB_CARRY": _CARRY,
            r"SB_DFF.*": _FF,
            r"SB_MAC16": _DSP,
            r"SB_RAM40_4K.*": _BLOCK_RAM,
        },
    ),
}
"""Families by the names that users give."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Cells of one design in one family.

    Parameters
    ----------
    family : str
        A key of :data:`FAMILIES`.
    counts : dict of str to int
        Numbers of cells, by :data:`KINDS`. They are not of one size in all families: a carry cell
        is 2 bits in ECP5, 4 in Xilinx, else 1; a LUT RAM a shift register of 16 or 32 bits or a
        memory of 32 words of 6 or 14 bits in Xilinx, 16 words of 4 in ECP5, 32 of 1 in Intel. A
        DSP block of Intel is one multiplier: a block of the chip holds two of 18 x 18.
    cells : dict of str to int
        Every cell by its own name, with those inside of kept modules.
    yosys : str
        Version of Yosys.
    """

    family: str
    counts: dict[str, int]
    cells: dict[str, int]
    yosys: str

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return dataclasses.asdict(self) | {"command": FAMILIES[self.family].command}


def estimate(
    verilog: Path,
    top: str,
    family: str,
    *,
    kept: Collection[str] = (),
    timeout: float | None = None,
) -> Estimate:
    """Map a design to a family of FPGAs and count the cells.

    Parameters
    ----------
    verilog : Path
        Verilog with `top` and all it instantiates.
    top : str
        Module to map.
    family : str
        A key of :data:`FAMILIES`.
    kept : collection of str
        Modules that are mapped by themselves, once, and counted as often as they are placed. It
        takes less time, and equal registers of two of them stay two. The rest is one flat module.
    timeout : float, optional
        Seconds after which the run is stopped.

    Raises
    ------
    ValueError
        If the family is not known.
    speq.yosys.YosysError
        If Yosys fails, or a kept module is not there.
    """
    if family not in FAMILIES:
        raise ValueError(f"FPGA family {family!r} is not known: use one of {', '.join(FAMILIES)}")
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        report = Path(name) / "stat.json"
        run_yosys(
            [
                f'read_verilog "{verilog.resolve()}"',
                *(f"select -assert-any {module}" for module in kept),
                *(f"setattr -mod -set keep_hierarchy 1 {module}" for module in kept),
                f"{FAMILIES[family].command} -top {top}",
                f'tee -q -o "{report}" stat -json',
            ],
            directory=name,
            timeout=timeout,
        )
        found = json.loads(report.read_text(encoding="utf-8"))["design"]["num_cells_by_type"]
    cells = {
        cell: number
        for cell, number in found.items()
        if not cell.startswith("$") and cell not in kept
    }
    return Estimate(family, _counted(cells, FAMILIES[family].kinds), cells, yosys_version())


def _counted(cells: Mapping[str, int], kinds: Mapping[str, str]) -> dict[str, int]:
    counts = dict.fromkeys(KINDS, 0)
    for cell, number in cells.items():
        for pattern, kind in kinds.items():
            if re.fullmatch(pattern, cell):
                counts[kind] += number
                break
    return counts
