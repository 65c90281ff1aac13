"""Speedup of SPEQ by draft length and by acceptance, for a picture."""

from collections.abc import Sequence
from typing import Any

from speq_sim.performance.reproduction.speq_headline import BEST, speedup_by_model

__all__ = ["by_acceptance", "by_length"]

LENGTHS: tuple[int, ...] = (*range(1, 16), 20, 24)
ACCEPTANCES: tuple[float, ...] = (0.7, 0.8, 0.9, 0.95, 0.976)
CONTEXTS: tuple[int, ...] = (128, 1024, 4096)

_ASSUMED = {"kv_bits": 16, "head": "drafted", "planes": "meet"}


def by_length(
    model: str = "llama-2-7b",
    memory: str = "hbm2e",
    context: int = 1024,
    acceptances: Sequence[float] = ACCEPTANCES,
    lengths: Sequence[int] = LENGTHS,
) -> list[dict[str, Any]]:
    """Speedup over FP16 at each draft length, a row for each acceptance and length."""
    return [
        {
            "acceptance": acceptance,
            "draft_length": length,
            "speedup": speedup_by_model(
                acceptance,
                (model,),
                context=context,
                memory=memory,
                draft_length=length,
                **_ASSUMED,
            )[model],
        }
        for acceptance in acceptances
        for length in lengths
    ]


def by_acceptance(
    model: str = "llama-2-7b",
    memory: str = "hbm2e",
    contexts: Sequence[int] = CONTEXTS,
    acceptances: Sequence[float] = tuple(number / 100 for number in range(50, 100, 2)),
) -> list[dict[str, Any]]:
    """Speedup over FP16 at the best draft length, a row for each context and acceptance."""
    return [
        {
            "context": context,
            "acceptance": acceptance,
            "speedup": speedup_by_model(
                acceptance,
                (model,),
                context=context,
                memory=memory,
                draft_length=BEST,
                **_ASSUMED,
            )[model],
        }
        for context in contexts
        for acceptance in acceptances
    ]
