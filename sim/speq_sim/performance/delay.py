"""Longest path of any array, composed from synthesis of each distinct unit.

Every unit of an array ends in registers and takes its inputs from registers, so that the longest
path of an array is that of its slowest unit. Each unit was mapped once as an instance
(``scripts/measure_parts.py --delays``, in the flow of docs/area.md: ABC's estimate, no wires).
Signals that go to all rows or all columns have a tree of buffers, whose depth grows with their
number: a fixed time per doubling, measured on a register's enable of 4 to 4,096 bits. Enables come
from logic between the stages, in ``control``, and not from registers: their time before a row is in
that unit, their time within a row is not counted (docs/area.md, "Any array, from measured parts").
Against flattened runs: docs/results/area-composed.json.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speq.parameters import Parameters
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.area_parts import IN_ROW, PARTS, pipelined

__all__ = ["DELAYS", "UNITS", "ArrayDelay", "DelayModel", "Unit"]

DELAYS = Path(__file__).parent / "data" / "delay-parts.json"
"""What was measured."""


@dataclasses.dataclass(frozen=True)
class Unit:
    """One kind of unit, from register to register.

    Parameters
    ----------
    name : str
        The stem of its module; ``control`` is all that is in neither a row nor a column.
    key : callable
        Text of a design point that tells apart circuits of this unit.
    size : str
        Field of the parameters that its path depends on, by the logarithm; empty if none.
    copies : str
        Field that counts the units which the same signals go to; empty where each has its own, or
        where the size measured has them in it.
    """

    name: str
    key: Callable[[Parameters], str]
    size: str = ""
    copies: str = ""


def _like(part: str) -> Callable[[Parameters], str]:
    return next(each.key for each in PARTS if each.name == part)


def _any(design: Parameters) -> str:
    return pipelined("any", design)


UNITS: tuple[Unit, ...] = (
    # Operands and the mode go to the PEs of a column.
    Unit("pe", _like("pe"), copies="rows"),
    Unit("reduce", _any, size="columns"),
    # The number of the token goes to all rows, and chooses one of M in each.
    Unit("accumulate", _any, size="tokens", copies="rows"),
    Unit("round", _like("round"), copies="rows"),
    Unit("column", _like("column"), copies="columns"),
    # Measured with all modes, which is the most that there can be.
    Unit("control", _any, size="rows"),
)
"""What a path can be in."""


@dataclasses.dataclass(frozen=True)
class ArrayDelay:
    """Longest paths of an array.

    Parameters
    ----------
    name : str
        The design.
    library : str
        Cell library.
    units : mapping of str to float
        Longest path of each unit in picoseconds, buffers included.
    extrapolated : tuple of str
        Units of a size beyond those measured, such as ``"reduce: columns = 128"``.
    """

    name: str
    library: str
    units: Mapping[str, float]
    extrapolated: tuple[str, ...] = ()

    @property
    def delay_ps(self) -> float:
        """The longest path in picoseconds."""
        return max(self.units.values())

    @property
    def slowest(self) -> str:
        """The unit that it is in."""
        return max(self.units, key=self.units.__getitem__)

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return {
            "delay_ps": round(self.delay_ps),
            "slowest": self.slowest,
            "delays_ps": {name: round(value) for name, value in self.units.items()},
            "delay_library": self.library,
            "delay_extrapolated": list(self.extrapolated),
        }


class DelayModel:
    """Longest paths by composition. Use :meth:`load`.

    Parameters
    ----------
    record : mapping
        A data file's content: ``library``; ``units``, lists of pairs (size, picoseconds) by unit
        and key; ``fan_out``, pairs (registers of one enable, picoseconds).

    Raises
    ------
    ModelError
        If it is no such record.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        try:
            self.library: str = record["library"]
            self._units: dict[tuple[str, str], list[tuple[float, float]]] = {
                (unit, key): sorted((float(size), float(delay)) for size, delay in pairs)
                for unit, keys in record["units"].items()
                for key, pairs in keys.items()
            }
            loads, delays = np.array(record["fan_out"], dtype=float).T
            self.per_doubling = float(np.polyfit(np.log2(loads), delays, 1)[0])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"this is no record of delays ({type(error).__name__}: {error}): write one with "
                f"scripts/measure_parts.py --delays"
            ) from None

    @classmethod
    def load(cls, path: Path | None = None) -> "DelayModel":
        """Read a data file, by default the one that comes with the package.

        Raises
        ------
        ModelError
            If it cannot be read, or is no such record.
        """
        path = DELAYS if path is None else path
        try:
            return cls(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{path.name} cannot be read ({error}): write it with "
                f"scripts/measure_parts.py --delays"
            ) from None

    def delay(self, parameters: Parameters) -> ArrayDelay:
        """The longest path of a design point's array.

        Raises
        ------
        ModelError
            If a unit of it was never measured: other modes, formats, code tables or pipeline; or
            if its products are made for DSP blocks.
        """
        return self._compose(parameters, UNITS, shared=True)

    def row(self, parameters: Parameters) -> ArrayDelay:
        """The longest path of one row by itself. Raises as :meth:`delay`."""
        inside = tuple(unit for unit in UNITS if unit.name in IN_ROW)
        return self._compose(parameters, inside, shared=False)

    def _compose(
        self, parameters: Parameters, kinds: Sequence[Unit], *, shared: bool
    ) -> ArrayDelay:
        if parameters.in_dsp:
            raise ModelError(
                f"target of design {parameters.name!r} is {parameters.target!r}, whose products "
                f"are in DSP blocks, but units are those of standard cells: use another target"
            )
        found: dict[str, float] = {}
        beyond = []
        for unit in kinds:
            pairs = self._units.get((unit.name, unit.key(parameters)))
            if not pairs:
                raise ModelError(
                    f"design {parameters.name!r} has a {unit.name} ({unit.key(parameters)}) whose "
                    f"delay was never measured: run scripts/measure_parts.py --delays with it"
                )
            size = getattr(parameters, unit.size) if unit.size else pairs[0][0]
            value, inside = _at(pairs, size)
            if not inside:
                beyond.append(f"{unit.name}: {unit.size} = {size}")
            if unit.copies and shared:
                value += self.per_doubling * math.log2(getattr(parameters, unit.copies))
            found[unit.name] = value
        return ArrayDelay(parameters.name, self.library, found, tuple(beyond))


def _at(pairs: Sequence[tuple[float, float]], size: float) -> tuple[float, bool]:
    """The path at a size, and whether sizes on both sides were measured.

    Between them it is a line in the size's logarithm. Beyond them it goes on from the last one
    with the slope of the line through all, since the step between two is mostly noise of mapping.
    """
    sizes, delays = np.log2([pair[0] for pair in pairs]), [pair[1] for pair in pairs]
    place = math.log2(size)
    inside = bool(sizes[0] <= place <= sizes[-1])
    value = float(np.interp(place, sizes, delays))
    if not inside and len(pairs) > 1:
        slope = float(np.polyfit(sizes, delays, 1)[0])
        value += slope * (place - float(np.clip(place, sizes[0], sizes[-1])))
    return value, inside
