"""Event runs with tossed acceptance beside the closed formulas, on pass times of a machine."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.event_drafts import ChainDraft, Draft, HierarchyDraft
from speq_sim.performance.event_estimates import estimate, repeat
from speq_sim.performance.events import PassTimes, simulate
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Chain, Hierarchy, Setting
from speq_sim.performance.models import MODELS
from speq_sim.performance.reproduction.machines import SERVER, on_memory
from speq_sim.performance.rounds import RoundCost

__all__ = ["CONFIDENCE", "agreement", "pass_times"]

CONFIDENCE = 0.99
"""Of each interval."""

_FORMS = {"draft": "draft", "middle": "middle", "verify": "verify"}
_SPEQ = Chain("SPEQ", "draft", "verify")
_HIERARCHY = Hierarchy("DRAFT, MIDDLE, VERIFY", "draft", "middle", "verify")


def pass_times(setting: Setting, machine: Machine) -> PassTimes:
    """Seconds of SPEQ's and the hierarchy's passes on a machine.

    A pass is charged with the setting's context, however the caches have grown, as the closed
    formulas have it: what is compared is the counting of tokens and passes.

    Parameters
    ----------
    setting : Setting
        Model, context, batch.
    machine : Machine
        What runs them.
    """
    known: dict[tuple[str, int, int], float] = {}

    def seconds(kind: str, tokens: int, contexts: Sequence[int]) -> float:
        key = (kind, tokens, len(contexts))
        if key not in known:
            here = dataclasses.replace(setting, batch=len(contexts))
            recipe = setting.recipe if kind == "draft" else ()
            known[key] = machine.time(here.spec(_FORMS[kind], tokens, recipe)).seconds
        return known[key]

    return seconds


def agreement(
    model: str = "llama-2-7b",
    memory: str = "hbm2e",
    *,
    context: int = 1024,
    acceptances: Sequence[float] = (0.7, 0.9, 0.976),
    middle_acceptance: float = 0.98,
    batches: Sequence[int] = (1, 8),
    rounds: int = 300,
    runs: int = 20,
) -> list[dict[str, Any]]:
    """Closed formula and event runs, for SPEQ and the hierarchy at their best lengths.

    Parameters
    ----------
    model, memory : str
        Names.
    context : int
        Positions in the cache.
    acceptances : sequence of float
        Of the draft.
    middle_acceptance : float
        Of the hierarchy, which runs with one sequence alone.
    batches : sequence of int
        Sequences, of SPEQ.
    rounds, runs : int
        Of each interval.

    Returns
    -------
    list of dict
        A case each, with ``within``: whether the closed figures lie in the intervals.
    """
    machine = on_memory(SERVER, find_dram(memory))
    found = []
    for number, acceptance in enumerate(acceptances):
        for batch in batches:
            setting = Setting(MODELS[model], context, batch, acceptance)
            cost = _SPEQ.cost(setting, machine)
            draft = ChainDraft(acceptance, cost.round.settings["draft_length"])
            found.append(_case("speq", setting, machine, cost, draft, rounds, runs, number))
        setting = Setting(MODELS[model], context, 1, acceptance, middle_acceptance)
        cost = _HIERARCHY.cost(setting, machine)
        chosen = cost.round.settings
        gathered = HierarchyDraft(
            ChainDraft(acceptance, chosen["draft_length"]), middle_acceptance, chosen["minimum"]
        )
        found.append(_case("hierarchical", setting, machine, cost, gathered, rounds, runs, number))
    return found


def _case(
    method: str,
    setting: Setting,
    machine: Machine,
    cost: RoundCost,
    draft: Draft,
    rounds: int,
    runs: int,
    seed: int,
) -> dict[str, Any]:
    time = pass_times(setting, machine)
    made = repeat(
        lambda each: simulate(draft, time, rounds=rounds, batch=setting.batch, seed=each),
        runs,
        seed,
    )
    estimated = estimate(made, CONFIDENCE)
    closed: Mapping[str, float] = {
        "seconds_per_token": cost.seconds_per_token,
        "tokens_per_round": cost.round.tokens,
    }
    intervals = {name: getattr(estimated, name) for name in closed}
    return {
        "method": method,
        "acceptance": setting.acceptance,
        "batch": setting.batch,
        **cost.round.settings,
        "closed": dict(closed),
        "events": {name: dataclasses.asdict(each) for name, each in intervals.items()},
        "within": all(closed[name] in each for name, each in intervals.items()),
        "rounds": rounds,
        "runs": runs,
    }
