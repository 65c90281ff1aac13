"""And-inverter graphs in the AIGER format: read what Yosys writes, write what ABC reads.

A literal is twice the number of a variable, plus 1 if it is inverted; 0 and 1 are the constants.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["Aig", "AigerError", "read_ascii", "write_binary"]


class AigerError(ValueError):
    """A file is not the AIGER that is expected."""


@dataclasses.dataclass(frozen=True)
class Aig:
    """A circuit of AND gates, inverters and flip-flops.

    Parameters
    ----------
    variables : int
        Highest variable in use.
    inputs : dict of str to int
        Literals of the inputs by name.
    free : tuple of int
        Literals of inputs without a name, which is how Yosys writes a net that nothing drives.
    outputs : dict of str to int
        Literals of the outputs by name.
    latches : tuple of (int, int)
        Literal and next state of each flip-flop.
    latch_names : tuple of tuple of str
        All names of each flip-flop.
    gates : list of (int, int, int)
        Literals of each gate and of its two operands, operands before what uses them.
    """

    variables: int
    inputs: dict[str, int]
    free: tuple[int, ...]
    outputs: dict[str, int]
    latches: tuple[tuple[int, int], ...]
    latch_names: tuple[tuple[str, ...], ...]
    gates: list[tuple[int, int, int]]


def read_ascii(path: Path) -> Aig:
    """Read ASCII AIGER with symbols (``write_aiger -ascii -symbols``).

    Raises
    ------
    AigerError
        If it is anything else.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    header = re.fullmatch(r"aag (\d+) (\d+) (\d+) (\d+) (\d+)", lines[0] if lines else "")
    if not header:
        raise AigerError(f"{path.name} is not ASCII AIGER: write it with write_aiger -ascii")
    variables, *counts = map(int, header.groups())
    sections, first = [], 1
    for count in counts:
        sections.append([tuple(map(int, line.split())) for line in lines[first : first + count]])
        first += count
    inputs, latches, outputs, gates = sections
    names: dict[str, str] = {}
    for line in lines[first:]:
        if line == "c":
            break
        key, _, name = line.partition(" ")
        names[key] = name
    return Aig(
        variables,
        {names[f"i{index}"]: lit for index, (lit,) in enumerate(inputs) if f"i{index}" in names},
        tuple(lit for index, (lit,) in enumerate(inputs) if f"i{index}" not in names),
        {names[f"o{index}"]: lit for index, (lit,) in enumerate(outputs)},
        tuple((latch[0], latch[1]) for latch in latches),
        tuple(tuple(names.get(f"l{index}", "").split()) for index in range(len(latches))),
        gates,
    )


def write_binary(
    path: Path,
    inputs: int,
    gates: Iterable[tuple[int, int, int]],
    known: dict[int, int],
    outputs: Sequence[int],
) -> None:
    """Write a combinational circuit as binary AIGER.

    Parameters
    ----------
    path : Path
        Where to.
    inputs : int
        Number of inputs, variables 1 to `inputs` of the file.
    gates : iterable of (int, int, int)
        Gates in literals of their own numbering, operands first.
    known : dict of int to int
        For every variable of that numbering that is no gate: its literal in the file.
    outputs : sequence of int
        Literals of the outputs in that numbering.
    """
    literals = {0: 0} | known

    def of(literal: int) -> int:
        return literals[literal >> 1] ^ (literal & 1)

    body = bytearray()
    count = inputs
    for gate, left, right in gates:
        count += 1
        literals[gate >> 1] = 2 * count
        high, low = sorted((of(left), of(right)), reverse=True)
        for delta in (2 * count - high, high - low):
            while delta > 127:
                body.append(delta & 127 | 128)
                delta >>= 7
            body.append(delta)
    head = f"aig {count} {inputs} 0 {len(outputs)} {count - inputs}\n"
    head += "".join(f"{of(literal)}\n" for literal in outputs)
    path.write_bytes(head.encode() + bytes(body))
