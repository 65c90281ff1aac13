"""Predict latency, speedup and energy per token: model x design point x memory x method.

Closed formulas: cycles of our unit are calibrated against RTL simulation, bytes are counted to the
last padding, the DRAM is modelled by its timings. docs/performance.md has the definitions.

  python scripts/predict.py --model llama-2-7b --design server --memory hbm2e --method speq
  python scripts/predict.py --model llama-3-8b --memory lpddr5 --method all --acceptance spare-1
  python scripts/predict.py --model llama-3-70b --memory hbm3 --units auto --devices 8
"""

import argparse
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

import _cli
from _performance import (
    add_machine_options,
    add_model_options,
    energy_of,
    machine_of,
    setting_of,
)
from speq.parameters import ParameterError
from speq_sim.decoding import ModelError
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Setting
from speq_sim.performance.predicting import Prediction, predict
from speq_sim.performance.registry import METHODS
from speq_sim.performance.unit_engine import UnitEngine


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument(
        "--method",
        action="append",
        choices=(*METHODS, "all"),
        help="may be repeated; all: every one that the design can run (speq)",
    )
    add_model_options(parser)
    add_machine_options(parser)
    return parser.parse_args()


def run() -> None:
    """Predict, write, show."""
    options = arguments()
    setting, machine, energy = setting_of(options), machine_of(options), energy_of(options)
    asked = options.method or ["speq"]
    predictions = []
    for name in METHODS if "all" in asked else dict.fromkeys(asked):
        try:
            predictions.append(predict(name, setting, machine, energy))
        except (ParameterError, ModelError):
            # Of all methods, those are shown that the design has the modes for, and the model the
            # size.
            if "all" not in asked:
                raise
    record = {**about(options, setting, machine), "energy_source": energy.source}
    figures = [prediction.as_dict() for prediction in predictions]
    record |= figures[0] if len(figures) == 1 else {"methods": figures}
    _cli.write_json(options.json, record)
    show(options, predictions, machine)


def about(options: argparse.Namespace, setting: Setting, machine: Machine) -> dict[str, Any]:
    """What was predicted for what."""
    engine, dram = machine.engine, machine.dram
    return {
        "model": options.model,
        "context": setting.context,
        "batch": setting.batch,
        "acceptance": setting.acceptance,
        "middle_acceptance": setting.middle_acceptance,
        "recipe": dict(setting.recipe),
        "kv_bits": machine.kv_bits,
        "design": engine.design.as_dict(),
        "units": engine.units,
        "vector_lanes": engine.vector_lanes,
        "memory": {
            "name": dram.name,
            "peak_bytes_per_second": dram.peak_bytes_per_second,
            "efficiency": dram.efficiency,
            "source": dram.source,
            "assumed": list(dram.assumed),
        },
        "port_bytes_per_second": engine.port_bytes_per_second,
        "devices": machine.devices,
        "link": machine.link.name,
    }


def show(options: argparse.Namespace, predictions: list[Prediction], machine: Machine) -> None:
    """Print a table, and what would lift the limit."""
    engine: UnitEngine = machine.engine
    dram = machine.dram
    _cli.console.print(
        f"{options.model} on {machine.devices} x ({engine.name}, {dram.name}): ports take "
        f"{engine.port_bytes_per_second / 1e9:.0f} GB/s, the memory gives "
        f"{dram.bytes_per_second / 1e9:.0f} of {dram.peak_bytes_per_second / 1e9:.0f} GB/s",
        highlight=False,
    )
    table = Table(box=SIMPLE_HEAD, padding=0)
    table.add_column("method", no_wrap=True)
    for heading in ("ms/\ntoken", "tokens/\ns", "speed-\nup", "of\nbytes", "limited\nby", "L",
                    "tokens/\nround", "MB/\ntoken", "mJ/\ntoken"):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for each in predictions:
        settings = each.cost.round.settings
        table.add_row(
            each.method,
            f"{1e3 * each.seconds_per_token:.3g}",
            f"{each.tokens_per_second:.4g}",
            f"{each.speedup_vs_fp16:.2f}",
            f"{each.byte_bound_speedup:.2f}",
            each.cost.limited_by,
            "/".join(map(str, settings.values())) or "-",
            f"{each.cost.round.tokens:.2f}",
            f"{sum(each.cost.bytes_per_token.values()) / 1e6:,.0f}",
            f"{1e3 * each.energy.joules:,.1f}",
        )
    _cli.console.print(table)
    more = engine.units_fed_by(dram.bytes_per_second)
    if more > engine.units:
        _cli.console.print(
            f"The memory could feed {more} such units: --units {more}, or --units auto",
            highlight=False,
        )


if __name__ == "__main__":
    _cli.main(run)
