import json
import sys
from pathlib import Path

import pytest

import _parts
import measure_parts
from speq.synthesis import open_liberty
from speq_sim.performance.area import DATA
from speq_sim.performance.area_parts import PARTS

TOY = Path(__file__).parents[1] / "data" / "toy.lib"
NAMED = {part.name: part for part in PARTS}


@pytest.fixture
def toy(monkeypatch):
    """The toy library, one design of one column, and only a few of its parts."""
    monkeypatch.setattr(measure_parts, "find_known", lambda name: open_liberty([TOY]))
    monkeypatch.setattr(measure_parts, "constraint_for", lambda *_: None)
    monkeypatch.setattr(measure_parts, "row_job", lambda *_: [])
    monkeypatch.setattr(measure_parts, "baseline_tasks", lambda known: [])
    design = _parts.BASE.verify_only().replace(name="part")
    only = [_parts.Task(_parts.Array, design, (NAMED["sequencer"], NAMED["stages"], NAMED["pe"]))]
    plans = []

    def plan(designs, known):
        plans.append([task for task in only if "pe" not in known])
        return plans[-1]

    monkeypatch.setattr(measure_parts, "plan", plan)
    return plans


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["measure_parts.py", *map(str, words)])
    return measure_parts.run()


def test_parts_are_measured_once(monkeypatch, tmp_path, toy):
    path = tmp_path / "parts.json"
    assert call(monkeypatch, "--json", path) == 0
    record = json.loads(path.read_text())
    assert list(record["parts"]) == ["sequencer", "stages", "pe"]
    assert {name: list(keys) for name, keys in record["parts"].items()} == {
        name: ["verify"] for name in record["parts"]
    }
    (pe,) = record["parts"]["pe"]["verify"]
    assert pe[:5] == [8, 8, 8, 8, 8]
    # Two words and a product of 32 bits; the multiplier inside is not the PE's own.
    assert pe[6] == pe[7] == 64
    assert 0 < pe[5] < 1000
    assert pe[8] > 0
    (stages,) = record["parts"]["stages"]["verify"]
    assert stages[6:8] == [35, 30], "five stages of 7 flip-flops, 6 of them a payload"

    assert call(monkeypatch, "--json", path) == 0
    assert json.loads(path.read_text()) == record
    assert [len(each) for each in toy] == [1, 0]


def test_other_libraries_are_not_mixed(monkeypatch, tmp_path, toy):
    path = tmp_path / "parts.json"
    path.write_text(json.dumps({"library": "another", "yosys": "0.1"}))
    with pytest.raises(measure_parts.ModelError, match="measured with another and Yosys"):
        call(monkeypatch, "--json", path)


def test_nothing_known_is_measured_again():
    record = json.loads(DATA.read_text())
    assert _parts.plan(list(_parts.variants()), record["parts"]) == []
    assert _parts.baseline_tasks(record["baselines"]) == []
    some = {**record["parts"], "reduce": {}}
    assert {task.top.__name__ for task in _parts.plan(list(_parts.variants()), some)} == {"Reduce"}


def test_a_new_variant_is_planned_alone():
    record = json.loads(DATA.read_text())
    design = _parts.BASE.replace(family="fitted-8")
    tasks = _parts.plan([design], record["parts"])
    assert {part.name for task in tasks for part in task.parts} == {"pe", "decoder", "unpacker"}


def test_the_check_writes_errors_and_large_arrays(monkeypatch, tmp_path, capsys):
    path = tmp_path / "composed.json"
    assert call(monkeypatch, "--check", "--json", path) == 0
    record = json.loads(path.read_text())
    assert all(each["within_3_percent"] for each in record["checks"])
    assert {each["shape"] for each in record["arrays"]} == {
        "16x16",
        "32x32",
        "64x64",
        "128x128",
    }
    assert "128x128" in capsys.readouterr().out
    committed = json.loads((_parts_results() / "area-composed.json").read_text())
    assert [each["composed"] for each in record["checks"]] == [
        each["composed"] for each in committed["checks"]
    ]


def _parts_results():
    return Path(__file__).parents[2] / "docs" / "results"
