#!/usr/bin/env python3
"""Check all 2**32 FP16 x FP16 products of the multiply stage by compiled simulation.

Of a PE that has MIDDLE also the products of all 256 high bytes, with 0x80 below them, and all
65,536 activations. (Products of 4-bit weights: tests/speq/test_product_stage.py.)

Every weight pattern is loaded into the emitted PE, and every activation pattern passes through the
emitted column into it. What then stands in the product register must be exactly the product of the
two numbers, as the CPU's double precision and IEEE 754's rules for NaN and infinity give it. The
exit status is 1 if any is wrong.

A run over a part of the weights takes --weights; parts add up to the whole.

  python scripts/prove_products.py
  python scripts/prove_products.py --pe 4 --weights 0x3c00:0x4000
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

import _cli
from speq.block import module_name
from speq.emission import design_rtlil
from speq.layouts import kind_layout
from speq.parameters import MODES, Parameters
from speq.product_stage import ProductStage
from speq.yosys import verilog_from_rtlil
from speq_sim.cplusplus import CompilerError
from speq_sim.proofs.bit_parallel import BitParallelError
from speq_sim.proofs.products import ACTIVATIONS, BYTES, WEIGHTS, ProductCheck

_BASE = Parameters(name="products", rows=4, columns=1, port_words=1)

PES = {
    "4": _BASE,
    "2": _BASE.replace(draft_lanes=2),
    "1": _BASE.replace(draft_lanes=1),
    "verify-only": _BASE.replace(modes=("verify",)),
    "all-4": _BASE.replace(modes=MODES),
    "all-2": _BASE.replace(modes=MODES, draft_lanes=2),
    "all-1": _BASE.replace(modes=MODES, draft_lanes=1),
}
"""PEs by draft lanes, with DRAFT, without it, and with all modes."""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument(
        "--pe",
        action="append",
        choices=PES,
        help="check only the PE with so many draft lanes, without DRAFT, or with all modes; "
        "may be repeated",
    )
    parser.add_argument(
        "--weights",
        metavar="A:B",
        type=weight_range,
        default=(0, WEIGHTS),
        help="check only the weight patterns A..B-1, such as 0x3c00:0x4000",
    )
    parser.add_argument("--workers", type=int, help="threads (default: one per core)")
    parser.add_argument(
        "--build",
        type=Path,
        default=Path("build/products"),
        help="folder for compiled code (default: %(default)s)",
    )
    return parser.parse_args()


def weight_range(text: str) -> tuple[int, int]:
    """First and last (excluded) weight of ``A:B``."""
    first, separator, last = text.partition(":")
    try:
        bounds = int(first, 0), int(last, 0)
    except ValueError:
        separator, bounds = "", (0, 0)
    if not separator or not 0 <= bounds[0] < bounds[1] <= WEIGHTS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no range of weights: give A:B with 0 <= A < B <= 65536"
        )
    return bounds


def check(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Check one kind of PE; figures as they go into the record."""
    first, last = options.weights
    block = ProductStage(PES[name])
    stage = ProductCheck(
        verilog_from_rtlil(design_rtlil(block)), module_name(block), options.build / name
    )
    wrong = np.zeros(last - first, np.int64)
    begun, done = time.perf_counter(), 0
    with _cli.progress((last - first + 511) // 512, f"PE {name}") as step:
        for start, counts in stage.chunks(first, last, workers=options.workers):
            wrong[start - first : start - first + len(counts)] = counts
            done += len(counts)
            if _cli.error_console.is_terminal or done % 8192 < 512:
                step(f"PE {name}: {done} of {last - first} weights, {wrong.sum()} wrong")
    seconds = time.perf_counter() - begun
    middle = _middle(PES[name], stage)
    products = (last - first) * ACTIVATIONS
    return {
        "weights": [first, last],
        "products": products,
        "wrong": int(wrong.sum()) + middle.get("wrong_of_middle", 0),
        **middle,
        "first_wrong_weights": [f"{first + w:#06x}" for w in np.flatnonzero(wrong)[:8]],
        "seconds": round(seconds, 1),
        "million_products_per_second": round(products / seconds / 1e6),
        "gates": stage.netlist.gates,
        "flip_flops": stage.netlist.flip_flops,
    }


def _middle(parameters: Parameters, stage: ProductCheck) -> dict[str, int]:
    """Products of MIDDLE, if the PE has it."""
    if not parameters.middles:
        return {}
    flags = [name for name, _ in kind_layout(parameters)]
    wrong = stage.wrong(0, BYTES, middle=1 << flags.index("middle"))
    return {"products_of_middle": BYTES * ACTIVATIONS, "wrong_of_middle": int(wrong.sum())}


def run() -> int:
    """Check, show, write."""
    options = arguments()
    figures = {name: check(name, options) for name in options.pe or PES}
    table = Table(title="Products of the multiply stage")
    for heading in ("PE", "products", "wrong", "seconds", "million/s"):
        table.add_column(heading, justify="right")
    for name, of_pe in figures.items():
        keys = ("products", "wrong", "seconds", "million_products_per_second")
        table.add_row(name, *(f"{of_pe[key]:,}" for key in keys))
    _cli.console.print(table)
    wrong = sum(of_pe["wrong"] for of_pe in figures.values())
    _cli.write_json(options.json, {"wrong": wrong, "pe": figures})
    return 1 if wrong else 0


if __name__ == "__main__":
    _cli.main(run, expected=(BitParallelError, CompilerError))
