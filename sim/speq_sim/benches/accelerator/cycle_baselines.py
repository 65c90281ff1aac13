"""Jobs whose cycles are guarded (baselines/cycles.json), and their measurement on the Verilog."""

from collections.abc import Iterable

from speq.modes import MODES
from speq.parameters import Parameters
from speq_sim.benches.accelerator.cycle_points import CycleBench, CyclePoint

__all__ = ["DESIGNS", "cycles", "points_of"]

DESIGNS: dict[str, Parameters] = {
    f"{name}-p{pipeline}": Parameters(
        name=f"{name}_p{pipeline}",
        rows=size,
        columns=size,
        port_words=size,
        tokens=size,
        modes=MODES,
        draft_lanes=4,
        draft_activations="bfp6",
        family="fitted-4",
        result_format="fp32",
        pipeline=pipeline,
        address_bits=40,
        burst_beats=64,
        outstanding=4,
        activation_values=16384,
        queue_depth=4,
    )
    for name, size, pipeline in (("small", 8, 1), ("tiny", 4, 4))
}
"""8 x 8 PEs of one stage a unit, and 4 x 4 of the deepest pipeline, both with all modes.

Every parameter that cycles depend on is given, so that no default and no preset moves them.
"""

_SHAPES = ((64, 64), (52, 200), (8, 300))
"""N x K: whole tiles, some that are not, and few outputs of many inputs."""


def points_of(design: Parameters) -> dict[str, tuple[CyclePoint, ...]]:
    """Jobs, and jobs in a row, by what they are called."""
    most = design.tokens
    lone = [
        CyclePoint(outputs, inputs, mode, tokens)
        for outputs, inputs in _SHAPES
        for mode in design.modes
        for tokens in (1, most)
    ]
    lone.append(CyclePoint(60, 100, "verify", 3, plain=True))
    chain = tuple(CyclePoint(96, 128, mode, most) for mode in ("verify", "draft", "middle"))
    return {said((point,)): (point,) for point in lone} | {said(chain): chain}


def said(points: Iterable[CyclePoint]) -> str:
    """A name of jobs in a row, such as ``64x64 draft M=8``."""
    return ", ".join(
        f"{point.outputs}x{point.inputs} {point.mode} M={point.tokens}" + " plain" * point.plain
        for point in points
    )


def cycles(name: str, bench: CycleBench) -> dict[str, dict[str, int]]:
    """Cycles of every job of a design, by ``design/job``.

    Parameters
    ----------
    name : str
        One of :data:`DESIGNS`.
    bench : CycleBench
        The design, compiled.
    """
    return {
        f"{name}/{job}": {"cycles": bench.measure(points).cycles}
        for job, points in points_of(DESIGNS[name]).items()
    }
