"""What our own measured acceptances give: on the model that they were measured on, and, as a
what-if, on larger shapes."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speq.parameters import PRESETS, Parameters
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.engine import Engine
from speq_sim.performance.machine import Machine
from speq_sim.performance.measured import MeasuredAcceptance, measured_acceptances
from speq_sim.performance.methods import Chain, Hierarchy, Method, Plain, Setting
from speq_sim.performance.models import MODELS
from speq_sim.performance.reproduction.copies import COPY, CopyBeside
from speq_sim.performance.reproduction.machines import ALL_MODES, SERVER, PlacedPlanes, on_memory
from speq_sim.performance.reproduction.qspec_rounds import QSpec, w4a16
from speq_sim.performance.rounds import RoundCost
from speq_sim.performance.transformer import Recipe, recipe_of

__all__ = ["OWN_MACHINES", "Case", "own_cases", "own_figures"]

MEASURED_ON = "smollm2-135m"

_CALIBRATED = "packed:smollm2-spare-1"
"""The file of scripts/calibrate.py, whose codes were chosen on text; not `spare-1` as such."""

OWN_MACHINES: dict[str, tuple[Parameters, str]] = {
    "edge, lpddr5": (
        PRESETS["edge"].replace(modes=ALL_MODES, activation_values=1 << 17),
        "lpddr5",
    ),
    "server, hbm2e": (SERVER, "hbm2e"),
}
"""Design and memory, with as many units as the memory feeds. The buffer of activations of `edge` is
that of `server`: its own holds too few tokens of a wide model for a verify pass."""

_HEAD_VERIFIED: Recipe = (("head", "verify"),)


@dataclasses.dataclass(frozen=True)
class Case:
    """A way to draft, with the acceptance that was measured of it.

    Parameters
    ----------
    title : str
        For tables.
    method : Method
        Rounds.
    acceptance, low, high : float
        Measured, with a 95 % interval; all equal where none was recorded.
    recipe : Recipe
        Matrices that drafts read in another form. It is of the model measured.
    middle_acceptance : float
        Of a hierarchy.
    prompts : str
        What it was measured behind.
    stored_bits : float
        Bits of a weight stored besides the model.
    baseline : str
        ``"fp16"``, or ``"w4a16"`` of methods that keep the tokens of W4A16 alone.
    engine : callable, optional
        From our machine to that of the method.
    """

    title: str
    method: Method
    acceptance: float
    low: float
    high: float
    recipe: Recipe
    prompts: str
    middle_acceptance: float = 1.0
    stored_bits: float = 0.0
    baseline: str = "fp16"
    engine: Callable[[Engine], Engine] | None = None

    def machine(self, machine: Machine) -> Machine:
        """What it runs on."""
        if self.engine is None:
            return machine
        return dataclasses.replace(machine, engine=self.engine(machine.engine))


def own_cases(public: Path, own: Path, recipes: Path) -> list[Case]:
    """The cases, from records of the acceptance measurement and of recipes.

    Parameters
    ----------
    public, own : Path
        Records of ``scripts/measure_acceptance.py``: public prompts, and our own.
    recipes : Path
        Record of ``scripts/fit_recipe.py``, on calibration prompts.

    Raises
    ------
    ModelError
        If a file is no such record, or lacks a codec.
    """
    chain = Chain("SPEQ", "draft", "verify")
    found = []
    for title, codec, record, prompts in (
        ("bsfp", "bsfp", public, "public"),
        ("fitted-8", "fitted-8", public, "public"),
        ("spare-1", _CALIBRATED, public, "public"),
        ("spare-1", _CALIBRATED, own, "our own"),
    ):
        each = _measured(record, codec)
        found.append(_case(f"SPEQ, {title}, head verified", chain, each, prompts, _HEAD_VERIFIED))
    fitted = _recipes(recipes)
    for name, title, recipe in (
        ("all 4 bits", "SPEQ, spare-1, all 4 bits", ()),
        ("chosen", "SPEQ, spare-1, fitted recipe", recipe_of(fitted["chosen"])),
    ):
        chance = fitted["recipes"][name]["acceptance"]
        found.append(Case(title, chain, chance, chance, chance, recipe, "calibration"))
    each = _measured(own, _CALIBRATED)
    middle = _measured(own, "middle").acceptance
    hierarchy = Hierarchy("DRAFT, MIDDLE, VERIFY", "draft", "middle", "verify")
    found.append(
        dataclasses.replace(
            _case(
                "hierarchical, spare-1, head verified", hierarchy, each, "our own", _HEAD_VERIFIED
            ),
            middle_acceptance=middle,
        )
    )
    each = _measured(own, "w4a4-hadamard-all")
    case = _case("QSpec, all layers rotated, head in FP16", QSpec(), each, "our own", ())
    found.append(dataclasses.replace(case, baseline="w4a16"))
    each = _measured(public, "e2m1-g128")
    copy = Chain("copy", COPY, "fp16")
    case = _case("copy, E2M1 g128, head verified", copy, each, "public", (("head", "fp16"),))
    found.append(dataclasses.replace(case, engine=CopyBeside))
    return found


def _case(
    title: str, method: Method, each: MeasuredAcceptance, prompts: str, recipe: Recipe
) -> Case:
    low = each.acceptance if each.low is None else each.low
    high = each.acceptance if each.high is None else each.high
    return Case(
        title,
        method,
        each.acceptance,
        low,
        high,
        recipe,
        prompts,
        stored_bits=each.stored_extra,
    )


def _measured(path: Path, codec: str) -> MeasuredAcceptance:
    for each in measured_acceptances(path):
        if (each.model, each.codec) == (MEASURED_ON, codec):
            return each
    raise ModelError(
        f"{path.name} has no acceptance of {codec} on {MEASURED_ON}: measure it with "
        f"scripts/measure_acceptance.py"
    )


def _recipes(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _ = found["recipes"]["all 4 bits"]["acceptance"], found["recipes"]["chosen"]["acceptance"]
        _ = found["chosen"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path.name} is no record of recipes ({error}): write one with scripts/fit_recipe.py"
        ) from None
    return found


def own_figures(
    cases: Sequence[Case],
    machines: Mapping[str, tuple[Parameters, str]] = OWN_MACHINES,
    models: Sequence[str] = (MEASURED_ON, "llama-3.2-3b", "llama-2-7b", "llama-3-8b"),
    context: int = 256,
) -> list[dict[str, Any]]:
    """Speedup of each case on each machine and shape, at the best lengths.

    All but the first model are a what-if: acceptances are those of the small one, which larger
    models are known to exceed; recipes of single layers are left out there.
    """
    found = []
    for where, (design, memory) in machines.items():
        machine = on_memory(design, find_dram(memory))
        for model in models:
            for case in cases:
                if model != MEASURED_ON and any("." in name for name, _ in case.recipe):
                    continue
                found.append(
                    {
                        "machine": where,
                        "model": model,
                        "what_if": model != MEASURED_ON,
                        "case": case.title,
                        "acceptance": case.acceptance,
                        "prompts": case.prompts,
                        "stored_bits": case.stored_bits,
                        "over": case.baseline,
                        **_speedups(case, machine, model, context),
                    }
                )
    return found


def _speedups(case: Case, machine: Machine, model: str, context: int) -> dict[str, Any]:
    setting = Setting(
        MODELS[model],
        context=context,
        acceptance=case.acceptance,
        middle_acceptance=case.middle_acceptance,
        recipe=case.recipe,
    )
    theirs = case.machine(machine)
    plain = Plain("FP16", "fp16").cost(setting, machine).seconds_per_token
    base = w4a16(setting).cost(machine).seconds_per_token if case.baseline == "w4a16" else plain

    def cost_at(chance: float) -> RoundCost:
        return case.method.cost(dataclasses.replace(setting, acceptance=chance), theirs)

    cost = cost_at(case.acceptance)
    placed = dataclasses.replace(theirs, engine=PlacedPlanes(theirs.engine))
    return {
        "speedup": base / cost.seconds_per_token,
        "speedup_low": base / cost_at(case.low).seconds_per_token,
        "speedup_high": base / cost_at(case.high).seconds_per_token,
        "speedup_placed": base / case.method.cost(setting, placed).seconds_per_token,
        "speedup_over_fp16": plain / cost.seconds_per_token,
        "tokens_per_second": 1 / cost.seconds_per_token,
        "tokens_per_round": cost.round.tokens,
        "limited_by": cost.limited_by,
        **cost.round.settings,
    }
