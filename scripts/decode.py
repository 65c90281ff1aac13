#!/usr/bin/env python3
"""Decode a text with drafts, losslessly, on the golden model of the array, and stream it.

Tokens that were drafted and accepted are green on a terminal; a line below shows acceptance, tokens
per round, the speedup if time is bytes read, and the speed of this simulation. With --compare, all
methods that apply decode the same prompt, and are printed side by side.

  python scripts/decode.py --model smollm2-135m --prompt "Why is the sky blue?"
  python scripts/decode.py --model stories15m --method hierarchical --prompt "Once upon a time"
  python scripts/decode.py --model smollm2-135m --compare --tokens 64 --prompt "What is 17 + 25?"
"""

import argparse
import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _cli
from _decode_report import ASSUMPTION, show_comparison, status
from _decode_view import view_on, visible
from speq.formats.packed_reader import PackedReader
from speq_sim.decoding import (
    Adaptive,
    Confidence,
    Fixed,
    Generation,
    LlamaWeights,
    ModelError,
    Policy,
    Round,
    Tokenizer,
    Tree,
    load_model,
    load_tokenizer,
    prefill,
)
from speq_sim.decoding.comparison import compare, figures_of
from speq_sim.decoding.evaluation.copies import COPIES
from speq_sim.decoding.preparation import BACKENDS, CODECS, METHODS, Preparation, read_recipe
from speq_sim.decoding.readers import PACKAGES
from speq_sim.decoding.recipes import default_recipe
from speq_sim.decoding.session import Session, room_for

TOKENS = 128
CODEC = "fitted-8"

POLICIES: dict[str, int] = {"adaptive": 16, "fixed": 4, "confidence": 8}
"""Policies, and the draft length of each: the longest, or that of all drafts."""

TREE_DEPTH = 3


def arguments() -> argparse.Namespace:
    """Read the command line.

    Raises
    ------
    ModelError
        If options contradict each other.
    """
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument(
        "--model", required=True, help=f"{', '.join(PACKAGES)}, or the path of a model"
    )
    parser.add_argument("--prompt", required=True, help="question to answer, or text to go on with")
    parser.add_argument(
        "--tokens", type=int, help=f"most tokens to give (default: {TOKENS}, if they fit)"
    )
    chat = parser.add_mutually_exclusive_group()
    chat.add_argument("--system", metavar="TEXT", help="message of the system in the chat template")
    chat.add_argument("--raw", action="store_true", help="go on with the prompt: no chat template")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--method", choices=METHODS, default="speq", help="default: %(default)s")
    what.add_argument("--compare", action="store_true", help="run all methods, print a table")
    weights = parser.add_argument_group("weights")
    store = weights.add_mutually_exclusive_group()
    store.add_argument("--codec", metavar="NAME", help=f"{', '.join(CODECS)} (default: {CODEC})")
    store.add_argument(
        "--packed", metavar="PATH", type=Path, help="what pack_weights.py made of this model"
    )
    weights.add_argument(
        "--recipe", metavar="PATH", type=Path,
        help='JSON file: planes of single layers in the draft pass, such as {"head": "draft"} '
        "(default: what was fitted for the model and family, else the LM head at middle)",
    )  # fmt: skip
    weights.add_argument(
        "--backend", choices=BACKENDS, default="golden",
        help="golden: the array's arithmetic, bit for bit; fast: BLAS (default: %(default)s)",
    )  # fmt: skip
    draft = parser.add_argument_group("drafts")
    draft.add_argument("--policy", choices=POLICIES, help="default: adaptive; of qspec fixed")
    draft.add_argument(
        "--draft-length", metavar="N", type=int,
        help="length of fixed drafts, or the longest (default: "
        + ", ".join(f"{policy} {length}" for policy, length in POLICIES.items())
        + f"; depth of trees {TREE_DEPTH})",
    )  # fmt: skip
    draft.add_argument(
        "--threshold", metavar="P", type=float,
        help="of confidence: drafts end where their greatest probability is below (default: 0.5)",
    )  # fmt: skip
    draft.add_argument("--tree", action="store_true", help="draft trees instead of chains")
    draft.add_argument(
        "--min-draft-length", metavar="N", type=int, default=6,
        help="of hierarchical: least tokens of the middle model to verify (default: %(default)s)",
    )  # fmt: skip
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument(
        "--temperature", metavar="T", type=float, default=0.0, help="default: 0, greedy"
    )
    sampling.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--plain-output", action="store_true", help="no colours and no live line on a terminal"
    )
    options = parser.parse_args()
    check(options)
    return options


