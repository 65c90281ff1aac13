"""Every method of decoding on many prompts: is each token that of plain decoding, and how fast?

Greedy, on the golden model of the array. Plain decoding runs on the weights as they are; SPEQ with
each policy and with trees, the hierarchy with chains and trees, QSpec (beside its own W4A16
target), and second copies in 4 bits must all give its tokens. Prompts go in lock step, which
changes no token. The predicted speedup counts bytes read from memory (docs/decoding.md, The
command).

  python scripts/compare_methods.py --model stories15m --packed build/stories-spare-1.safetensors
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from speq.formats.packed_reader import PackedReader
from speq_sim.decoding import (
    Adaptive,
    Confidence,
    Fixed,
    Generation,
    KVCache,
    ModelError,
    Tree,
    load_model,
    load_tokenizer,
    own_prompts,
    plain_many,
    prefill_many,
    read_prompts,
    speculate_many,
)
from speq_sim.decoding.preparation import Preparation, read_recipe
from speq_sim.decoding.recipes import default_recipe
from speq_sim.decoding.session import Session

STORY_KIND = "story"
"""Prompts of models without a chat template."""

CONTEXT = 200
"""Positions at which the cost of a draft pass is taken for the adaptive policy."""

Proposal = Callable[[Session], Any]

METHODS: Mapping[str, tuple[str, str | None, Proposal]] = {
    "speq, drafts of 4": ("speq", None, lambda session: Fixed(4)),
    "speq, confidence 0.5": ("speq", None, lambda session: Confidence(0.5, 12)),
    "speq, adaptive": ("speq", None, lambda session: Adaptive(session.cost(CONTEXT))),
    "speq, trees": ("speq", None, lambda session: Tree(4, 4, 16)),
    "hierarchical, chains": ("hierarchical", None, lambda session: Fixed(3)),
    "hierarchical, trees": ("hierarchical", None, lambda session: Tree(3, 4, 12)),
    "qspec, drafts of 3": ("qspec", None, lambda session: Fixed(3)),
    "copy int4-g128, drafts of 4": ("speq", "int4-g128", lambda session: Fixed(4)),
    "copy mxfp4, drafts of 4": ("speq", "mxfp4", lambda session: Fixed(4)),
}
"""Method, copy to draft with, and what is proposed, by the name of a row."""


def run_all(
    session: Session,
    propose: Proposal | None,
    prompts: Sequence[Sequence[int]],
    count: int,
    stop: frozenset[int],
    caches: Sequence[KVCache],
) -> list[Generation]:
    """Continue all prompts by a method."""
    if session.draft is None:
        return plain_many(session.target, prompts, count, stop=stop, caches=caches)
    return speculate_many(
        session.target,
        session.draft,
        prompts,
        count,
        lambda: propose(session),
        middle=session.middle,
        stop=stop,
        caches=caches,
    )


def figures_of(
    session: Session, found: Sequence[Generation], prompts: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Figures over all prompts together."""
    rounds = Generation(tuple(each for generation in found for each in generation.rounds))
    times = [
        session.costs.time(generation, len(prompt))
        for generation, prompt in zip(found, prompts, strict=True)
    ]
    plain = [
        session.costs.plain_time(generation, len(prompt))
        for generation, prompt in zip(found, prompts, strict=True)
    ]
    acceptance = rounds.acceptance
    return {
        "tokens": len(rounds.tokens),
        "acceptance": None if isnan(acceptance) else round(acceptance, 4),
        "accepted_length": round(rounds.accepted_length, 4),
        "tokens_per_round": round(rounds.tokens_per_round, 4),
        "draft_bits_per_weight": session.draft_bits and round(session.draft_bits, 4),
        "predicted_speedup": round(sum(plain) / sum(times), 4),
    }


