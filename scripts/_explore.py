"""What explore.py reads from its command line, and what it shows and writes."""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

import _cli
from _performance import energy_of, setting_of, whole
from speq.modes import MODES
from speq.parameters import ParameterError
from speq_sim.decoding import LlamaConfig
from speq_sim.performance.design_space import Space
from speq_sim.performance.exploration import Conditions, Result
from speq_sim.performance.pareto import best_within, smallest_as_fast
from speq_sim.performance.registry import METHODS

BEST = "best"
CLOSE = 0.01
"""What is not shown beside a smaller design: less than so much more speed."""

SAME_TOKENS, OTHER_TOKENS = "the FP16 model's tokens", "the INT4 model's tokens"
DESIGN_FIELDS = (
    "rows",
    "columns",
    "modes",
    "draft_lanes",
    "port_words",
    "tokens",
    "clock_mhz",
    "activation_values",
)

Groups = dict[str, list[Result]]
"""Results that may be compared, by what they share."""


def words(text: str) -> tuple[str, ...]:
    """Names, separated by commas."""
    return tuple(dict.fromkeys(filter(None, (word.strip() for word in text.split(",")))))


def integers(text: str) -> tuple[int, ...]:
    """Integers, separated by commas."""
    return tuple(int(word) for word in words(text))


def mode_sets(text: str) -> tuple[tuple[str, ...], ...]:
    """Sets of modes such as ``verify+draft,all``."""
    return tuple(MODES if each == "all" else tuple(each.split("+")) for each in words(text))


def clock(text: str) -> float | dict[int, float]:
    """Megahertz, or ``COLUMNS=MHZ`` pairs, separated by commas."""
    if "=" not in text:
        return float(text)
    pairs = (word.split("=") for word in words(text))
    return {int(columns): float(megahertz) for columns, megahertz in pairs}


def conditions_of(options: argparse.Namespace) -> Conditions:
    """What is the same for all points; draft lengths are a dimension of the space.

    Raises
    ------
    ModelError
        If a value is none.
    """
    chosen = argparse.Namespace(**vars(options) | {"draft_length": BEST})
    return Conditions(setting_of(chosen), energy_of(options), options.kv_bits, options.vector_lanes)


def space_of(options: argparse.Namespace) -> Space:
    """The space that is asked for.

    Raises
    ------
    ModelError
        If it is empty or has what is unknown.
    """
    given = ("rows", "columns", "port_words", "tokens", "draft_lanes", "units", "modes", "methods")
    chosen = {name: getattr(options, name) for name in given if getattr(options, name) is not None}
    lengths = tuple(
        None if word == BEST else whole("--draft-length", word, BEST)
        for word in words(options.draft_length)
    )
    return Space(memories=options.memory, draft_lengths=lengths, clock_mhz=options.clock, **chosen)


def grouped(results: Iterable[Result]) -> Groups:
    """Results by memory, and by whose tokens their methods give."""
    found: Groups = {}
    for result in results:
        tokens = SAME_TOKENS if METHODS[result.point.method].lossless else OTHER_TOKENS
        found.setdefault(f"{result.point.memory}, {tokens}", []).append(result)
    return found


def by_method(results: Iterable[Result]) -> Groups:
    """Results by method, and by memory if there are several."""
    results = list(results)
    several = len({result.point.memory for result in results}) > 1
    found: Groups = {}
    for result in results:
        label = f"{result.point.method}, {result.point.memory}" if several else result.point.method
        found.setdefault(label, []).append(result)
    return found


def labelled(results: Groups) -> Groups:
    """Results by what a legend says of their method, and whether its tokens are not FP16's."""
    return {
        label if METHODS[each[0].point.method].lossless else f"{label} (INT4)": each
        for label, each in results.items()
    }


def best_of(results: Iterable[Result], budget: float | None) -> Result | None:
    """The best within an area of the methods that give the FP16 model's tokens; else of all."""
    results = list(results)
    lossless = [each for each in results if METHODS[each.point.method].lossless]
    return best_within(lossless or results, budget)


def nearly(results: Iterable[Result], best: Result | None) -> Result | None:
    """The smallest result that comes close to the best, in its memory and with such tokens."""
    if best is None:
        return None
    lossless = METHODS[best.point.method].lossless
    alike = (
        each
        for each in results
        if each.point.memory == best.point.memory
        and METHODS[each.point.method].lossless == lossless
    )
    return smallest_as_fast(alike, (1 - CLOSE) * best.figures.tokens_per_second)


def show(title: str, results: Sequence[Result]) -> None:
    """Print a table of results."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in _COLUMNS:
        left = heading in ("method", "units x\nR x C", "limited\nby")
        table.add_column(heading, no_wrap=True, justify="left" if left else "right")
    for each in results:
        table.add_row(*(value(each) for value in _COLUMNS.values()))
    _cli.console.print(table)
    _cli.console.print()


def _array(result: Result) -> str:
    point = result.point
    return f"{point.units} x {point.rows}x{point.columns}"


def _lanes(result: Result) -> str:
    drafts = any(mode in result.point.modes for mode in ("draft", "qdraft"))
    return str(result.point.draft_lanes) if drafts else "-"


def _area(result: Result) -> str:
    """A ~ stands before what is extrapolated from smaller parts."""
    figures = result.figures
    return f"{'~' if figures.extrapolated else ''}{figures.transistors / 1e6:.2f}"


_COLUMNS: dict[str, Callable[[Result], str]] = {
    "method": lambda each: each.point.method,
    "units x\nR x C": _array,
    "W": lambda each: str(each.point.port_words),
    "M": lambda each: str(each.point.tokens),
    "draft\nlanes": _lanes,
    "10^6\ntrans.": _area,
    "SRAM\nMbit": lambda each: f"{each.figures.sram_bits / 1e6:.1f}",
    "tokens\nper s": lambda each: f"{each.figures.tokens_per_second:.4g}",
    "mJ per\ntoken": lambda each: f"{1e3 * each.figures.joules_per_token:.4g}",
    "draft\nof": lambda each: "/".join(map(str, each.figures.settings.values())) or "-",
    "limited\nby": lambda each: each.figures.limited_by,
}


def write_design(path: Path, result: Result, config: LlamaConfig, about: Mapping[str, str]) -> None:
    """Write a result's design as a design file.

    Parameters
    ----------
    path : Path
        Ends in ``.toml``; its stem is the name of the design.
    result : Result
        The design.
    config : LlamaConfig
        The model that its buffers fit.
    about : mapping of str to str
        Comment lines: what, and its value.

    Raises
    ------
    ParameterError
        If the path does not end so, or its stem is no name.
    """
    if path.suffix != ".toml":
        raise ParameterError(f"--write-design {path} is no design file: end it in .toml")
    design = result.point.design(config, path.stem)
    lines = [f"# {what}: {value}" for what, value in about.items()]
    # Numbers, texts and lists of texts are the same in JSON and in TOML.
    lines += [f"{name} = {json.dumps(design.as_dict()[name])}" for name in DESIGN_FIELDS]
    _cli.write_text(path, "\n".join(lines) + "\n")
