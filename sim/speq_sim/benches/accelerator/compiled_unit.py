"""An emitted accelerator compiled to machine code, with its bus models: for long runs.

Verilator translates the Verilog to C++, which is compiled together with models of the buses
(``compiled_unit.cc``) to a shared library. The host library reaches it as any other accelerator,
hundreds of thousands of times a minute; nothing of cocotb is involved. Simulated time passes only
within the calls of the transport.
"""

import ctypes
import dataclasses
import importlib.metadata
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speq_sim.benches.accelerator.plan import IDEAL, Memory
from speq_sim.benches.finding import (
    VERILATOR_NEEDS,
    SimulatorError,
    environment,
    verilator_package,
)
from speq_sim.cplusplus import compile_shared, library_path
from speq_sim.host.transport import Packet

__all__ = ["CompiledUnit", "UnitCounts", "UnitError", "build_unit"]

_MODELS = Path(__file__).with_name("compiled_unit.cc")

_PREFIX = "Vunit"

_VERILATE = (
    # Two-state and without delays: the design has neither unknowns nor timing.
    *("-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-timing"),
    # These optimise across the borders of modules, so that no two instances have the same code.
    *("-fno-gate", "-fno-dfg"),
)

_REPEATED = ("pe", "column", "decoder", "middle_decoder", "reduce", "accumulate", "round")
"""Modules with many instances, whose code is wanted once, not once per instance."""

_QUIET = ("-Wno-fatal", "-Wno-lint", "-Wno-style")
"""Lint is a step of its own; here a warning must not stop a build."""


class UnitError(RuntimeError):
    """The simulated unit broke a rule of a bus, answered with an error, or hangs."""


@dataclasses.dataclass(frozen=True)
class UnitCounts:
    """What happened since the reset.

    Attributes
    ----------
    cycles : int
        Clock cycles.
    bursts, beats : int
        Read bursts asked for, and beats received, on the memory port.
    activation_beats, result_beats : int
        Transfers of the two streams.
    most_outstanding : int
        Most bursts under way at a time.
    """

    cycles: int
    bursts: int
    beats: int
    activation_beats: int
    result_beats: int
    most_outstanding: int


