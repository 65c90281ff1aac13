"""A board's system compiled to machine code, and reached through its two serial pins.

Verilator translates the emitted Verilog to C++, as for
:mod:`speq_sim.benches.accelerator.compiled_unit`; the other end of the line
(``compiled_board.cc``) drives and reads the pins bit by bit. So everything is simulated that a real
board would do, but for its clock and its reset button.
"""

import ctypes
import dataclasses
import json
from pathlib import Path

from speq.boards.emission import emit
from speq.boards.settings import BoardSettings
from speq.parameters import Parameters
from speq_sim.benches.accelerator.compiled_unit import build_unit

__all__ = ["CompiledBoard", "build_board", "fast_line"]

_MODELS = Path(__file__).with_name("compiled_board.cc")


_BIT_CYCLES, _IDLE_BITS = 4, 100

_ANSWER_CYCLES = 20_000
"""Activations take longest: 63 beats, of which each may wait for 256 cycles."""


def fast_line(settings: BoardSettings) -> BoardSettings:
    """The same with the fastest serial line, and a short idle time: a peer without gaps."""
    baud = int(settings.clock_mhz * 1e6 / _BIT_CYCLES)
    return dataclasses.replace(settings, baud=baud, idle_us=_IDLE_BITS * 1e6 / baud)


class CompiledBoard:
    """The serial line of a simulated board: a :class:`speq_sim.host.uart_channel.Channel`.

    Simulated time passes only within :meth:`read` and :meth:`run`.

    Parameters
    ----------
    library : Path
        What :func:`build_board` made.
    settings : BoardSettings
        Those of the system.
    drift : float
        By how much this end's clock is slower than the board's, as a share.
    """

    def __init__(self, library: Path, settings: BoardSettings, *, drift: float = 0.0) -> None:
        self._board: int | None = None
        self._settings = settings
        self._library = _declared(ctypes.CDLL(str(library)))
        self._board = self._library.board_open(settings.divisor * (1 + drift))

    def __del__(self) -> None:
        if self._board is not None:
            self._library.board_close(self._board)

    @property
    def patience(self) -> float:
        """Seconds of simulated time in which every answer has begun."""
        return _ANSWER_CYCLES / (self._settings.clock_mhz * 1e6)

    @property
    def cycles(self) -> int:
        """Clock cycles of the board since it was made."""
        return self._library.board_cycles(self._board)

    @property
    def dropped(self) -> bool:
        """Whether a broken request came since the reset."""
        return bool(self._library.board_dropped(self._board))

    def reset(self) -> None:
        """Press the reset button; bytes on the line are lost."""
        self._library.board_reset(self._board)

    def run(self, cycles: int) -> None:
        """Let time pass."""
        self._library.board_run(self._board, cycles)

    def write(self, data: bytes) -> None:
        """Queue bytes to send. Takes no cycle."""
        self._library.board_write(self._board, data, len(data))

    def read(self, count: int, timeout: float) -> bytes:
        """Up to `count` bytes that come within `timeout` seconds of simulated time.

        Time begins when all bytes queued are sent, and stands still while some come in.
        """
        data = ctypes.create_string_buffer(count)
        cycles = max(round(timeout * self._settings.clock_mhz * 1e6), 1)
        found = self._library.board_read(self._board, data, count, cycles)
        return data.raw[:found]


def build_board(
    parameters: Parameters,
    settings: BoardSettings,
    folder: Path,
    build_dir: Path,
    optimisation: str = "-O1",
) -> Path:
    """Emit the system of a board and compile it to a shared library.

    Parameters
    ----------
    parameters : Parameters
        The design point.
    settings : BoardSettings
    folder : Path
        Where it is emitted to.
    build_dir : Path
        Where libraries are kept; an unchanged design is not compiled again.
    optimisation : str
        For the C++ compiler.

    Raises
    ------
    speq.parameters.ParameterError
        If the design is not for a board.
    speq_sim.benches.finding.SimulatorError, speq_sim.cplusplus.CompilerError
        If it cannot be compiled.
    """
    files = emit(parameters, settings, folder)
    side_car = json.loads(files.side_car.read_text(encoding="utf-8"))
    return build_unit(files.verilog, side_car, build_dir, optimisation, _MODELS)


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Types of all functions of the library."""
    board, number = ctypes.c_void_p, ctypes.c_uint64
    types = {
        "open": (board, [ctypes.c_double]),
        "close": (None, [board]),
        "reset": (None, [board]),
        "cycles": (ctypes.c_int64, [board]),
        "dropped": (ctypes.c_int, [board]),
        "write": (None, [board, ctypes.c_char_p, number]),
        "run": (None, [board, number]),
        "read": (number, [board, ctypes.c_char_p, number, number]),
    }
    for name, (result, arguments) in types.items():
        function = getattr(library, f"board_{name}")
        function.restype, function.argtypes = result, arguments
    return library
