"""The emitted scaled array gives whole layers' bits, whatever stalls, and as fast as it says."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from scaled_workload import DESIGNS

from speq.emission import Emission
from speq.epilogue.emission import emit
from speq.parameters import PRESETS, ParameterError
from speq_sim.benches.simulators import SimulationError, lint, run
from speq_sim.proofs.mutation import mutated_module

FAST = ("one_lane", "two_lanes", "whole_rows")


def _emitted(name: str, folder: Path) -> Emission:
    point = DESIGNS[name]
    return emit(point.parameters, folder, point.lanes, point.groups, point.queue)


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Emission]:
    """Emit a design of the list, once."""
    known: dict[str, Emission] = {}

    def call(name: str) -> Emission:
        if name not in known:
            known[name] = _emitted(name, tmp_path_factory.mktemp(name))
        return known[name]

    return call


def _simulate(emission: Emission, name: str, folder: Path, rounds: int = 1) -> None:
    environment = {
        "SPEQ_SCALED": name,
        "SPEQ_SCALED_SIDE_CAR": str(emission.side_car),
        "SPEQ_SCALED_ROUNDS": str(rounds),
    }
    run(
        emission.verilog,
        emission.top,
        "scaled_bench",
        build_dir=folder / "models",
        test_dir=folder / "run",
        extra_env=environment,
        seed=len(name),
    )


@pytest.mark.parametrize("name", FAST)
def test_layers_equal_the_golden_models(
    name: str, emitted: Callable[[str], Emission], tmp_path: Path
) -> None:
    emission = emitted(name)
    assert lint(emission.verilog, emission.top) == []
    _simulate(emission, name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", DESIGNS)
def test_many_layers_equal_the_golden_models(
    name: str, emitted: Callable[[str], Emission], tmp_path: Path
) -> None:
    emission = emitted(name)
    assert lint(emission.verilog, emission.top) == []
    _simulate(emission, name, tmp_path, rounds=6)


FAULTS = [
    # design, old, new
    ("one_lane", "valid & self.outputs.valid", "valid"),
    ("one_lane", "taken & results.last", "taken"),
    ("one_lane", "transfer & last_part", "transfer"),
    ("one_lane", "payload.last.eq(results.last)", "payload.last.eq(results.last & last_part)"),
    ("one_lane", "queue.w_en.eq(port.valid)", "queue.w_en.eq(1)"),
    ("one_lane", "port.ready.eq(queue.w_rdy)", "port.ready.eq(1)"),
    ("one_lane", "depth=self.queue)", "depth=2)"),
    ("two_lanes", "m.If(transfer)", "m.If(self.values.ready)"),
    ("two_lanes", "port.ready.eq(taken)", "port.ready.eq(self.values.ready)"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "old", "new"), FAULTS)
def test_the_bench_notices_faults(
    name: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = mutated_module("speq.epilogue.serialise", old, new)
    monkeypatch.setattr("speq.scaled_array.Serialiser", faulty.Serialiser)
    emission = _emitted(name, tmp_path)
    with pytest.raises(SimulationError, match="tests of scaled_bench failed"):
        _simulate(emission, name, tmp_path)


@pytest.mark.parametrize("name", [*FAST, "only_verify"])
def test_the_side_car_says_what_was_built(name: str, emitted: Callable[[str], Emission]) -> None:
    point, emission = DESIGNS[name], emitted(name)
    side_car = json.loads(emission.side_car.read_text(encoding="utf-8"))
    rows, tokens = point.parameters.rows, point.parameters.tokens
    queue = {None: max(3, tokens) if point.lanes < rows else 0}.get(point.queue, point.queue)
    assert side_car["epilogue"] == {
        "lanes": point.lanes,
        "groups": point.groups,
        "queue": queue,
        "parts": rows // point.lanes,
    }
    assert side_car["parameters"] == json.loads(json.dumps(point.parameters.as_dict()))
    assert side_car["derived"]["result_bits"] == point.parameters.result_bits
    latency = side_car["latency"]
    assert latency["queue"] == (2 if queue else 0)
    assert latency["epilogue"] == (7 if point.groups else 5)
    assert latency["total"] == 5 + latency["queue"] + latency["epilogue"]
    groups = ("first_group", "last_group") if point.groups else ()
    assert tuple(side_car["streams"]["outputs"]["fields"]) == (*groups, "end")
    verilog = emission.verilog.read_text(encoding="utf-8")
    assert all(f"module {module}(" in verilog for module in side_car["modules"])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"lanes": 3}, "lanes is 3, but must divide rows = 4"),
        ({"queue": 1}, "queue is 1, but must be 0 or 3 at least"),
        ({"queue": 65}, r"queue is 65, but must be a whole number 0\.\.64"),
    ],
)
def test_an_illegal_unit_writes_nothing(choices: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=message):
        emit(PRESETS["tiny"], tmp_path / "out", **choices)
    assert not (tmp_path / "out").exists()
