"""Design points that the array benches cover, and their emission."""

import zlib
from pathlib import Path

import numpy as np

from speq import emission
from speq.parameters import PRESETS, Parameters

TINY = PRESETS["tiny"]

DESIGNS: dict[str, Parameters] = {
    design.name: design
    for design in (
        TINY,
        TINY.replace(name="lanes_2", draft_lanes=2),
        TINY.replace(name="lanes_1", draft_lanes=1),
        TINY.verify_only(),
        TINY.replace(name="halves", result_format="fp16"),
        Parameters(name="wide", rows=2, columns=8, port_words=4, tokens=3),
        Parameters(name="tall", rows=8, columns=2, port_words=4, draft_lanes=2, family="bsfp"),
        Parameters(name="odd", rows=4, columns=5, port_words=1, tokens=3, family="truncate"),
        Parameters(name="thirds", rows=3, columns=4, port_words=1, draft_lanes=2, tokens=2),
        Parameters(
            name="one_token",
            rows=8,
            columns=4,
            port_words=8,
            tokens=1,
            family="fitted-4",
            result_format="fp16",
        ),
        Parameters(
            name="one_row",
            rows=1,
            columns=4,
            port_words=1,
            tokens=1,
            draft_lanes=1,
            family="fitted-1",
        ),
        Parameters(name="single", rows=1, columns=1, port_words=1, tokens=4, modes=("verify",)),
        Parameters(
            name="odd_verify_only",
            rows=5,
            columns=3,
            port_words=3,
            tokens=2,
            modes=("verify",),
            result_format="fp16",
        ),
        PRESETS["small"],
    )
}
"""Every number of lanes, both result formats, FP16-only designs, arrays that are not square or not
powers of two, ports of one word, of one row, of two and of the whole tile, one token, one row, one
PE."""


def random_of(*labels: object) -> np.random.Generator:
    """A source of random numbers that depends on the labels alone."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, labels)).encode()))


def emit(parameters: Parameters, folder: Path) -> tuple[Path, Path]:
    """Emit a design; return its Verilog and its side-car."""
    verilog = emission.emit(parameters, folder / "design").verilog
    return verilog, verilog.with_suffix(".json")
