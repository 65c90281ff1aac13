"""Design points that the array benches cover, and their emission."""

import zlib
from pathlib import Path

import numpy as np

from speq import emission
from speq.parameters import MODES, PRESETS, Parameters

TINY = PRESETS["tiny"]
QSPEC = ("verify", "qdraft", "qverify")

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
        TINY.replace(name="all_4", modes=MODES),
        Parameters(
            name="all_2", rows=4, columns=4, port_words=2, tokens=3, modes=MODES, draft_lanes=2
        ),
        Parameters(
            name="all_1",
            rows=8,
            columns=2,
            port_words=4,
            tokens=2,
            modes=MODES,
            draft_lanes=1,
            result_format="fp16",
        ),
        Parameters(
            name="bfp8",
            rows=4,
            columns=2,
            port_words=1,
            tokens=2,
            modes=MODES,
            draft_activations="bfp8",
            family="fitted-8",
        ),
        Parameters(
            name="bfp12",
            rows=4,
            columns=5,
            port_words=5,
            tokens=3,
            modes=MODES,
            draft_activations="bfp12",
            family="speq",
        ),
        Parameters(name="qspec", rows=8, columns=3, port_words=6, tokens=3, modes=QSPEC),
        Parameters(
            name="qspec_1",
            rows=4,
            columns=2,
            port_words=2,
            tokens=1,
            modes=QSPEC,
            draft_lanes=1,
            result_format="fp16",
        ),
        Parameters(
            name="middle",
            rows=4,
            columns=4,
            port_words=2,
            tokens=3,
            modes=("verify", "middle"),
            family="fitted-8",
        ),
        Parameters(
            name="pipe_2", rows=4, columns=4, port_words=2, tokens=3, modes=MODES, pipeline=2
        ),
        Parameters(
            name="pipe_3",
            rows=4,
            columns=3,
            port_words=1,
            tokens=1,
            modes=MODES,
            draft_lanes=2,
            result_format="fp16",
            pipeline=3,
        ),
        Parameters(
            name="pipe_4", rows=2, columns=8, port_words=4, tokens=5, modes=MODES, pipeline=4
        ),
        Parameters(
            name="pipe_4_verify_only",
            rows=3,
            columns=4,
            port_words=2,
            tokens=2,
            modes=("verify",),
            result_format="fp16",
            pipeline=4,
        ),
        Parameters(
            name="dsp_4",
            rows=4,
            columns=5,
            port_words=5,
            tokens=3,
            modes=MODES,
            family="spare-1",
            pipeline=4,
            target="fpga",
        ),
        Parameters(
            name="dsp_2",
            rows=4,
            columns=4,
            port_words=2,
            tokens=2,
            modes=MODES,
            draft_lanes=2,
            result_format="fp16",
            pipeline=4,
            target="fpga",
        ),
        Parameters(
            name="dsp_1",
            rows=4,
            columns=1,
            port_words=1,
            tokens=1,
            modes=MODES,
            draft_lanes=1,
            pipeline=4,
            target="fpga",
        ),
        Parameters(
            name="dsp_verify_only",
            rows=2,
            columns=3,
            port_words=3,
            tokens=2,
            modes=("verify",),
            pipeline=4,
            target="fpga",
        ),
    )
}
"""Every number of lanes, both result formats, FP16-only designs, arrays that are not square or not
powers of two, ports of one word, of part of a row, of one row, of two and of the whole tile, one
token, one row, one PE; all modes with every number of lanes and every format of draft activations,
QSpec's and MIDDLE by themselves; rows of two, three and four stages a unit; rows of DSP blocks and
carry chains with every number of lanes."""

COMPILED = (
    *("all_2", "bfp8", "bfp12", "qspec", "qspec_1", "middle"),
    *("pipe_2", "pipe_3", "pipe_4_verify_only"),
    *("dsp_4", "dsp_2", "dsp_1", "dsp_verify_only"),
)
"""Designs whose results are compared compiled alone, by ``test_array_soak``."""


def random_of(*labels: object) -> np.random.Generator:
    """A source of random numbers that depends on the labels alone."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, labels)).encode()))


def emit(parameters: Parameters, folder: Path) -> tuple[Path, Path]:
    """Emit a design; return its Verilog and its side-car."""
    verilog = emission.emit(parameters, folder / "design").verilog
    return verilog, verilog.with_suffix(".json")
