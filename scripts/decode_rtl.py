"""Decode a real model with its linear layers in the Verilated accelerator, beside the golden model.

Emits an accelerator, compiles it and models of its buses, packs the model into its memory, and
decodes greedily with every linear layer, the head included, in the simulated unit. The same is done
on the golden model, and compared: every token, and every result of every linear layer, bit for bit.
Counts cycles pass by pass.

  python scripts/decode_rtl.py --model stories15m --count 16 --method speq --json rtl.json
  python scripts/decode_rtl.py edge --model stories15m --method plain --count 2
"""

import argparse
import dataclasses
import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

import _cli
from speq.accelerator.emission import emit
from speq.formats import family, pack
from speq.formats.packing import PackedTensor
from speq.parameters import ParameterError, Parameters
from speq_sim.benches.accelerator.compiled_unit import CompiledUnit, UnitError, build_unit
from speq_sim.benches.accelerator.layer import MEMORIES
from speq_sim.benches.finding import SimulatorError
from speq_sim.cplusplus import CompilerError
from speq_sim.decoding import (
    Backend,
    Fixed,
    Generation,
    GoldenBackend,
    Llama,
    LlamaWeights,
    ModelError,
    PackedLayer,
    PackedLayers,
    load_model,
    plain,
    speculate,
    speculate_hierarchically,
)
from speq_sim.decoding.rtl_backend import Meter, Pass, RtlBackend, RtlLayers, draft_format
from speq_sim.host import Device, DeviceError

METHODS: dict[str, tuple[str, ...]] = {
    "plain": ("verify",),
    "speq": ("verify", "draft"),
    "hierarchical": ("verify", "middle", "draft"),
}
"""Modes of each method, the target's first."""

DESIGN = Parameters(
    name="decode",
    rows=4,
    columns=16,
    port_words=16,
    modes=("verify", "draft", "middle"),
    family="fitted-8",
)
"""The memory port of ``edge`` over a quarter of its rows: no processing element idles in a verify
pass of a few tokens, so that a simulated cycle does the most work for what it costs."""

BUILD = Path("build")


