"""SPEQ over plain FP16, on our array: a band over what the paper does not say."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.methods import Chain, Plain, Setting
from speq_sim.performance.models import MODELS
from speq_sim.performance.reproduction.bands import Band, sweep
from speq_sim.performance.reproduction.machines import SERVER, on_memory
from speq_sim.performance.reproduction.solving import needed
from speq_sim.performance.speculation import expected_tokens

__all__ = [
    "BEST",
    "SPEQ_AXES",
    "SPEQ_MODELS",
    "average_speedup",
    "needed_for",
    "speedup_by_model",
    "speq_band",
    "speq_setting",
]

SPEQ_MODELS: tuple[str, ...] = (
    "llama-2-7b",
    "llama-2-13b",
    "llama-3-8b",
    "llama-3.2-3b",
    "qwen2.5-7b",
)
"""Shapes that averages are taken over. The paper has 15 pairs of model and task, not named."""

BEST = "best"
"""The draft length that is fastest in our model, of 0 to 24."""

SPEQ_AXES: Mapping[str, Sequence[Any]] = {
    "context": (128, 1024, 4096),
    "memory": ("lpddr5", "ddr5", "hbm2e", "hbm3"),
    "kv_bits": (16, 8),
    "head": ("drafted", "verified"),
    "planes": ("meet", "placed"),
    "draft_length": (4, 8, 16, BEST),
}
"""What the paper does not say. ``planes``: whether planes meet in a bank of the DRAM by chance."""

_SPEQ = Chain("SPEQ", "draft", "verify")
_FP16 = Plain("FP16", "fp16")


def speq_setting(
    model: str, acceptance: float, context: int, head: str, draft_length: int | str = BEST
) -> Setting:
    """A setting of SPEQ; `head` is ``"drafted"`` or ``"verified"`` (read whole in drafts, too)."""
    return Setting(
        MODELS[model],
        context=context,
        acceptance=acceptance,
        draft_length=None if draft_length == BEST else int(draft_length),
        recipe=() if head == "drafted" else (("head", "verify"),),
    )


def speedup_by_model(
    acceptance: float,
    models: Sequence[str] = SPEQ_MODELS,
    *,
    context: int,
    memory: str,
    kv_bits: int,
    head: str,
    planes: str,
    draft_length: int | str,
) -> dict[str, float]:
    """SPEQ over FP16 on our array, shape by shape."""
    dram = find_dram(memory)
    machine = on_memory(SERVER, dram, kv_bits=kv_bits, placed=planes == "placed")
    found = {}
    for model in models:
        setting = speq_setting(model, acceptance, context, head, draft_length)
        plain = _FP16.cost(setting, machine).seconds_per_token
        found[model] = plain / _SPEQ.cost(setting, machine).seconds_per_token
    return found


def average_speedup(
    acceptance: float, models: Sequence[str] = SPEQ_MODELS, **assumed: Any
) -> float:
    """Mean over shapes of :func:`speedup_by_model`."""
    found = speedup_by_model(acceptance, models, **assumed)
    return sum(found.values()) / len(found)


def speq_band(
    acceptance: float,
    models: Sequence[str] = SPEQ_MODELS,
    axes: Mapping[str, Sequence[Any]] = SPEQ_AXES,
) -> Band:
    """The average at all combinations of assumptions."""
    return sweep(axes, functools.partial(average_speedup, acceptance, models))


def needed_for(
    reported: float, acceptance: float, models: Sequence[str] = SPEQ_MODELS, **assumed: Any
) -> dict[str, float | None]:
    """What would have to be so for a reported average, all else as assumed. Inputs of nothing.

    Returns
    -------
    dict
        ``needed_acceptance``; and ``needed_extra_time_per_pass``: what every pass, plain ones
        included, would have to take besides, as a share of a plain pass (work that drafting does
        not shrink, at the draft length assumed). None: no value gives it.
    """
    lengths = {**assumed}
    shares = _shares(acceptance, models, lengths)

    def with_extra(extra: float) -> float:
        return sum(
            tokens * (1 + extra) / (drafts * (draft + extra) + verify + extra)
            for tokens, drafts, draft, verify in shares
        ) / len(shares)

    return {
        "needed_acceptance": needed(
            lambda chance: average_speedup(chance, models, **assumed), reported, 0.0, 1.0
        ),
        "needed_extra_time_per_pass": needed(with_extra, reported, 0.0, 1.0),
    }


def _shares(
    acceptance: float, models: Sequence[str], assumed: Mapping[str, Any]
) -> list[tuple[float, int, float, float]]:
    """Of each model: tokens a round, drafts, and time of both passes over that of a plain one."""
    dram = find_dram(assumed["memory"])
    machine = on_memory(
        SERVER, dram, kv_bits=assumed["kv_bits"], placed=assumed["planes"] == "placed"
    )
    found = []
    for model in models:
        setting = speq_setting(
            model, acceptance, assumed["context"], assumed["head"], assumed["draft_length"]
        )
        plain = _FP16.cost(setting, machine).seconds
        cost = _SPEQ.cost(setting, machine)
        length = cost.round.settings["draft_length"]
        tokens = expected_tokens(acceptance, length)
        draft = cost.times[0].seconds / plain if length else 0.0
        found.append((tokens, length, draft, cost.times[-1].seconds / plain))
    return found
