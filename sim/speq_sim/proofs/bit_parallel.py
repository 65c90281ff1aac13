"""Bit-parallel compiled simulation: 256 independent runs of a circuit at once.

For exhaustive checks. Yosys maps the Verilog to gates and flip-flops; every gate becomes one C++
operation on 256-bit vectors, whose bit *i* belongs to run *i*. It suits whatever needs very many
short runs that have nothing to do with each other.
"""

import ctypes
import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speq.yosys import run_yosys
from speq_sim.cplusplus import compile_shared, library_path

__all__ = ["LANES", "BitParallelError", "Circuit", "Netlist", "compile_library", "netlist"]

LANES = 256
"""Runs that go through the circuit side by side."""

_GATES = {
    "$_BUF_": "{A}",
    "$_NOT_": "~{A}",
    "$_AND_": "{A} & {B}",
    "$_NAND_": "~({A} & {B})",
    "$_OR_": "{A} | {B}",
    "$_NOR_": "~({A} | {B})",
    "$_XOR_": "{A} ^ {B}",
    "$_XNOR_": "~({A} ^ {B})",
    "$_ANDNOT_": "{A} & ~{B}",
    "$_ORNOT_": "{A} | ~{B}",
    "$_MUX_": "{A} ^ (({A} ^ {B}) & {S})",
}
_FLIP_FLOP = "$_DFF_P_"
_CLOCK = "clk"

_HEADER = """\
#include <cstdint>
#include <cstring>

typedef uint32_t V __attribute__((vector_size(32)));

"""

_RUNNER = """
// One evaluation per vector; clocked circuits see a clock edge after each.
extern "C" void speq_run(const V *in, V *out, int64_t vectors) {
    V state[STATES + 1];
    std::memset(state, 0, sizeof state);
    for (int64_t i = 0; i < vectors; i++)
        evaluate(in + i * INPUTS, out + i * OUTPUTS, state);
}
"""


class BitParallelError(RuntimeError):
    """The circuit cannot be translated or compiled."""


@dataclasses.dataclass(frozen=True)
class Netlist:
    """A circuit as C++ text.

    Attributes
    ----------
    top : str
        Name of the module.
    inputs, outputs : mapping of str to (offset, width)
        Where each port's bits lie among the vectors passed to ``evaluate``. The clock is no port.
    source : str
        C++ with the function ``evaluate(const V *in, V *out, V *state)``: outputs from inputs and
        state, then one clock edge. Macros ``IN_<port>``, ``OUT_<port>`` (with ``_BITS``: the
        width), ``INPUTS``, ``OUTPUTS`` and ``STATES`` say where ports lie and how long the arrays
        are.
    gates, flip_flops : int
        Size of the circuit.
    """

    top: str
    inputs: Mapping[str, tuple[int, int]]
    outputs: Mapping[str, tuple[int, int]]
    source: str
    gates: int
    flip_flops: int


def netlist(verilog: str, top: str) -> Netlist:
    """Translate a module of some Verilog text.

    Raises
    ------
    speq.yosys.YosysError
        If Yosys rejects the Verilog.
    BitParallelError
        If the circuit has a cell that is no gate or rising-edge flip-flop, or a combinational loop.
    """
    with tempfile.TemporaryDirectory(prefix="speq-") as folder:
        (Path(folder) / "design.v").write_text(verilog, encoding="utf-8")
        commands = [
            "read_verilog design.v",
            f"hierarchy -top {top}",
            "proc",
            "flatten",
            "opt",
            "memory -nomap",
            "memory_map",
            "opt -full",
            "techmap",
            "dfflegalize -cell $_DFF_P_ 01",
            "opt -nodffe -nosdff",
            "clean -purge",
            "write_json design.json",
        ]
        run_yosys(commands, directory=folder)
        module = json.loads((Path(folder) / "design.json").read_text(encoding="utf-8"))
    return _translate(module["modules"][top], top)


def compile_library(netlist: Netlist, build_dir: Path, driver: Path | None = None) -> Path:
    """Compile a netlist, with a driver of its own or the general one, to a shared library.

    Parameters
    ----------
    netlist : Netlist
        The circuit.
    build_dir : Path
        Where C++ and library are kept; what is already there is not compiled again.
    driver : Path, optional
        C++ that is appended to the netlist's.

    Raises
    ------
    CompilerError
        If there is no C++ compiler, or it fails.
    """
    tail = _RUNNER if driver is None else driver.read_text(encoding="utf-8")
    text = netlist.source + tail
    library = library_path(build_dir, netlist.top, text)
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    source = library.with_suffix(".cc")
    source.write_text(text, encoding="utf-8")
    options = ["-O3", "-march=native", "-fno-trapping-math"]
    compile_shared(source, library, options, netlist.top)
    return library


