"""The parts of the reproduction's record: each a function that returns JSON values."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speq_sim.performance.reproduction import published
from speq_sim.performance.reproduction.agreement import agreement
from speq_sim.performance.reproduction.bands import Band
from speq_sim.performance.reproduction.baselines_headline import (
    ARRAYS,
    baseline_band,
    measured_areas,
    over_fp16,
)
from speq_sim.performance.reproduction.drafts import by_acceptance, by_length
from speq_sim.performance.reproduction.hierspec_headline import (
    WHERE,
    hierspec_bands,
    needed_acceptances,
    tree_verify_ratios,
)
from speq_sim.performance.reproduction.methods_shown import speedups_by_model
from speq_sim.performance.reproduction.own import Case, own_cases, own_figures
from speq_sim.performance.reproduction.passes_shown import bytes_by_pass, roofline
from speq_sim.performance.reproduction.published import Headline
from speq_sim.performance.reproduction.qspec_headline import (
    array_band,
    gpu_band,
    needed_by_batch,
    needed_pass_ratio,
)
from speq_sim.performance.reproduction.scale import batching, stops_paying_at, tensor_parallel
from speq_sim.performance.reproduction.speq_headline import (
    BEST,
    needed_for,
    speedup_by_model,
    speq_band,
)
from speq_sim.performance.speculation import expected_tokens

__all__ = ["PARTS", "Records"]


@dataclasses.dataclass(frozen=True)
class Records:
    """Our own measurements.

    Parameters
    ----------
    public, own : Path
        Acceptances behind public prompts, and behind our own.
    recipes : Path
        Of plane recipes.
    baselines : Path
        Synthesis of OliVe's and Tender's arrays.
    """

    public: Path
    own: Path
    recipes: Path
    baselines: Path

    @classmethod
    def of(cls, folder: Path) -> "Records":
        """By their names in the folder of results."""
        return cls(
            folder / "acceptance-spec-prompts.json",
            folder / "acceptance.json",
            folder / "recipes-smollm2-135m.json",
            folder / "baselines.json",
        )

    @property
    def cases(self) -> list[Case]:
        """What was measured."""
        return own_cases(self.public, self.own, self.recipes)

    def case(self, title: str) -> Case:
        """The measured case of a title."""
        return next(case for case in self.cases if case.title == title)


MEASURED_SPEQ = "SPEQ, spare-1, all 4 bits"
MEASURED_HIERARCHY = "hierarchical, spare-1, head verified"

CENTRE = {
    "context": 1024,
    "memory": "hbm2e",
    "kv_bits": 16,
    "head": "drafted",
    "planes": "meet",
    "draft_length": BEST,
}
"""The assumptions under which needed values of SPEQ are solved for."""


def speq(records: Records) -> dict[str, Any]:
    """SPEQ over FP16."""
    acceptance = published.SPEQ_ACCEPTANCE
    return {
        "acceptance": acceptance,
        "band": _band(speq_band(acceptance), published.SPEQ),
        "at_the_centre": {"assumptions": CENTRE, **speedup_by_model(acceptance, **CENTRE)},
        "needed_at_the_centre": needed_for(published.SPEQ.value, acceptance, **CENTRE),
    }


def baselines(records: Records) -> dict[str, Any]:
    """SPEQ over OliVe and Tender."""
    areas = measured_areas(records.baselines)
    found: dict[str, Any] = {
        "transistors_per_pe": dict(areas),
        "over_fp16": over_fp16(areas),
        "reported_over_fp16": {
            "olive": published.SPEQ.value / published.SPEQ_OVER_OLIVE.value,
            "tender": published.SPEQ.value / published.SPEQ_OVER_TENDER.value,
        },
    }
    for kind, headline in (
        ("olive", published.SPEQ_OVER_OLIVE),
        ("tender", published.SPEQ_OVER_TENDER),
    ):
        band = baseline_band(kind, areas, published.SPEQ_ACCEPTANCE)
        found[kind] = {
            f"{array}, {bits} bits": _band(band.where(array=array, bits=bits), headline)
            for array in ARRAYS
            for bits in (8, 4)
        }
    return found


def qspec(records: Records) -> dict[str, Any]:
    """QSpec over W4A16."""
    chances, length = published.QSPEC_ACCEPTANCES, published.QSPEC_LENGTH
    middle = sum(chances) / len(chances)
    return {
        "acceptances": list(chances),
        "draft_length": length,
        "tokens_per_round": {
            "reported": published.QSPEC_TOKENS_PER_ROUND.value,
            **{str(chance): expected_tokens(chance, length) for chance in chances},
        },
        "array": _band(array_band(chances, length), published.QSPEC),
        "gpu": _band(gpu_band(chances, length), published.QSPEC),
        "needed_draft_pass_over_plain_pass": needed_pass_ratio(
            published.QSPEC.value, middle, length
        ),
        "needed_kernels": needed_by_batch(published.QSPEC.value, middle, length),
    }


def hierspec(records: Records) -> dict[str, Any]:
    """HierSpec and EAGLE-2 over W4A16."""
    headlines = {
        "eagle2": published.EAGLE_ON_W4A16,
        "hierspec": published.HIERSPEC,
        "hierspec_over_eagle2": published.HIERSPEC_OVER_EAGLE,
    }
    return {
        "bands": {
            where: {
                name: _band(band, headlines[name]) for name, band in hierspec_bands(where).items()
            }
            for where in WHERE
        },
        "needed": needed_acceptances(published.EAGLE_ON_W4A16.value, published.HIERSPEC.value),
        "tree_verify": {
            "reported": {
                "W4A16": published.TREE_VERIFY_W4A16.value,
                "FP16, at most": published.TREE_VERIFY_FP16.value,
            },
            "rows": tree_verify_ratios(),
        },
    }


def own(records: Records) -> dict[str, Any]:
    """Our measured acceptances."""
    return {"rows": own_figures(records.cases)}


def pictures(records: Records) -> dict[str, Any]:
    """Rows of the pictures alone."""
    ours = records.case(MEASURED_SPEQ), records.case(MEASURED_HIERARCHY)
    chances = published.QSPEC_ACCEPTANCES
    return {
        "speedups": speedups_by_model(
            published.SPEQ_ACCEPTANCE,
            sum(chances) / len(chances),
            published.QSPEC_LENGTH,
            ours,
        ),
        "by_length": by_length(),
        "by_acceptance": by_acceptance(),
        "bytes": bytes_by_pass(ours[1].acceptance, ours[1].middle_acceptance),
        "bytes_acceptances": [ours[1].acceptance, ours[1].middle_acceptance],
        "roofline": roofline(),
    }


def events(records: Records) -> dict[str, Any]:
    """Event runs beside closed formulas."""
    return {"cases": agreement()}


def scale(records: Records) -> dict[str, Any]:
    """Many sequences, many devices."""
    chance = records.case(MEASURED_SPEQ).acceptance
    rows = {model: batching(chance, model) for model in ("llama-3-8b", "llama-2-7b")}
    return {
        "acceptance": chance,
        "batching": rows,
        "stops_paying_at": {model: stops_paying_at(each) for model, each in rows.items()},
        "tensor": {str(batch): tensor_parallel(chance, batch=batch) for batch in (1, 16)},
    }


PARTS: dict[str, Callable[[Records], dict[str, Any]]] = {
    "speq": speq,
    "baselines": baselines,
    "qspec": qspec,
    "hierspec": hierspec,
    "own": own,
    "pictures": pictures,
    "events": events,
    "scale": scale,
}
"""In the order of the record."""


def _band(band: Band, headline: Headline) -> dict[str, Any]:
    return {
        "what": headline.what,
        **band.as_dict(),
        **band.beside(headline.value),
    }
