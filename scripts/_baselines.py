"""What scripts/check_baselines.py measures: areas of units, cycles of jobs."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _cli
from speq import emission
from speq.accelerator import emission as accelerator_emission
from speq.modes import MODES
from speq.parameters import Parameters
from speq.synthesis import Area, Job, Switches, measure_all, runs_of
from speq_sim.benches.accelerator import cycle_baselines
from speq_sim.benches.accelerator.cycle_points import CycleBench

__all__ = ["MEASURES", "measured_area", "measured_cycles"]

Step = Callable[[str], None]


def _array(name: str, modes: tuple[str, ...], pipeline: int, **others: Any) -> Parameters:
    """Every parameter that an area depends on is given, so that no default or preset moves it."""
    fields: dict[str, Any] = {
        "rows": 4,
        "columns": 4,
        "port_words": 4,
        "tokens": 4,
        "draft_lanes": 4,
        "draft_activations": "bfp6",
        "family": "fitted-4",
        "result_format": "fp32",
        "address_bits": 40,
        "burst_beats": 64,
        "outstanding": 4,
        "activation_values": 16384,
        "queue_depth": 4,
    }
    return Parameters(name=name, modes=modes, pipeline=pipeline, **fields | others)


ARRAYS: dict[str, Parameters] = {
    "tiny-all-p1": _array("tiny_all_p1", MODES, 1),
    "tiny-all-p4": _array("tiny_all_p4", MODES, 4),
    "tiny-fp16-p1": _array("tiny_fp16_p1", ("verify",), 1),
}
"""Arrays of 4 x 4 PEs, of the least and of the deepest pipeline: units are as in larger arrays."""

CONTROLS: dict[str, Parameters] = {
    "control-all-p1": _array(
        "control_all_p1",
        MODES,
        1,
        tokens=2,
        burst_beats=2,
        outstanding=1,
        activation_values=16,
        queue_depth=2,
    )
}
"""An accelerator with the least memories that there may be: they are flip-flops in this flow."""

CONTROL_UNITS = (
    *("control", "fetch", "dispatch", "merge", "feeder"),
    *("activations", "activation_gate", "results", "result_gate"),
)
"""Units of the accelerator around the array, by the stems of their modules."""

BUILD = Path("build") / "baselines"
"""Where compiled accelerators are kept; an unchanged one is not compiled again."""


def measured_area() -> dict[str, Any]:
    """Transistors and flip-flops, library-free, by design and unit.

    Units of an array are single modules of a run that keeps the hierarchy, one instance each
    without the modules inside; ``row`` is a flattened row and ``whole`` the sum over all instances.
    Units of an accelerator are flattened one by one.
    """
    with tempfile.TemporaryDirectory(prefix="speq-") as made:
        jobs: dict[tuple[str, str], Job] = {}
        for name, design in ARRAYS.items():
            emitted = emission.emit(design, Path(made) / name)
            kept = Switches(flatten=False)
            jobs[name, ""] = Job(emitted.verilog, emitted.top, kept)
            jobs[name, "row"] = Job(emitted.verilog, f"{emitted.top}_row", parts=False)
        for name, design in CONTROLS.items():
            emitted = accelerator_emission.emit(design, Path(made) / name)
            for unit in CONTROL_UNITS:
                top = f"speq_{design.name}_{unit}"
                jobs[name, unit] = Job(emitted.verilog, top, parts=False)
        with _cli.progress(runs_of(list(jobs.values())), "synthesis") as step:
            areas = measure_all(list(jobs.values()), progress=step)
    figures: dict[str, dict[str, int]] = {}
    for (name, unit), area in zip(jobs, areas, strict=True):
        if unit:
            figures[f"{name}/{unit}"] = _sizes(area.count)
        else:
            figures |= {f"{name}/{u}": sizes for u, sizes in _units(area).items()}
    return _record(ARRAYS | CONTROLS, dict(sorted(figures.items())), ("amaranth", "pyosys"))


def _units(area: Area) -> dict[str, dict[str, int]]:
    """Sizes of the modules of an array, its register stages as one."""
    found = {"whole": _sizes(area.count)}
    for part in area.parts:
        unit = part.module.removeprefix(f"{area.top}_")
        if part.module == area.top:
            found["array"] = _sizes(part.own)
        elif unit.startswith("stage_"):
            # Their number and names depend on the depth.
            stages = found.setdefault("stages", dict.fromkeys(("transistors", "flip_flops"), 0))
            for figure, value in _sizes(part.own).items():
                stages[figure] += value
        elif unit != "row":
            found[unit] = _sizes(part.own)
    return found


def _sizes(count: Any) -> dict[str, int]:
    return {"transistors": count.transistors, "flip_flops": count.flip_flops}


def measured_cycles() -> dict[str, Any]:
    """Cycles by design and job, each accelerator's Verilog simulated (it needs a C++ compiler)."""
    figures: dict[str, dict[str, int]] = {}
    designs = cycle_baselines.DESIGNS
    with _cli.progress(2 * len(designs)) as step, tempfile.TemporaryDirectory() as made:
        for name, design in designs.items():
            step(f"{name}: emitting and compiling")
            bench = CycleBench(design, Path(made), BUILD, "-O0")
            step(f"{name}: simulating")
            figures |= cycle_baselines.cycles(name, bench)
    return _record(designs, figures, ("amaranth", "verilator"))


def _record(
    designs: dict[str, Parameters], figures: dict[str, dict[str, int]], tools: tuple[str, ...]
) -> dict[str, Any]:
    """A record as it is written, but for the command."""
    versions = _cli.versions()
    return {
        "versions": {tool: versions[tool] for tool in tools if tool in versions},
        "designs": {name: design.as_dict() for name, design in designs.items()},
        "figures": figures,
    }


MEASURES: dict[str, Callable[[], dict[str, Any]]] = {
    "area": measured_area,
    "cycles": measured_cycles,
}
"""What is guarded, by the name of its record, and what measures it."""