class _Recorded:
    """A back end that keeps a digest of each product, and counts results of the head."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.digests: list[tuple[str, str]] = []
        self.logits = 0

    def multiply(self, name: str, x: NDArray) -> NDArray:
        found = self._inner.multiply(name, x)
        bits = np.ascontiguousarray(found).tobytes() + str(found.dtype).encode()
        self.digests.append((name, hashlib.sha256(bits).hexdigest()))
        if name == "head":
            self.logits += found.size
        return found


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """Tokens, rounds if there are drafts, products of each mode, and the seconds that it took."""

    tokens: list[int]
    generation: Generation | None
    products: Mapping[str, _Recorded]
    seconds: float


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, default=f"{DESIGN.rows} x {DESIGN.columns}, all planes")
    parser.add_argument("--model", required=True, help="name or file of a model (docs/decoding.md)")
    parser.add_argument(
        "--tokens",
        metavar="N,N,...",
        default="1,450,2030,14892,272,5148,472,278,7205,322",
        help="prompt (default: 'The old sailor looked at the sea and', in stories15m)",
    )
    parser.add_argument("--count", type=int, default=16, help="tokens to give (default: 16)")
    parser.add_argument(
        "--method",
        action="append",
        choices=METHODS,
        help="may be repeated (default: speq)",
    )
    parser.add_argument(
        "--draft-length", type=int, default=4, help="tokens drafted at a time (default: 4)"
    )
    parser.add_argument(
        "--memory",
        choices=MEMORIES,
        default="random",
        help="latency of the memory: 1 cycle, or 20 to 200 (default: random)",
    )
    return parser.parse_args()


def design_of(options: argparse.Namespace) -> Parameters:
    """The design point: the one named, or :data:`DESIGN`."""
    if options.design is not None:
        return _cli.design_of(options)
    if options.overrides:
        raise ParameterError("--set changes a design: name one, such as edge")
    return DESIGN


def prompt_of(text: str) -> list[int]:
    """Token numbers of a comma-separated text."""
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ModelError(f"--tokens {text!r} are no numbers with commas between them") from None


def decode(
    weights: LlamaWeights,
    backends: Mapping[str, Backend],
    method: str,
    prompt: Sequence[int],
    count: int,
    draft_length: int,
) -> _Decoded:
    """Decode by a method on the back ends of its modes."""
    recorded = {mode: _Recorded(backends[mode]) for mode in METHODS[method]}
    models = [Llama(weights, each) for each in recorded.values()]
    begun = time.monotonic()
    generation = None
    if method == "plain":
        tokens = plain(models[0], prompt, count)
    else:
        run = speculate if method == "speq" else speculate_hierarchically
        generation = run(*models, prompt, count, Fixed(draft_length))
        tokens = generation.tokens
    return _Decoded(tokens, generation, recorded, time.monotonic() - begun)


def compared(found: _Decoded, wanted: _Decoded) -> dict[str, Any]:
    """Whether both are the same, and how much was compared."""
    pairs = [(found.products[mode], wanted.products[mode]) for mode in wanted.products]
    differing = sum(
        sum(one != other for one, other in zip(rtl.digests, golden.digests, strict=False))
        + abs(len(rtl.digests) - len(golden.digests))
        for rtl, golden in pairs
    )
    return {
        "same_tokens": found.tokens == wanted.tokens,
        "bit_exact": not differing,
        "products": sum(len(golden.digests) for _, golden in pairs),
        "differing_products": differing,
        "logits": sum(golden.logits for _, golden in pairs),
    }


def by_mode(passes: Sequence[Pass]) -> list[dict[str, Any]]:
    """Means of the passes of each mode and number of tokens and products."""
    groups: dict[tuple[str, int, int], list[Pass]] = {}
    for each in passes:
        groups.setdefault((each.mode, each.tokens, each.products), []).append(each)
    return [
        {
            "mode": mode,
            "tokens": tokens,
            "products": products,
            "passes": len(group),
            "cycles_per_pass": round(sum(each.cycles for each in group) / len(group), 1),
            "port_busy": round(
                sum(each.words for each in group) / sum(each.cycles for each in group), 4
            ),
            "memory_port_busy": round(
                sum(each.beats for each in group) / sum(each.cycles for each in group), 4
            ),
        }
        for (mode, tokens, products), group in groups.items()
    ]


def run() -> int:
    """Build, decode, compare, show."""
    options = arguments()
    design, methods = design_of(options), list(dict.fromkeys(options.method or ["speq"]))
    prompt = prompt_of(options.tokens)
    needed = {mode for method in methods for mode in METHODS[method]}
    if missing := sorted(needed - set(design.modes)):
        raise ParameterError(f"design {design.name!r} has no mode {missing[0]!r}: add it to modes")
    weights = load_model(options.model)
    with _cli.progress(3 + 2 * len(methods)) as step:
        step("emitting and compiling the accelerator")
        with tempfile.TemporaryDirectory(prefix="speq-") as name:
            files = emit(design, name)
            side_car = json.loads(files.side_car.read_text(encoding="utf-8"))
            library = build_unit(files.verilog, side_car, BUILD / design.name)
        step("packing the model")
        members = family(design.family)
        tensors = {name: pack(values, members) for name, values in weights.matrices.items()}
        step("loading it into the unit's memory")
        unit = CompiledUnit(library, side_car, MEMORIES[options.memory])
        device = Device(unit, side_car)
        layers = RtlLayers(device, tensors)
        found = {}
        for method in methods:
            step(f"{method}: golden model")
            golden = _golden(tensors, design, METHODS[method])
            wanted = decode(weights, golden, method, prompt, options.count, options.draft_length)
            step(f"{method}: accelerator")
            meter = Meter(device, lambda: unit.counts().cycles)
            begun = unit.counts().cycles
            rtl = {mode: RtlBackend(layers, mode, meter=meter) for mode in METHODS[method]}
            decoded = decode(weights, rtl, method, prompt, options.count, options.draft_length)
            cycles = unit.counts().cycles - begun
            found[method] = _figures(decoded, wanted, meter.passes, cycles)
    figures = {
        "model": weights.origin,
        "design": design.as_dict(),
        "memory": dataclasses.asdict(MEMORIES[options.memory]),
        "prompt": prompt,
        "plain_matrices": [name for name, tensor in tensors.items() if tensor.is_plain],
        "methods": found,
    }
    _cli.write_json(options.json, figures)
    for method, each in found.items():
        show(method, each)
    return 0 if all(each["bit_exact"] and each["same_tokens"] for each in found.values()) else 1


def _golden(
    tensors: Mapping[str, PackedTensor], design: Parameters, modes: Sequence[str]
) -> dict[str, Backend]:
    members = family(design.family)
    layers = PackedLayers({name: PackedLayer.of(each, members) for name, each in tensors.items()})
    return {mode: GoldenBackend(layers, mode, draft_format(design)) for mode in modes}


def _figures(
    found: _Decoded, wanted: _Decoded, passes: Sequence[Pass], cycles: int
) -> dict[str, Any]:
    counted = [dataclasses.asdict(each) for each in passes]
    return {
        **compared(found, wanted),
        "tokens": found.tokens,
        "golden_tokens": wanted.tokens,
        **_acceptance(found.generation),
        "by_mode": by_mode(passes),
        "cycles_per_token": round(sum(each.cycles for each in passes[1:]) / len(found.tokens), 1),
        "simulated_cycles": cycles,
        "seconds": round(found.seconds, 1),
        "simulated_cycles_per_second": round(cycles / found.seconds, 1),
        "golden_seconds": round(wanted.seconds, 1),
        "passes": counted,
    }


def _acceptance(generation: Generation | None) -> dict[str, Any]:
    """What the target made of the drafts; of `plain`, which has none, nothing."""
    if generation is None:
        return {}
    rounds = [{"drafted": each.drafted, "accepted": each.accepted} for each in generation.rounds]
    return {"acceptance": round(generation.acceptance, 4), "rounds": rounds}


def show(method: str, figures: Mapping[str, Any]) -> None:
    """Print the cycles of a method, and what was compared."""
    table = Table(title=f"{method}: cycles of the linear layers")
    for column in ("mode", "tokens", "passes", "cycles per pass", "weight port", "memory port"):
        table.add_column(column, justify="left" if column == "mode" else "right")
    for row in figures["by_mode"]:
        table.add_row(
            row["mode"],
            str(row["tokens"]),
            str(row["passes"]),
            f"{row['cycles_per_pass']:,.0f}",
            f"{row['port_busy']:.1%}",
            f"{row['memory_port_busy']:.1%}",
        )
    _cli.console.print(table)
    if "rounds" in figures:
        counts = ", ".join(f"{each['accepted']}/{each['drafted']}" for each in figures["rounds"])
        _cli.console.print(
            f"Accepted of drafted, by round: {counts}; acceptance {figures['acceptance']:.3f}"
        )
    same = figures["same_tokens"] and figures["bit_exact"]
    verdict = "all are the golden model's" if same else "THEY DIFFER from the golden model's"
    _cli.console.print(
        f"{len(figures['tokens'])} tokens, {figures['logits']:,} logits, results of "
        f"{figures['products']:,} products: {verdict}.\n{figures['cycles_per_token']:,.0f} cycles "
        f"per token behind the prompt; {figures['simulated_cycles']:,} cycles simulated in "
        f"{figures['seconds']:.0f} s."
    )


if __name__ == "__main__":
    _cli.main(run, expected=(ModelError, SimulatorError, CompilerError, UnitError, DeviceError))
