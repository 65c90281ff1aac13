"""Registers by name, from the description in an accelerator's side-car."""

from collections.abc import Iterator, Mapping
from typing import Any

from speq_sim.host.transport import Transport

__all__ = ["RegisterBlock"]


class RegisterBlock:
    """Reads and writes named registers and fields.

    Parameters
    ----------
    transport : Transport
        The way to the unit.
    description : mapping
        ``registers`` of the side-car.
    """

    def __init__(self, transport: Transport, description: Mapping[str, Any]) -> None:
        self._transport = transport
        self._registers = description["registers"]
        self._codes = description["codes"]

    def read(self, name: str, field: str | None = None) -> int:
        """Value of a register, or of one of its fields."""
        value = self._transport.read(self._registers[name]["offset"])
        if field is None:
            return value
        place = self._place(name, field)
        return value >> place["offset"] & (1 << place["bits"]) - 1

    def write(self, name: str, **fields: int) -> None:
        """Set a register: the fields named, and 0 in all others.

        Raises
        ------
        ValueError
            If a value does not fit its field.
        """
        value = 0
        for field, number in fields.items():
            place = self._place(name, field)
            if not 0 <= number < 1 << place["bits"]:
                raise ValueError(
                    f"{number} does not fit field {field} of {name}: it has {place['bits']} bits"
                )
            value |= number << place["offset"]
        self._transport.write(self._registers[name]["offset"], value)

    def code(self, name: str, field: str) -> str:
        """What the present value of a field with codes is called."""
        value = self.read(name, field)
        codes = self._codes[self._place(name, field)["codes"]]
        return next((text for text, number in codes.items() if number == value), str(value))

    def count(self, name: str) -> int:
        """A counter of two registers, read consistently: the low half captures the high one."""
        low = self.read(name)
        return self.read(f"{name}_HIGH") << 32 | low

    def differences(self) -> Iterator[str]:
        """Fields that never change, but are not what the description says."""
        for name, register in self._registers.items():
            for field, place in register["fields"].items():
                if place["value"] is not None and self.read(name, field) != place["value"]:
                    yield f"{name}.{field} is {self.read(name, field)}, not {place['value']}"

    def _place(self, name: str, field: str) -> Mapping[str, Any]:
        return self._registers[name]["fields"][field]
