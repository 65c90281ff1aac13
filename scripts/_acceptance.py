"""What measure_acceptance.py does: a run over codecs, as tasks that workers may do."""

import argparse
import functools
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import _cli
from speq_sim.decoding import (
    ModelError,
    Prompt,
    load_model,
    load_tokenizer,
    own_prompts,
    read_prompts,
)
from speq_sim.decoding.evaluation import (
    DraftOptions,
    check_codec,
    codec_names,
    identity,
    target_of,
)
from speq_sim.decoding.evaluation.codecs import PACKED_PREFIX, packed_path
from speq_sim.decoding.evaluation.record import Record, digest_of_model, digest_of_texts
from speq_sim.decoding.evaluation.summary import compare, summarise
from speq_sim.decoding.evaluation.tasks import (
    DraftPolicy,
    DraftTask,
    Measurer,
    PlainTask,
    measure_elsewhere,
)
from speq_sim.decoding.readers import PACKAGES
from speq_sim.parallel import map_batches

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
        self.policy = DraftPolicy(options.policy, self.length, options.threshold)
        self.policy.maker(4.0)()  # refuses a threshold that is none
        self.record = Record(self._settings(), options.json)
        command = _cli.command_line()
        if command not in self.record.commands:
            self.record.commands.append(command)

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
    """One model: its prompts in groups, and what there is to do for it.

    Parameters
    ----------
    run : Run
        What is asked for.
    model : str
        Name or path of the model.
    here : bool
        Whether this process does the work; else workers load the model for themselves.
    """

    def __init__(self, run: Run, model: str, here: bool) -> None:
        self.run = run
        self.name = model if model in PACKAGES else Path(model).stem
        prompts = run.chosen(self.name)
        weights = load_model(model)
        tokenizer = load_tokenizer(model)
        self.stop = tokenizer.stop
        self.tokens = {name: tuple(tokenizer.chat(each.text)) for name, each in prompts.items()}
        about = {"origin": weights.origin, "digest": digest_of_model(weights)}
        self.record = run.record.model(self.name, about)
        self.record["kinds"] |= {name: each.kind for name, each in prompts.items()}
        names, size = list(prompts), run.options.group
        self.groups = [tuple(names[at : at + size]) for at in range(0, len(names), size)]
        backend = run.options.backend
        self._do: Callable[[PlainTask | DraftTask], Any]
        if here:
            self._do = Measurer(weights, backend)
        else:
            path = model if model in PACKAGES else str(Path(model).resolve())
            self._do = functools.partial(measure_elsewhere, path, about["digest"], backend)

    @property
    def steps(self) -> int:
        """Tasks that are left, at most."""
        plain = sum(len(self._undecoded(target)) for target in self._targets())
        return plain + sum(len(self._missing(codec)) for codec in self.run.codecs)

    def measure(self, client: Any, step: Callable[[str], None]) -> None:
        """Do what is left, write each group of prompts, and add figures.

        Codecs of one target are measured together, since workers keep one target.

        Parameters
        ----------
        client : Client or None
            From :func:`speq_sim.parallel.workers`.
        step : callable
            Is told of each task.
        """
        for target in self._targets():
            self._decode(target, client, step)
            self._draft(target, client, step)
        self.summarise()
        self.run.save()

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

    def _decode(self, target: str, client: Any, step: Callable[[str], None]) -> None:
        plain = self._plain(target)
        tasks = [self._plain_task(target, names) for names in self._undecoded(target)]

        def say(task: PlainTask) -> None:
            step(f"{self.name}, {target}: plain decoding of {len(task.prompts)} prompts")

        for _, found in map_batches(client, self._do, tasks, say):
            plain |= {name: " ".join(map(str, tokens)) for name, tokens in found.items()}
            self._order(plain)
            self.run.save()

    def _draft(self, target: str, client: Any, step: Callable[[str], None]) -> None:
        tasks = [
            self._draft_task(codec, names)
            for codec in self.run.codecs
            if target_of(codec) == target
            for names in self._missing(codec)
        ]
        left = Counter(task.codec for task in tasks)

        def say(task: DraftTask) -> None:
            step(f"{self.name}, {self.run.label(task.codec)}: {len(task.tokens)} prompts")

        for task, (made, results) in map_batches(client, self._do, tasks, say):
            label, found = self.run.label(task.codec), self._found(task.codec)
            self.run.record.check(
                f"the draft {label} of {self.name}", found.get("bits", made), made
            )
            found["bits"] = made
            found["prompts"] |= results
            self._order(found["prompts"])
            found.pop("summary", None)
            left[task.codec] -= 1
            if not left[task.codec]:
                self.summarise()
            self.run.save()

    def _plain_task(self, target: str, names: Sequence[str]) -> PlainTask:
        prompts = {name: self.tokens[name] for name in names}
        return PlainTask(target, prompts, self.run.options.tokens, self.stop)

    def _draft_task(self, codec: str, names: Sequence[str]) -> DraftTask:
        run, target = self.run, target_of(codec)
        plain = self._plain(target)
        return DraftTask(
            codec,
            run.drafts,
            run.policy,
            self._plain_task(target, names),
            {name: tuple(map(int, plain[name].split())) for name in names},
            self._found(codec).get("bits"),
        )

    def _targets(self) -> list[str]:
        return list(dict.fromkeys(map(target_of, self.run.codecs)))

    def _plain(self, target: str) -> dict[str, str]:
        """What is known of plain decoding."""
        return self.record["plain"].setdefault(target, {})

    def _found(self, codec: str) -> dict[str, Any]:
        """What is known of a codec."""
        run = self.run
        return run.record.codec(self.name, run.label(codec), identity(codec, run.drafts))

    def _missing(self, codec: str) -> list[tuple[str, ...]]:
        """Of each group the prompts that a codec was not measured on, where there are some."""
        known = self._known(codec)
        return _left(self.groups, lambda name: name not in known)

    def _undecoded(self, target: str) -> list[tuple[str, ...]]:
        """Of each group the prompts that a codec is to be measured on, but have no tokens."""
        codecs = [codec for codec in self.run.codecs if target_of(codec) == target]
        wanted = {name for codec in codecs for names in self._missing(codec) for name in names}
        plain = self.record["plain"].get(target, {})
        return _left(self.groups, lambda name: name in wanted and name not in plain)

    def _known(self, codec: str) -> Mapping[str, Any]:
        return self.record["codecs"].get(self.run.label(codec), {}).get("prompts", {})

    def _order(self, results: dict[str, Any]) -> None:
        """Put prompts into the record's order: workers end in any, and intervals depend on it."""
        ordered = {name: results[name] for name in self.record["kinds"] if name in results}
        results.clear()
        results.update(ordered)


def _left(
    groups: Sequence[tuple[str, ...]], wanted: Callable[[str], bool]
) -> list[tuple[str, ...]]:
    found = (tuple(name for name in group if wanted(name)) for group in groups)
    return [names for names in found if names]
