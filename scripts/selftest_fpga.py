#!/usr/bin/env python3
"""Test an accelerator on a board through its serial line: jobs in every mode, bit for bit.

The board must have the bitstream of the same design (scripts/build_fpga.py). With --simulate the
system of the board is simulated instead, from its two pins on, with a fast serial line.

  python scripts/selftest_fpga.py ulx3s --port /dev/ttyUSB0
  python scripts/selftest_fpga.py ulx3s --simulate
  python scripts/selftest_fpga.py ulx3s --simulate --design tiny --set address_bits=20
"""

import argparse
import dataclasses
import time
import warnings
from pathlib import Path
from typing import Any

from amaranth.hdl import UnusedElaboratable
from rich.table import Table
from safetensors.numpy import load_file

import _cli
from speq.boards.emission import side_car
from speq.boards.settings import BOARDS, BoardSettings
from speq.design_files import load
from speq.parameters import Parameters
from speq_sim.benches.boards.compiled_board import CompiledBoard, build_board, fast_line
from speq_sim.benches.finding import SimulatorError
from speq_sim.cplusplus import CompilerError
from speq_sim.host import DeviceError, uart_selftest
from speq_sim.host.uart_channel import SerialChannel
from speq_sim.host.uart_errors import LinkError
from speq_sim.host.uart_link import UartLink
from speq_sim.host.uart_selftest import Check

ROOT = Path(__file__).parents[1]
TILE = ROOT / "tests/data/smollm2-135m-q-proj.safetensors"

ERRORS = (DeviceError, LinkError, SimulatorError, CompilerError)

TIMEOUT = 0.2
"""Seconds that a board may take to answer: ten times its idle time."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument("board", metavar="BOARD", choices=tuple(BOARDS), help=", ".join(BOARDS))
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--port", help="serial port of the board, such as /dev/ttyUSB0")
    way.add_argument("--simulate", action="store_true", help="simulate the board")
    parser.add_argument("--design", help="design file or preset (default: hw/BOARD.toml)")
    _cli.add_overrides(parser)
    parser.add_argument("--baud", type=int, help="of the serial line (default: the board's)")
    parser.add_argument(
        "--tile",
        type=Path,
        default=TILE,
        help=f"safetensors file with weight and activations (default: tests/data/{TILE.name})",
    )
    parser.add_argument(
        "--build", type=Path, default=Path("build"), help="folder (default: %(default)s)"
    )
    return parser.parse_args()


def run() -> int:
    """Run all checks up to the first that fails; 1 if one does."""
    options = arguments()
    # Only the accelerator's registers are asked for; it is not elaborated.
    warnings.simplefilter("ignore", UnusedElaboratable)
    design = options.design or ROOT / f"hw/{options.board}.toml"
    parameters = load(design, _cli.parse_overrides(options.overrides))
    settings = BOARDS[options.board]
    if options.baud:
        settings = dataclasses.replace(settings, baud=options.baud)
    board = None
    with _cli.progress() as step:
        if options.simulate:
            step(f"compiling the system of {options.board} with {parameters.name}")
            settings = fast_line(settings)
            board = simulated(parameters, settings, options.build / parameters.name)
            link = UartLink(board, timeout=board.patience)
        else:
            link = UartLink(SerialChannel(options.port, settings.baud), timeout=TIMEOUT)
        tile = load_file(options.tile)
        outputs, inputs = uart_selftest.case_shape(parameters, tile["weight"].shape)
        weights = tile["weight"][:outputs, :inputs]
        activations = tile["activations"][:, :inputs]
        test = uart_selftest.SelfTest(link, side_car(parameters), weights, activations)
        begun = time.perf_counter()
        checks = []
        for name, check in zip(test.names, test.run(), strict=False):
            step(f"checked {name}")
            checks.append(check)
            if check.wrong:
                break
    figures = {
        "board": options.board,
        "simulated": options.simulate,
        "design": parameters.as_dict(),
        "settings": dataclasses.asdict(settings),
        "layer": {"outputs": outputs, "inputs": inputs, "tile_file": options.tile.name},
        "passed": not any(check.wrong for check in checks),
        "checks": [dataclasses.asdict(check) for check in checks],
        "seconds": round(time.perf_counter() - begun, 2),
        "requests": link.counts.requests,
        "repeated_requests": link.counts.repeated,
    }
    if board is not None:
        figures["simulated_cycles"] = board.cycles
    _cli.write_json(options.json, figures)
    show(figures, checks)
    return 0 if figures["passed"] else 1


def simulated(parameters: Parameters, settings: BoardSettings, folder: Path) -> CompiledBoard:
    """A simulated board with its reset released."""
    library = build_board(parameters, settings, folder, folder / "board")
    return CompiledBoard(library, settings)


def show(figures: dict[str, Any], checks: list[Check]) -> None:
    """Print what was found."""
    layer, kind = figures["layer"], "simulated" if figures["simulated"] else "board"
    _cli.console.print(
        f"speq_{figures['design']['name']} on {figures['board']} ({kind}), "
        f"{layer['outputs']} x {layer['inputs']} weights of {layer['tile_file']}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table()
    table.add_column("check")
    for column in ("compared", "wrong", "seconds"):
        table.add_column(column, justify="right")
    for check in checks:
        table.add_row(check.name, f"{check.compared:,}", f"{check.wrong:,}", f"{check.seconds:.2f}")
    _cli.console.print(table)
    _cli.console.print(
        f"{figures['requests']:,} requests, {figures['repeated_requests']} of them repeated",
        highlight=False,
    )
    for check in checks:
        if check.wrong:
            _cli.console.print(
                f"{check.name} is wrong: {check.first}; later checks were left out", highlight=False
            )


if __name__ == "__main__":
    _cli.main(run, expected=ERRORS)
