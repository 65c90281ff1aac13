"""The part of run_sim.py that simulates an accelerator on a whole layer."""

import argparse
import re
from typing import Any

from rich.table import Table

import _cli
from speq.accelerator.emission import emit
from speq.formats import FormatError
from speq.parameters import Parameters
from speq_sim.benches.accelerator.layer import MEMORIES, describe_runs, real_layer, simulate_layer
from speq_sim.benches.finding import SimulatorError, describe, find_simulator


def simulated(options: argparse.Namespace, parameters: Parameters) -> dict[str, Any]:
    """Emit the accelerator and simulate the layer; the figures."""
    inputs, outputs = shape_of(options.layer)
    simulator = options.simulator or default_simulator()
    folder = options.build / parameters.name / "accelerator"
    with _cli.progress(3) as step:
        step("packing the layer")
        layer = real_layer(inputs, outputs, options.tile, options.model, options.tensor)
        step(f"emitting speq_{parameters.name}_accelerator")
        emission = emit(parameters, folder)
        step(f"simulating with {describe(simulator)}")
        figures = simulate_layer(
            parameters,
            layer,
            emission.verilog,
            emission.side_car,
            folder / "sim",
            runs=options.mode or describe_runs(parameters),
            memories=options.memory or tuple(MEMORIES),
            simulator=simulator,
            waves=options.waves,
        )
    return {"design": parameters.as_dict(), "unit": "accelerator", **figures}


def shape_of(text: str) -> tuple[int, int]:
    """Inputs and outputs of a text such as 576x1536.

    Raises
    ------
    FormatError
        If the text is no shape.
    """
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise FormatError(f"--layer {text!r} is not of the form INPUTSxOUTPUTS, such as 576x1536")
    return int(found[1]), int(found[2])


def default_simulator() -> str | None:
    """Verilator, since a layer is long, where it can build; else what there is."""
    try:
        return find_simulator("verilator").name
    except SimulatorError:
        return None


def show(name: str, figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    layer = figures["layer"]
    _cli.console.print(
        f"speq_{name}_accelerator on {layer['inputs']} inputs x {layer['outputs']} outputs "
        f"({layer['origin']}), {figures['simulator']}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table()
    table.add_column("run, memory")
    for column in ("bit-exact", "cycles", "weight port busy", "memory port busy", "bursts"):
        table.add_column(column, justify="right")
    for label, run in figures["runs"].items():
        table.add_row(
            label,
            "yes" if run["bit_exact"] else "[bold red]NO[/]",
            f"{run['cycles']:,}",
            f"{run['port_busy']:.1%}",
            f"{run['memory_port_busy']:.1%}",
            f"{run['bursts']}",
        )
    _cli.console.print(table)
    _cli.console.print(
        f"{figures['simulated_cycles']:,} cycles simulated, "
        f"{figures['simulated_cycles_per_second']:,.0f} per second",
        highlight=False,
    )
