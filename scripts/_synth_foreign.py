"""Measure a design that is not ours, and any design with and without Booth multipliers."""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

import _cli
from _synth_options import clocks, find_libraries, switches_of
from _synth_tables import headline_table, print_table, quotient
from speq.parameters import ParameterError
from speq.synthesis import Area, Job, Sources, measure, measure_all, runs_of

__all__ = ["both", "measure_foreign"]


def measure_foreign(options: argparse.Namespace) -> None:
    """Measure anyone's Verilog, show, write."""
    if options.design is not None or not options.top:
        raise ParameterError("--verilog takes the place of DESIGN, and needs --top NAME")
    if options.against or options.unit or options.per_lane or options.ablate or options.depths:
        raise ParameterError(
            "--verilog measures one module: leave out --against, --unit, --per-lane, --ablate "
            "and --depths"
        )
    sources = Sources(
        tuple(options.verilog),
        tuple(options.include),
        _parameters_of(options),
        options.slang,
        options.synchronous_resets,
    )
    libraries = find_libraries(options)
    switches = switches_of(options, flatten=options.flatten != "no")
    job = Job(
        sources, options.top, switches, libraries, parts=False, clocks=clocks(options, libraries)
    )
    record = {
        "files": [file.name for file in sources.files],
        "parameters": dict(sources.parameters),
        "reader": "slang" if sources.slang else "read_verilog",
        "synchronous_resets": sources.synchronous_resets,
    }
    if options.booth == "both":
        both(options, job, record)
        return
    with _cli.progress(1, "synthesis") as step:
        step(f"{job.top}: {switches}")
        area = measure(job)
    _cli.write_json(options.json, record | area.as_dict())
    print_table(
        f"Area ({area.switches}; Yosys {area.yosys})",
        headline_table([area.top], [area], ratio=False),
    )


def both(options: argparse.Namespace, job: Job, record: Mapping[str, Any]) -> None:
    """Measure with Yosys's default multipliers and with Booth's, show, write."""
    jobs = [
        dataclasses.replace(
            job, switches=dataclasses.replace(job.switches, booth=booth), parts=False
        )
        for booth in (True, False)
    ]
    with _cli.progress(runs_of(jobs), "synthesis") as step:
        booth, plain = measure_all(jobs, progress=step)
    _cli.write_json(
        options.json,
        {
            **record,
            "booth": booth.as_dict(),
            "default": plain.as_dict(),
            "ratio_of_booth_to_default": _ratios(booth, plain),
        },
    )
    print_table(
        f"Multipliers of {job.top} (Yosys {plain.yosys})",
        headline_table(["Booth", "default"], [booth, plain], ratio=True),
    )


def _ratios(booth: Area, plain: Area) -> dict[str, Any]:
    return {
        "transistors": quotient(booth.count.transistors, plain.count.transistors),
        "libraries": {
            one.library: {
                "area": quotient(one.area, other.area),
                "delay": other.delay_ps and quotient(one.delay_ps or 0.0, other.delay_ps),
            }
            for one, other in zip(booth.libraries, plain.libraries, strict=True)
        },
    }


def _parameters_of(options: argparse.Namespace) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for pair in options.parameter:
        name, separator, value = pair.partition("=")
        if not separator or name in parameters:
            raise ParameterError(
                f"--parameter {pair!r} is not of the form NAME=VALUE, each name once"
            )
        parameters[name] = value
    return parameters
