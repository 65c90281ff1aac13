"""Options that the scripts of the performance model share, and what they make of them."""

import argparse
import json
from pathlib import Path
from typing import Any

import _cli
from speq.design_files import load
from speq_sim.decoding import ModelError
from speq_sim.performance.dram_presets import DRAMS, find_dram
from speq_sim.performance.energy import PUBLIC, Energy
from speq_sim.performance.link import LINKS
from speq_sim.performance.machine import Machine
from speq_sim.performance.measured import measured_acceptances
from speq_sim.performance.methods import Setting
from speq_sim.performance.models import MODELS, model_config
from speq_sim.performance.transformer import recipe_of
from speq_sim.performance.unit_engine import UnitEngine

RECORD = Path(__file__).resolve().parent.parent / "docs/results/acceptance-spec-prompts.json"
"""Acceptances that `--acceptance CODEC` looks up: SmolLM2-135M behind public prompts."""


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What is run: model, context, batch, acceptance, drafts."""
    add = parser.add_argument
    add("--model", required=True, help=f"{', '.join(MODELS)}, or a config.json or GGUF file")
    add("--context", type=int, default=1024, metavar="N",
        help="positions in the cache of each sequence (%(default)s)")  # fmt: skip
    add("--batch", type=int, default=1, metavar="N", help="sequences at a time (%(default)s)")
    add("--kv-bits", type=int, default=16, choices=(16, 8, 4),
        help="of keys and values (%(default)s)")  # fmt: skip
    add("--acceptance", default="0.9", metavar="CHANCE|CODEC",
        help="chance of a drafted token to be right, or a codec whose measured acceptance on "
        "SmolLM2-135M is taken, such as spare-1 or bsfp (%(default)s)")  # fmt: skip
    add("--middle-acceptance", type=float, default=0.98, metavar="CHANCE",
        help="of the middle model's tokens by the target (%(default)s)")  # fmt: skip
    add("--draft-length", default="best", metavar="N|best",
        help="tokens of a draft; best: the fastest of 0 to --longest (%(default)s)")  # fmt: skip
    add("--longest", type=int, default=24, metavar="N", help="(%(default)s)")
    add("--stop", type=float, default=0.0, metavar="CHANCE",
        help="that a drafter stops behind a token: early stop (%(default)s)")  # fmt: skip
    add("--minimum", type=int, metavar="N", help="least tokens of a hierarchy's chain (the best)")
    add("--recipe", metavar="FILE|PART=FORM[,...]",
        help="form that drafts read of single matrices: JSON, or as in head=verify")  # fmt: skip


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """What it runs on: design, memory, devices."""
    add = parser.add_argument
    add("--design", default="server", help="design file or preset (%(default)s)")
    add("--set", dest="overrides", metavar="KEY=VALUE", action="append", default=[],
        help="change one parameter of the design; may be repeated")  # fmt: skip
    add("--memory", default="hbm2e", help=f"{', '.join(DRAMS)}, or ideal:GB/s (%(default)s)")
    add("--stacks", type=int, default=1, metavar="N", help="of that memory (%(default)s)")
    add("--units", default="1", metavar="N|auto",
        help="accelerators on the memory; auto: as many as it can feed (%(default)s)")  # fmt: skip
    add("--vector-lanes", type=int, metavar="N",
        help="elementwise operations per cycle (C of each unit)")  # fmt: skip
    add("--devices", type=int, default=1, metavar="N", help="tensor-parallel (%(default)s)")
    add("--link", default="pcie5", choices=tuple(LINKS), help="between devices (%(default)s)")
    add("--energy", type=Path, metavar="FILE",
        help="JSON of pJ per MAC by mode (default: public figures)")  # fmt: skip


def setting_of(options: argparse.Namespace) -> Setting:
    """What is run.

    Raises
    ------
    ModelError
        If a value is none.
    """
    length = options.draft_length
    return Setting(
        config=model_config(options.model),
        context=options.context,
        batch=options.batch,
        acceptance=acceptance_of(options.acceptance),
        middle_acceptance=options.middle_acceptance,
        draft_length=None if length == "best" else whole("--draft-length", length, "best"),
        longest=options.longest,
        stop=options.stop,
        minimum=options.minimum,
        recipe=recipe_of(recipe_forms(options.recipe)),
    )


def machine_of(options: argparse.Namespace) -> Machine:
    """What it runs on.

    Raises
    ------
    ModelError, speq.parameters.ParameterError
        If a value is none.
    """
    dram = find_dram(options.memory).scaled(options.stacks)
    design = load(options.design, _cli.parse_overrides(options.overrides))
    one = UnitEngine(design, 1, options.vector_lanes)
    units = one.units_fed_by(dram.bytes_per_second)
    if options.units != "auto":
        units = whole("--units", options.units, "auto")
    return Machine(
        UnitEngine(design, units, options.vector_lanes),
        dram,
        options.devices,
        LINKS[options.link],
        options.kv_bits,
    )


def energy_of(options: argparse.Namespace) -> Energy:
    """Energy of the chip's operations."""
    return PUBLIC if options.energy is None else Energy.from_json(options.energy)


def acceptance_of(text: str) -> float:
    """A chance, or the measured acceptance of a codec.

    Raises
    ------
    ModelError
        If it is neither.
    """
    try:
        return float(text)
    except ValueError:
        pass
    found = {each.codec: each.acceptance for each in measured_acceptances(RECORD)}
    fitting = [codec for codec in found if text == codec or codec.endswith(f"-{text}")]
    if len(fitting) != 1:
        raise ModelError(
            f"--acceptance {text!r} is neither a chance from 0 to 1 nor a measured codec: use a "
            f"number, or one of {', '.join(found)}"
        )
    return found[fitting[0]]


def recipe_forms(text: str | None) -> dict[str, str]:
    """Forms by matrix, from a file or from text.

    Raises
    ------
    ModelError
        If it is neither.
    """
    if text is None:
        return {}
    if "=" in text:
        return dict(_pair(each) for each in text.split(","))
    try:
        found: Any = json.loads(Path(text).read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ModelError(f'{text} is no recipe: write a JSON object such as {{"head": "verify"}}')
    return {str(name): str(form) for name, form in found.items()}


def whole(option: str, text: str, word: str) -> int:
    """An integer of an option that also takes a word."""
    try:
        return int(text)
    except ValueError:
        raise ModelError(f"{option} {text!r} is neither an integer nor {word!r}") from None


def _pair(text: str) -> tuple[str, str]:
    name, _, form = text.partition("=")
    return name.strip(), form.strip()
