import json
import re
import sys
from pathlib import Path

import pytest

import _delays
import _parts
import measure_parts
from speq.synthesis import open_liberty
from speq.yosys import YosysError
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


def test_delays_are_measured_once_each_as_an_instance(monkeypatch, tmp_path):
    monkeypatch.setattr(measure_parts, "find_known", lambda name: open_liberty([TOY]))
    monkeypatch.setattr(_delays, "FAN_OUT", (4,))
    monkeypatch.setattr(_delays, "SIZES", {"": (1,), "columns": (2,), "tokens": (1,), "rows": ()})
    monkeypatch.setattr(_delays, "UNITS", [each for each in _delays.UNITS if each.name != "pe"])
    tops = []

    def delay(text, top, library):
        tops.append((top, text.count("endmodule")))
        return 100.0 + len(tops)

    monkeypatch.setattr(_delays, "_delay", delay)
    monkeypatch.setattr(measure_parts, "WORKERS", 1)
    path = tmp_path / "delays.json"
    words = ("tiny", "--delays", "--set", "pipeline=3", "--json", path)
    assert call(monkeypatch, *words) == 0
    record = json.loads(path.read_text())
    assert record["fan_out"] == [[4, 101.0]]
    assert {unit: list(keys) for unit, keys in record["units"].items()} == {
        "reduce": ["any pipeline=3"],
        "accumulate": ["any pipeline=3"],
        "round": ["verify+draft L4 bfp6 pipeline=3 fp32"],
        "column": ["verify+draft L4 bfp6 pipeline=3"],
    }
    assert record["units"]["reduce"]["any pipeline=3"][0][0] == 2
    assert tops == [("top", 1), *[("speq_delay_top", 2)] * 4]
    assert call(monkeypatch, *words) == 0
    assert len(tops) == 5, "nothing is measured twice"


def test_a_delay_is_the_longest_that_abc_says(monkeypatch):
    library = (open_liberty([TOY]), None)
    with pytest.raises(YosysError, match="ABC gave no delay of top: add a constraint file"):
        _delays._delay(_delays._enable(2), "top", library)
    log = "ABC: Delay = 310.50 ps  Area = 9\nABC: Delay =  290.00 ps"
    monkeypatch.setattr(_delays, "run_yosys", lambda *_, **__: log)
    assert _delays._delay(_delays._enable(2), "top", library) == 310.5


def test_the_control_is_measured_without_rows_and_columns(monkeypatch):
    texts = []
    monkeypatch.setattr(_delays, "_delay", lambda text, top, library: texts.append((top, text)))
    unit = next(each for each in _delays.UNITS if each.name == "control")
    point = _delays._point(_parts.BASE, unit, 4)
    assert (point.rows, len(point.modes)) == (4, 5)
    _delays._unit_delay(unit, point, None)
    ((top, text),) = texts
    assert top == "speq_part"
    assert re.findall(r"blackbox \*\)\nmodule (\w+)", text) == ["speq_part_column", "speq_part_row"]
    assert "module speq_part_sequencer" in text
    assert "module speq_part_pe" not in text


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


def test_a_depth_is_planned_with_its_own_rows():
    record = json.loads(DATA.read_text())
    tasks = _parts.plan([_parts.BASE.replace(pipeline=2)], record["parts"])
    tops = {part.name: task.top.__name__ for task in tasks for part in task.parts}
    assert tops["reduce"] == "Reduce"
    assert tops["accumulate"] == "AccumulateSegments"
    assert not {"decoder", "unpacker", "loader", "sequencer"} & set(tops)


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
