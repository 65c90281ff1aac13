"""Pack the FP16 tensors of a safetensors file into draft, middle and low planes.

Every tensor unpacks to the same bytes. FP32 tensors are packed where FP16 holds all their values;
tensors of other types, and what has no exact scale, are kept as they are, and the report says why.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

import _cli
from speq.formats import PackedTensor, pack, unpack
from speq.formats.container import PackedModel, read_packed, read_weights, write_packed
from speq.formats.tables import Family, family
from speq.parameters import TABLE_NAMES, Parameters, load

BENCHMARK_SHAPE = (4096, 4096)
BENCHMARK_RUNS = 5


def default_family() -> str:
    """The family of a design that names none."""
    return next(f.default for f in dataclasses.fields(Parameters) if f.name == "family")


def as_half(tensor: NDArray[Any]) -> tuple[NDArray[np.float16] | None, str]:
    """The tensor in FP16, or None and why that would change a bit of it."""
    if tensor.dtype == np.float16:
        return tensor, ""
    if tensor.dtype != np.float32:
        return None, f"its type is {tensor.dtype}, and only FP16 and FP32 are packed"
    with np.errstate(over="ignore", invalid="ignore"):
        half = tensor.astype(np.float16)
        back = half.astype(np.float32)
    if not np.array_equal(back.view(np.uint32), tensor.view(np.uint32)):
        return None, "it holds FP32 values that FP16 cannot"
    return half, ""


def entry(name: str, packed: PackedTensor, single: bool) -> dict[str, Any]:
    """What the report says of one tensor."""
    row: dict[str, Any] = {
        "name": name,
        "shape": list(packed.shape),
        "stored": "plain" if packed.is_plain else "packed",
        "dtype": "F32" if single else "F16",
    }
    if packed.is_plain:
        return row | {"reason": packed.reason}
    uses = np.bincount(packed.tables, minlength=int(packed.tables.max(initial=0)) + 1)
    return row | {
        "t": packed.scale.tensor,
        "row_exponents": [int(packed.scale.rows.min()), int(packed.scale.rows.max())],
        "columns_scaled": int(np.count_nonzero(packed.scale.columns)),
        "rows_per_table": uses.tolist(),
        "draft_sqnr_db": finite(packed.draft_sqnr_db),
        "middle_sqnr_db": finite(packed.middle_sqnr_db),
    }


def finite(value: float) -> float | None:
    """A figure for JSON: two decimals, None where it is infinite (no error at all)."""
    return round(value, 2) if np.isfinite(value) else None


def pack_file(arguments: argparse.Namespace, members: Family) -> dict[str, Any]:
    """Pack a file, write the result, and verify it where asked."""
    tensors = read_weights(arguments.input)
    importance = read_weights(arguments.importance) if arguments.importance else {}
    packed: dict[str, PackedTensor] = {}
    other: dict[str, NDArray[Any]] = {}
    single, report = set(), []
    steps = len(tensors) * (2 if arguments.verify else 1) + 1
    with _cli.progress(steps, "packing") as step:
        for name, tensor in tensors.items():
            step(f"packing {name}")
            half, reason = as_half(tensor)
            if half is None:
                other[name] = tensor
                row = {"name": name, "shape": list(tensor.shape), "stored": "as it is"}
                report.append(row | {"dtype": str(tensor.dtype), "reason": reason})
                continue
            weight = importance.get(name) if tensor.ndim == 2 else None
            packed[name] = pack(half, members, importance=weight, columns=not arguments.no_columns)
            if tensor.dtype == np.float32:
                single.add(name)
            report.append(entry(name, packed[name], name in single))
        step(f"writing {arguments.output.name}")
        write_packed(arguments.output, PackedModel(members, packed, frozenset(single), other))
        if arguments.verify:
            verify(arguments.output, tensors, step)
    weights = sum(tensor.planes.low.size for tensor in packed.values() if not tensor.is_plain)
    return {
        "input": arguments.input.name,
        "output": arguments.output.name,
        "family": members.name,
        "verified": bool(arguments.verify),
        "weights_packed": weights,
        "input_bytes": arguments.input.stat().st_size,
        "output_bytes": arguments.output.stat().st_size,
        "tensors": report,
    }


def verify(path: Path, tensors: dict[str, NDArray[Any]], step: Callable[[str], None]) -> None:
    """Read the packed file back and compare every tensor byte for byte."""
    model = read_packed(path)
    for name, tensor in tensors.items():
        step(f"verifying {name}")
        found = model.unpack(name)
        same = found.shape == tensor.shape and found.dtype == tensor.dtype
        if not same or found.tobytes() != tensor.tobytes():
            raise ValueError(
                f"tensor {name!r} does not unpack to its own bytes: this is a defect of speq; keep "
                f"{path.name} and report it"
            )


def show(figures: dict[str, Any]) -> None:
    """Print the report."""
    table = Table(title=f"{figures['output']}, family {figures['family']}")
    for column, justify in (
        ("tensor", "left"), ("shape", "right"), ("t", "right"), ("rows per table", "left"),
        ("draft dB", "right"), ("middle dB", "right"), ("remark", "left"),
    ):  # fmt: skip
        table.add_column(column, justify=justify)
    for row in figures["tensors"]:
        shape = "x".join(map(str, row["shape"]))
        if row["stored"] != "packed":
            table.add_row(row["name"], shape, "", "", "", "", f"{row['stored']}: {row['reason']}")
            continue
        ratios = ["exact" if row[k] is None else f"{row[k]:.2f}" for k in
                  ("draft_sqnr_db", "middle_sqnr_db")]  # fmt: skip
        uses = " ".join(map(str, row["rows_per_table"]))
        scaled = row["columns_scaled"]
        remark = f"{scaled} columns scaled" if scaled else ""
        table.add_row(row["name"], shape, str(row["t"]), uses, *ratios, remark)
    _cli.console.print(table)
    if figures["verified"]:
        _cli.console.print("verified: every tensor unpacks to the same bytes")


def benchmark(members: Family) -> dict[str, Any]:
    """Time packing and unpacking beside copying the same bytes, best of some runs each."""
    generator = np.random.default_rng(0)
    weights = (generator.standard_normal(BENCHMARK_SHAPE, dtype=np.float32) * 0.03).astype(
        np.float16
    )
    target = np.empty_like(weights)
    best = {"copyto": np.inf, "pack": np.inf, "unpack": np.inf}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = action()
        best[name] = min(best[name], time.perf_counter() - start)
        return result

    with _cli.progress(BENCHMARK_RUNS, "timing") as step:
        for run in range(BENCHMARK_RUNS):
            step(f"run {run + 1} of {BENCHMARK_RUNS}")
            timed("copyto", lambda: np.copyto(target, weights))
            packed = timed("pack", lambda: pack(weights, members))
            back = timed("unpack", lambda packed=packed: unpack(packed, members))
    if back.tobytes() != weights.tobytes():
        raise ValueError("the benchmark's tensor does not unpack to its own bytes")
    gigabytes = weights.nbytes / 1e9
    return {
        "family": members.name,
        "shape": list(BENCHMARK_SHAPE),
        "fp16_bytes": weights.nbytes,
        "best_of": BENCHMARK_RUNS,
        "seconds": {name: round(value, 4) for name, value in best.items()},
        "gb_per_s": {name: round(gigabytes / value, 3) for name, value in best.items()},
        "ratio_pack_to_copyto_time": round(best["pack"] / best["copyto"], 1),
        "ratio_unpack_to_copyto_time": round(best["unpack"] / best["copyto"], 1),
    }


def show_benchmark(figures: dict[str, Any]) -> None:
    """Print the timings."""
    table = Table(title=f"4096 x 4096 FP16, family {figures['family']}, one core")
    for column in ("", "seconds", "GB/s of FP16"):
        table.add_column(column, justify="right" if column else "left")
    for name, seconds in figures["seconds"].items():
        table.add_row(name, f"{seconds:.3f}", f"{figures['gb_per_s'][name]:.2f}")
    _cli.console.print(table)


def main() -> None:
    """Run the command."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument("input", metavar="IN", type=Path, nargs="?", help="safetensors file")
    parser.add_argument("output", metavar="OUT", type=Path, nargs="?", help="packed file to write")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--family", choices=TABLE_NAMES, help=f"family of code tables ({default_family()})"
    )
    choice.add_argument("--design", help="take the family of this design file or preset")
    parser.add_argument(
        "--verify", action="store_true", help="read the result back and compare every byte"
    )
    parser.add_argument(
        "--importance", metavar="PATH", type=Path,
        help="safetensors file: per tensor name, a vector of each input's mean square; errors "
        "are weighted by it",
    )  # fmt: skip
    parser.add_argument("--no-columns", action="store_true", help="never scale columns")
    parser.add_argument(
        "--benchmark", action="store_true",
        help="pack nothing: time packing of a random 4096 x 4096 tensor beside numpy.copyto",
    )  # fmt: skip
    arguments = parser.parse_args()
    name = load(arguments.design).family if arguments.design else arguments.family
    members = family(name or default_family())
    if arguments.benchmark:
        if arguments.input or arguments.output:
            raise ValueError("--benchmark packs no file: leave out IN and OUT")
        figures = benchmark(members)
        show_benchmark(figures)
    else:
        if arguments.input is None or arguments.output is None:
            raise ValueError("give IN and OUT, or --benchmark")
        figures = pack_file(arguments, members)
        show(figures)
    _cli.write_json(arguments.json, figures)


if __name__ == "__main__":
    _cli.main(main)
