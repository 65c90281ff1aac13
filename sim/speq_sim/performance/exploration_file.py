"""Results of an exploration in a file of JSON lines, which a later run goes on with.

The first line says under which conditions; each other line is a result. Lines are appended batch by
batch, so that an interruption leaves at most a part of the last line, which is dropped.
"""

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import speq_sim.performance
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.exploration import Conditions, Result

__all__ = ["ExplorationFile"]

_HEADING = "conditions"
_BEGINNING = f'{{"{_HEADING}": '.encode()


class ExplorationFile:
    """Results by key, those of earlier runs among them.

    Parameters
    ----------
    path : Path or None
        The file, made if it is not there; None keeps results in memory alone.
    conditions : Conditions
        Those of this run.

    Raises
    ------
    ModelError
        If the file is none of these, or was made under other conditions or by another version of
        the performance model. It is left as it is.
    """

    def __init__(self, path: Path | None, conditions: Conditions) -> None:
        self.results: dict[str, Result] = {}
        self._path = path
        if path is None:
            return
        now = json.loads(json.dumps(conditions.as_dict())) | {"model_version": _model_version()}
        whole = self._read(path, now) if path.exists() else 0
        if not whole:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({_HEADING: now}) + "\n", encoding="utf-8")
        elif whole < path.stat().st_size:
            os.truncate(path, whole)

    def add(self, results: Iterable[Result]) -> None:
        """Keep results, and append them to the file."""
        new = {result.point.key: result for result in results}
        self.results |= new
        if self._path is None:
            return
        text = "".join(json.dumps(result.as_dict()) + "\n" for result in new.values())
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def _read(self, path: Path, now: Mapping[str, Any]) -> int:
        """Take over what is there; gives the bytes of all whole lines."""
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if not whole:
            if content[: len(_BEGINNING)] != _BEGINNING[: len(content)]:
                raise self._no_such_file()
            return 0
        heading, *lines = content[:whole].splitlines()
        try:
            earlier = json.loads(heading)[_HEADING]
            _check_same(path.name, earlier, now)
            for line in lines:
                result = Result.from_dict(json.loads(line))
                self.results[result.point.key] = result
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, ModelError):
                raise
            raise self._no_such_file() from None
        return whole

    def _no_such_file(self) -> ModelError:
        return ModelError(
            f"{self._path.name} holds no results of explore.py, and is left as it is: name another "
            f"file"
        )


def _check_same(name: str, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key in dict.fromkeys((*earlier, *now)):
        if earlier.get(key) != now.get(key):
            raise ModelError(
                f"{name} was made under other conditions ({key}: {_short(earlier.get(key))}, now "
                f"{_short(now.get(key))}): name another file, or give the same conditions"
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@functools.cache
def _model_version() -> str:
    """16 hexadecimal digits that change with the performance model's code and data."""
    found = hashlib.sha256()
    folder = Path(speq_sim.performance.__file__).parent
    for path in sorted((*folder.rglob("*.py"), *folder.rglob("*.json"))):
        found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:16]
