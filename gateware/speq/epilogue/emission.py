"""Emission of the scaled array: Verilog, its JSON side-car and a FuseSoC core file."""

from pathlib import Path
from typing import Any

from speq import emission
from speq.block import module_name, modules
from speq.emission import Emission, describe_streams, write_design
from speq.epilogue.checks import check_lanes, queue_size
from speq.epilogue.epilogue import LATENCY
from speq.epilogue.serialise import QUEUE_LATENCY
from speq.parameters import Parameters
from speq.scaled_array import ScaledArray

__all__ = ["describe", "emit"]


def emit(
    parameters: Parameters,
    directory: str | Path,
    lanes: int = 1,
    groups: bool = False,
    queue: int | None = None,
) -> Emission:
    """Write a scaled array's files into `directory`, which is made if need be.

    Results have the format of the design; the rest is as :class:`speq.scaled_array.ScaledArray`
    has it.

    Raises
    ------
    ParameterError
        If there is no such unit.
    speq.yosys.YosysError
        If Yosys fails; nothing is written then.
    """
    # Before anything is built: Amaranth warns of components that are given up half made.
    check_lanes(parameters, lanes)
    queue = queue_size(parameters, lanes, queue)
    unit = ScaledArray(parameters, lanes, groups, queue=queue)
    return write_design(unit, directory, describe(unit))


def describe(unit: ScaledArray) -> dict[str, Any]:
    """Everything that software needs to know of a scaled array (the JSON side-car).

    It has what an array's has, in the same schema, and what belongs to the epilogue.
    """
    array = emission.describe(unit.array)
    parameters = unit.parameters
    queue, groups = unit.serialiser.queue, unit.epilogue.groups
    latency = parameters.stages | {
        "queue": QUEUE_LATENCY if queue else 0,
        "epilogue": LATENCY[groups],
    }
    return array | {
        "top": module_name(unit),
        "parameters": parameters.as_dict(),
        "derived": array["derived"] | {"result_bits": parameters.result_bits},
        "latency": latency | {"total": sum(latency.values())},
        "streams": describe_streams(unit),
        "modules": [module_name(block) for block in modules(unit)],
        "epilogue": {
            "lanes": unit.epilogue.lanes,
            "groups": groups,
            "queue": queue,
            "parts": unit.epilogue.row_parts,
        },
    }
