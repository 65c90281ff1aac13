"""Acceptances that were measured on real models (scripts/measure_acceptance.py)."""

import dataclasses
import json
from pathlib import Path

from speq_sim.decoding.errors import ModelError

__all__ = ["MeasuredAcceptance", "measured_acceptances"]


@dataclasses.dataclass(frozen=True)
class MeasuredAcceptance:
    """One codec on one model.

    Parameters
    ----------
    model, codec : str
        As the record names them; a packed file is ``packed:`` and its name.
    acceptance : float
        Accepted over judged tokens, in the loop.
    low, high : float or None
        95 % interval.
    tokens_per_round : float
        With the record's drafts.
    stored_extra : float
        Bits a weight that the draft needs besides the model.
    """

    model: str
    codec: str
    acceptance: float
    low: float | None
    high: float | None
    tokens_per_round: float
    stored_extra: float


def measured_acceptances(path: Path) -> list[MeasuredAcceptance]:
    """All codecs of a record, over all prompts.

    Raises
    ------
    ModelError
        If the file is no such record.
    """
    try:
        models = json.loads(path.read_text(encoding="utf-8"))["models"]
        return [
            _one(model, codec, each)
            for model, found in models.items()
            for codec, each in found["codecs"].items()
            if "summary" in each
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path.name} is no record of acceptances ({error}): write one with "
            f"scripts/measure_acceptance.py --json"
        ) from None


def _one(model: str, codec: str, found: dict) -> MeasuredAcceptance:
    summary = found["summary"]["all"]
    rate = summary["acceptance"]
    return MeasuredAcceptance(
        model,
        codec,
        rate["value"],
        rate["low"],
        rate["high"],
        summary["tokens_per_round"]["value"],
        found["bits"]["stored_extra"],
    )
