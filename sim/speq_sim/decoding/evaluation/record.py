"""Results in one JSON object, which a later run with the same settings goes on with.

Under ``models`` there is for each model what it is, the kinds of its prompts, the tokens of plain
decoding by target, and for each codec what the draft is, and its counts by prompt.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["Record", "digest_of_model"]


class Record:
    """All results, and those of an earlier run.

    Parameters
    ----------
    settings : mapping
        What must be the same for results to stand beside one another; JSON values.
    path : Path or None
        The file of an earlier run, if it exists.

    Raises
    ------
    ModelError
        If the file is no such record, or was made with other settings.
    """

    def __init__(self, settings: Mapping[str, Any], path: Path | None = None) -> None:
        self._name = path.name if path else "the record"
        self.models: dict[str, Any] = {}
        self.commands: list[str] = []
        self.settings = dict(settings)
        if path is not None and path.exists():
            earlier = self._read(path)
            self.check("the run", earlier["settings"], self.settings)
            self.models, self.commands = earlier["models"], earlier["commands"]

    def model(self, name: str, about: Mapping[str, Any]) -> dict[str, Any]:
        """The results of a model, with ``about``, ``kinds``, ``plain`` and ``codecs``.

        Raises
        ------
        ModelError
            If they are of another model of that name.
        """
        found = self.models.setdefault(
            name, {"about": dict(about), "kinds": {}, "plain": {}, "codecs": {}}
        )
        self.check(f"model {name}", found["about"], about)
        return found

    def codec(self, model: str, label: str, about: Mapping[str, Any]) -> dict[str, Any]:
        """The results of a codec, with ``about`` and ``prompts``.

        Raises
        ------
        ModelError
            If they are of another draft of that name.
        """
        self.check_codec(model, label, about)
        codecs = self.models[model]["codecs"]
        return codecs.setdefault(label, {"about": dict(about), "prompts": {}})

    def check_codec(self, model: str, label: str, about: Mapping[str, Any]) -> None:
        """Refuse results of a codec that stand for another draft of that name.

        Raises
        ------
        ModelError
            If there are such.
        """
        codecs = self.models[model]["codecs"]
        if label in codecs:
            self.check(f"codec {label} of {model}", codecs[label]["about"], about)

    def as_dict(self) -> dict[str, Any]:
        """The object to write."""
        return {"settings": self.settings, "commands": self.commands, "models": self.models}

    def check(self, what: str, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Refuse what is not what it was.

        Raises
        ------
        ModelError
            If a value differs, which the message names, or is there only once.
        """
        for key in (*earlier, *now):
            if earlier.get(key) != now.get(key):
                raise ModelError(
                    f"{self._name} has other settings for {what} ({key}: {earlier.get(key)}, now "
                    f"{now.get(key)}): name another file, or give the same settings"
                )

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            parts = found["settings"], found["models"], found["commands"]
        except (ValueError, KeyError, TypeError):
            parts = ()
        if [type(part) for part in parts] != [dict, dict, list]:
            raise ModelError(
                f"{path.name} is no record of measure_acceptance.py, and is left as it is: name "
                f"another file"
            )
        return found


def digest_of_model(weights: LlamaWeights) -> str:
    """16 hexadecimal digits that change with any weight."""
    found = hashlib.sha256()
    for name, values in sorted({**weights.matrices, **weights.norms}.items()):
        found.update(name.encode() + values.tobytes())
    return found.hexdigest()[:16]


def digest_of_texts(texts: Sequence[str]) -> str:
    """16 hexadecimal digits that change with any of some texts."""
    return hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:16]
