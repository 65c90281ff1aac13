"""What a board adds to a design point: line, clock, memory.

Pure Python, like :mod:`speq.parameters`.
"""

import dataclasses

from speq.parameters import ParameterError, Parameters

__all__ = ["BOARDS", "MAX_BAUD_ERROR", "BoardSettings"]

MAX_BAUD_ERROR = 0.02
"""Largest deviation of a bit's length that a divided clock may have. Of the 5 % that sampling in
the middle of ten bits allows, the rest is left to the other side and to the sampling itself."""

_LEAST_DIVISOR = 4
_LEAST_MEMORY, _MOST_MEMORY = 1 << 10, 1 << 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoardSettings:
    """Settings of a board.

    Parameters
    ----------
    clock_mhz : float
        Clock of the accelerator and everything around it.
    baud : int
        Bits per second of the serial line; at most a quarter of the clock.
    memory_bytes : int
        Bytes of on-chip memory for weights, a power of two (1 KB..16 MB).
    idle_us : float
        Longest gap between two bytes of a frame, in microseconds. A USB adapter makes gaps of some
        milliseconds.

    Raises
    ------
    ParameterError
        If a value is illegal, or the clock cannot be divided to the baud rate.
    """

    clock_mhz: float
    baud: int
    memory_bytes: int
    idle_us: float = 20_000.0

    def __post_init__(self) -> None:
        for name in ("clock_mhz", "baud", "idle_us"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ParameterError(f"{name} is {value!r}, but must be a number above 0")
        memory = self.memory_bytes
        powers = isinstance(memory, int) and memory > 0 and memory & memory - 1 == 0
        if not powers or not _LEAST_MEMORY <= memory <= _MOST_MEMORY:
            raise ParameterError(
                f"memory_bytes is {memory!r}, but must be a power of two from {_LEAST_MEMORY} to "
                f"{_MOST_MEMORY}"
            )
        if self.divisor < _LEAST_DIVISOR:
            raise ParameterError(
                f"baud is {self.baud}, but a bit must last {_LEAST_DIVISOR} cycles of the clock of "
                f"{self.clock_mhz:g} MHz or more: use {int(self.clock_mhz * 1e6 / _LEAST_DIVISOR)} "
                f"or less"
            )
        error = abs(self.divisor * self.baud / (self.clock_mhz * 1e6) - 1)
        if error > MAX_BAUD_ERROR:
            near = self.clock_mhz * 1e6 / self.divisor
            raise ParameterError(
                f"baud is {self.baud}, which a clock of {self.clock_mhz:g} MHz misses by "
                f"{error:.1%}: use {near:.0f}, or at most {MAX_BAUD_ERROR:.0%} beside it"
            )
        if self.idle_cycles < 20 * self.divisor:
            raise ParameterError(
                f"idle_us is {self.idle_us:g}, but must be 20 bits ({20e6 / self.baud:g}) or more"
            )

    @property
    def divisor(self) -> int:
        """Clock cycles of a bit."""
        return round(self.clock_mhz * 1e6 / self.baud)

    @property
    def idle_cycles(self) -> int:
        """Clock cycles without a byte after which a frame is given up."""
        return round(self.clock_mhz * self.idle_us)

    def check_design(self, parameters: Parameters) -> None:
        """Refuse a design point that cannot address the memory.

        Raises
        ------
        ParameterError
            If its addresses are too short.
        """
        if self.memory_bytes > 1 << parameters.address_bits:
            raise ParameterError(
                f"memory_bytes is {self.memory_bytes}, but the design {parameters.name!r} has only "
                f"{parameters.address_bits} address bits: set address_bits to "
                f"{self.memory_bytes.bit_length() - 1} or more"
            )


BOARDS: dict[str, BoardSettings] = {
    "ulx3s": BoardSettings(clock_mhz=80.0, baud=1_000_000, memory_bytes=1 << 16),
    "icebreaker": BoardSettings(clock_mhz=12.0, baud=1_000_000, memory_bytes=1 << 16),
}
"""Boards that there are tops for, and the settings of each. The memory is that much of the chip's
block RAM (ULX3S: 128 of 208 blocks of 18 Kbit) or of its large single-port RAM (iCEBreaker: two of
four blocks of 32 KB)."""
