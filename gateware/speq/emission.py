"""Emission: a design point to Verilog, its JSON side-car and a FuseSoC core file.

Output is deterministic: the same parameters and tool versions give the same bytes, whatever the
hash seed, the day and the folder.
"""

import dataclasses
import gc
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Shape, ShapeCastable
from amaranth.lib import data
from amaranth.lib.wiring import In

from speq.array import Array
from speq.block import Block, module_name, modules
from speq.layouts import payload_shape
from speq.parameters import Parameters
from speq.yosys import verilog_from_rtlil

__all__ = [
    "Emission",
    "describe",
    "describe_streams",
    "design_rtlil",
    "emit",
    "write_design",
]

SCHEMA = "speq-design/1"


@dataclasses.dataclass(frozen=True)
class Emission:
    """Files of one emitted design.

    Attributes
    ----------
    top : str
        Name of the top module.
    verilog, side_car, core : Path
        One Verilog file with all modules; the JSON description; the FuseSoC core file.
    headers : tuple of Path
        Further files, such as the C header of an accelerator's registers.
    """

    top: str
    verilog: Path
    side_car: Path
    core: Path
    headers: tuple[Path, ...] = ()


def emit(parameters: Parameters, directory: str | Path) -> Emission:
    """Write a design's files into `directory`, which is made if need be.

    Raises
    ------
    speq.yosys.YosysError
        If Yosys fails; nothing is written then.
    """
    array = Array(parameters)
    return write_design(array, directory, describe(array))


def write_design(
    top: Block,
    directory: str | Path,
    side_car: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> Emission:
    """Write the files of a design: all of them, or none if Yosys fails.

    Parameters
    ----------
    top : Block
        Its top module.
    directory : str or Path
        Where they go; made if need be.
    side_car : mapping
        Content of the JSON file.
    headers : mapping of str to str, optional
        Suffix and text of further files beside the Verilog, such as ``"_registers.h"``.
    """
    name = module_name(top)
    verilog = _banner(top.parameters) + verilog_from_rtlil(design_rtlil(top))
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    emission = Emission(
        top=name,
        verilog=directory / f"{name}.v",
        side_car=directory / f"{name}.json",
        core=directory / f"{name}.core",
        headers=tuple(directory / f"{name}{suffix}" for suffix in headers or {}),
    )
    _write(emission.verilog, verilog)
    _write(emission.side_car, json.dumps(side_car, indent=2) + "\n")
    _write(emission.core, _core_file(emission))
    for path, text in zip(emission.headers, (headers or {}).values(), strict=True):
        _write(path, text)
    return emission


def design_rtlil(top: Block) -> str:
    """RTLIL of a block and all the blocks below it, each once."""
    with _no_garbage_collection():
        texts = [
            rtlil.convert(block, name=module_name(block), emit_src=False) for block in modules(top)
        ]
    # Amaranth joins the names of plain submodules with dots, which Verilog must escape.
    return re.sub(
        r"\\speq_\w+(?:\.\w+)+", lambda name: name.group().replace(".", "_"), "\n".join(texts)
    )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Spare Amaranth's millions of short-lived nets the search for cycles: a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def describe(array: Array) -> dict[str, Any]:
    """Everything that software needs to know of an array (the JSON side-car)."""
    parameters = array.parameters
    return {
        "schema": SCHEMA,
        "top": module_name(array),
        "parameters": parameters.as_dict(),
        "derived": _derived(parameters),
        "latency": parameters.stages | {"total": sum(parameters.stages.values())},
        "streams": describe_streams(array),
        "modules": [module_name(block) for block in modules(array)],
    }


def describe_streams(block: Block) -> dict[str, dict[str, Any]]:
    """Direction, bits and fields of each stream of a block whose ports are all streams."""
    return {
        name: {
            "direction": "in" if member.flow is In else "out",
            "bits": Shape.cast(payload_shape(member.signature)).width,
            "fields": _fields(payload_shape(member.signature)),
        }
        for name, member in block.signature.members.items()
    }


def _derived(parameters: Parameters) -> dict[str, Any]:
    per_mode = {
        mode: {
            "weights_per_word": parameters.weights_per_word(mode),
            "lanes": parameters.mode_lanes(mode),
            "beats_per_token": parameters.beats_per_token(mode),
            "tile_depth": parameters.tile_depth(mode),
            "balance_tokens": parameters.balance_tokens(mode),
            "peak_macs_per_cycle": parameters.peak_macs_per_cycle(mode),
        }
        for mode in parameters.modes
    }
    return {
        "lanes": parameters.lanes,
        "activation_format": parameters.activation_format if parameters.has_nibbles else None,
        "tables": parameters.tables,
        "multipliers": parameters.multipliers,
        "port_bits": parameters.port_bits,
        "activations_per_beat": parameters.activations_per_beat,
        "result_bits": parameters.result_bits,
        "load_cycles": parameters.load_cycles,
        "modes": per_mode,
        "formulas": {
            "load_cycles": "rows * columns / port_words",
            "compute_cycles": "tokens * beats_per_token",
            "tile_cycles": "max(load_cycles, compute_cycles)",
            "balance_tokens": "load_cycles / beats_per_token",
        },
    }


def _fields(shape: ShapeCastable) -> dict[str, dict[str, Any]]:
    """Where each field of a payload lies; an array field is `count` elements side by side."""
    fields = {}
    for name, field in data.Layout.cast(shape):
        element, count = field.shape, 1
        if isinstance(element, data.ArrayLayout):
            element, count = element.elem_shape, element.length
        element = Shape.cast(element)
        fields[name] = {
            "offset": field.offset,
            "width": element.width,
            "count": count,
            "signed": element.signed,
        }
    return fields


def _banner(parameters: Parameters) -> str:
    settings = ", ".join(f"{key}={_plain(value)}" for key, value in parameters.as_dict().items())
    return (
        "// Generated by speq. Do not edit: change the design point and emit again.\n"
        f"// {settings}\n\n"
    )


def _plain(value: Any) -> str:
    return "+".join(value) if isinstance(value, list) else str(value)


def _core_file(emission: Emission) -> str:
    """FuseSoC description (CAPI2)."""
    headers = "".join(
        f"      - {path.name}: {{is_include_file: true}}\n"
        for path in emission.headers
        if path.suffix == ".vh"
    )
    return (
        "CAPI=2:\n"
        f"name: speq:generated:{emission.top}:0.1.0\n"
        "description: Array for self-speculative decoding, generated by speq\n"
        "filesets:\n"
        "  rtl:\n"
        "    files:\n"
        f"      - {emission.verilog.name}\n"
        f"{headers}"
        "    file_type: verilogSource\n"
        "targets:\n"
        "  default:\n"
        "    filesets: [rtl]\n"
        f"    toplevel: {emission.top}\n"
    )


def _write(path: Path, text: str) -> None:
    """Write under a temporary name, then rename: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
