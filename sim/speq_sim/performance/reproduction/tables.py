"""Tables of docs/reproduction.md and docs/scale.md, written from the record between markers."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.reproduction.markdown import markdown, numbers, or_none
from speq_sim.performance.reproduction.scale_tables import batching_table, tensor_table

__all__ = ["TABLES", "fill", "headline_rows"]

Figures = Mapping[str, Any]

WHAT_IF_ON = "server, hbm2e"
"""Of larger models the page has one machine; the record has all."""

_PLACES = re.compile(r"<!-- table (\S+) -->\n.*?<!-- end -->", re.DOTALL)


def fill(page: str, figures: Figures) -> str:
    """A page with its tables anew.

    Parameters
    ----------
    page : str
        Markdown; a table stands between ``<!-- table NAME -->`` and ``<!-- end -->``.
    figures : mapping
        The record.

    Raises
    ------
    ModelError
        If there is no table of a name.
    """

    def table(found: re.Match[str]) -> str:
        name = found[1]
        if name not in TABLES:
            raise ModelError(f"table {name!r} does not exist: use one of {', '.join(TABLES)}")
        return f"<!-- table {name} -->\n{TABLES[name](figures)}\n<!-- end -->"

    return _PLACES.sub(table, page)


def headline_rows(figures: Figures) -> list[tuple[str, str, str, str, str]]:
    """Headline, where, reported, our band, and whether it is within; of the parts there are."""
    found: list[tuple[str, Figures]] = []
    if "speq" in figures:
        found.append(("our array", figures["speq"]["band"]))
    for kind in ("olive", "tender"):
        found += figures.get("baselines", {}).get(kind, {}).items()
    if "qspec" in figures:
        found += [("our array", figures["qspec"]["array"])]
        found += [("GPU, kernels at 35 to 100 % of the peaks", figures["qspec"]["gpu"])]
    for where, bands in figures.get("hierspec", {}).get("bands", {}).items():
        found += [(where, band) for band in bands.values()]
    return [
        (
            band["what"],
            where,
            f"{band['reported']:.2f}",
            f"{band['low']['value']:.2f} to {band['high']['value']:.2f}",
            "yes" if band["within"] else "no",
        )
        for where, band in found
    ]


def _headlines(figures: Figures) -> str:
    heads = ("headline", "where", "reported", "our band", "within the band")
    return markdown(heads, headline_rows(figures))


def _speq(figures: Figures) -> str:
    band = figures["speq"]["band"]
    rows = [
        (name, value, f"{low:.2f} to {high:.2f}")
        for name, values in band["by_assumption"].items()
        for value, (low, high) in values.items()
    ]
    return markdown(("assumption", "value", "speedup, all else swept"), rows)


def _speq_needed(figures: Figures) -> str:
    part = figures["speq"]
    centre = {name: each for name, each in part["at_the_centre"].items() if name != "assumptions"}
    solved = part["needed_at_the_centre"]
    return markdown(
        (*centre, "needed acceptance", "needed extra time per pass"),
        [
            (
                *(f"{each:.2f}" for each in centre.values()),
                or_none(solved["needed_acceptance"]),
                or_none(solved["needed_extra_time_per_pass"]),
            )
        ],
    )


def _baselines(figures: Figures) -> str:
    part = figures["baselines"]
    rows = [
        (
            f"{row['kind']}, {row['bits']} bits",
            row["array"],
            row["engine"],
            f"{row['over_fp16']:.2f}",
            f"{part['reported_over_fp16'][row['kind']]:.2f}",
            _range(part[row["kind"]][f"{row['array']}, {row['bits']} bits"]),
        )
        for row in part["over_fp16"]
    ]
    heads = ("baseline", "array", "as modelled", "over FP16", "reported", "SPEQ over it, band")
    return markdown(heads, rows)


def _qspec(figures: Figures) -> str:
    rows = [
        (
            row["gpu"],
            row["batch"],
            f"{row['speedup_of_ideal_kernels']:.2f}",
            or_none(row["needed_w4a16_efficiency"]),
        )
        for row in figures["qspec"]["needed_kernels"]
    ]
    heads = ("GPU", "sequences", "speedup of ideal kernels", "needed efficiency of W4A16 kernels")
    return markdown(heads, rows)


def _qspec_efficiency(figures: Figures) -> str:
    by_assumption = figures["qspec"]["gpu"]["by_assumption"]
    rows = [
        (name.replace("_", " "), value, f"{low:.2f} to {high:.2f}")
        for name in ("w4a16_efficiency", "w4a4_efficiency", "batch")
        for value, (low, high) in by_assumption[name].items()
    ]
    return markdown(("assumption", "value", "speedup, all else swept"), rows)


def _hierspec(figures: Figures) -> str:
    rows = [
        (
            where,
            level,
            numbers(bands["eagle2"]["by_assumption"]["level_acceptance"][level]),
            numbers(bands["hierspec"]["by_assumption"]["level_acceptance"][level]),
            numbers(bands["hierspec_over_eagle2"]["by_assumption"]["level_acceptance"][level]),
        )
        for where, bands in figures["hierspec"]["bands"].items()
        for level in bands["eagle2"]["by_assumption"]["level_acceptance"]
    ]
    heads = ("where", "acceptance of a level", "EAGLE-2", "HierSpec", "HierSpec over EAGLE-2")
    return markdown(heads, rows)


def _hierspec_needed(figures: Figures) -> str:
    rows = []
    for row in figures["hierspec"]["needed"]:
        levels = [or_none(value) for key, value in row.items() if "at_level" in key]
        eagle = or_none(row["needed_eagle_level_acceptance"])
        rows.append((f"{row['compute_share']:.0%}", eagle, *levels))
    heads = (
        "share of the peak of FP16",
        "needed level acceptance, EAGLE-2",
        *(f"needed middle acceptance at level {level}" for level in (0.6, 0.7, 0.8, 0.9)),
    )
    return markdown(heads, rows)


def _trees(figures: Figures) -> str:
    rows = figures["hierspec"]["tree_verify"]["rows"]
    counts = list(rows[0]["ratios"])
    return markdown(
        ("model", "weights", "where", "share of the peak", *(f"n = {each}" for each in counts)),
        [
            (
                row["model"],
                row["weights"],
                row["where"],
                f"{row['compute_share']:.0%}",
                *(f"{row['ratios'][each]:.2f}" for each in counts),
            )
            for row in rows
        ],
    )


def _own(what_if: bool) -> Callable[[Figures], str]:
    def table(figures: Figures) -> str:
        rows = [
            row
            for row in figures["own"]["rows"]
            if row["what_if"] == what_if and (not what_if or row["machine"] == WHAT_IF_ON)
        ]
        heads = [
            "way to draft",
            "prompts",
            "acceptance",
            "over",
            "speedup",
            "planes placed",
            "tokens/s",
        ]
        cells = [
            (
                row["machine"],
                *((row["model"],) if what_if else ()),
                row["case"],
                row["prompts"],
                f"{row['acceptance']:.3f}",
                row["over"].upper(),
                f"{row['speedup']:.2f}"
                + (
                    f" ({row['speedup_low']:.2f} to {row['speedup_high']:.2f})"
                    if row["speedup_low"] != row["speedup_high"]
                    else ""
                ),
                f"{row['speedup_placed']:.2f}",
                f"{row['tokens_per_second']:,.0f}"
                if row["tokens_per_second"] >= 100
                else f"{row['tokens_per_second']:.1f}",
            )
            for row in rows
        ]
        return markdown(("machine", *(("model",) if what_if else ()), *heads), cells)

    return table


def _events(figures: Figures) -> str:
    rows = []
    for case in figures["events"]["cases"]:
        interval = case["events"]["seconds_per_token"]
        rows.append(
            (
                case["method"],
                case["acceptance"],
                case["batch"],
                case["draft_length"],
                case.get("minimum", "-"),
                f"{1e3 * case['closed']['seconds_per_token']:.3f}",
                f"{1e3 * interval['low']:.3f} to {1e3 * interval['high']:.3f}",
                "yes" if case["within"] else "no",
            )
        )
    heads = ("method", "acceptance", "sequences", "L", "n", "closed, ms per token",
             "events, 99 % interval", "within")  # fmt: skip
    return markdown(heads, rows)


TABLES: dict[str, Callable[[Figures], str]] = {
    "headlines": _headlines,
    "speq": _speq,
    "speq-needed": _speq_needed,
    "baselines": _baselines,
    "qspec": _qspec,
    "qspec-efficiency": _qspec_efficiency,
    "hierspec": _hierspec,
    "hierspec-needed": _hierspec_needed,
    "trees": _trees,
    "own": _own(what_if=False),
    "own-what-if": _own(what_if=True),
    "events": _events,
    "batching": batching_table,
    "tensor": tensor_table,
}
"""By name in the pages."""


def _range(band: Figures) -> str:
    return numbers([band["low"]["value"], band["high"]["value"]])