class _Settings(ctypes.Structure):
    """``Settings`` of compiled_unit.cc."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("beat_bytes", "low", "high", "outstanding", "stalls", "seed", "deadlock")
    ]


class _Counts(ctypes.Structure):
    """``Counts`` of compiled_unit.cc."""

    _fields_ = [(field.name, ctypes.c_int64) for field in dataclasses.fields(UnitCounts)]


class CompiledUnit:
    """A :class:`speq_sim.host.Transport` into a compiled accelerator.

    Parameters
    ----------
    library : Path
        What :func:`build_unit` made.
    side_car : mapping
        The JSON description that was emitted with the Verilog.
    memory : Memory
        How the memory behind the AXI4 port answers.
    stalls : float
        Chance of every transfer to be held back for a cycle, 0 to below 1: read addresses, read
        beats, activations and results, each by itself.
    seed : int
        Of latencies and stalls.
    patience : int
        Cycles without a packet after which :meth:`receive` gives up.
    deadlock : int
        Cycles without a transfer of data on any bus, within calls, that are an error.
    """

    def __init__(
        self,
        library: Path,
        side_car: Mapping[str, Any],
        memory: Memory = IDEAL,
        *,
        stalls: float = 0.0,
        seed: int = 1,
        patience: int = 1000,
        deadlock: int = 50_000,
    ) -> None:
        self._unit: int | None = None
        if not 0 <= stalls < 1:
            raise ValueError(f"stalls are {stalls}: give a share of cycles from 0 to below 1")
        if not 1 <= memory.low <= memory.high or memory.outstanding < 1:
            raise ValueError(f"{memory} is no memory: give 1 <= low <= high and outstanding >= 1")
        self._library = _declared(ctypes.CDLL(str(library)))
        self._patience = patience
        settings = _Settings(
            side_car["derived"]["bus_bytes"],
            memory.low,
            memory.high,
            memory.outstanding,
            int(stalls * 2**32),
            2 * seed + 1,
            deadlock,
        )
        self._unit = self._library.speq_open(ctypes.byref(settings))

    def __del__(self) -> None:
        if self._unit is not None:
            self._library.speq_close(self._unit)

    def reset(self) -> None:
        """Reset the unit and the bus models; the memory keeps its contents, counts begin anew."""
        self._library.speq_reset(self._unit)

    def counts(self) -> UnitCounts:
        """What happened since the reset. Takes no cycle."""
        found = _Counts()
        self._library.speq_counts(self._unit, ctypes.byref(found))
        return UnitCounts(*(getattr(found, name) for name, _ in _Counts._fields_))

    def read(self, offset: int) -> int:
        """Value of a register.

        Raises
        ------
        UnitError
            If the unit answers with an error, or as every call that takes cycles: if it breaks a
            rule of a bus or hangs.
        """
        value = ctypes.c_uint32()
        self._checked(self._library.speq_read(self._unit, offset, ctypes.byref(value)))
        return value.value

    def write(self, offset: int, value: int) -> None:
        """Set a register. Raises as :meth:`read`."""
        self._checked(self._library.speq_write(self._unit, offset, value))

    def write_memory(self, address: int, data: bytes) -> None:
        """Put bytes into the memory; beats that no call has covered wholly answer DECERR."""
        self._library.speq_write_memory(self._unit, address, data, len(data))

    def send(self, packet: bytes) -> None:
        """Queue a packet of activations, whole beats. Takes no cycle."""
        self._library.speq_send(self._unit, packet, len(packet))

    def flush(self) -> None:
        """Wait until every packet sent was taken. Raises as :meth:`read`."""
        self._checked(self._library.speq_flush(self._unit))

    def receive(self) -> Packet | None:
        """The next packet of results, or None after `patience` cycles. Raises as :meth:`read`."""
        if not self._checked(self._library.speq_wait(self._unit, self._patience)):
            return None
        data = ctypes.create_string_buffer(self._library.speq_packet_size(self._unit))
        void = self._library.speq_take(self._unit, data)
        return Packet(data.raw, bool(void))

    def _checked(self, status: int) -> int:
        if status < 0:
            raise UnitError(self._library.speq_error(self._unit).decode())
        return status


def build_unit(
    verilog: Path,
    side_car: Mapping[str, Any],
    build_dir: Path,
    optimisation: str = "-O2",
    models: Path = _MODELS,
) -> Path:
    """Compile an emitted accelerator and its bus models to a shared library.

    The code of a processing element, most of the design, is compiled once for all of them.

    Parameters
    ----------
    verilog : Path
        The emitted accelerator.
    side_car : mapping
        Its JSON description.
    build_dir : Path
        Where libraries are kept; an unchanged design is not compiled again.
    optimisation : str
        For the C++ compiler. ``"-O0"`` is done in half the time, and worth it for short runs.
    models : Path
        C++ source of what drives the ports of the design, whose class is ``Vunit``.

    Returns
    -------
    Path
        The library.

    Raises
    ------
    SimulatorError
        If Verilator, make or the C++ compiler is missing, or Verilator fails.
    speq_sim.cplusplus.CompilerError
        If the bus models cannot be compiled or linked.
    """
    top = side_car["top"]
    package = _package()
    version = importlib.metadata.version("verilator")
    parts = (verilog.read_text(encoding="utf-8"), models.read_text(encoding="utf-8"))
    library = library_path(build_dir, top, "\n".join((*parts, version, *_VERILATE, optimisation)))
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="speq-", dir=library.parent) as name:
        folder = Path(name)
        repeated = folder / "repeated.vlt"
        repeated.write_text(_repeated(side_car["modules"]), encoding="utf-8")
        with environment():
            command = ["verilator", "--cc", str(verilog.resolve()), str(repeated)]
            command += ["--top-module", top, "--prefix", _PREFIX, "--Mdir", str(folder)]
            _run([*command, "-CFLAGS", "-fPIC", *_VERILATE, *_QUIET], top)
            # Set here, these count more than those of the environment, which are for short runs.
            make = ["make", "-s", "-C", str(folder), "-f", f"{_PREFIX}.mk"]
            # One file: most of the time goes into headers.
            make += ["VM_PARALLEL_BUILDS=0"]
            _run([*make, f"OPT_FAST={optimisation}", f"OPT_GLOBAL={optimisation}"], top)
        archives = [str(folder / name) for name in (f"lib{_PREFIX}.a", "libverilated.a")]
        include = package / "include"
        options = [
            optimisation,
            f"-I{folder}",
            f"-I{include}",
            f"-I{include / 'vltstd'}",
            "-pthread",
        ]
        options += ["-Wl,--whole-archive", *archives, "-Wl,--no-whole-archive"]
        compile_shared(models, library, options, top)
    return library


def _repeated(modules: Sequence[str]) -> str:
    """Verilator's configuration: modules that are functions of their own."""
    names = [module for module in modules if module.endswith(tuple(f"_{n}" for n in _REPEATED))]
    return "`verilator_config\n" + "".join(f'no_inline -module "{name}"\n' for name in names)


def _package() -> Path:
    """Folder of Verilator, if all is there that a build needs."""
    package = verilator_package()
    missing = [program for program in VERILATOR_NEEDS if shutil.which(program) is None]
    if package is None:
        missing.append("the Python package verilator")
    if missing or package is None:
        raise SimulatorError(
            f"the accelerator cannot be compiled: install what Verilator lacks here: "
            f"{', '.join(missing)}"
        )
    return package


def _run(command: list[str], top: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        log = (done.stderr + done.stdout).strip()[-2000:]
        raise SimulatorError(f"{Path(command[0]).name} failed on {top}: {log}")


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Types of all functions of the library."""
    unit, number, bytes_ = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p
    types: dict[str, tuple[Any, list[Any]]] = {
        "open": (unit, [ctypes.c_void_p]),
        "close": (None, [unit]),
        "reset": (None, [unit]),
        "error": (bytes_, [unit]),
        "counts": (None, [unit, ctypes.c_void_p]),
        "read": (ctypes.c_int, [unit, ctypes.c_uint32, ctypes.c_void_p]),
        "write": (ctypes.c_int, [unit, ctypes.c_uint32, ctypes.c_uint32]),
        "flush": (ctypes.c_int, [unit]),
        "wait": (ctypes.c_int, [unit, number]),
        "write_memory": (None, [unit, number, bytes_, number]),
        "send": (None, [unit, bytes_, number]),
        "packet_size": (number, [unit]),
        "take": (ctypes.c_int, [unit, ctypes.c_char_p]),
    }
    for name, (result, arguments) in types.items():
        function = getattr(library, f"speq_{name}")
        function.restype, function.argtypes = result, arguments
    return library
