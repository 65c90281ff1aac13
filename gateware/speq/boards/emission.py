"""Emission of a board's system: Verilog and side-car."""

import dataclasses
from pathlib import Path
from typing import Any

from speq.accelerator import emission
from speq.accelerator.unit import Accelerator
from speq.block import module_name, modules
from speq.boards.protocol import VERSION
from speq.boards.settings import BoardSettings
from speq.boards.system import System
from speq.emission import Emission, write_design
from speq.parameters import Parameters

__all__ = ["SCHEMA", "describe", "emit", "side_car"]

SCHEMA = "speq-board/1"


def emit(parameters: Parameters, settings: BoardSettings, directory: str | Path) -> Emission:
    """Write the files of a system into `directory`, which is made if need be.

    Raises
    ------
    ParameterError
        If the design is not for a board.
    speq.yosys.YosysError
        If Yosys fails; nothing is written then.
    """
    system = System(parameters, settings)
    return write_design(system, directory, describe(system))


def describe(system: System) -> dict[str, Any]:
    """The JSON side-car of a system; that of its accelerator is under ``accelerator``."""
    return {
        "schema": SCHEMA,
        "top": module_name(system),
        "protocol": VERSION,
        "settings": dataclasses.asdict(system.settings),
        "accelerator": emission.describe(system.accelerator),
        "modules": [module_name(block) for block in modules(system)],
    }


def side_car(parameters: Parameters) -> dict[str, Any]:
    """The JSON side-car of the accelerator of a design, without emitting it."""
    return emission.describe(Accelerator(parameters))
