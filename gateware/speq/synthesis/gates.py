"""A mapped netlist as arrays: for counting what each net does, and for tools with simple parsers.

Everything is one bit wide here. Nets are numbered, instances are numbered within their cell type;
names come back through the registers, which kept theirs.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.synthesis.netlist import Netlist
from speq.yosys import run_yosys

__all__ = ["Cell", "Gates", "read_gates"]

ZERO, ONE = 0, 1
"""Numbers of the nets that are constant."""

_CONSTANTS = {"0": ZERO, "1": ONE, "x": ZERO, "z": ZERO}
_SIMPLE = ("$_NOT_", "$_AND_", "$_OR_", "$_XOR_", "$_MUX_", "$_BUF_")
_CLOCKED = ("$_DFF_P_", "$_DFF_N_")


@dataclasses.dataclass(frozen=True)
class Cell:
    """What a cell does: simple gates in an order in which each input is known.

    Parameters
    ----------
    inputs, outputs : tuple of str
        Pins.
    steps : tuple of (str, str, tuple of str)
        Operation (Yosys's name), name of its result, names of its operands. Pins are names, as are
        ``"0"`` and ``"1"``.
    drives : mapping of str to str
        What each output is.
    state : tuple of (str, str) or None
        Of a flip-flop: the name of its state, and of what that becomes at the clock's edge.
    clock : str or None
        Of a flip-flop: its clock pin.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[tuple[str, str, tuple[str, ...]], ...]
    drives: Mapping[str, str]
    state: tuple[str, str] | None
    clock: str | None


@dataclasses.dataclass(frozen=True)
class Gates:
    """A flat netlist.

    Parameters
    ----------
    top : str
        Its name.
    nets : int
        Number of nets; the first two are constants.
    cells : mapping of str to Cell
        Types of cells in it.
    pins : mapping of str to mapping of str to ndarray of int
        For each type and pin the net of every instance; -1 where an output is open.
    ports : mapping of str to (str, ndarray of int)
        Direction, and nets of the bits.
    names : mapping of int to tuple of str
        Names of the nets of registers, hierarchical, with the bit in brackets.
    instances : mapping of str to tuple of str
        For each type the module instance that each cell is in (``row_0.pe_3``), empty for the top
        and throughout in a netlist that was flattened before it was mapped.
    """

    top: str
    nets: int
    cells: Mapping[str, Cell]
    pins: Mapping[str, Mapping[str, NDArray[np.int64]]]
    ports: Mapping[str, tuple[str, NDArray[np.int64]]]
    names: Mapping[int, tuple[str, ...]]
    instances: Mapping[str, tuple[str, ...]]

    def write_verilog(self, path: Path) -> None:
        """Write it for OpenSTA: numbered wires ``n7``, instances ``CELL_7``, ports of one bit.

        Ports of one bit keep their names; bit 7 of a wider port is called ``port_7``.
        """
        with path.open("w", encoding="ascii") as out:
            ports = [
                (direction, name if len(nets) == 1 else f"{name}_{index}", net)
                for name, (direction, nets) in self.ports.items()
                for index, net in enumerate(nets)
            ]
            out.write(f"module {self.top} ({', '.join(name for _, name, _ in ports)});\n")
            for direction, name, _ in ports:
                out.write(f"  {direction} {name};\n")
            for net in range(2, self.nets):
                out.write(f"  wire n{net};\n")
            for direction, name, net in ports:
                ends = (f"n{net}", name) if direction == "input" else (name, self._net(net))
                out.write(f"  assign {ends[0]} = {ends[1]};\n")
            for kind, pins in self.pins.items():
                columns = {pin: nets.tolist() for pin, nets in pins.items()}
                for index in range(self.count(kind)):
                    links = ", ".join(
                        f".{pin}({self._net(nets[index])})"
                        for pin, nets in columns.items()
                        if nets[index] >= 0
                    )
                    out.write(f"  {kind} {kind}_{index} ({links});\n")
            out.write("endmodule\n")

    def count(self, kind: str) -> int:
        """Number of instances of a type."""
        return len(next(iter(self.pins[kind].values())))

    def loads(self, capacitances: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
        """Capacitance of the input pins at each net, from that of each type's pins, in farads."""
        result = np.zeros(self.nets)
        for kind, pins in self.pins.items():
            for pin in self.cells[kind].inputs:
                result += capacitances[kind][pin] * np.bincount(pins[pin], minlength=self.nets)
        return result

    @staticmethod
    def _net(net: int) -> str:
        return f"1'b{net}" if net in (ZERO, ONE) else f"n{net}"


def read_gates(netlist: Netlist, directory: Path) -> Gates:
    """Read a mapped netlist, flattened if it is not.

    Parameters
    ----------
    netlist : Netlist
        From :func:`speq.synthesis.netlist.map_netlist`.
    directory : Path
        Where Yosys's JSON goes.

    Raises
    ------
    ValueError
        If a cell is neither of simple gates nor a flip-flop on a rising edge.
    """
    cells, gates = directory / "functions.json", directory / "gates.json"
    run_yosys(
        [
            f'read_verilog "{netlist.cells}"',
            "proc",
            "simplemap",
            "opt_clean",
            f'write_json "{cells.resolve()}"',
            "design -reset",
            f'read_verilog "{netlist.verilog}"',
            f"hierarchy -top {netlist.top}",
            "flatten",
            f'write_json "{gates.resolve()}"',
        ]
    )
    functions = json.loads(cells.read_text())["modules"]
    module = json.loads(gates.read_text())["modules"][netlist.top]
    numbers: dict[Any, int] = dict(_CONSTANTS)

    def number(bit: Any) -> int:
        return numbers.setdefault(bit, len(numbers) - len(_CONSTANTS) + 2)

    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    within: dict[str, list[str]] = {}
    for name, instance in module["cells"].items():
        kind = instance["type"].removeprefix("\\")
        if kind != "$scopeinfo":
            by_kind.setdefault(kind, []).append(instance["connections"])
            within.setdefault(kind, []).append(name.rpartition(".")[0])
    ports = {
        name: (port["direction"], np.array([number(bit) for bit in port["bits"]]))
        for name, port in module["ports"].items()
    }
    kinds = {kind: _cell(kind, functions[kind]) for kind in sorted(by_kind)}
    pins = {
        kind: {
            pin: np.array([number(link[pin][0]) if link.get(pin) else -1 for link in by_kind[kind]])
            for pin in (*cell.inputs, *cell.outputs)
        }
        for kind, cell in kinds.items()
    }
    registers = {
        int(net)
        for kind, cell in kinds.items()
        if cell.state
        for pin in cell.outputs
        for net in pins[kind][pin]
    }
    return Gates(
        top=netlist.top,
        nets=max(numbers.values()) + 1,
        cells=kinds,
        pins=pins,
        ports=ports,
        names=_names(module["netnames"], numbers, registers),
        instances={kind: tuple(within[kind]) for kind in kinds},
    )


def _names(
    netnames: Mapping[str, Any], numbers: Mapping[Any, int], wanted: set[int]
) -> dict[int, tuple[str, ...]]:
    result: dict[int, list[str]] = {}
    for name, entry in netnames.items():
        if entry.get("hide_name") or re.fullmatch(r"_\d+_", name):
            continue
        wide = len(entry["bits"]) > 1
        for index, bit in enumerate(entry["bits"]):
            if numbers.get(bit, -1) in wanted:
                result.setdefault(numbers[bit], []).append(f"{name}[{index}]" if wide else name)
    return {net: tuple(sorted(names)) for net, names in result.items()}


def _cell(kind: str, module: Mapping[str, Any]) -> Cell:
    """What a cell does, from its module of simple gates."""
    name_of = {bit: str(bit) for bit in ("0", "1")}
    for pin, port in module["ports"].items():
        if port["direction"] == "input":
            name_of[port["bits"][0]] = pin
    waiting = list(module["cells"].values())
    state = clock = None
    for gate in [gate for gate in waiting if gate["type"] in _CLOCKED]:
        links = {pin: bits[0] for pin, bits in gate["connections"].items()}
        if state is not None or gate["type"] != _CLOCKED[0]:
            raise ValueError(f"cell {kind} is no flip-flop on a rising edge: leave it out")
        state, clock = ("state", links["D"]), name_of.get(links["C"])
        name_of[links["Q"]] = "state"
        waiting.remove(gate)
    steps = []
    while waiting:
        ready = [g for g in waiting if all(b in name_of for b in _operands(g))]
        if not ready:
            raise ValueError(f"cell {kind} feeds back into itself: only gates and flip-flops count")
        for gate in ready:
            if gate["type"] not in _SIMPLE:
                raise ValueError(f"cell {kind} holds a {gate['type']}: only simple gates are known")
            result = name_of[gate["connections"]["Y"][0]] = f"t{len(steps)}"
            steps.append((gate["type"], result, tuple(name_of[b] for b in _operands(gate))))
            waiting.remove(gate)
    ports = module["ports"]
    outputs = tuple(pin for pin, port in ports.items() if port["direction"] == "output")
    if state:
        state = (state[0], name_of[state[1]])
    return Cell(
        inputs=tuple(pin for pin, port in ports.items() if port["direction"] == "input"),
        outputs=outputs,
        steps=tuple(steps),
        drives={pin: name_of[ports[pin]["bits"][0]] for pin in outputs},
        state=state,
        clock=clock,
    )


def _operands(gate: Mapping[str, Any]) -> list[Any]:
    return [bits[0] for pin, bits in gate["connections"].items() if pin != "Y"]
