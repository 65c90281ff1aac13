"""What measure_acceptance.py does: a run over codecs, and what is shared within a model."""

import argparse
import gc
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import _cli
from speq_sim.decoding import (
    Adaptive,
    Confidence,
    Fixed,
    ModelError,
    Policy,
    Prompt,
    load_model,
    load_tokenizer,
    own_prompts,
    plain_many,
    prefill_many,
    read_prompts,
)
from speq_sim.decoding.evaluation import (
    DraftOptions,
    Target,
    check_codec,
    codec_names,
    contexts,
    identity,
    make_draft,
    make_target,
    measure_draft,
    target_of,
)
from speq_sim.decoding.evaluation.codecs import PACKED_PREFIX, packed_path
from speq_sim.decoding.evaluation.record import Record, digest_of_model, digest_of_texts
from speq_sim.decoding.evaluation.summary import compare, summarise
from speq_sim.decoding.readers import PACKAGES

STORY_MODELS = ("stories15m",)
"""Models that know stories alone; all others are given every other kind."""

STORY = "story"
REFERENCE = "bsfp"
"""The codec that others are compared with."""

LONGEST = {"fixed": 4, "adaptive": 16, "confidence": 16}
"""Default of --draft-length by policy."""


class Run:
    """One call of the script: what is asked for, and what is known already."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.prompts = read_prompts(options.prompts) if options.prompts else own_prompts()
        codecs = list(dict.fromkeys(_expanded(options.codec)))
        self.recipe = _read_recipe(options.recipe)
        self.drafts = DraftOptions(
            options.backend, options.activations, options.draft_head, self.recipe
        )
        for codec in codecs:
            check_codec(codec, self.drafts)
        # Codecs of one target are measured together, so that only one is in memory.
        targets = list(map(target_of, codecs))
        self.codecs = sorted(codecs, key=lambda codec: targets.index(target_of(codec)))
        self.length = options.draft_length or LONGEST[options.policy]
        self.policy(4.0)()  # refuses a threshold that is none
        self.record = Record(self._settings(), options.json)
        command = _cli.command_line()
        if command not in self.record.commands:
            self.record.commands.append(command)

    def policy(self, bits: float) -> Callable[[], Policy]:
        """What gives each prompt its policy; a draft pass costs its bits over 16."""
        if self.options.policy == "adaptive":
            return lambda: Adaptive(bits / 16, self.length)
        if self.options.policy == "confidence":
            return lambda: Confidence(self.options.threshold, self.length)
        return lambda: Fixed(self.length)

    def label(self, codec: str) -> str:
        """Name of a codec in the record: without folders, with the recipe."""
        path = packed_path(codec)
        if path is not None:
            codec = PACKED_PREFIX + path.stem
        return f"{codec}+{self.options.recipe.stem}" if self.recipe else codec

    def save(self) -> None:
        """Write the record, all of it or nothing."""
        _cli.write_json(self.options.json, self.record.as_dict())

    def chosen(self, model: str) -> dict[str, Prompt]:
        """The prompts of a model by name.

        Raises
        ------
        ModelError
            If there is none of these kinds.
        """
        stories = model in STORY_MODELS
        asked = self.options.kind
        found, counts = {}, {}
        for prompt in self.prompts:
            number = counts[prompt.kind] = counts.get(prompt.kind, 0) + 1
            wanted = prompt.kind in asked if asked else stories == (prompt.kind == STORY)
            if wanted and number <= (self.options.limit or number):
                found[f"{prompt.kind}-{number}"] = prompt
        if not found:
            kinds = ", ".join(asked or ([STORY] if stories else [f"any but {STORY}"]))
            raise ModelError(
                f"there is no prompt for {model} (of kind {kinds}) among those of kind "
                f"{', '.join(counts)}: give --kind, or another file of prompts"
            )
        return found

    def _settings(self) -> dict[str, Any]:
        options = self.options
        settings = {
            "prompts": options.prompts.name if options.prompts else "our own",
            "prompts_digest": digest_of_texts(
                [text for p in self.prompts for text in (p.kind, p.text)]
            ),
            "tokens": options.tokens,
            "policy": options.policy,
            "draft_length": self.length,
            "backend": options.backend,
        }
        return settings | (
            {"threshold": options.threshold} if options.policy == "confidence" else {}
        )


def _expanded(codecs: Sequence[str]) -> list[str]:
    return [name for codec in codecs for name in (codec_names() if codec == "all" else (codec,))]


def _read_recipe(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found:
        raise ModelError(
            f'{path.name} is no recipe: write a JSON object such as {{"head": "verify"}}'
        )
    return found


class ModelRun:
    """One model: its prompts in groups, and what is shared by all codecs of a target."""

    def __init__(self, run: Run, model: str) -> None:
        self.run = run
        self.name = model if model in PACKAGES else Path(model).stem
        prompts = run.chosen(self.name)
        self.weights = load_model(model)
        tokenizer = load_tokenizer(model)
        self.stop = tokenizer.stop
        self.tokens = {name: tokenizer.chat(each.text) for name, each in prompts.items()}
        about = {"origin": self.weights.origin, "digest": digest_of_model(self.weights)}
        self.record = run.record.model(self.name, about)
        self.record["kinds"] |= {name: each.kind for name, each in prompts.items()}
        names, size = list(prompts), run.options.group
        self.groups = [tuple(names[at : at + size]) for at in range(0, len(names), size)]
        self._target: Target | None = None
        self._shared: dict[tuple[str, ...], tuple[list, list]] = {}

    def measure(self, codec: str, step: Callable[[str], None]) -> None:
        """Measure what is missing of a codec, and write each group of prompts."""
        run, options = self.run, self.run.options
        label = run.label(codec)
        about = identity(codec, run.drafts)
        found = run.record.codec(self.name, label, about)
        draft = None
        for number, group in enumerate(self.groups, start=1):
            step(f"{self.name}, {label}: prompts, group {number} of {len(self.groups)}")
            missing = tuple(name for name in group if name not in found["prompts"])
            if not missing:
                continue
            target = self.target(codec)
            if draft is None:
                draft = make_draft(codec, self.weights, target, run.drafts)
                made = {"digest": draft.digest, **draft.bits}
                run.record.check(f"the draft {label} of {self.name}", found.get("bits", made), made)
                found["bits"] = made
            caches, read = self.shared(target, missing)
            policy = run.policy(draft.bits["read"])
            results = measure_draft(
                target.model, draft.model, read, caches, options.tokens, policy, self.stop
            )
            found["prompts"] |= dict(zip(missing, results, strict=True))
            found.pop("summary", None)
            run.save()

    def summarise(self) -> None:
        """Add the figures of all codecs that lack them, and the differences from one of them."""
        kinds, codecs = self.record["kinds"], self.record["codecs"]
        for label, found in codecs.items():
            if not found["prompts"]:
                continue
            if "summary" not in found:
                found["summary"] = summarise(found["prompts"], kinds)
            if label != REFERENCE and REFERENCE in codecs:
                others = codecs[REFERENCE]["prompts"]
                found[f"minus_{REFERENCE}"] = compare(found["prompts"], others, kinds)

    def target(self, codec: str) -> Target:
        """The target of a codec; that of the codec before is kept if it is the same."""
        name = target_of(codec)
        if self._target is None or self._target.name != name:
            self._target, self._shared = None, {}
            gc.collect()
            self._target = make_target(name, self.weights, self.run.options.backend)
        return self._target

    def shared(self, target: Target, names: tuple[str, ...]) -> tuple[list, list]:
        """Caches of some prompts, and what the target says of their continuations."""
        if names not in self._shared:
            prompts = [self.tokens[name] for name in names]
            caches = prefill_many(target.model, prompts)
            plain = self.record["plain"].setdefault(target.name, {})
            if any(name not in plain for name in names):
                found = plain_many(
                    target.model, prompts, self.run.options.tokens, stop=self.stop, caches=caches
                )
                texts = (" ".join(map(str, each.tokens)) for each in found)
                plain |= dict(zip(names, texts, strict=True))
                self.run.save()
            tokens = [list(map(int, plain[name].split())) for name in names]
            self._shared[names] = caches, contexts(target.model, prompts, tokens, caches)
        return self._shared[names]
