"""Proof that a mapped netlist does what its source says, by combinational equivalence.

Both become and-inverter graphs: the source by an elaboration that optimises nothing, the netlist
with the functions that the Liberty file states of its cells. Flip-flops are cut. Every register bit
of the source is looked up in the netlist by its name; there it is a flip-flop, an inverted one, one
that it shares with an equal register, or a constant. With the source's registers replaced by what
the netlist has for them, ABC's ``&cec`` proves that every output and the next state of every
register agree, whatever the inputs and the state are: by induction the two then agree for ever.

A register bit that is not in the netlist is left free in the source. So the proof fails if anything
depends on it. What the source leaves undefined (an address that is not written to) is zero.
"""

import dataclasses
import importlib.util
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speq.synthesis.aiger import Aig, read_ascii
from speq.synthesis.netlist import Netlist
from speq.synthesis.pairing import EquivalenceError, Pair
from speq.yosys import YosysError, run_yosys

__all__ = ["Equivalence", "EquivalenceError", "prove_netlist"]

CLOCK = "clk"
"""Port that must clock every flip-flop (rising edge): clocks are not in the graphs."""

CONFLICTS = 1_000_000
"""Conflicts of the SAT solver after which ABC gives up at a node."""

_REFUSALS = {
    "selection is not empty": f"a flip-flop does not run on the rising edge of {CLOCK}",
    "'check -assert'": "a net that is in use has no driver, or several, or is part of a loop",
}
"""What Yosys says of a circuit that cannot be compared, and what it means."""


@dataclasses.dataclass(frozen=True)
class Equivalence:
    """Outcome of a comparison.

    Parameters
    ----------
    verdict : {"equal", "different", "open"}
        Proved, refuted, or not finished in time.
    difference : str or None
        Output, or register whose next state, is the first to differ.
    compared : int
        Outputs and next states of registers compared, bits.
    registers : int
        Register bits of the source.
    flip_flops : int
        Flip-flops of the netlist.
    merged, constant, inverted, removed : int
        Register bits that share a flip-flop with another, that are constants in the netlist, are
        stored inverted, or are not in it as nothing reads them.
    gates : tuple of (int, int)
        AND gates of source and netlist.
    seconds : float
        Time that it took, synthesis left out.
    """

    verdict: str
    difference: str | None
    compared: int
    registers: int
    flip_flops: int
    merged: int
    constant: int
    inverted: int
    removed: int
    gates: tuple[int, int]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return dataclasses.asdict(self)


def prove_netlist(
    source: Path, netlist: Netlist, directory: Path, *, timeout: float | None = None
) -> Equivalence:
    """Prove or refute that a netlist equals the module it was made of.

    Parameters
    ----------
    source : Path
        Verilog that the netlist was synthesised from.
    netlist : Netlist
        The netlist; its file is read anew.
    directory : Path
        Where the graphs are written; made if need be.
    timeout : float, optional
        Seconds that ABC may take, and each run of Yosys.

    Raises
    ------
    EquivalenceError
        If ports differ, a flip-flop of the netlist belongs to no register, or a register is a
        function of several.
    YosysError
        If Yosys or ABC fails, or a flip-flop has another clock than :data:`CLOCK`.
    """
    begun = time.perf_counter()
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    gold = _graph(directory / "source.aag", _gold_commands(source.resolve(), netlist.top), timeout)
    words = sorted({_word(name) for names in gold.latch_names for name in names})
    gate = _graph(directory / "netlist.aag", _gate_commands(netlist, words), timeout)
    pair = Pair(netlist.top, gold, gate, read_ascii(netlist.registers).latch_names)
    pair.write(directory)
    verdict, index = _compare(directory, timeout)
    return Equivalence(
        verdict=verdict,
        difference=None if index is None else pair.compared[index],
        compared=len(pair.compared),
        registers=len(gold.latches),
        flip_flops=len(gate.latches),
        **pair.counts(),
        gates=(len(gold.gates), len(gate.gates)),
        seconds=round(time.perf_counter() - begun, 2),
    )


def _gold_commands(source: Path, top: str) -> list[str]:
    return [
        f'read_verilog "{source}"',
        f"hierarchy -check -top {top}",
        "proc",
        "flatten",
        "opt_clean",
        "memory_collect",
        "memory_map",
        "dffunmap",
        "techmap",
        *_graph_commands(),
    ]


def _gate_commands(netlist: Netlist, registers: Sequence[str]) -> list[str]:
    # Brackets and the like would be patterns; one character more or less does no harm.
    patterns = " ".join("w:" + re.sub(r"[\[\]*?\\]", "?", name) for name in registers)
    return [
        f'read_verilog "{netlist.cells}" "{netlist.verilog}"',
        f"hierarchy -check -top {netlist.top}",
        "proc",
        "flatten",
        "opt_clean",
        "check -assert",
        "dffunmap",
        "simplemap",
        # What nothing drives becomes an input without a name.
        *([f"expose {patterns}", "setundef -undriven -anyseq"] if patterns else []),
        *_graph_commands(),
    ]


def _graph_commands() -> list[str]:
    """From gates to a graph; what has no single clock, or an initial value, is refused."""
    return [
        "setattr -unset init w:*",
        "opt_clean",
        f"select -set clocked i:{CLOCK} %co1:+$_DFF_P_[C]",
        "select -assert-none t:$_DFF* t:$_FF_ %u @clocked %d",
        "select -clear",
        "setundef -zero",
        "aigmap",
    ]


def _graph(path: Path, commands: Sequence[str], timeout: float | None) -> Aig:
    try:
        run_yosys(
            [*commands, f'write_aiger -ascii -symbols "{path}"'],
            directory=path.parent,
            timeout=timeout,
        )
    except YosysError as error:
        text = str(error)
        for sign, meaning in _REFUSALS.items():
            text = meaning if sign in text else text
        raise YosysError(f"{path.stem}: {text}", error.log_tail) from error
    return read_ascii(path)


def _word(name: str) -> str:
    """Name of the wire that a bit belongs to: without its index, if it has one."""
    return re.sub(r"\[\d+\]$", "", name)


def _compare(directory: Path, timeout: float | None) -> tuple[str, int | None]:
    """Run ABC on the two graphs; verdict, and the output that differs."""
    command = f"&r source.aig; &cec -C {CONFLICTS} netlist.aig"
    try:
        done = subprocess.run(
            [_abc(), "-c", command],
            cwd=directory,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "open", None
    text = done.stdout + done.stderr
    if "Networks are equivalent" in text:
        return "equal", None
    if "NOT EQUIVALENT" in text:
        found = re.search(r"zero-based number (\d+)", text)
        return "different", int(found.group(1)) if found else None
    if "UNDECIDED" in text:
        return "open", None
    raise YosysError(f"ABC failed: {' '.join(text.split())[-300:]}")


def _abc() -> str:
    """Path of the ABC that comes with pyosys."""
    found = importlib.util.find_spec("pyosys")
    for folder in (found.submodule_search_locations or []) if found else []:
        program = Path(folder) / "yosys-abc"
        if program.is_file():
            return str(program)
    raise YosysError("yosys-abc is not there: install the Python package pyosys")
