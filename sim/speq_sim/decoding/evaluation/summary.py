"""Figures with intervals from the counts of single prompts."""

from collections.abc import Mapping, Sequence
from typing import Any

from speq_sim.decoding.evaluation.measuring import divergences_of, matches_of
from speq_sim.decoding.evaluation.statistics import Estimate, difference, draws, median, ratio

__all__ = ["ALL", "compare", "summarise"]

ALL = "all"
"""All kinds together."""

Results = Mapping[str, Mapping[str, Any]]
"""What :func:`speq_sim.decoding.evaluation.measure_draft` gave, by prompt."""


def summarise(results: Results, kinds: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Figures of a codec for each kind, and for all together.

    Parameters
    ----------
    results : mapping
        By prompt, one or more.
    kinds : mapping of str to str
        Kind of each of these prompts.

    Returns
    -------
    dict
        By kind: ``prompts``, ``positions``, ``lossless``, and estimates of ``acceptance`` (accepted
        over judged), ``accepted_length``, ``tokens_per_round``, ``agreement``, ``kl_mean`` and
        ``kl_median`` (nats).
    """
    return {
        kind: _figures([results[name] for name in names], [kinds[name] for name in names])
        for kind, names in _by_kind(results, kinds).items()
    }


def compare(
    results: Results, others: Results, kinds: Mapping[str, str]
) -> dict[str, dict[str, Estimate]]:
    """Differences of a codec from another one on the prompts that both have, paired.

    Parameters
    ----------
    results, others : mapping
        By prompt.
    kinds : mapping of str to str
        Kind of each prompt.

    Returns
    -------
    dict
        By kind: estimates of the differences in ``acceptance``, ``agreement`` and
        ``tokens_per_round``.
    """
    shared = {name: results[name] for name in results if name in others}
    found = {}
    for kind, names in _by_kind(shared, kinds).items():
        drawn = draws([kinds[name] for name in names])
        found[kind] = {
            figure: difference(
                _parts([results[name] for name in names], figure),
                _parts([others[name] for name in names], figure),
                drawn,
            )
            for figure in ("acceptance", "agreement", "tokens_per_round")
        }
    return found


def _by_kind(results: Results, kinds: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in results:
        groups.setdefault(kinds[name], []).append(name)
    return {**groups, ALL: list(results)} if results else {}


def _figures(results: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> dict[str, Any]:
    drawn = draws(kinds)
    values = [divergences_of(each) for each in results]
    figures: dict[str, Any] = {
        "prompts": len(results),
        "positions": sum(len(each["agreed"]) for each in results),
        "lossless": all(each["lossless"] for each in results),
    }
    for figure in ("acceptance", "accepted_length", "tokens_per_round", "agreement"):
        figures[figure] = ratio(*_parts(results, figure), drawn)
    figures["kl_mean"] = ratio([each.sum() for each in values], list(map(len, values)), drawn)
    figures["kl_median"] = median(values, drawn)
    return figures


def _parts(results: Sequence[Mapping[str, Any]], figure: str) -> tuple[list[float], list[float]]:
    """Numerators and denominators of a figure, one for each prompt."""
    if figure == "agreement":
        matches = [matches_of(each) for each in results]
        return [sum(each) for each in matches], [len(each) for each in matches]
    top, bottom = {
        "acceptance": ("accepted", "judged"),
        "accepted_length": ("accepted", "rounds"),
        "tokens_per_round": ("emitted", "rounds"),
    }[figure]
    return [each[top] for each in results], [each[bottom] for each in results]
