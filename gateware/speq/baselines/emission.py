"""Emission of a baseline array: Verilog, JSON side-car, FuseSoC core file."""

from pathlib import Path
from typing import Any

from speq.baselines.array import BaselineArray
from speq.baselines.parameters import BaselineParameters
from speq.block import module_name, modules
from speq.emission import SCHEMA, Emission, describe_streams, write_design

__all__ = ["LATENCY", "describe", "emit"]

LATENCY = {"operands": 1, "accumulate": 1}
"""Register stages from an accepted beat to the accumulators, in cycles each."""


def emit(parameters: BaselineParameters, directory: str | Path) -> Emission:
    """Write a baseline's files into `directory`, which is made if need be.

    Raises
    ------
    speq.yosys.YosysError
        If Yosys fails; nothing is written then.
    """
    array = BaselineArray(parameters)
    return write_design(array, directory, describe(array))


def describe(array: BaselineArray) -> dict[str, Any]:
    """Everything that software needs to know of a baseline (the JSON side-car)."""
    parameters = array.parameters
    return {
        "schema": SCHEMA,
        "top": module_name(array),
        "parameters": parameters.as_dict(),
        "derived": {
            "inputs_per_beat": parameters.inputs_per_beat,
            "multipliers": parameters.multipliers,
            "bricks": parameters.bricks,
            "peak_macs_per_cycle": parameters.peak_macs_per_cycle,
            "formulas": {"tile_cycles": "groups + beats * inputs_per_beat + rows"},
        },
        "latency": LATENCY | {"total": sum(LATENCY.values())},
        "streams": describe_streams(array),
        "modules": [module_name(block) for block in modules(array)],
    }
