"""HierSpec and EAGLE-2 over W4A16 with Llama-3-70B: on a GPU as a roofline, and on our array."""

from collections.abc import Mapping, Sequence
from typing import Any

from speq_sim.performance.dram import Dram
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.gpu import GPUS, RooflineEngine
from speq_sim.performance.hierspec import HierSpec
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Method, Plain, Setting, Tree
from speq_sim.performance.models import MODELS
from speq_sim.performance.reproduction.bands import Band, sweep
from speq_sim.performance.reproduction.machines import FLAT, WIDE, on_memory
from speq_sim.performance.reproduction.solving import needed

__all__ = [
    "HIERSPEC_AXES",
    "WHERE",
    "hierspec_bands",
    "machine_named",
    "needed_acceptances",
    "speedups",
    "tree_verify_ratios",
]

TARGET = "llama-3-70b"

GPU_NAME = "a100-80gb"

WHERE: tuple[str, ...] = ("A100", "64 x 64 PEs, 4xhbm3", "16 x 256 PEs, 4xhbm3")
"""What it runs on: a roofline of the GPU, or our array, both designs for 64 tokens."""

HIERSPEC_AXES: Mapping[str, Sequence[Any]] = {
    "level_acceptance": (0.6, 0.7, 0.8, 0.9),
    "middle_acceptance": (0.8, 0.9, 0.95, 0.98),
    "compute_share": (1.0, 0.6, 0.3),
    "overhead_us": (0, 5),
}
"""Of one level of a tree; of a token of the small model; share of the FP16 peak that kernels get;
overhead of every product. Both drafters have the same level acceptance."""

_GPU_FORM, _ARRAY_FORM = "int4", "qverify"
_DESIGNS = {WHERE[1]: WIDE, WHERE[2]: FLAT}


def machine_named(where: str, compute_share: float = 1.0, overhead_us: float = 0.0) -> Machine:
    """One of :data:`WHERE`; the last two arguments are of the GPU alone."""
    if where in _DESIGNS:
        return on_memory(_DESIGNS[where], find_dram("4xhbm3"))
    gpu = GPUS[GPU_NAME]
    peaks = {kind: rate * compute_share for kind, rate in gpu.macs_per_second.items()}
    engine = RooflineEngine(gpu.name, **peaks, overhead_seconds=overhead_us * 1e-6)
    return Machine(engine, Dram.ideal(gpu.bytes_per_second))


def speedups(
    where: str,
    level_acceptance: float,
    middle_acceptance: float,
    compute_share: float = 1.0,
    overhead_us: float = 0.0,
    context: int = 1024,
) -> dict[str, float]:
    """EAGLE-2 (depth 3, 24 nodes) and HierSpec over W4A16."""
    machine = machine_named(where, compute_share, overhead_us)
    form = _ARRAY_FORM if where in _DESIGNS else _GPU_FORM
    setting = Setting(
        MODELS[TARGET],
        context,
        acceptance=level_acceptance,
        middle_acceptance=middle_acceptance,
    )
    methods: dict[str, Method] = {
        "eagle2": Tree("EAGLE-2", form, depth=3, width=10, nodes=24),
        "hierspec": HierSpec("HierSpec", form),
    }
    plain = Plain("W4A16", form).cost(setting, machine).seconds_per_token
    return {
        name: plain / method.cost(setting, machine).seconds_per_token
        for name, method in methods.items()
    }


def hierspec_bands(
    where: str, axes: Mapping[str, Sequence[Any]] = HIERSPEC_AXES
) -> dict[str, Band]:
    """Bands of both, and of HierSpec over EAGLE-2; our array has no share of a peak to sweep."""
    if where in _DESIGNS:
        axes = {name: axes[name] for name in ("level_acceptance", "middle_acceptance")}

    def ratio(**assumed: Any) -> float:
        found = speedups(where, **assumed)
        return found["hierspec"] / found["eagle2"]

    eagle_axes = {name: values for name, values in axes.items() if name != "middle_acceptance"}
    return {
        "eagle2": sweep(
            eagle_axes,
            lambda **assumed: speedups(where, middle_acceptance=1.0, **assumed)["eagle2"],
        ),
        "hierspec": sweep(axes, lambda **assumed: speedups(where, **assumed)["hierspec"]),
        "hierspec_over_eagle2": sweep(axes, ratio),
    }


def needed_acceptances(
    eagle: float, hierspec: float, compute_shares: Sequence[float] = (1.0, 0.6, 0.3)
) -> list[dict[str, Any]]:
    """On the GPU, acceptances that would be needed for reported speedups. Inputs of nothing.

    Of EAGLE-2 the acceptance of a level; of HierSpec that of the middle model's tokens, at several
    acceptances of a level.
    """
    found: list[dict[str, Any]] = []
    for share in compute_shares:
        row: dict[str, Any] = {
            "compute_share": share,
            "needed_eagle_level_acceptance": needed(
                lambda chance, share=share: speedups("A100", chance, 1.0, share)["eagle2"],
                eagle,
                0.0,
                1.0,
            ),
        }
        for level in (0.6, 0.7, 0.8, 0.9):
            row[f"needed_middle_acceptance_at_level_{level}"] = needed(
                lambda chance, share=share, level=level: speedups("A100", level, chance, share)[
                    "hierspec"
                ],
                hierspec,
                0.0,
                1.0,
            )
        found.append(row)
    return found


def tree_verify_ratios(
    nodes: Sequence[int] = (10, 24, 30, 48, 60),
    compute_shares: Sequence[float] = (1.0, 0.6, 0.3),
    context: int = 1024,
) -> list[dict[str, Any]]:
    """Time of a pass over a tree's nodes over that of one token: T_v(n) / T_t.

    Of the models of the paper's figures: 8B and 70B in W4A16, 8B in FP16, on the GPU; and in both
    forms on our array.
    """
    found = []
    for model, gpu_form, our_form in (
        ("llama-3-8b", "int4", "qverify"),
        ("llama-3-8b", "fp16", "fp16"),
        (TARGET, "int4", "qverify"),
    ):
        places = [("A100", share, gpu_form) for share in compute_shares]
        places += [(where, 1.0, our_form) for where in _DESIGNS]
        setting = Setting(MODELS[model], context)
        for where, share, form in places:
            machine = machine_named(where, share)
            one = machine.time(setting.spec(form)).seconds
            ratios = {
                str(count): machine.time(setting.spec(form, count)).seconds / one for count in nodes
            }
            found.append(
                {
                    "model": model,
                    "weights": "FP16" if gpu_form == "fp16" else "W4A16",
                    "where": where,
                    "compute_share": share,
                    "ratios": ratios,
                }
            )
    return found
