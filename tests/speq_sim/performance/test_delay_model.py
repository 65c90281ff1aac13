"""Composed longest paths: the slowest unit's, near flattened runs, growing with the array."""

import copy
import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq.parameters import PRESETS, Parameters
from speq.variants import ablation
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.delay import DELAYS, UNITS, DelayModel

RESULTS = Path(__file__).parents[3] / "docs" / "results"
MODEL = DelayModel.load()
RECORD = json.loads(DELAYS.read_text(encoding="utf-8"))
FLAT = {name: PRESETS[name].replace(pipeline=1) for name in ("tiny", "small")}


def toy(**units: float) -> DelayModel:
    """Every unit takes 1 ns but those given; 10 ps for a doubling."""
    design = FLAT["small"]
    return DelayModel(
        {
            "library": "toy",
            "units": {
                unit.name: {unit.key(design): [[1, units.get(unit.name, 1000)]]} for unit in UNITS
            },
            "fan_out": [[2, 110], [4, 120], [8, 130]],
        }
    )


@pytest.mark.parametrize("preset", FLAT)
@pytest.mark.parametrize("label", list(ablation(FLAT["small"])))
def test_near_the_flattened_arrays(preset: str, label: str) -> None:
    file = RESULTS / f"ablation-{preset}-pipeline-1.json"
    measured = json.loads(file.read_text(encoding="utf-8"))["variants"][label]
    assert measured["design"].get("pipeline", 1) == 1
    found = MODEL.delay(ablation(FLAT[preset])[label])
    assert found.delay_ps == pytest.approx(measured["delay_ps"], rel=0.04)
    assert found.library == measured["area_library"]
    assert found.extrapolated == ()


@pytest.mark.parametrize("depth", [1, 2])
def test_near_the_flattened_rows(depth: int) -> None:
    record = json.loads((RESULTS / "depths-small.json").read_text(encoding="utf-8"))
    measured = record["depths"][str(depth)]["libraries"][MODEL.library]["delay_ps"]
    design = Parameters.from_mapping(record["design"]).replace(pipeline=depth)
    found = MODEL.row(design)
    assert found.delay_ps == pytest.approx(measured, rel=0.03)
    assert set(found.units) == {"pe", "reduce", "accumulate", "round"}
    assert found.delay_ps <= MODEL.delay(design).delay_ps


def test_the_slowest_unit_counts_and_is_named() -> None:
    found = toy(round=5000).delay(FLAT["small"])
    assert found.slowest == "round"
    assert found.delay_ps == pytest.approx(5000 + 3 * 10)
    assert found.units["reduce"] == found.units["control"] == 1000
    assert found.units["column"] == pytest.approx(1030)
    assert found.as_dict()["delays_ps"]["pe"] == 1030


def test_rows_add_buffers_to_what_they_share() -> None:
    model = toy()
    few, many = (
        model.delay(FLAT["small"].replace(rows=rows, activation_values=1 << 20)).units
        for rows in (8, 128)
    )
    assert {name for name in few if many[name] > few[name]} == {"pe", "accumulate", "round"}
    assert many["pe"] - few["pe"] == pytest.approx(4 * 10)


def test_sizes_between_and_beyond_those_measured() -> None:
    record = copy.deepcopy(RECORD)
    record["units"]["reduce"]["any"] = [[4, 20_000], [16, 22_000]]
    model = DelayModel(record)

    def path(columns: int) -> tuple[float, tuple[str, ...]]:
        shape = {"columns": columns, "port_words": 2, "activation_values": 1 << 20}
        found = model.delay(FLAT["small"].replace(**shape))
        return found.delay_ps, found.extrapolated

    assert path(8) == (pytest.approx(21_000), ())
    assert path(64) == (pytest.approx(24_000), ("reduce: columns = 64",))
    assert path(2) == (pytest.approx(19_000), ("reduce: columns = 2",))


@given(st.integers(2, 7), st.integers(2, 7))
def test_larger_arrays_are_never_faster_than_their_shared_signals_allow(rows: int, columns: int):
    design = Parameters(
        name="any",
        rows=1 << rows,
        columns=1 << columns,
        port_words=4,
        modes=("verify",),
        activation_values=1 << 20,
        pipeline=1,
    )
    small, large = MODEL.delay(design), MODEL.delay(design.replace(rows=2 << rows))
    for name in ("pe", "accumulate", "round"):
        assert large.units[name] - small.units[name] == pytest.approx(MODEL.per_doubling)
    assert large.delay_ps == max(large.units.values())
    assert math.isfinite(large.delay_ps)


def test_a_thousand_arrays_take_less_than_a_second() -> None:
    begun = time.process_time()
    for _ in range(1000):
        MODEL.delay(FLAT["small"])
    assert time.process_time() - begun < 1.0


def test_what_was_not_measured_is_refused_with_the_mend() -> None:
    with pytest.raises(ModelError, match=r"has a pe \(.*\) whose delay was never measured: run"):
        MODEL.delay(FLAT["small"].replace(family="truncate"))
    missing = copy.deepcopy(RECORD)
    missing["units"]["reduce"] = {}
    with pytest.raises(ModelError, match=r"has a reduce \(any\) whose delay"):
        DelayModel(missing).delay(FLAT["small"])
    with pytest.raises(ModelError, match="products are in DSP blocks"):
        MODEL.delay(FLAT["small"].replace(target="fpga", pipeline=4))


@pytest.mark.parametrize("record", [{}, {"library": "x", "units": {}, "fan_out": []}])
def test_other_records_are_refused(record: dict) -> None:
    with pytest.raises(ModelError, match="no record of delays"):
        DelayModel(record)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none.json cannot be read .* --delays"):
        DelayModel.load(tmp_path / "none.json")
