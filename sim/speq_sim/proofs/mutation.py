"""Planted faults: source texts with one thing changed."""

import importlib
import types
from pathlib import Path

__all__ = ["MutationError", "mutated_module", "replaced"]


class MutationError(ValueError):
    """A fault cannot be planted: the source has changed."""


def replaced(source: str, old: str, new: str, where: str) -> str:
    """`source` with `old`, which it must hold exactly once, changed to `new`.

    Raises
    ------
    MutationError
        If `old` is not there, or more than once, or nothing would change.
    """
    count = source.count(old)
    if count != 1:
        raise MutationError(
            f"{where} has {count} times, not once, the text to change: {old!r}; adapt the mutant"
        )
    if old == new:
        raise MutationError(f"the mutant of {where} changes nothing: {old!r}")
    return source.replace(old, new)


def mutated_module(name: str, old: str, new: str) -> types.ModuleType:
    """A fresh copy of an importable module with one fault; the module itself is left alone.

    Parameters
    ----------
    name : str
        The module, such as ``speq.streams``.
    old, new : str
        As in :func:`replaced`.
    """
    original = importlib.import_module(name)
    source = Path(original.__file__).read_text(encoding="utf-8")
    copy = types.ModuleType(name)
    copy.__file__ = original.__file__
    exec(compile(replaced(source, old, new, name), original.__file__, "exec"), copy.__dict__)
    return copy
