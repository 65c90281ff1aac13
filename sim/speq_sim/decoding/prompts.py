"""Prompts by kind, from files of JSON lines; and two sets of our own.

:func:`own_prompts` is what acceptance is measured on by default, :func:`calibration_prompts` what
is fitted on; no text is in both.
"""

import dataclasses
import importlib.resources
import json
from pathlib import Path
from typing import Any

from speq_sim.decoding.errors import ModelError

__all__ = ["Prompt", "calibration_prompts", "own_prompts", "read_prompts"]


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A text to answer or to go on with.

    Parameters
    ----------
    kind : str
        What it is about; our own are ``chat``, ``maths``, ``code``, and ``story``: the beginning of
        a story, for models that know nothing else.
    text : str
        The prompt.
    """

    kind: str
    text: str


def read_prompts(path: Path | str) -> tuple[Prompt, ...]:
    """Read prompts.

    Parameters
    ----------
    path : Path or str
        UTF-8; each line an object with ``kind`` and ``prompt``, both of them texts. Other members
        and empty lines are passed over.

    Raises
    ------
    ModelError
        If the file is missing, a line is something else, or there is no prompt.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the prompts {path.name} cannot be read ({error.strerror}): give a file of JSON lines"
        ) from None
    return _parsed(content, path.name)


def own_prompts() -> tuple[Prompt, ...]:
    """Our own prompts to measure on: 8 each of chat, maths and code, and 24 of story."""
    return _packaged("prompts.jsonl")


def calibration_prompts() -> tuple[Prompt, ...]:
    """Our own prompts to fit on, of the same kinds and numbers as :func:`own_prompts`."""
    return _packaged("calibration.jsonl")


def _packaged(name: str) -> tuple[Prompt, ...]:
    return _parsed((importlib.resources.files(__package__) / "data" / name).read_bytes(), name)


def _parsed(content: bytes, name: str) -> tuple[Prompt, ...]:
    prompts = tuple(
        _prompt(line, f"line {number} of {name}")
        for number, line in enumerate(content.split(b"\n"), start=1)
        if line.strip()
    )
    if not prompts:
        raise ModelError(f"{name} has no prompts: write one JSON object a line")
    return prompts


def _prompt(line: bytes, where: str) -> Prompt:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        raise ModelError(
            f'{where} is no JSON ({error}): write {{"kind": "chat", "prompt": "..."}}'
        ) from None
    values = found if isinstance(found, dict) else {}
    for member in ("kind", "prompt"):
        text = values.get(member)
        if not isinstance(text, str) or not text.strip():
            raise ModelError(f"{where} lacks {member!r}, a text that is not empty: add it")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ModelError(
                f"{where} has half of a surrogate pair in {member!r}, which is no text: write the "
                f"character itself"
            )
    return Prompt(values["kind"], values["prompt"])
