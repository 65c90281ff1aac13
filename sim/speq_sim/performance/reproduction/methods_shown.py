"""All methods on all shapes, on one machine, for a picture."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.methods import Setting
from speq_sim.performance.models import MODELS
from speq_sim.performance.registry import METHODS
from speq_sim.performance.reproduction.machines import SERVER, on_memory
from speq_sim.performance.reproduction.own import Case
from speq_sim.performance.reproduction.qspec_rounds import QSpec
from speq_sim.performance.reproduction.speq_headline import SPEQ_MODELS

__all__ = ["speedups_by_model"]

_PLAIN = ("int8", "olive8", "tender8", "int4")


def speedups_by_model(
    speq_acceptance: float,
    qspec_acceptance: float,
    qspec_length: int,
    cases: Sequence[Case],
    models: Sequence[str] = SPEQ_MODELS,
    *,
    memory: str = "hbm2e",
    context: int = 1024,
) -> list[dict[str, Any]]:
    """Speedup over plain FP16, a row for each model and method.

    Parameters
    ----------
    speq_acceptance : float
        As reported; L is the best.
    qspec_acceptance, qspec_length : float, int
        As reported.
    cases : sequence of Case
        Measured ones, which are a what-if on these shapes.
    models : sequence of str
        Names.
    memory : str
        Its name; there are as many units as it feeds.
    context : int
        Positions in the cache.
    """
    machine = on_memory(SERVER, find_dram(memory))
    found = []
    for model in models:
        setting = Setting(MODELS[model], context, acceptance=speq_acceptance)
        plain = METHODS["fp16"].method.cost(setting, machine).seconds_per_token

        def add(title: str, seconds: float, model: str = model, plain: float = plain) -> None:
            found.append({"model": model, "method": title, "speedup_vs_fp16": plain / seconds})

        for name in _PLAIN:
            named = METHODS[name]
            cost = named.method.cost(setting, named.machine(machine))
            add(named.method.title, cost.seconds_per_token)
        reported = dataclasses.replace(
            setting, acceptance=qspec_acceptance, draft_length=qspec_length
        )
        add(
            f"QSpec, L = {qspec_length}, {qspec_acceptance:.3f} as reported",
            QSpec().cost(reported, machine).seconds_per_token,
        )
        add(
            f"SPEQ, {speq_acceptance:.3f} as reported",
            METHODS["speq"].method.cost(setting, machine).seconds_per_token,
        )
        for case in cases:
            chances = dataclasses.replace(
                setting,
                acceptance=case.acceptance,
                middle_acceptance=case.middle_acceptance,
                recipe=case.recipe,
            )
            cost = case.method.cost(chances, case.machine(machine))
            add(f"{case.title}, {case.acceptance:.3f} measured", cost.seconds_per_token)
    return found
