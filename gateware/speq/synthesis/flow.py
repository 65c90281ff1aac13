"""The synthesis flow: which Yosys commands make a netlist, with which switches.

Everything that is compared is synthesised by the same commands; the switches are part of every
result. Flip-flops become D flip-flops, library-free with or without enable, so that all else is
paid for as gates; initial values are dropped, since a standard cell has none.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from speq.synthesis.sources import Sources

__all__ = [
    "SCRIPTS",
    "Switches",
    "liberty_commands",
    "library_free_commands",
    "synthesis_commands",
]

SCRIPTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "speed": (
        "strash",
        "ifraig",
        "scorr",
        "dc2",
        "dch -f",
        # Balances sums of products by their delay: ripple carries become logarithmic ones.
        "if -g -K 6",
        "strash",
        "dch -f",
        # Gates with many inputs are taken to be slower than an unloaded table says.
        "map -B 0.9",
        "topo",
        "buffer -c",
        "topo",
        "upsize {D}",
        "dnsize {D}",
        "stime -p",
    ),
}
"""What ABC does to map to a library, by name: ``default`` is Yosys's script, ``speed`` one for a
short longest path, which takes more area. It needs a constraint file; ``{D}`` is the clock period.
"""

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
    script : str
        Key of :data:`SCRIPTS`: how ABC maps to a cell library. The library-free measure has one
        script.

    Raises
    ------
    ValueError
        If there is no such script.
    """

    flatten: bool = True
    booth: bool = False
    script: str = "default"

    def __post_init__(self) -> None:
        if self.script not in SCRIPTS:
            raise ValueError(f"script is {self.script!r}, but must be one of {', '.join(SCRIPTS)}")

    def __str__(self) -> str:
        shape = "flattened" if self.flatten else "hierarchy kept"
        script = "" if self.script == "default" else f", ABC script {self.script!r}"
        return f"{shape}, {'Booth' if self.booth else 'default'} multipliers{script}"


def synthesis_commands(source: Path | Sources, top: str, switches: Switches) -> list[str]:
    """Commands from a source file to generic gates and flip-flops.

    Parameters
    ----------
    source : Path or Sources
        Verilog (``.v``, ``.sv``) or RTLIL (``.il``) with `top` and all it instantiates; or the
        files of a design that is not ours, whose asynchronous resets are made synchronous, if that
        is asked for, by the rules in ``synchronous_resets.v``
        (:data:`speq.synthesis.sources.SYNCHRONOUS_RESETS`) of the folder the commands run in.
    top : str
        Module to synthesise.
    switches : Switches
        The choices.

    Raises
    ------
    ValueError
        If the file is neither Verilog nor RTLIL by its name.
    """
    synth = f"synth -top {top} -latches error"
    synth += " -flatten" if switches.flatten else ""
    synth += " -booth" if switches.booth else ""
    foreign = isinstance(source, Sources)
    return [
        *(source.commands(top) if foreign else [_read_command(source)]),
        f"hierarchy -check -top {top}",
        "proc",
        *(["techmap -map synchronous_resets.v"] if foreign and source.synchronous_resets else []),
        _DROP_INITIAL_VALUES,
        synth,
        # Memories are flip-flops by now, and brought their own initial values along.
        _DROP_INITIAL_VALUES,
    ]


def _read_command(source: Path) -> str:
    readers = {".v": "read_verilog", ".sv": "read_verilog -sv", ".il": "read_rtlil"}
    if source.suffix not in readers:
        raise ValueError(f"{source.name} is neither Verilog (.v, .sv) nor RTLIL (.il)")
    return f'{readers[source.suffix]} "{source}"'


def library_free_commands(report: Path) -> list[str]:
    """Commands from generic gates to NAND2, NOR2, NOT and D flip-flops, with statistics."""
    return [
        "dfflegalize -cell $_DFF_P_ x -cell $_DFFE_PP_ x",
        "abc -g cmos2",
        "opt_clean",
        f'tee -q -o "{report}" stat -json',
    ]


def liberty_commands(
    files: Sequence[Path],
    constraint: Path | None,
    report: Path,
    *,
    script: str = "default",
    period_ps: float | None = None,
    registers: Path | None = None,
) -> list[str]:
    """Commands from generic gates to the cells of a library, with statistics.

    Parameters
    ----------
    files : sequence of Path
        The library's files, decompressed.
    constraint : Path, optional
        Driving cell and load; with it ABC also buffers and sizes gates, and prints the delay.
    report : Path
        JSON file to write the statistics to.
    script : str
        Key of :data:`SCRIPTS`.
    period_ps : float, optional
        Clock period that ABC sizes gates for, in picoseconds.
    registers : Path, optional
        File to write the flip-flops to, as RTLIL with the names of the design, before ABC.

    Raises
    ------
    ValueError
        If a script other than the default one is to run without a constraint file.
    """
    if SCRIPTS[script] and constraint is None:
        raise ValueError(
            f"ABC script {script!r} sizes gates, which needs a driving cell and a load: give a "
            f"constraint file (--constr), or use the default script"
        )
    libraries = " ".join(f'-liberty "{file}"' for file in files)
    abc = f"abc {libraries}"
    abc += f' -constr "{constraint}"' if constraint is not None else ""
    abc += f" -D {period_ps:.0f}" if period_ps is not None else ""
    # In a script on the command line, commas stand for spaces.
    steps = ";".join(step.replace(" ", ",") for step in SCRIPTS[script])
    abc += f' -script "+{steps}"' if steps else ""
    return [
        f"dfflibmap {libraries}",
        *([f'dump -o "{registers}" t:* t:$* %d'] if registers is not None else []),
        abc,
        "opt_clean",
        f'tee -q -o "{report}" stat -json {libraries}',
    ]
