"""Mapped netlists: a module in the cells of a Liberty library, as Verilog that any tool can read.

The commands are those that areas are measured by, so the netlist is the one whose area is quoted.
What its cells do is written out as Verilog, too, from the functions in the Liberty file itself: no
simulation models of a vendor are needed, and any library with functions will do. Cells have no
delays, and flip-flops no initial value: a simulator with unknowns starts them unknown.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from speq.synthesis.flow import Switches, liberty_commands, synthesis_commands
from speq.synthesis.liberty import Liberty, unpack
from speq.yosys import YosysError, run_yosys

__all__ = ["Netlist", "map_netlist"]

_CELL = "speq_cell"
"""Attribute that tells the cells of the library from the modules of the design."""


@dataclasses.dataclass(frozen=True)
class Netlist:
    """A module mapped to the cells of a library.

    Parameters
    ----------
    top : str
        The module. Its ports are those of the source.
    library : str
        Name the library gives itself.
    switches : Switches
        How it was synthesised.
    verilog : Path
        The netlist: instances of cells (and of modules, unless flattened) alone, which OpenSTA
        reads as well. Registers keep their names, below instances that were dissolved with a dot in
        between: the flip-flop of bit 3 of register ``sum`` is ``sum[3]$_DFF_P_`` or the like.
    registers : Path
        AIGER of the flip-flops alone, as they are before they are mapped: all names of each.
    cells : Path
        Verilog modules with the function of every cell in it.
    liberty : tuple of Path
        The library's files, decompressed.
    counts : dict of str to int
        Number of cells by type, over the whole netlist.
    """

    top: str
    library: str
    switches: Switches
    verilog: Path
    registers: Path
    cells: Path
    liberty: tuple[Path, ...]
    counts: dict[str, int]

    def write_model(self, path: Path) -> Path:
        """Write netlist and cells into one file, as simulators here take a design; its path."""
        with path.open("wb") as out:
            for part in (self.cells, self.verilog):
                with part.open("rb") as file:
                    shutil.copyfileobj(file, out)
        return path


def map_netlist(
    source: Path,
    top: str,
    library: Liberty,
    directory: Path,
    *,
    constraint: Path | None = None,
    switches: Switches | None = None,
    period_ps: float | None = None,
    timeout: float | None = None,
) -> Netlist:
    """Synthesise a module to the cells of a library and write the netlist.

    Parameters
    ----------
    source : Path
        Verilog or RTLIL with `top` and all it instantiates.
    top : str
        Module to map.
    library : Liberty
        The library. Cells whose function it does not state are not used.
    directory : Path
        Where ``<top>.netlist.v``, its other files and the decompressed library go; made if need be.
    constraint : Path, optional
        Driving cell and load for ABC (``constraints/*.constr``); without it no buffers are added.
    switches : Switches, optional
        Whether to flatten, among others; by default :class:`Switches` as for areas.
    period_ps : float, optional
        Clock period that ABC sizes gates for, in picoseconds.
    timeout : float, optional
        Seconds that Yosys may take.

    Raises
    ------
    YosysError
        If Yosys fails, or a cell is left that the library says nothing of; the message names `top`.
    """
    switches = switches or Switches()
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    report = directory / f"{top}.cells.json"
    files = tuple(unpack(library, directory))
    netlist = Netlist(
        top=top,
        library=library.name,
        switches=switches,
        verilog=directory / f"{top}.netlist.v",
        registers=directory / f"{top}.registers.aag",
        cells=directory / f"{top}.cells.v",
        liberty=files,
        counts={},
    )
    generic, mapped = directory / f"{top}.generic.json", directory / f"{top}.mapped.il"
    commands = [
        *synthesis_commands(source.resolve(), top, switches),
        *_register_commands(generic, netlist.registers),
        *liberty_commands(
            files,
            constraint.resolve() if constraint else None,
            report,
            script=switches.script,
            period_ps=period_ps,
        ),
        "delete t:$scopeinfo",
        f'write_rtlil "{mapped}"',
    ]
    writing = [
        f'read_rtlil "{mapped}"',
        f'write_verilog -noattr -noexpr -nohex "{netlist.verilog}"',
        *_cell_commands(files, top),
        f"select A:{_CELL}",
        "opt_clean",
        f'write_verilog -noattr -selected "{netlist.cells}"',
    ]
    try:
        run_yosys(commands, directory=directory, timeout=timeout)
        _name_flip_flops(mapped, generic)
        run_yosys(writing, directory=directory, timeout=timeout)
    except YosysError as error:
        raise YosysError(f"netlist of {top}: {error}", error.log_tail) from error
    finally:
        for file in (generic, mapped):
            file.unlink(missing_ok=True)
    statistics = json.loads(report.read_text(encoding="utf-8"))
    return dataclasses.replace(netlist, counts=_counts(statistics))


def _cell_commands(files: Sequence[Path], top: str) -> list[str]:
    """Commands that add to a netlist the functions of its cells.

    Every cell must have one, so nothing of the design can be left out unseen.

    Parameters
    ----------
    files : sequence of Path
        The library's files, decompressed.
    top : str
        Top module of the netlist.
    """
    options = f"-overwrite -ignore_miss_func -ignore_miss_data_latch -ignore_buses -setattr {_CELL}"
    return [
        *(f'read_liberty {options} "{file}"' for file in files),
        f"hierarchy -check -top {top}",
    ]


def _register_commands(generic: Path, registers: Path) -> list[str]:
    """Commands that write down which flip-flops there are and how they are called."""
    return [
        "design -save generic",
        "delete c:* t:$_*DFF* %d",
        f'write_json "{generic}"',
        "flatten",
        "setundef -undriven -zero",
        "dffunmap",
        "techmap",
        "aigmap",
        f'write_aiger -ascii -symbols "{registers}"',
        "design -load generic",
    ]


def _name_flip_flops(mapped: Path, generic: Path) -> None:
    """Name the flip-flops of a mapped design (RTLIL) after their registers.

    It is done afterwards, as names are among what the order of cells, and so the result of mapping,
    depends on: the netlist shall be the one whose area is quoted.
    """
    names: dict[str, str] = {}
    modules = json.loads(generic.read_text(encoding="utf-8"))["modules"].values()
    for module in modules:
        of_bit: dict[int, str] = {}
        for word, net in module["netnames"].items():
            if not net["hide_name"]:
                many = len(net["bits"]) > 1
                for index, bit in enumerate(net["bits"]):
                    of_bit.setdefault(bit, f"{word}[{index}]" if many else word)
        for cell, entry in module["cells"].items():
            register = of_bit.get(entry["connections"]["Q"][0])
            if register is not None:
                names[cell] = f"\\{register}{entry['type']}"

    def named(line: re.Match[str]) -> str:
        return f"{line[1]}{names.get(line[2], line[2])}"

    text = mapped.read_text(encoding="utf-8")
    text = re.sub(r"^(  cell \S+ )(\$\S+)$", named, text, flags=re.MULTILINE)
    mapped.write_text(text, encoding="utf-8")


def _counts(statistics: dict) -> dict[str, int]:
    """Cells by type over the whole design, modules of the design left out."""
    modules = {name.removeprefix("\\") for name in statistics["modules"]}
    cells = statistics["design"]["num_cells_by_type"]
    return {
        cell.removeprefix("\\"): number
        for cell, number in sorted(cells.items())
        if cell.removeprefix("\\") not in modules and cell != "$scopeinfo"
    }
