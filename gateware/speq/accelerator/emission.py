"""Emission of the accelerator: Verilog, side-car, and headers of its registers."""

from pathlib import Path
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib.wiring import In

from speq import emission
from speq.accelerator.fetch import fifo_beats
from speq.accelerator.register_text import as_json, c_header, verilog_header
from speq.accelerator.registers import register_map
from speq.accelerator.unit import Accelerator, buses
from speq.block import module_name, modules
from speq.emission import Emission, write_design
from speq.parameters import Parameters, check_accelerator

__all__ = ["SCHEMA", "describe", "emit"]

SCHEMA = "speq-accelerator/1"


def emit(parameters: Parameters, directory: str | Path) -> Emission:
    """Write an accelerator's files into `directory`, which is made if need be.

    Raises
    ------
    ParameterError
        If the design point is no accelerator.
    speq.yosys.YosysError
        If Yosys fails; nothing is written then.
    """
    check_accelerator(parameters)
    unit = Accelerator(parameters)
    registers, name = register_map(parameters), module_name(unit)
    headers = {
        "_registers.h": c_header(registers, name),
        "_registers.vh": verilog_header(registers, name),
    }
    return write_design(unit, directory, describe(unit), headers)


def describe(unit: Accelerator) -> dict[str, Any]:
    """Everything that software needs to know of an accelerator (the JSON side-car)."""
    parameters = unit.parameters
    array = emission.describe(unit.engine.array)
    return {
        "schema": SCHEMA,
        "top": module_name(unit),
        "parameters": parameters.as_dict(),
        "derived": array["derived"]
        | {
            "bus_bytes": parameters.bus_bytes,
            "longest_burst": parameters.longest_burst,
            "group_inputs": parameters.group_inputs,
            "group_tiles": parameters.group_tiles,
            "activation_rows": parameters.activation_rows,
            "fifo_beats": {
                plane.name.lower(): fifo_beats(parameters, plane) for plane in unit.fetch.planes
            },
        },
        "array": {"latency": array["latency"], "streams": array["streams"]},
        "buses": {prefix: _ports(unit, prefix) for prefix in buses(parameters)},
        "registers": as_json(register_map(parameters)),
        "modules": [module_name(block) for block in modules(unit)],
    }


def _ports(unit: Accelerator, prefix: str) -> dict[str, dict[str, Any]]:
    """Direction and width of each port of a bus."""
    return {
        name: {
            "direction": "in" if member.flow is In else "out",
            "bits": Shape.cast(member.shape).width,
        }
        for name, member in unit.signature.members.items()
        if name.startswith(f"{prefix}_")
    }
