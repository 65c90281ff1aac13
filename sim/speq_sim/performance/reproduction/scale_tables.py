"""Tables of docs/scale.md."""

from collections.abc import Mapping
from typing import Any

from speq_sim.performance.reproduction.markdown import markdown

__all__ = ["batching_table", "tensor_table"]

Figures = Mapping[str, Any]


def batching_table(figures: Figures) -> str:
    """Speedup and best length by model, design and sequences."""
    part = figures["scale"]["batching"]
    rows = []
    for model, each in part.items():
        batches = list(dict.fromkeys(row["batch"] for row in each))
        for name in dict.fromkeys(row["machine"] for row in each):
            mine = {row["batch"]: row for row in each if row["machine"] == name}
            cells = (f"{mine[b]['speedup']:.2f} ({mine[b]['draft_length']})" for b in batches)
            rows.append((model, name, *cells))
    return markdown(("model", "design", *(f"B = {each}" for each in batches)), rows)


def tensor_table(figures: Figures) -> str:
    """The most devices, by sequences, design and link, and one device as the base."""
    rows = []
    for batch, each in figures["scale"]["tensor"].items():
        most = max(row["devices"] for row in each)
        for row in each:
            if row["devices"] != most and (row["devices"] != 1 or row["link"] != "ideal"):
                continue
            link = "-" if row["devices"] == 1 else row["link"]
            rows.append(
                (
                    batch,
                    row["design"],
                    row["devices"],
                    link,
                    f"{row['fp16_tokens_per_second']:,.0f}",
                    f"{row['fp16_efficiency']:.0%}",
                    f"{row['speq_tokens_per_second']:,.0f}",
                    f"{row['speq_efficiency']:.0%}",
                    f"{row['speedup']:.2f}",
                    f"{row['speq_shares']['link']:.0%}",
                )
            )
    heads = ("sequences", "design", "devices", "link", "FP16, tokens/s", "of proportional",
             "SPEQ, tokens/s", "of proportional", "speedup", "links' share of SPEQ")  # fmt: skip
    return markdown(heads, rows)
