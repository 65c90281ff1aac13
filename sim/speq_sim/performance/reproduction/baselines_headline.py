"""SPEQ over OliVe and Tender: a band over their width, their array, and what else is not said."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speq.baselines.parameters import BaselineParameters
from speq.parameters import Parameters
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.methods import Chain, Plain
from speq_sim.performance.output_stationary import (
    OutputStationaryEngine,
    as_published,
    iso_area,
    iso_bandwidth,
)
from speq_sim.performance.reproduction.bands import Band, sweep
from speq_sim.performance.reproduction.machines import SERVER, fed_units, on_memory
from speq_sim.performance.reproduction.speq_headline import BEST, SPEQ_MODELS, speq_setting

__all__ = ["ARRAYS", "BASELINE_AXES", "Areas", "baseline_band", "measured_areas", "over_fp16"]

ARRAYS: tuple[str, ...] = ("as published", "iso-bandwidth", "iso-area")
"""``as published``: 4,096 PEs of 4 bits (1,024 of 8), as many arrays as we have units;
``iso-bandwidth``: columns for what our port brings; ``iso-area``: the area of our array."""

BASELINE_AXES: Mapping[str, Sequence[Any]] = {
    "bits": (4, 8),
    "array": ARRAYS,
    "context": (128, 1024, 4096),
    "memory": ("lpddr5", "ddr5", "hbm2e", "hbm3"),
    "kv_bits": (16, 8),
    "draft_length": (4, 8, BEST),
}

Areas = Mapping[str, float]
"""Transistors of a PE, by ``ours``, ``olive4``, ``olive8``, ``tender4``, ``tender8``."""

_SPEQ = Chain("SPEQ", "draft", "verify")


def measured_areas(record: Path) -> Areas:
    """Transistors of a PE of arrays of 8 x 8, borders and registers shared among the PEs.

    Parameters
    ----------
    record : Path
        Of ``scripts/synth_baselines.py small``.

    Raises
    ------
    ModelError
        If it is no such record, or lacks one of the arrays.
    """
    try:
        designs = json.loads(record.read_text(encoding="utf-8"))["designs"]
        found = {
            each["design"]["name"]: each["transistors"]
            / (each["design"]["rows"] * each["design"]["columns"])
            for each in designs
        }
        names = {"ours": "small"} | {
            name: name for name in ("olive4", "olive8", "tender4", "tender8")
        }
        return {name: found[key] for name, key in names.items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{record.name} is no record of baselines ({error}): write one with "
            f"scripts/synth_baselines.py small --json"
        ) from None


def engine_of(
    kind: str, bits: int, array: str, design: Parameters, units: int, areas: Areas
) -> OutputStationaryEngine:
    """OliVe's or Tender's arrays in the place of `units` of ours, at our clock."""
    clock = design.clock_mhz * 1e6

    def area_of(each: BaselineParameters) -> float:
        return areas[f"{kind}{bits}"] * each.rows * each.columns

    makers: dict[str, Callable[[], OutputStationaryEngine]] = {
        "as published": lambda: as_published(kind, bits, clock, units),
        "iso-bandwidth": lambda: iso_bandwidth(kind, bits, design, units),
        "iso-area": lambda: iso_area(
            kind, bits, design, areas["ours"] * design.rows * design.columns, area_of, units
        ),
    }
    if array not in makers:
        raise ModelError(f"array {array!r} is unknown: use one of {', '.join(makers)}")
    return makers[array]()


def ratio(
    kind: str,
    areas: Areas,
    acceptance: float,
    models: Sequence[str],
    *,
    bits: int,
    array: str,
    context: int,
    memory: str,
    kv_bits: int,
    draft_length: int | str,
) -> float:
    """Mean over shapes of SPEQ's speed over the baseline's; the head is drafted."""
    dram = find_dram(memory)
    ours = on_memory(SERVER, dram, kv_bits=kv_bits)
    engine = engine_of(kind, bits, array, SERVER, fed_units(SERVER, dram), areas)
    theirs = dataclasses.replace(ours, engine=engine)
    method = Plain(kind, f"{kind}{bits}")
    found = []
    for model in models:
        setting = speq_setting(model, acceptance, context, "drafted", draft_length)
        base = method.cost(setting, theirs).seconds_per_token
        found.append(base / _SPEQ.cost(setting, ours).seconds_per_token)
    return sum(found) / len(found)


def baseline_band(
    kind: str,
    areas: Areas,
    acceptance: float,
    models: Sequence[str] = SPEQ_MODELS,
    axes: Mapping[str, Sequence[Any]] = BASELINE_AXES,
) -> Band:
    """SPEQ over ``"olive"`` or ``"tender"`` at all combinations of assumptions."""
    return sweep(axes, functools.partial(ratio, kind, areas, acceptance, models))


def over_fp16(
    areas: Areas, memory: str = "hbm2e", context: int = 1024, models: Sequence[str] = SPEQ_MODELS
) -> list[dict[str, Any]]:
    """The baselines over plain FP16 on our array, by width and array: means over shapes."""
    dram = find_dram(memory)
    ours = on_memory(SERVER, dram)
    found = []
    for kind in ("olive", "tender"):
        for bits in (4, 8):
            for array in ARRAYS:
                engine = engine_of(kind, bits, array, SERVER, fed_units(SERVER, dram), areas)
                theirs = dataclasses.replace(ours, engine=engine)
                speedups = []
                for model in models:
                    setting = speq_setting(model, 0.0, context, "drafted")
                    plain = Plain("FP16", "fp16").cost(setting, ours).seconds_per_token
                    base = Plain(kind, f"{kind}{bits}").cost(setting, theirs)
                    speedups.append(plain / base.seconds_per_token)
                found.append(
                    {
                        "kind": kind,
                        "bits": bits,
                        "array": array,
                        "engine": engine.name,
                        "over_fp16": sum(speedups) / len(speedups),
                    }
                )
    return found
