"""What passes move and compute, for two pictures: bytes of a token, and the roofline."""

from typing import Any

from speq.parameters import Parameters
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.methods import Chain, Hierarchy, Method, Plain, Setting
from speq_sim.performance.models import MODELS
from speq_sim.performance.reproduction.machines import WIDE, on_memory
from speq_sim.performance.reproduction.qspec_rounds import QSpec, w4a16
from speq_sim.performance.rounds import RoundCost
from speq_sim.performance.unit_engine import UnitEngine

__all__ = ["bytes_by_pass", "roofline"]

_METHODS: dict[str, Method] = {
    "FP16": Plain("FP16", "fp16"),
    "SPEQ": Chain("SPEQ", "draft", "verify"),
    "hierarchical": Hierarchy("DRAFT, MIDDLE, VERIFY", "draft", "middle", "verify"),
    "QSpec": QSpec(),
}


def bytes_by_pass(
    acceptance: float,
    middle_acceptance: float,
    model: str = "llama-2-7b",
    memory: str = "hbm2e",
    context: int = 1024,
) -> list[dict[str, Any]]:
    """Bytes of a token by method, pass and kind, at each method's best lengths.

    `acceptance` is that of every drafter. W4A16 is QSpec's target in plain decoding.
    """
    machine = on_memory(WIDE, find_dram(memory))
    setting = Setting(
        MODELS[model],
        context=context,
        acceptance=acceptance,
        middle_acceptance=middle_acceptance,
    )
    costs = {name: method.cost(setting, machine) for name, method in _METHODS.items()}
    costs["W4A16"] = w4a16(setting).cost(machine)
    return [row for name, cost in costs.items() for row in _rows(name, cost)]


def _rows(name: str, cost: RoundCost) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], float] = {}
    for planned, time in zip(cost.round.passes, cost.times, strict=True):
        moved = {**time.read_bytes, "written": time.written_bytes}
        moved["kv"] += moved.pop("written")
        for kind, nbytes in moved.items():
            key = (planned.kind, kind)
            found[key] = found.get(key, 0.0) + planned.count * nbytes / cost.round.tokens
    return [
        {"method": name, "pass": passed, "kind": kind, "bytes_per_token": nbytes}
        for (passed, kind), nbytes in found.items()
    ]


def roofline(
    model: str = "llama-3-8b",
    memory: str = "hbm2e",
    *,
    context: int = 1024,
    length: int = 8,
    batches: tuple[int, ...] = (1, 8, 32),
    design: Parameters = WIDE,
) -> dict[str, Any]:
    """Roofs of a machine and where passes lie under them.

    Returns
    -------
    dict
        ``roofs``: bytes per second of the memory, as advertised and as it is read from end to end,
        and of all ports; MACs per second of modes. ``passes``: MACs per byte, MACs per second and
        what limits each.
    """
    dram = find_dram(memory)
    machine = on_memory(design, dram)
    engine: UnitEngine = machine.engine
    lanes = engine.units * design.rows * design.columns * engine.clock_hz
    roofs = {
        "memory_peak_bytes_per_second": dram.peak_bytes_per_second,
        "memory_bytes_per_second": dram.bytes_per_second,
        "port_bytes_per_second": engine.port_bytes_per_second,
        "verify_macs_per_second": lanes,
        "draft_macs_per_second": lanes * design.draft_lanes,
    }
    passes = []
    for batch in batches:
        for name, form, tokens in (
            ("FP16", "fp16", 1),
            ("DRAFT", "draft", 1),
            (f"VERIFY of {length + 1}", "verify", length + 1),
        ):
            spec = Setting(MODELS[model], context, batch).spec(form, tokens)
            time = machine.time(spec)
            macs = sum(time.macs.values())
            passes.append(
                {
                    "pass": name,
                    "batch": batch,
                    "tokens": tokens * batch,
                    "macs_per_byte": macs / time.total_bytes,
                    "macs_per_second": macs / time.seconds,
                    "limited_by": time.limited_by,
                }
            )
    return {"model": model, "memory": memory, "units": engine.units, "roofs": roofs,
            "passes": passes}  # fmt: skip