class Circuit:
    """A compiled module, evaluated on NumPy arrays.

    Parameters
    ----------
    verilog : str
        Text of the module and those below it.
    top : str
        Name of the module.
    build_dir : Path
        As in :func:`compile_library`.
    clocked : bool
        The module has registers. Then element i of an array is what stands at a port of run
        ``i % LANES`` in cycle ``i // LANES``; all registers start at 0.

    Raises
    ------
    BitParallelError
        If the module has registers and is not said to.
    """

    def __init__(self, verilog: str, top: str, build_dir: Path, *, clocked: bool = False) -> None:
        self.netlist = netlist(verilog, top)
        if self.netlist.flip_flops and not clocked:
            raise BitParallelError(f"{top} has flip-flops: say clocked=True, and mind the cycles")
        self._run = ctypes.CDLL(str(compile_library(self.netlist, build_dir))).speq_run

    def evaluate(self, **values: NDArray[np.integer]) -> dict[str, NDArray[np.uint64]]:
        """Outputs for as many input vectors as the arrays are long.

        Parameters
        ----------
        values : arrays of integers
            One per input port, all of one length. For a port of more than 64 bits an array of
            rows, each of words of 64 bits, the lowest first.

        Returns
        -------
        dict of str to array of uint64
            Each output port's bits, not sign extended.
        """
        if set(values) != set(self.netlist.inputs):
            raise ValueError(
                f"values are given for {sorted(values)}, but {self.netlist.top} has the inputs "
                f"{sorted(self.netlist.inputs)}"
            )
        count = len(next(iter(values.values())))
        vectors = -(-count // LANES)
        sent = np.zeros((vectors, _size(self.netlist.inputs), LANES // 8), np.uint8)
        for name, (offset, width) in self.netlist.inputs.items():
            padded = np.zeros((vectors * LANES, -(-width // 64)), np.uint64)
            padded[:count] = values[name].astype(np.uint64).reshape(count, -1)
            for bit in range(width):
                column = (padded[:, bit // 64] >> np.uint64(bit % 64)).astype(np.uint8) & 1
                packed = np.packbits(column.reshape(vectors, LANES), axis=1, bitorder="little")
                sent[:, offset + bit] = packed
        received = np.zeros((vectors, _size(self.netlist.outputs), LANES // 8), np.uint8)
        sent, received = _aligned(sent), _aligned(received)
        self._run(
            sent.ctypes.data_as(ctypes.c_void_p),
            received.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(vectors),
        )
        results = {}
        for name, (offset, width) in self.netlist.outputs.items():
            value = np.zeros(vectors * LANES, np.uint64)
            for bit in range(width):
                column = np.unpackbits(received[:, offset + bit], axis=1, bitorder="little")
                value |= column.reshape(-1).astype(np.uint64) << np.uint64(bit)
            results[name] = value[:count]
        return results


def _aligned(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy that starts at a multiple of 32 bytes, as vector loads demand."""
    buffer = np.empty(array.size + 32, np.uint8)
    start = -buffer.ctypes.data % 32
    view = buffer[start : start + array.size].reshape(array.shape)
    view[...] = array
    return view


def _size(ports: Mapping[str, tuple[int, int]]) -> int:
    return sum(width for _, width in ports.values())


def _translate(module: Mapping[str, Any], top: str) -> Netlist:
    ports: dict[str, dict[str, tuple[int, int]]] = {"input": {}, "output": {}}
    names: dict[int | str, str] = {"0": "zero", "1": "one", "x": "zero"}
    for name, port in module["ports"].items():
        if name != _CLOCK:
            group = ports[port["direction"]]
            group[name] = (_size(group), len(port["bits"]))
            if port["direction"] == "input":
                offset = group[name][0]
                names |= {bit: f"in[{offset + i}]" for i, bit in enumerate(port["bits"])}
    cells = module["cells"].values()
    flip_flops = [cell for cell in cells if cell["type"] == _FLIP_FLOP]
    for index, cell in enumerate(flip_flops):
        names[cell["connections"]["Q"][0]] = f"q{index}"
    lines = [f"    const V q{i} = state[{i}];" for i in range(len(flip_flops))]
    gates = [cell for cell in cells if cell["type"] != _FLIP_FLOP]
    lines += _gate_lines(gates, names, top)
    for name, (offset, _) in ports["output"].items():
        bits = enumerate(module["ports"][name]["bits"])
        lines += [f"    out[{offset + i}] = {names[bit]};" for i, bit in bits]
    for index, cell in enumerate(flip_flops):
        lines.append(f"    state[{index}] = {names[cell['connections']['D'][0]]};")
    constants = {
        f"{prefix}_{name}{suffix}": number
        for prefix, group in (("IN", ports["input"]), ("OUT", ports["output"]))
        for name, place in group.items()
        for suffix, number in zip(("", "_BITS"), place, strict=True)
    }
    constants |= {"INPUTS": _size(ports["input"]), "OUTPUTS": _size(ports["output"])}
    constants["STATES"] = len(flip_flops)
    source = (
        _HEADER
        + "".join(f"#define {name} {number}\n" for name, number in constants.items())
        + "\nstatic void evaluate(const V *__restrict in, V *__restrict out,\n"
        + "                     V *__restrict state) {\n"
        + "    const V zero = {}, one = ~zero;\n"
        + "    (void)zero, (void)one, (void)state;\n"
        + "\n".join(lines)
        + "\n}\n"
    )
    return Netlist(top, ports["input"], ports["output"], source, len(gates), len(flip_flops))


def _gate_lines(
    gates: Sequence[Mapping[str, Any]], names: dict[int | str, str], top: str
) -> list[str]:
    """One statement per gate, each after those that it reads; `names` gains their outputs."""
    driver = {}
    for gate in gates:
        if gate["type"] not in _GATES:
            raise BitParallelError(f"{top} has a cell {gate['type']} that has no C++ form here")
        driver[gate["connections"]["Y"][0]] = gate
    lines: list[str] = []
    open_bits: set[int | str] = set()
    stack = list(driver)
    while stack:
        bit = stack[-1]
        if bit in names:
            stack.pop()
            continue
        gate = driver[bit]
        reads = [bits[0] for port, bits in gate["connections"].items() if port != "Y"]
        missing = [read for read in reads if read not in names]
        if missing:
            if bit in open_bits:
                raise BitParallelError(f"{top} has a combinational loop")
            open_bits.add(bit)
            stack += missing
            continue
        terms = {p: names[b[0]] for p, b in gate["connections"].items() if p != "Y"}
        names[bit] = f"n{len(lines)}"
        lines.append(f"    const V n{len(lines)} = {_GATES[gate['type']].format(**terms)};")
        stack.pop()
    return lines
