"""Registers by name, from the description in an accelerator's side-car."""

from collections.abc import Mapping
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
        self._registers = {entry["name"]: entry for entry in description["registers"]}

    def __contains__(self, name: str) -> bool:
        return name in self._registers

    def read(self, name: str, field: str | None = None) -> int:
        """Value of a register, or of one of its fields."""
        value = self._transport.read(self._entry(name)["offset"])
        if field is None:
            return value
        place = self._field(name, field)
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
            place = self._field(name, field)
            if not 0 <= number < 1 << place["bits"]:
                raise ValueError(
                    f"{number} does not fit field {field} of {name}: it has {place['bits']} bits"
                )
            value |= number << place["offset"]
        self._transport.write(self._entry(name)["offset"], value)

    def code(self, name: str, field: str, value: int) -> str:
        """What a value of a field with codes is called."""
        codes = self._field(name, field)["codes"]
        return next((text for text, number in codes.items() if number == value), str(value))

    def count(self, name: str) -> int:
        """A counter of two registers, read consistently: the low half captures the high one."""
        low = self.read(name)
        return self.read(f"{name}_HIGH") << 32 | low

    def _entry(self, name: str) -> Mapping[str, Any]:
        return self._registers[name]

    def _field(self, name: str, field: str) -> Mapping[str, Any]:
        return next(entry for entry in self._entry(name)["fields"] if entry["name"] == field)
