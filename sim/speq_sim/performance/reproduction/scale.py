"""Scale: many sequences on a device, one model on many devices."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from speq.parameters import Parameters
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.link import LINKS
from speq_sim.performance.machine import BOUNDS, Machine
from speq_sim.performance.methods import Chain, Plain, Setting
from speq_sim.performance.models import MODELS
from speq_sim.performance.reproduction.machines import FLAT, SERVER, WIDE, fed_units, on_memory
from speq_sim.performance.rounds import RoundCost
from speq_sim.performance.unit_engine import UnitEngine

__all__ = [
    "BATCHES",
    "DEVICES",
    "PAYS",
    "SCALE_MACHINES",
    "TENSOR_DESIGNS",
    "batching",
    "stops_paying_at",
    "tensor_parallel",
]

PAYS = 1.1
"""Speculation pays while it is faster than plain decoding by this factor: less is within what our
model leaves out."""

TENSOR_DESIGNS: dict[str, Parameters] = {"64 x 64 PEs": WIDE, "16 x 256 PEs": FLAT}
"""Designs of a device in tensor parallelism, both for 64 tokens a tile."""

SCALE_MACHINES: dict[str, tuple[Parameters, float]] = {
    "server (16 tokens a tile)": (SERVER, 1),
    "server_64 (64 tokens a tile)": (WIDE, 1),
    "server_64, 4 times the units": (WIDE, 4),
    "server_64, one draft lane": (
        WIDE.replace(name="server_64_1", draft_lanes=1, modes=("verify", "draft")),
        1,
    ),
}
"""Designs, and units as a multiple of what the memory feeds."""

BATCHES: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
DEVICES: tuple[int, ...] = (1, 2, 4, 8)

_SPEQ = Chain("SPEQ", "draft", "verify")
_FP16 = Plain("FP16", "fp16")


def batching(
    acceptance: float,
    model: str = "llama-3-8b",
    memory: str = "hbm2e",
    *,
    context: int = 1024,
    batches: Sequence[int] = BATCHES,
    machines: Mapping[str, tuple[Parameters, float]] = SCALE_MACHINES,
) -> list[dict[str, Any]]:
    """SPEQ beside plain FP16 by the number of sequences, for each design; L is the best of 0 to 24.

    Parameters
    ----------
    acceptance : float
        Of a drafted token.
    model, memory : str
        Names.
    context : int
        Positions in the cache of each sequence.
    batches : sequence of int
        Numbers of sequences.
    machines : mapping
        As :data:`SCALE_MACHINES`.
    """
    found = []
    for name, (design, factor) in machines.items():
        machine = _times_units(on_memory(design, find_dram(memory)), factor)
        for batch in batches:
            setting = Setting(MODELS[model], context, batch, acceptance)
            plain, speq = _FP16.cost(setting, machine), _SPEQ.cost(setting, machine)
            found.append(
                {
                    "machine": name,
                    "model": model,
                    "batch": batch,
                    "fp16_tokens_per_second": batch / plain.seconds_per_token,
                    "fp16_limited_by": plain.limited_by,
                    "speq_tokens_per_second": batch / speq.seconds_per_token,
                    "speq_limited_by": speq.limited_by,
                    "draft_length": speq.round.settings["draft_length"],
                    "speedup": plain.seconds_per_token / speq.seconds_per_token,
                }
            )
    return found


def stops_paying_at(rows: Sequence[Mapping[str, Any]]) -> dict[str, int | None]:
    """For each machine the least batch from which on SPEQ is below :data:`PAYS`; None: never."""
    found: dict[str, int | None] = {}
    for name in dict.fromkeys(row["machine"] for row in rows):
        mine = sorted(
            (row for row in rows if row["machine"] == name), key=lambda row: -row["batch"]
        )
        least = None
        for row in mine:
            if row["speedup"] >= PAYS:
                break
            least = row["batch"]
        found[name] = least
    return found


def tensor_parallel(
    acceptance: float,
    model: str = "llama-3-70b",
    memory: str = "4xhbm3",
    *,
    context: int = 1024,
    batch: int = 1,
    devices: Sequence[int] = DEVICES,
    links: Sequence[str] = tuple(LINKS),
    designs: Mapping[str, Parameters] = TENSOR_DESIGNS,
) -> list[dict[str, Any]]:
    """SPEQ and plain FP16 over several devices, each with a memory and what it feeds.

    Capacity is not looked at: a row of one device is the base of the others, whether or not the
    model fits.
    """
    found = []
    for name, design in designs.items():
        one = on_memory(design, find_dram(memory))
        for link in links:
            base: dict[str, float] = {}
            for count in devices:
                machine = dataclasses.replace(one, devices=count, link=LINKS[link])
                setting = Setting(MODELS[model], context, batch, acceptance)
                about = {"design": name, "link": link, "devices": count, "model": model}
                row = _tensor_row(setting, machine, base)
                found.append({**about, "batch": batch, **row})
    return found


def _tensor_row(setting: Setting, machine: Machine, base: dict[str, float]) -> dict[str, Any]:
    """Figures of one number of devices; `base` keeps device-seconds of the first."""
    plain, speq = _FP16.cost(setting, machine), _SPEQ.cost(setting, machine)
    row: dict[str, Any] = {
        "speedup": plain.seconds_per_token / speq.seconds_per_token,
        "draft_length": speq.round.settings["draft_length"],
    }
    for name, cost in (("fp16", plain), ("speq", speq)):
        seconds = cost.seconds_per_token
        base.setdefault(name, machine.devices * seconds)
        row |= {
            f"{name}_seconds_per_token": seconds,
            f"{name}_tokens_per_second": setting.batch / seconds,
            f"{name}_efficiency": base[name] / (machine.devices * seconds),
            f"{name}_shares": _shares(cost),
        }
    return row


def _shares(cost: RoundCost) -> dict[str, float]:
    """Share of the time by bound."""
    by_bound = cost.by_bound
    total = sum(by_bound.values())
    return {bound: by_bound[bound] / total for bound in BOUNDS}


def _times_units(machine: Machine, factor: float) -> Machine:
    engine: UnitEngine = machine.engine
    units = max(1, round(factor * fed_units(engine.design, machine.dram)))
    return dataclasses.replace(machine, engine=dataclasses.replace(engine, units=units))
