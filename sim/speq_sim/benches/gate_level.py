"""Simulate a flat mapped netlist, 64 runs side by side in the bits of one word per net.

Cells have no delay and two values: every net takes the value that it settles at, once per cycle,
and flip-flops start at zero. Gates of a function and a level are computed at once by NumPy, so that
a netlist of some hundred thousand cells takes some hundredths of a second a cycle for all runs
together.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from speq.synthesis.gates import ONE, Cell, Gates

__all__ = ["LANES", "GateSimulator"]

LANES = 64
"""Runs side by side."""

Words = NDArray[np.uint64]
Nets = NDArray[np.int64]

_ALL = np.uint64(2**64 - 1)

_OPERATIONS: dict[str, Callable[..., Words]] = {
    "$_BUF_": lambda a: a,
    "$_NOT_": np.bitwise_not,
    "$_AND_": np.bitwise_and,
    "$_OR_": np.bitwise_or,
    "$_XOR_": np.bitwise_xor,
    "$_MUX_": lambda a, b, s: a ^ ((a ^ b) & s),
}


@dataclasses.dataclass(frozen=True)
class _Group:
    """Instances that do the same: the nets of each pin."""

    cell: Cell
    pins: Mapping[str, Nets]

    def evaluate(self, values: Words, known: dict[str, Words]) -> dict[str, Words]:
        """All signals of the cells, beside those that are known."""
        for operation, result, operands in self.cell.steps:
            for operand in operands:
                if operand not in known:
                    known[operand] = self._value(values, operand)
            known[result] = _OPERATIONS[operation](*(known[operand] for operand in operands))
        return known

    def drive(self, values: Words, known: dict[str, Words]) -> None:
        """Put the outputs on their nets."""
        for pin, name in self.cell.drives.items():
            nets = self.pins[pin]
            word = known[name] if name in known else self._value(values, name)
            # Outputs that are open lead to the last word, which is no net.
            values[nets] = word

    def _value(self, values: Words, operand: str) -> Words:
        if operand in ("0", "1"):
            return np.full(1, _ALL if operand == "1" else 0, np.uint64)
        return values[self.pins[operand]]


class GateSimulator:
    """A netlist and the state of its runs.

    Parameters
    ----------
    gates : Gates
        The netlist.

    Attributes
    ----------
    values : ndarray of uint64, shape (nets + 1,)
        What each net is; bit i is run i. The last word is where open outputs lead.
    levels : int
        Longest chain of cells.

    Raises
    ------
    ValueError
        If gates form a loop.
    """

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.values = np.zeros(gates.nets + 1, np.uint64)
        self.values[ONE] = _ALL
        self._registers = [
            _Group(cell, gates.pins[kind]) for kind, cell in gates.cells.items() if cell.state
        ]
        self._states = [
            np.zeros(len(next(iter(group.pins.values()))), np.uint64) for group in self._registers
        ]
        self._levels = list(_levels(gates))
        self.levels = len(self._levels)

    def put(self, port: str, bits: Words | np.uint64) -> None:
        """Set an input: a word of 64 runs for each bit of the port."""
        self.values[self.gates.ports[port][1]] = bits

    def get(self, port: str) -> Words:
        """A port's bits, each a word of 64 runs."""
        return self.values[self.gates.ports[port][1]]

    def settle(self) -> None:
        """Let registers and inputs reach every net."""
        for group, state in zip(self._registers, self._states, strict=True):
            known = {"state": state}
            if group.cell.drives and set(group.cell.drives.values()) != {"state"}:
                group.evaluate(self.values, known)
            group.drive(self.values, known)
        for groups in self._levels:
            for group in groups:
                group.drive(self.values, group.evaluate(self.values, {}))

    def clock(self) -> None:
        """A rising edge: registers take what their inputs have settled at."""
        self._states = [
            self._next(group, state)
            for group, state in zip(self._registers, self._states, strict=True)
        ]

    def _next(self, group: _Group, state: Words) -> Words:
        known = group.evaluate(self.values, {"state": state})
        name = group.cell.state[1]
        return known[name] if name in known else self.values[group.pins[name]]


def _levels(gates: Gates) -> Iterator[list[_Group]]:
    """Gates by level and function, in an order in which every input is known."""
    known = np.zeros(gates.nets + 1, bool)
    known[:2] = True
    for direction, nets in gates.ports.values():
        if direction == "input":
            known[nets] = True
    waiting: list[_Group] = []
    # Cells that differ in strength alone are one function.
    same: dict[str, list[str]] = {}
    for kind, cell in gates.cells.items():
        if cell.state:
            for pin in cell.outputs:
                known[gates.pins[kind][pin]] = True
        else:
            same.setdefault(repr(cell), []).append(kind)
    for kinds in same.values():
        cell = gates.cells[kinds[0]]
        pins = (*cell.inputs, *cell.outputs)
        waiting.append(
            _Group(cell, {pin: np.concatenate([gates.pins[k][pin] for k in kinds]) for pin in pins})
        )
    while waiting:
        ready, left = [], []
        for group in waiting:
            chosen = np.all([known[group.pins[pin]] for pin in group.cell.inputs], axis=0)
            for part, which in ((ready, chosen), (left, ~chosen)):
                if which.any():
                    picked = {pin: nets[which] for pin, nets in group.pins.items()}
                    part.append(_Group(group.cell, picked))
        if not ready:
            raise ValueError(f"cells of {gates.top} form a loop without a register")
        for group in ready:
            for pin in group.cell.outputs:
                known[group.pins[pin]] = True
        waiting = left
        yield ready
