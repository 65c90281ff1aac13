"""What all AXI models share: names of signals, clock and reset, and the rules of one channel."""

import enum
from collections.abc import Sequence
from typing import Any, NoReturn

from cocotb.handle import LogicArrayObject, LogicObject
from cocotb.types import Logic

__all__ = ["AxiResetError", "AxiRuleError", "Channel", "Port", "Response"]


_ONE, _ZERO = Logic(1), Logic(0)
# There is one object for each value of a Logic: to compare identities first is twice as fast.


class AxiRuleError(AssertionError):
    """A design broke a rule of AXI."""


class AxiResetError(RuntimeError):
    """A reset ended a transaction that somebody waits for."""


class Response(enum.IntEnum):
    """RRESP and BRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _short(bits: str) -> str:
    try:
        return f"{int(bits, 2):#x}"
    except ValueError:
        return bits


class Port:
    """One AXI port of a design: signals ``<prefix>_<name>``.

    Parameters
    ----------
    dut : handle
        The design.
    prefix : str
        Of the port's signals.
    clock : handle, optional
        By default ``dut.aclk``.
    reset_n : handle, optional
        Synchronous reset, active low; by default ``dut.aresetn``. Anything but 1 is reset.
    """

    def __init__(
        self,
        dut: Any,
        prefix: str,
        clock: LogicObject | None = None,
        reset_n: LogicObject | None = None,
    ) -> None:
        self.dut = dut
        self.prefix = prefix
        self.clock: LogicObject = dut.aclk if clock is None else clock
        self.reset_n: LogicObject = dut.aresetn if reset_n is None else reset_n

    def signal(self, name: str) -> LogicObject | LogicArrayObject:
        """Handle of ``<prefix>_<name>``."""
        return getattr(self.dut, f"{self.prefix}_{name}")

    def has(self, name: str) -> bool:
        """Whether the design has ``<prefix>_<name>``."""
        return hasattr(self.dut, f"{self.prefix}_{name}")

    @property
    def in_reset(self) -> bool:
        """Whether the reset is active now."""
        value = self.reset_n.value
        return value is not _ONE and value != 1


class Channel:
    """One ready/valid channel as an observer sees it, and the rules for its valid side.

    Once valid, a payload stays valid and unchanged until its transfer; valid is low in reset
    and until the first clock edge after it. Call either :meth:`observe` or :meth:`reset` at every
    rising edge.

    Parameters
    ----------
    port : Port
        It belongs to.
    letter : str
        Prefix of its signals: ``"ar"``, ``"t"``, ...
    payload : sequence of str
        Names of its other signals, with that prefix.

    Attributes
    ----------
    valid : bool
        As last observed.
    cycle : int
        Of the last :meth:`observe`, counted from :meth:`restart`; for messages.
    """

    def __init__(self, port: Port, letter: str, payload: Sequence[str]) -> None:
        self.names = tuple(f"{port.prefix}_{name}" for name in payload)
        self.valid = False
        self.restart()
        self._valid_name = f"{port.prefix}_{letter}valid"
        self._ready_name = f"{port.prefix}_{letter}ready"
        self._valid = port.signal(f"{letter}valid")
        self._ready = port.signal(f"{letter}ready")
        self._signals = [port.signal(name) for name in payload]
        self._open: list[str] | None = None
        self._resets = 0

    def restart(self) -> None:
        """Count cycles anew from here."""
        self.cycle = -1

    def observe(self) -> bool:
        """See one cycle out of reset; whether there was a transfer."""
        self.cycle += 1
        valid = self.valid = self.bit(self._valid, self._valid_name)
        if self._resets:
            self._resets = 0
            if valid:
                self.fail(self._valid_name, "high before the first clock edge after reset")
        if self._open is not None:
            self._check_held(self._open)
        if not valid:
            return False
        transfer = self.ready
        if transfer:
            self._open = None
        elif self._open is None:
            self.sample()
            self._open = self._texts()
        return transfer

    @property
    def ready(self) -> bool:
        """Whether ready is high now."""
        return self.bit(self._ready, self._ready_name)

    def reset(self) -> None:
        """See one cycle in reset: the first edge only resets, from the second valid must be low."""
        if self._resets and self.bit(self._valid, self._valid_name):
            raise AxiRuleError(f"{self._valid_name}: high in reset, after its first clock edge")
        self._resets += 1
        self._open = None
        self.valid = False

    def sample(self) -> tuple[int, ...]:
        """Values of the payload's signals."""
        return tuple(
            self._integer(signal, name)
            for signal, name in zip(self._signals, self.names, strict=True)
        )

    def _integer(self, signal: LogicObject | LogicArrayObject, name: str) -> int:
        """Value of a signal that must be defined now."""
        try:
            return int(signal.value)
        except ValueError:
            self.fail(name, f"{signal.value} has undefined bits while {self._valid_name} is high")

    def fail(self, name: str, rule: str) -> NoReturn:
        """Report a broken rule."""
        raise AxiRuleError(f"{name}, cycle {self.cycle}: {rule}")

    def _texts(self) -> list[str]:
        # Bits as text compare twice as fast as integers, every cycle of a wait.
        return [str(signal.value) for signal in self._signals]

    def _check_held(self, offer: list[str]) -> None:
        """Check an offer that was not taken in the cycle before."""
        if not self.valid:
            self.fail(
                self._valid_name, "withdrawn before the transfer; it must stay high until ready"
            )
        values = self._texts()
        if values == offer:
            return
        for name, before, now in zip(self.names, offer, values, strict=True):
            if before != now:
                self.fail(
                    name,
                    f"changed from {_short(before)} to {_short(now)} before the transfer; it must "
                    f"keep its value while {self._valid_name} waits for ready",
                )

    def bit(self, signal: LogicObject, name: str) -> bool:
        """Value of a single bit that must be defined now."""
        value = signal.value
        if value is _ZERO:
            return False
        if value is _ONE:
            return True
        try:
            return bool(value)
        except ValueError:
            self.fail(name, f"is {value} after reset")
