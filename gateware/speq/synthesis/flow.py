"""The synthesis flow: which Yosys commands make a netlist, with which switches.

Everything that is compared is synthesised by the same commands; the switches are part of every
result. Flip-flops become D flip-flops, library-free with or without enable, so that all else is
paid for as gates; initial values are dropped, since a standard cell has none.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Switches", "liberty_commands", "library_free_commands", "synthesis_commands"]

_DROP_INITIAL_VALUES = "setattr -unset init w:*"


@dataclasses.dataclass(frozen=True)
class Switches:
    """What can be chosen about a synthesis run.

    Parameters
    ----------
    flatten : bool
        Dissolve the hierarchy, so that logic is shared and removed across module borders.
    booth : bool
        Build multipliers as Booth-encoded ones (``synth -booth``) instead of Yosys's default.
    """

    flatten: bool = True
    booth: bool = False

    def __str__(self) -> str:
        shape = "flattened" if self.flatten else "hierarchy kept"
        return f"{shape}, {'Booth' if self.booth else 'default'} multipliers"


def synthesis_commands(source: Path, top: str, switches: Switches) -> list[str]:
    """Commands from a source file to generic gates and flip-flops.

    Parameters
    ----------
    source : Path
        Verilog (``.v``, ``.sv``) or RTLIL (``.il``) with `top` and all it instantiates.
    top : str
        Module to synthesise.
    switches : Switches
        The choices.

    Raises
    ------
    ValueError
        If the file is neither Verilog nor RTLIL by its name.
    """
    readers = {".v": "read_verilog", ".sv": "read_verilog -sv", ".il": "read_rtlil"}
    if source.suffix not in readers:
        raise ValueError(f"{source.name} is neither Verilog (.v, .sv) nor RTLIL (.il)")
    synth = f"synth -top {top} -latches error"
    synth += " -flatten" if switches.flatten else ""
    synth += " -booth" if switches.booth else ""
    return [
        f'{readers[source.suffix]} "{source}"',
        f"hierarchy -check -top {top}",
        "proc",
        _DROP_INITIAL_VALUES,
        synth,
        # Memories are flip-flops by now, and brought their own initial values along.
        _DROP_INITIAL_VALUES,
    ]


def library_free_commands(report: Path) -> list[str]:
    """Commands from generic gates to NAND2, NOR2, NOT and D flip-flops, with statistics."""
    return [
        "dfflegalize -cell $_DFF_P_ x -cell $_DFFE_PP_ x",
        "abc -g cmos2",
        "opt_clean",
        f'tee -q -o "{report}" stat -json',
    ]


def liberty_commands(files: Sequence[Path], constraint: Path | None, report: Path) -> list[str]:
    """Commands from generic gates to the cells of a library, with statistics.

    Parameters
    ----------
    files : sequence of Path
        The library's files, decompressed.
    constraint : Path, optional
        Driving cell and load; with it ABC also buffers and sizes gates, and prints the delay.
    report : Path
        JSON file to write the statistics to.
    """
    libraries = " ".join(f'-liberty "{file}"' for file in files)
    limits = f' -constr "{constraint}"' if constraint is not None else ""
    return [
        f"dfflibmap {libraries}",
        f"abc {libraries}{limits}",
        "opt_clean",
        f'tee -q -o "{report}" stat -json {libraries}',
    ]
