"""QSpec over W4A16: on our array, and on GPUs as rooflines with kernels below the peak."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from speq.parameters import Parameters
from speq_sim.performance.dram import Dram
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.gpu import GPUS, RooflineEngine
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Setting
from speq_sim.performance.models import MODELS
from speq_sim.performance.reproduction.bands import Band, sweep
from speq_sim.performance.reproduction.machines import FLAT, SERVER, WIDE, on_memory
from speq_sim.performance.reproduction.qspec_rounds import QSpec, w4a16
from speq_sim.performance.reproduction.solving import needed
from speq_sim.performance.speculation import expected_tokens

__all__ = [
    "ARRAY_AXES",
    "GPU_AXES",
    "QSPEC_MODEL",
    "array_band",
    "gpu_band",
    "needed_by_batch",
    "needed_pass_ratio",
    "on_gpu",
]

QSPEC_MODEL = "llama-3-8b"
"""Of the repository's demonstration."""

DESIGNS: Mapping[str, Parameters] = {
    "64 x 64 PEs, 16 tokens": SERVER,
    "64 x 64 PEs, 64 tokens": WIDE,
    "16 x 256 PEs, 64 tokens": FLAT,
}

ARRAY_AXES: Mapping[str, Sequence[Any]] = {
    "design": tuple(DESIGNS),
    "memory": ("lpddr5", "hbm2e"),
    "batch": (1, 4, 16, 32),
    "context": (256, 1024),
}

GPU_AXES: Mapping[str, Sequence[Any]] = {
    "gpu": ("l20", "a100-40gb"),
    "batch": (1, 4, 16, 32),
    "context": (256, 1024),
    "w4a16_efficiency": (1.0, 0.7, 0.5, 0.35),
    "w4a4_efficiency": (1.0, 0.7),
    "overhead_us": (0, 5),
}
"""``..._efficiency``: share of the peak, of reading and of computing, that kernels get; overhead of
every product."""


def on_array(
    acceptance: float, length: int, *, design: str, memory: str, batch: int, context: int
) -> float:
    """QSpec over W4A16 on our array."""
    machine = on_memory(DESIGNS[design], find_dram(memory))
    setting = _setting(acceptance, length, batch, context)
    base = w4a16(setting).cost(machine).seconds_per_token
    return base / QSpec().cost(setting, machine).seconds_per_token


def on_gpu(
    acceptance: float,
    length: int,
    *,
    gpu: str,
    batch: int,
    context: int,
    w4a16_efficiency: float,
    w4a4_efficiency: float,
    overhead_us: float,
) -> float:
    """QSpec over W4A16 on a roofline whose kernels get shares of its peaks."""
    shares = {"w4a16": w4a16_efficiency, "w4a4": w4a4_efficiency}
    engine = RooflineEngine.of(GPUS[gpu], shares, overhead_seconds=overhead_us * 1e-6)
    machine = Machine(engine, Dram.ideal(GPUS[gpu].bytes_per_second))
    setting = _setting(acceptance, length, batch, context)
    base = w4a16(setting, "w4a16").cost(machine).seconds_per_token
    cost = QSpec(draft="w4a4", target="w4a16").cost(setting, machine)
    return base / cost.seconds_per_token


def array_band(
    acceptances: Sequence[float], length: int, axes: Mapping[str, Sequence[Any]] = ARRAY_AXES
) -> Band:
    """:func:`on_array` at all combinations, the acceptance among them."""
    return _band(on_array, acceptances, length, axes)


def gpu_band(
    acceptances: Sequence[float], length: int, axes: Mapping[str, Sequence[Any]] = GPU_AXES
) -> Band:
    """:func:`on_gpu` at all combinations, the acceptance among them."""
    return _band(on_gpu, acceptances, length, axes)


def needed_by_batch(
    reported: float,
    acceptance: float,
    length: int,
    *,
    gpus: Sequence[str] = ("l20", "a100-40gb"),
    batches: Sequence[int] = (1, 4, 16, 32),
    context: int = 256,
) -> list[dict[str, Any]]:
    """Efficiency that the W4A16 kernel would need to have, were that of W4A4 1, for a speedup.

    Both the plain passes and the verify passes have that kernel. Inputs of nothing.
    """
    found = []
    for gpu in gpus:
        for batch in batches:

            def figure(share: float, gpu: str = gpu, batch: int = batch) -> float:
                return on_gpu(
                    acceptance,
                    length,
                    gpu=gpu,
                    batch=batch,
                    context=context,
                    w4a16_efficiency=share,
                    w4a4_efficiency=1.0,
                    overhead_us=0,
                )

            found.append(
                {
                    "gpu": gpu,
                    "batch": batch,
                    "context": context,
                    "speedup_of_ideal_kernels": figure(1.0),
                    "needed_w4a16_efficiency": needed(figure, reported, 0.02, 1.0),
                }
            )
    return found


def needed_pass_ratio(reported: float, acceptance: float, length: int) -> float:
    """Time of a draft pass over that of a plain one, for a speedup, if verifying takes one plain
    pass: ``(E / S - 1) / L``. An input of nothing.
    """
    return (expected_tokens(acceptance, length) / reported - 1) / length


def _setting(acceptance: float, length: int, batch: int, context: int) -> Setting:
    return Setting(MODELS[QSPEC_MODEL], context, batch, acceptance, draft_length=length)


def _band(
    figure: Any, acceptances: Sequence[float], length: int, axes: Mapping[str, Sequence[Any]]
) -> Band:
    def at(acceptance: float, **assumed: Any) -> float:
        return figure(acceptance, length, **assumed)

    return sweep({"acceptance": acceptances, **axes}, functools.partial(at))