def measure(arguments: argparse.Namespace, step: Callable[[str], None]) -> dict[str, Any]:
    """Run every method; the figures."""
    weights = load_model(arguments.model)
    prompts, stop, count = prompts_of(arguments)
    codec = PackedReader(arguments.packed).family.name if arguments.packed else arguments.codec
    recipe = (
        read_recipe(arguments.recipe)
        if arguments.recipe
        else default_recipe(arguments.model, codec)
    )
    preparation = Preparation(
        weights, codec=arguments.codec, packed=arguments.packed, recipe=recipe, step=step
    )
    references: dict[str, tuple[list[Generation], list[KVCache]]] = {}

    def reference(method: str) -> tuple[list[Generation], list[KVCache]]:
        if method not in references:
            session = preparation.session(method)
            step(f"{method}: reading {len(prompts)} prompts")
            caches = prefill_many(session.target, prompts)
            step(f"{method}: decoding")
            references[method] = run_all(session, None, prompts, count, stop, caches), caches
        return references[method]

    methods: dict[str, Any] = {}
    for name, (method, copy, propose) in METHODS.items():
        if arguments.method and not any(wanted in name for wanted in arguments.method):
            continue
        source = preparation
        if copy is not None:
            source = Preparation(weights, codec=copy, step=step)
        try:
            source.check(method)
        except ModelError as error:
            methods[name] = {"left_out": str(error)}
            continue
        expected, caches = reference("qspec-plain" if method == "qspec" else "plain")
        session = source.session(method)
        step(name)
        begun = time.monotonic()
        found = run_all(session, propose, prompts, count, stop, caches)
        same = sum(a.tokens == b.tokens for a, b in zip(found, expected, strict=True))
        methods[name] = figures_of(session, found, prompts) | {
            "prompts_identical": same,
            "lossless": same == len(prompts),
            "seconds": round(time.monotonic() - begun, 1),
        }
    return {
        "model": weights.origin,
        "codec": preparation.codec,
        "packed": arguments.packed and arguments.packed.name,
        "recipe": recipe,
        "prompts": len(prompts),
        "new_tokens": count,
        "arithmetic": "golden",
        "methods": methods,
    }


def prompts_of(arguments: argparse.Namespace) -> tuple[list[list[int]], frozenset[int], int]:
    """Prompts as tokens, tokens that end an answer, and how many tokens are wanted."""
    tokenizer = load_tokenizer(arguments.model)
    stories = tokenizer.template is None
    prompts = read_prompts(arguments.prompts) if arguments.prompts else own_prompts()
    if arguments.prompts is None:
        prompts = [each for each in prompts if (each.kind == STORY_KIND) == stories]
    make = tokenizer.completion if stories else tokenizer.chat
    texts = [make(each.text) for each in prompts[: arguments.limit]]
    return texts, frozenset(tokenizer.stop), arguments.tokens


def show(figures: Mapping[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"{figures['prompts']} prompts, {figures['new_tokens']} tokens each")
    table.add_column("method")
    for column in ("identical to plain", "acceptance", "tokens per round", "predicted speedup"):
        table.add_column(column, justify="right")
    for name, each in figures["methods"].items():
        if "left_out" in each:
            table.add_row(name, "left out", "", "", "")
            continue
        table.add_row(
            name,
            f"{each['prompts_identical']} of {figures['prompts']}"
            if each["lossless"]
            else f"[bold red]{each['prompts_identical']} of {figures['prompts']}[/]",
            f"{each['acceptance']:.3f}",
            f"{each['tokens_per_round']:.2f}",
            f"{each['predicted_speedup']:.2f}",
        )
    _cli.console.print(table)


def main() -> None:
    """Run the command."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument("--model", required=True, help="smollm2-135m, stories15m, or a path")
    parser.add_argument("--codec", default="fitted-8", help="family to pack with (fitted-8)")
    parser.add_argument("--packed", metavar="FILE", type=Path, help="packed file instead")
    parser.add_argument(
        "--recipe", metavar="FILE", type=Path, help="planes by layer (as decode.py)"
    )
    parser.add_argument("--prompts", metavar="FILE", type=Path, help="JSON lines (our own)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N prompts")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens per prompt (64)")
    parser.add_argument(
        "--method", action="append", metavar="TEXT", help="only methods with this in their name"
    )
    arguments = parser.parse_args()
    with _cli.progress(None, "reading the model") as step:
        figures = measure(arguments, step)
    show(figures)
    _cli.write_json(arguments.json, figures)
    lost = [name for name, each in figures["methods"].items() if each.get("lossless") is False]
    if lost:
        raise ValueError(f"tokens differ from plain decoding: {', '.join(lost)}")


if __name__ == "__main__":
    _cli.main(main)
