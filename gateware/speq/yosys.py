"""Drive Yosys through pyosys, one child process per run.

A Yosys error ends the process it happens in, so Yosys never runs inside ours: the commands go to a
child Python that imports pyosys, and its log comes back as text.
"""

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["YosysError", "run_yosys", "verilog_from_rtlil", "yosys_version"]

_CHILD = """
import json, sys
try:
    from pyosys import libyosys
except ImportError as error:
    sys.exit(f"ERROR: pyosys cannot be imported ({error}): install it with pip")
design = libyosys.Design()
for command in json.load(sys.stdin):
    libyosys.run_pass(command, design)
"""

_LOG_TAIL_LINES = 30

_ZERO_CONTENTS = re.compile(
    r"  cell \$meminit_v2 \S+\n    parameter \\MEMID (\S+)\n(?:    .*\n)*?"
    r"    connect \\DATA \d+'0+\n(?:    .*\n)*?  end\n+"
    r"(?=(?:  attribute .*\n)*  cell \$memwr_v2 \S+\n    parameter \\MEMID \1\n)"
)
"""Initial values of a memory, all zero, before its first write port."""


class YosysError(RuntimeError):
    """A Yosys run failed.

    Attributes
    ----------
    log_tail : str
        The last lines of the log, for whoever needs more than the message.
    """

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail


def yosys_version() -> str:
    """Version of the installed pyosys, which is the version of its Yosys."""
    try:
        return importlib.metadata.version("pyosys")
    except importlib.metadata.PackageNotFoundError:
        raise YosysError("pyosys is not installed: install it with pip") from None


def run_yosys(
    commands: Sequence[str],
    *,
    directory: str | Path | None = None,
    timeout: float | None = None,
) -> str:
    """Run Yosys commands one after the other on a fresh design.

    Parameters
    ----------
    commands : sequence of str
        Yosys commands, such as ``"read_verilog top.v"``.
    directory : str or Path, optional
        Folder the commands run in, which relative file names in them start from; by default the
        current one.
    timeout : float, optional
        Seconds after which the run is stopped.

    Returns
    -------
    str
        Everything Yosys (and ABC under it) printed.

    Raises
    ------
    YosysError
        If a command fails (the message is Yosys's own ``ERROR`` line), if the process dies, or
        after `timeout` seconds.
    """
    with (
        tempfile.TemporaryDirectory(prefix="speq-yosys-") as scratch,
        subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD],
            cwd=directory,
            # Yosys keeps converted cell libraries among the temporary files for ever.
            env=os.environ | {"TMPDIR": scratch},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as child,
    ):
        try:
            log, _ = child.communicate(json.dumps(list(commands)), timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill(child)
            log, _ = child.communicate()
            raise YosysError(
                f"Yosys did not finish within {timeout:g} s; it was at: {_last_command(log)}",
                _tail(log),
            ) from None
        except BaseException:
            _kill(child)
            raise
    if child.returncode != 0:
        raise YosysError(f"Yosys failed: {_decisive_line(log)}", _tail(log))
    return log


def verilog_from_rtlil(rtlil: str, *, timeout: float | None = None) -> str:
    """Translate RTLIL, as Amaranth writes it, into Verilog-2001.

    The text depends on the RTLIL and the Yosys version alone: it holds no attributes, times, tool
    versions or source positions. Memories stay ``reg`` arrays, and tables of constants become
    initialised ones (as one-hot multiplexers they come out a quarter larger after synthesis).
    A memory that is written has no initial values if they are all zero, which is what Amaranth
    gives to one without any: an SRAM has none.
    Equal expressions are computed once; wires that nothing reads are gone, internal ones numbered.

    Parameters
    ----------
    rtlil : str
        RTLIL of one or more modules.
    timeout : float, optional
        Seconds after which the run is stopped.

    Returns
    -------
    str
        Verilog of all the modules, in the order of the RTLIL.

    Raises
    ------
    YosysError
        If Yosys rejects the RTLIL.
    """
    with tempfile.TemporaryDirectory(prefix="speq-") as directory:
        text = _ZERO_CONTENTS.sub("", rtlil)
        (Path(directory) / "design.il").write_text(text, encoding="utf-8")
        commands = [
            "read_rtlil design.il",
            # Whole multiplexers rather than always blocks: those need a dummy register each to be
            # evaluated at time zero, named after a line of Yosys's source.
            "proc",
            # Amaranth writes an expression out once per use; the bits of a bus are such uses.
            "opt_merge",
            "opt_clean -purge",
            "memory_collect",
            "write_verilog -noattr design.v",
        ]
        run_yosys(commands, directory=directory, timeout=timeout)
        verilog = (Path(directory) / "design.v").read_text(encoding="utf-8")
    return re.sub(r"\A/\* Generated by Yosys[^\n]*\*/\n+", "", verilog)


def _decisive_line(log: str) -> str:
    errors = [line.strip() for line in log.splitlines() if line.startswith("ERROR:")]
    if errors and "ABC" in errors[-1]:
        # What ABC said comes before; that its result is missing is not the cause.
        causes = re.findall(r"^ABC: (Error: .*|.*cannot be used.*)$", log, flags=re.MULTILINE)
        return f"ABC: {causes[0]}" if causes else errors[-1]
    if errors:
        return errors[-1].removeprefix("ERROR:").strip()
    last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "")
    return last or "the process ended without a word (out of memory?)"


def _last_command(log: str) -> str:
    commands = re.findall(r"^-- Running command `(.*)' --$", log, flags=re.MULTILINE)
    return commands[-1] if commands else "start-up"


def _tail(log: str) -> str:
    return "\n".join(log.splitlines()[-_LOG_TAIL_LINES:])


def _kill(child: subprocess.Popen[str]) -> None:
    """End Yosys and the ABC processes it has started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