def check(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises
    ------
    ModelError
        If some do.
    """
    if not 0 <= options.temperature < math.inf:
        raise ModelError(f"--temperature {options.temperature} is none: give 0 (greedy) or more")
    if options.tree and options.temperature:
        raise ModelError("--tree is judged greedily: leave out --temperature, or --tree")
    if options.tree and (options.policy or options.threshold is not None):
        raise ModelError("--tree has no policy: leave out --policy and --threshold, or --tree")
    if options.threshold is not None and options.policy != "confidence":
        raise ModelError("--threshold is of --policy confidence: give both, or none")
    for name in ("draft_length", "min_draft_length"):
        value = getattr(options, name)
        if value is not None and value < 1:
            option = name.replace("_", "-")
            raise ModelError(f"--{option} {value} is none: give 1 or more")
    if options.compare:
        return
    given = [getattr(options, name) for name in ("policy", "draft_length", "threshold")]
    if options.method == "plain" and (options.tree or given != [None] * 3):
        raise ModelError("--method plain drafts nothing: leave out options of drafts")
    if options.method in ("plain", "qspec") and (options.codec or options.recipe or options.packed):
        what = "runs weights as they are" if options.method == "plain" else "makes its own INT4"
        raise ModelError(
            f"--method {options.method} {what}: leave out --codec, --packed and --recipe"
        )


def prompt_of(options: argparse.Namespace, tokenizer: Tokenizer) -> list[int]:
    """Tokens of the prompt.

    Raises
    ------
    ModelError
        If a message of the system is given to a model without a chat template.
    """
    if options.raw:
        return tokenizer.completion(options.prompt)
    if options.system is not None:
        if tokenizer.template is None:
            raise ModelError("the model has no chat template for --system: leave it out")
        template = dataclasses.replace(tokenizer.template, system=options.system)
        tokenizer = dataclasses.replace(tokenizer, template=template)
    return tokenizer.chat(options.prompt)


def policy_of(options: argparse.Namespace, session: Session, context: int) -> Policy | Tree | None:
    """How a method drafts; None if it does not."""
    if session.draft is None:
        return None
    if options.tree:
        return Tree(depth=_given(options.draft_length, TREE_DEPTH))
    # Both passes of QSpec read the same bytes: no length would pay by bytes alone.
    policy = options.policy or ("fixed" if session.method == "qspec" else "adaptive")
    length = _given(options.draft_length, POLICIES[policy])
    if policy == "fixed":
        return Fixed(length)
    if policy == "confidence":
        return Confidence(_given(options.threshold, 0.5), length)
    return Adaptive(session.cost(context), length)


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def recipe_of(options: argparse.Namespace) -> dict[str, str]:
    """The recipe that was named, or the one that comes with the package."""
    if options.recipe:
        return read_recipe(options.recipe)
    codec = options.codec or CODEC
    if options.packed:
        codec = PackedReader(options.packed).family.name
    return {} if codec in COPIES else default_recipe(options.model, codec)


def run() -> None:
    """Load, decode or compare, and report."""
    options = arguments()
    recipe = recipe_of(options)
    # What can be refused at once is refused before weights are read and packed.
    tokenizer = load_tokenizer(options.model)
    prompt = prompt_of(options, tokenizer)
    with _cli.progress() as step:
        step("reading the model")
        weights = load_model(options.model)
        count = room_for(weights.config, prompt, options.tokens, TOKENS)
        preparation = Preparation(
            weights,
            options.backend,
            codec=options.codec or CODEC,
            packed=options.packed,
            recipe=recipe,
            step=step,
        )
        if options.compare:
            found = compare(
                preparation,
                prompt,
                count,
                lambda session: policy_of(options, session, len(prompt)),
                options.temperature,
                options.seed,
                min_draft_length=options.min_draft_length,
                stop=tokenizer.stop,
                step=step,
            )
        else:
            session = preparation.session(options.method)
            step(f"reading the prompt of {len(prompt)} tokens")
            cache = prefill(session.target, prompt)
    if options.compare:
        figures = {
            "methods": {
                method: {**each, "text": tokenizer.decode(each["tokens"], continued=True)}
                for method, each in found.methods.items()
            },
            "left_out": found.left_out,
        }
        show_comparison(found, visible(figures["methods"]["plain"]["text"]))
    else:
        figures = stream(options, tokenizer, session, prompt, count, cache)
    _cli.error_console.print(
        f"Arithmetic: {BACKENDS[options.backend]}.", highlight=False, soft_wrap=True
    )
    _cli.write_json(options.json, described(options, weights, preparation, prompt, count) | figures)


def stream(
    options: argparse.Namespace,
    tokenizer: Tokenizer,
    session: Session,
    prompt: Sequence[int],
    count: int,
    cache: Any,
) -> dict[str, Any]:
    """Decode by one method, and show the text as it comes; its figures."""
    rounds: list[Round] = []
    pieces: list[str] = []
    text = tokenizer.stream()
    begun = time.monotonic()

    def figures() -> dict[str, Any]:
        seconds = max(time.monotonic() - begun, 1e-9)
        return figures_of(session, Generation(tuple(rounds)), len(prompt), seconds)

    with view_on(_cli.console, options.plain_output) as view:

        def show(piece: str, drafted: bool) -> None:
            if piece:
                pieces.append(piece)
                view.add(piece, drafted)

        for found in session.rounds(
            prompt,
            count,
            policy_of(options, session, len(prompt)),
            options.temperature,
            options.seed,
            min_draft_length=options.min_draft_length,
            stop=tokenizer.stop,
            cache=cache,
        ):
            rounds.append(found)
            show(text.push(found.tokens[: found.accepted]), True)
            show(text.push(found.tokens[found.accepted :]), False)
            view.status(status(figures()))
        show(text.close(), False)
    result = figures()
    _cli.error_console.print(f"{status(result)} ({ASSUMPTION})", highlight=False, soft_wrap=True)
    stopped = rounds[-1].tokens[-1] in tokenizer.stop
    return {"method": session.method, **result, "text": "".join(pieces), "stopped": stopped}


def described(
    options: argparse.Namespace,
    weights: LlamaWeights,
    preparation: Preparation,
    prompt: Sequence[int],
    count: int,
) -> dict[str, Any]:
    """What was asked for, for the JSON record."""
    packs = options.compare or options.method in ("speq", "hierarchical")
    return {
        "model": weights.origin,
        "arithmetic": BACKENDS[options.backend],
        "prediction": ASSUMPTION,
        "codec": preparation.codec if packs else None,
        "recipe": preparation.recipe,
        "temperature": options.temperature,
        "seed": options.seed,
        "most_tokens": count,
        "prompt_tokens": list(prompt),
    }


if __name__ == "__main__":
    _cli.main(run, expected=(ModelError,))
