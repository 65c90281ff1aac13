"""Play whole jobs on an emitted design compiled to machine code: for long and exhaustive runs.

Yosys translates the emitted Verilog to C++ (CXXRTL), the system's C++ compiler makes a shared
library of it, and one call plays all transfers. The streams keep the same rules as under cocotb,
but nothing is monitored: the handshakes are the business of the other benches.
"""

import ctypes
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speq.yosys import run_yosys
from speq_sim.benches.cases import INPUTS, STREAMS
from speq_sim.benches.payload import Design
from speq_sim.cplusplus import compile_shared, compiler, library_path

__all__ = ["Compiled", "CompiledError", "Played"]

_PLAYER = Path(__file__).with_name("compiled_player.cc")


class CompiledError(RuntimeError):
    """The design did not finish its work."""


@dataclasses.dataclass(frozen=True)
class Played:
    """What a run gave.

    Attributes
    ----------
    results : ndarray of uint8, shape (transfers, bytes)
        Payloads of the results stream.
    cycles : int
        Clock cycles from reset to the last result.
    counts : mapping of str to mapping of str to int
        For each stream: ``transfers``, ``stall_cycles`` (valid without ready), ``first_cycle`` and
        ``last_cycle`` of a transfer.
    """

    results: NDArray[np.uint8]
    cycles: int
    counts: Mapping[str, Mapping[str, int]]


class Compiled:
    """An emitted design as a shared library.

    Parameters
    ----------
    verilog, side_car : Path
        The emitted design.
    build_dir : Path
        Where C++ and library are kept; an unchanged design is not compiled again.

    Raises
    ------
    CompilerError
        If there is no C++ compiler, or it fails.
    """

    def __init__(self, verilog: Path, side_car: Path, build_dir: Path) -> None:
        self.design = Design.load(side_car)
        self._library = ctypes.CDLL(str(self._build(Path(verilog), Path(build_dir))))
        self._library.speq_play.restype = ctypes.c_int64

    def play(
        self,
        payloads: Mapping[str, NDArray[np.uint8]],
        results: int,
        *,
        pauses: Mapping[str, float] | None = None,
        seed: int = 1,
        patience: int = 100_000,
    ) -> Played:
        """Reset, send all payloads and collect results.

        Parameters
        ----------
        payloads : mapping of str to ndarray of uint8, shape (transfers, bytes)
            For each input stream.
        results : int
            Number of results to wait for.
        pauses : mapping of str to float, optional
            Probability of an idle source or an unready sink per cycle, by stream.
        seed : int
            Seed of the pauses.
        patience : int
            Cycles without any transfer after which the run is given up.

        Raises
        ------
        CompiledError
            If the design stops before the last result.
        """
        sent = [_words(payloads[name]) for name in INPUTS]
        received = np.zeros((results, -(-self.design.streams["results"].bits // 32)), np.uint32)
        chances = [int((pauses or {}).get(name, 0.0) * 2**32) for name in STREAMS]
        counts = np.zeros((len(STREAMS), 4), np.int64)
        cycles = self._library.speq_play(
            (ctypes.c_void_p * len(sent))(*(words.ctypes.data for words in sent)),
            (ctypes.c_int64 * len(sent))(*(len(words) for words in sent)),
            received.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(results),
            (ctypes.c_uint64 * len(chances))(*chances),
            ctypes.c_uint64(seed),
            ctypes.c_int64(patience),
            counts.ctypes.data_as(ctypes.c_void_p),
        )
        by_stream = {
            name: dict(
                zip(
                    ("transfers", "stall_cycles", "first_cycle", "last_cycle"),
                    map(int, row),
                    strict=True,
                )
            )
            for name, row in zip(STREAMS, counts, strict=True)
        }
        if cycles < 0:
            raise CompiledError(
                f"{self.design.top} stopped: no transfer in {patience} cycles, after {by_stream}"
            )
        size = self.design.streams["results"].size
        return Played(received.view(np.uint8)[:, :size].copy(), cycles, by_stream)

    def _build(self, verilog: Path, build_dir: Path) -> Path:
        text = verilog.read_text(encoding="utf-8") + _PLAYER.read_text(encoding="utf-8")
        library = library_path(build_dir, self.design.top, text)
        if library.exists():
            return library
        compiler()  # before the long part
        library.parent.mkdir(parents=True, exist_ok=True)
        source = library.with_suffix(".cc")
        run_yosys(
            [
                f'read_verilog "{verilog.resolve()}"',
                f"hierarchy -top {self.design.top}",
                "proc",
                "clean",
                # Flattened, every element of the array would be compiled: minutes, not seconds.
                f'write_cxxrtl -noflatten -O6 -g0 "{source}"',
            ]
        )
        options = ["-O1", f"-I{_runtime()}", f'-DDESIGN_SOURCE="{source}"']
        options.append(f"-DDESIGN_TOP={_mangled(self.design.top)}")
        compile_shared(_PLAYER, library, options, self.design.top)
        return library


def _words(payloads: NDArray[np.uint8]) -> NDArray[np.uint32]:
    padded = np.pad(payloads, ((0, 0), (0, -payloads.shape[1] % 4)))
    return np.ascontiguousarray(padded).view(np.uint32)


def _mangled(name: str) -> str:
    return "p_" + name.replace("_", "__")


def _runtime() -> Path:
    import pyosys

    return Path(pyosys.__file__).parent / "share/include/backends/cxxrtl/runtime"
