"""How fast, how large and how thrifty the points of a space of designs are."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from speq_sim.performance.design_space import DRAFTING, Point, areas
from speq_sim.performance.dram import Dram
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.energy import PUBLIC, Energy
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Setting
from speq_sim.performance.predicting import predict
from speq_sim.performance.unit_engine import UnitEngine

__all__ = ["Conditions", "Figures", "Result", "evaluate"]


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What is the same for all points.

    Parameters
    ----------
    setting : Setting
        Model, context, batch, acceptances.
    energy : Energy
        Of the chip's operations.
    kv_bits : int
        16, 8 or 4 bits of each key and value.
    vector_lanes : int, optional
        Elementwise operations per cycle, all units together; C of each unit by default.
    """

    setting: Setting
    energy: Energy = PUBLIC
    kv_bits: int = 16
    vector_lanes: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """All of them, as JSON values."""
        setting = dataclasses.asdict(self.setting) | {
            "recipe": [list(pair) for pair in self.setting.recipe]
        }
        setting.pop("draft_length")
        return {
            **setting,
            "config": {name: _plain(value) for name, value in setting["config"].items()},
            "energy": self.energy.as_dict(),
            "kv_bits": self.kv_bits,
            "vector_lanes": self.vector_lanes,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """How fast and how large a point is.

    Parameters
    ----------
    seconds_per_token, tokens_per_second : float
        Between two tokens of a sequence; of all sequences together.
    transistors : int
        Logic of all units, without their memories.
    extrapolated : bool
        Whether a part of the logic is larger than those that were measured.
    sram_bits : int
        Those memories.
    joules_per_token : float
        Chip and external memory.
    limited_by : str
        One of :data:`speq_sim.performance.machine.BOUNDS`.
    settings : dict
        What was chosen of drafts.
    """

    seconds_per_token: float
    tokens_per_second: float
    transistors: int
    extrapolated: bool
    sram_bits: int
    joules_per_token: float
    limited_by: str
    settings: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Result:
    """A point and its figures."""

    point: Point
    figures: Figures

    def as_dict(self) -> dict[str, Any]:
        """As JSON values; :meth:`from_dict` reads them."""
        return {
            "key": self.point.key,
            **dataclasses.asdict(self.point),
            "modes": list(self.point.modes),
            **dataclasses.asdict(self.figures),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Result":
        """From what :meth:`as_dict` gave.

        Raises
        ------
        KeyError, TypeError
            If a value is missing.
        """
        point = {field.name: values[field.name] for field in dataclasses.fields(Point)}
        figures = {field.name: values[field.name] for field in dataclasses.fields(Figures)}
        return cls(Point(**point | {"modes": tuple(point["modes"])}), Figures(**figures))


def evaluate(conditions: Conditions, points: Sequence[Point]) -> list[Result]:
    """Figures of points.

    Raises
    ------
    ModelError, ParameterError
        If a point or the conditions are illegal.
    """
    return [Result(point, _figures(conditions, point)) for point in points]


def _figures(conditions: Conditions, point: Point) -> Figures:
    setting = conditions.setting
    if point.method in DRAFTING:
        setting = dataclasses.replace(setting, draft_length=point.draft_length)
    design = point.design(setting.config)
    engine = UnitEngine(design, point.units, conditions.vector_lanes)
    machine = Machine(engine, _memory(point.memory), kv_bits=conditions.kv_bits)
    found = predict(point.method, setting, machine, conditions.energy)
    area = areas().area(design)
    return Figures(
        seconds_per_token=found.seconds_per_token,
        tokens_per_second=found.tokens_per_second,
        transistors=point.units * area.transistors,
        extrapolated=bool(area.extrapolated),
        sram_bits=point.units * area.sram_bits,
        joules_per_token=found.energy.joules,
        limited_by=found.cost.limited_by,
        settings=dict(found.cost.round.settings),
    )


_memory: Callable[[str], Dram] = functools.cache(find_dram)


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)
