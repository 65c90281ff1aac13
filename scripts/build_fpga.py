#!/usr/bin/env python3
"""Build a bitstream for a board, and report its clock and what it takes of the chip.

The tools come with pip (the extra "fpga"). A clock that is missed does not stop the build. Files go
to build/<design>-<board>: the bitstream, build.log, nextpnr's report.json, and board.json, which
describes the system. The file of --json keeps the figures of other boards.

  python scripts/build_fpga.py ulx3s --json docs/results/fpga.json
  python scripts/build_fpga.py ulx3s --design tiny --clock-mhz 60 --set address_bits=20
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from rich.table import Table

import _cli
from speq.boards.build import BuildError, board_top, place_and_route
from speq.boards.emission import describe
from speq.boards.settings import BOARDS, BoardSettings
from speq.design_files import load

DESIGNS = Path(__file__).parents[1] / "hw"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument("board", metavar="BOARD", choices=tuple(BOARDS), help=", ".join(BOARDS))
    parser.add_argument("--design", help="design file or preset (default: hw/BOARD.toml)")
    _cli.add_overrides(parser)
    parser.add_argument("--clock-mhz", type=float, help="default: the board's")
    parser.add_argument("--baud", type=int, help="of the serial line (default: the board's)")
    parser.add_argument("--memory-bytes", type=int, help="on-chip memory (default: the board's)")
    parser.add_argument(
        "--synth-opts",
        metavar="OPTIONS",
        help="of Yosys, in place of the board's own; write --synth-opts=-dsp, with the sign",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the placer (default: %(default)s)")
    parser.add_argument(
        "--build", type=Path, default=Path("build"), help="folder (default: %(default)s)"
    )
    return parser.parse_args()


def settings_of(options: argparse.Namespace) -> BoardSettings:
    """Settings of the board, as the command line changes them."""
    names = (field.name for field in dataclasses.fields(BoardSettings))
    given = {name: getattr(options, name, None) for name in names}
    changes = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(BOARDS[options.board], **changes)


def run() -> None:
    """Build and report."""
    options = arguments()
    design = options.design or DESIGNS / f"{options.board}.toml"
    parameters = load(design, _cli.parse_overrides(options.overrides))
    settings = settings_of(options)
    boards = recorded(options.json)
    folder = options.build / f"{parameters.name}-{options.board}"
    with _cli.progress(1) as step:
        step(f"building {parameters.name} for {options.board}")
        top = board_top(options.board, parameters, settings)
        chosen = {"synth_opts": options.synth_opts} if options.synth_opts else {}
        figures = place_and_route(
            options.board,
            top,
            folder,
            parameters=parameters,
            seed=options.seed,
            options=chosen,
        )
    _cli.write_text(folder / "board.json", json.dumps(describe(top.system), indent=2) + "\n")
    record = {
        "command": _cli.command_line(),
        "design": parameters.as_dict(),
        "settings": dataclasses.asdict(settings),
        **figures,
    }
    _cli.write_json(options.json, {"boards": boards | {options.board: record}})
    show(parameters.name, folder, record)


def recorded(path: Path | None) -> dict[str, Any]:
    """Figures of the boards that a file of ``--json`` already has.

    Raises
    ------
    BuildError
        If the file is there and not of this kind.
    """
    if path is None or not path.exists():
        return {}
    try:
        boards = json.loads(path.read_text(encoding="utf-8"))["boards"]
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(
            f"{path} is no record of builds ({error!r}): name another file, or remove it"
        ) from error
    return dict(boards)


def show(name: str, folder: Path, figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=f"speq_{name} on {figures['board']} ({figures['device']})")
    table.add_column("")
    for column in ("used", "available", "share"):
        table.add_column(column, justify="right")
    for kind, cells in figures["utilization"].items():
        share = cells["used"] / cells["available"] if cells["available"] else 0
        table.add_row(kind, f"{cells['used']:,}", f"{cells['available']:,}", f"{share:.1%}")
    _cli.console.print(table)
    for clock, figure in figures["clocks"].items():
        _cli.console.print(
            f"clock {clock}: {figure['mhz']:.2f} MHz (wanted: {figure['wanted_mhz']:.2f} MHz)",
            highlight=False,
            markup=False,
        )
        if figure["mhz"] < figure["wanted_mhz"]:
            _cli.console.print(
                f"[yellow]too slow:[/] the bitstream is not safe to run; build with "
                f"--clock-mhz {int(figure['mhz'])} or less, or try another --seed"
            )
    _cli.console.print(
        f"{folder / figures['bitstream']}, built in {figures['seconds']:.0f} s",
        highlight=False,
        markup=False,
    )


if __name__ == "__main__":
    _cli.main(run, expected=(BuildError,))
