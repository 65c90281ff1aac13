"""Read the clock and the limits of an SDC file, as far as the flow here understands them.

The files of ``constraints/`` are plain Tcl that a timing analyser reads as well; of its language
this reader takes what they use, and refuses everything else with the line that holds it. A command
that were silently left out would make figures that look constrained and are not.
"""

import dataclasses
import re
import shlex
from collections.abc import Callable
from pathlib import Path

__all__ = ["Sdc", "SdcError", "read_sdc", "sdc_for"]


class SdcError(ValueError):
    """A constraint file is wrong. The message names the file, the line and the mend."""


@dataclasses.dataclass(frozen=True)
class Sdc:
    """What a constraint file says. Times and capacitances are in the units of the cell library.

    Parameters
    ----------
    path : Path
        The file.
    clock : str
        Name of the clock.
    port : str
        Port that it comes in at.
    period : float
        Clock period.
    input_delay, output_delay : float
        Part of the period that is spent before the inputs and after the outputs.
    driving_cell : str or None
        Library cell in front of every input.
    load : float or None
        Capacitance behind every output.
    """

    path: Path
    clock: str
    port: str
    period: float
    input_delay: float = 0.0
    output_delay: float = 0.0
    driving_cell: str | None = None
    load: float | None = None


_PORTS = re.compile(
    r"\[\s*(get_ports\s+\{?\s*(?P<port>[\w.$]+)\s*\}?|all_inputs(\s+-no_clocks)?|all_outputs)\s*\]"
)
_MENDS = {
    "create_clock": "create_clock -name clk -period 5.2 [get_ports clk]",
    "set_input_delay": "set_input_delay 0 -clock clk [all_inputs -no_clocks]",
    "set_output_delay": "set_output_delay 0 -clock clk [all_outputs]",
    "set_driving_cell": "set_driving_cell -lib_cell BUFX2 [all_inputs]",
    "set_load": "set_load 0.037 [all_outputs]",
}


def read_sdc(path: Path) -> Sdc:
    """Read a constraint file.

    Parameters
    ----------
    path : Path
        SDC: comments, and the commands ``create_clock`` (once), ``set_input_delay``,
        ``set_output_delay``, ``set_driving_cell`` and ``set_load`` (at most once each).

    Raises
    ------
    SdcError
        If the file is missing, a line is none of these or not of their form, a command stands
        twice, or there is no clock.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise SdcError(f"constraint file {path} does not exist: check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SdcError(f"constraint file {path} cannot be read: {error}") from None
    found: dict[str, float | str] = {}
    seen: set[str] = set()
    for number, text in enumerate(lines, start=1):
        line = text.strip()
        if not line or line.startswith("#"):
            continue
        where = f"{path.name}, line {number}: {line!r}"
        command = line.split()[0]
        if command not in _COMMANDS:
            raise SdcError(f"{where} is not understood: use {', '.join(_COMMANDS)} or a comment")
        if command in seen:
            raise SdcError(f"{where}: {command} stands twice: keep one of the two lines")
        if command != "create_clock" and "clock" not in found:
            raise SdcError(f"{where} comes before the clock: put create_clock first")
        seen.add(command)
        try:
            found |= _COMMANDS[command](line, found)
        except ValueError as error:
            raise SdcError(f"{where}: {error}: write, say, {_MENDS[command]}") from None
    if "clock" not in found:
        raise SdcError(f"{path.name} has no clock: add {_MENDS['create_clock']}")
    return Sdc(path, **found)  # type: ignore[arg-type]


def sdc_for(library_name: str, directory: Path) -> Path | None:
    """The file of `directory` that was made for a library, None if there is none.

    Parameters
    ----------
    library_name : str
        Name the library gives itself; the file's name is its beginning, in lower case.
    directory : Path
        Folder of ``*.sdc`` files.
    """
    name = library_name.lower()
    fitting = [path for path in directory.glob("*.sdc") if name.startswith(path.stem)]
    return max(fitting, key=lambda path: len(path.stem), default=None)


def _words(line: str, ports: str) -> tuple[list[str], str | None]:
    """Words of a command without its port list, and the port, if it names one."""
    match = _PORTS.search(line)
    if match is None or not match.group(1).startswith(ports):
        raise ValueError(f"it must end in one [{ports}{' NAME' if ports == 'get_ports' else ''}]")
    rest = line[: match.start()] + line[match.end() :]
    if "[" in rest or ";" in rest:
        raise ValueError("it holds more than one command")
    try:
        return shlex.split(rest)[1:], match.group("port")
    except ValueError:
        raise ValueError("a quotation mark is not closed") from None


def _options(words: list[str], *flags: str) -> tuple[dict[str, str], list[str]]:
    """Options with their values, and what stands alone."""
    options: dict[str, str] = {}
    alone: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or _is_number(word):
            alone.append(word)
        elif word not in flags or word in options:
            raise ValueError(f"option {word} is not one of {', '.join(flags) or 'none'}, once each")
        else:
            options[word] = next(rest, "")
    return options, alone


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", word) is not None


def _number(word: str, name: str, *, positive: bool = False) -> float:
    if not _is_number(word):
        raise ValueError(f"{name} is {word!r}, but must be a number")
    value = float(word)
    if value < 0 or (positive and value == 0):
        raise ValueError(
            f"{name} is {word}, but must be {'more than' if positive else 'at least'} 0"
        )
    return value


def _one(words: list[str], name: str) -> str:
    if len(words) != 1:
        raise ValueError(f"it takes one {name}, not {len(words)}")
    return words[0]


def _clock(line: str, _: dict) -> dict[str, float | str]:
    words, port = _words(line, "get_ports")
    options, alone = _options(words, "-period", "-name")
    if alone:
        raise ValueError(f"{alone[0]!r} is not expected")
    period = _number(options.get("-period", ""), "-period", positive=True)
    assert port is not None
    return {"clock": options.get("-name") or port, "port": port, "period": period}


def _delay(field: str, ports: str) -> Callable[[str, dict], dict[str, float | str]]:
    def read(line: str, found: dict) -> dict[str, float | str]:
        options, alone = _options(_words(line, ports)[0], "-clock")
        if options.get("-clock", found["clock"]) != found["clock"]:
            raise ValueError(f"-clock is not {found['clock']}, the clock of this file")
        return {field: _number(_one(alone, "delay"), "the delay")}

    return read


def _driving_cell(line: str, _: dict) -> dict[str, float | str]:
    options, alone = _options(_words(line, "all_inputs")[0], "-lib_cell")
    if alone or not options.get("-lib_cell"):
        raise ValueError("it takes -lib_cell and the cell's name")
    return {"driving_cell": options["-lib_cell"]}


def _load(line: str, _: dict) -> dict[str, float | str]:
    _, alone = _options(_words(line, "all_outputs")[0])
    return {"load": _number(_one(alone, "load"), "the load")}


_COMMANDS: dict[str, Callable[[str, dict], dict[str, float | str]]] = {
    "create_clock": _clock,
    "set_input_delay": _delay("input_delay", "all_inputs"),
    "set_output_delay": _delay("output_delay", "all_outputs"),
    "set_driving_cell": _driving_cell,
    "set_load": _load,
}
