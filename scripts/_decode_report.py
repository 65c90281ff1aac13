"""What decode.py prints: the live line, and methods side by side."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

import _cli
from speq_sim.decoding.comparison import Comparison

__all__ = ["ASSUMPTION", "show_comparison", "status"]

ASSUMPTION = "predicted: time is bytes moved, and the array keeps up with the memory"


def status(figures: Mapping[str, Any]) -> str:
    """The live line."""
    parts = [f"{len(figures['tokens'])} tokens"]
    if figures["acceptance"] is not None:
        parts += [
            f"acceptance {figures['acceptance']:.3f}",
            f"{figures['tokens_per_round']:.2f} tokens per round",
            f"predicted speedup {figures['predicted_speedup']:.2f}",
        ]
    return ", ".join([*parts, f"{figures['tokens_per_second']:.1f} tokens/s here"])


COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "equal": lambda each: {
        None: "-",
        True: "yes",
        False: f"[bold red]no: {each['equal_tokens']}[/]",
    }[each["equal"]],
    "accep-\ntance": lambda each: _or_dash(each["acceptance"], ".3f"),
    "accep.\nlength": lambda each: f"{each['accepted_length']:.2f}",
    "tokens\n/round": lambda each: f"{each['tokens_per_round']:.2f}",
    "passes\nD/M/V": lambda each: "/".join(
        str(each["passes"].get(kind, {}).get("passes", 0)) for kind in ("draft", "middle", "verify")
    ),
    "MB per\ntoken": lambda each: f"{each['bytes_per_token'] / 1e6:.1f}",
    "speed-\nup": lambda each: f"{each['predicted_speedup']:.2f}",
    "tok/s\nhere": lambda each: f"{each['tokens_per_second']:.1f}",
}


def show_comparison(found: Comparison, text: str) -> None:
    """Print the text of plain decoding, and the methods side by side."""
    _cli.console.print(text, highlight=False, markup=False, soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=column.startswith("passes"))
    for method, each in found.methods.items():
        table.add_row(method, *(cell(each) for cell in COLUMNS.values()))
    _cli.console.print(table)
    counts = {len(each["tokens"]) for each in found.methods.values()}
    notes = [
        f"{' or '.join(map(str, sorted(counts)))} tokens; equal: all those of plain decoding.",
        f"Speedup over plain decoding, {ASSUMPTION}. MB: 10^6 bytes.",
    ]
    if "qspec" in found.methods:
        notes.append("qspec runs INT4 weights (W4A16); qspec-plain is its own plain decoding.")
    notes += [f"{method} is left out: {why}" for method, why in found.left_out.items()]
    for note in notes:
        _cli.console.print(note, highlight=False, markup=False, soft_wrap=True)


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
