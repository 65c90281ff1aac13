"""Exploration by command on a tiny space: figures, fronts, resuming, design files, bad input."""

import json
import sys

import pytest

import _explore
import explore
from speq.design_files import load
from speq.parameters import ParameterError
from speq_sim.decoding import ModelError
from speq_sim.parallel import WorkerError
from speq_sim.performance.design_space import Space
from speq_sim.performance.exploration import Result
from speq_sim.performance.pareto import best_within, pareto_front

SPACE = {
    "model": "stories15m",
    "context": 16,
    "longest": 4,
    "rows": "4,8",
    "columns": "8",
    "port-words": "4,8",
    "tokens": "4",
    "draft-lanes": "1,4",
    "units": "1,2",
    "workers": 0,
}
POINTS = (1 + 2 + 2 + 2) * 2 * 2 * 2  # by method and lanes; R, W, units
LOSSLESS = ("fp16", "speq", "hierarchical")


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run the command on the tiny space; gives what it wrote."""

    def run(*words, path=tmp_path / "found.json", **options):
        options = SPACE | options | {"json": path}
        argv = [f"--{key}={value}" for key, value in options.items() if value is not None]
        monkeypatch.setattr(sys, "argv", ["explore.py", *argv, *words])
        explore.run()
        return json.loads(path.read_text())

    return run


@pytest.fixture
def every(call, tmp_path):
    """All results of the space."""
    call(resume=tmp_path / "every.jsonl")
    lines = (tmp_path / "every.jsonl").read_text().splitlines()[1:]
    return [Result.from_dict(json.loads(line)) for line in lines]


def without_command(found):
    return {key: value for key, value in found.items() if key != "command"}


def test_fronts_and_the_best_are_those_of_all_points(call, every, capsys):
    found = call()
    assert found["points"] == len(every) == POINTS
    assert found["illegal"] == 0
    lossless = [each for each in every if each.point.method in LOSSLESS]
    others = [each for each in every if each.point.method not in LOSSLESS]
    assert found["pareto"] == {
        "lpddr5, the FP16 model's tokens": [each.as_dict() for each in pareto_front(lossless)],
        "lpddr5, the INT4 model's tokens": [each.as_dict() for each in pareto_front(others)],
    }
    assert found["best"] == best_within(lossless).as_dict()
    close = Result.from_dict(found["smallest_within_1_percent"])
    speed = 0.99 * found["best"]["tokens_per_second"]
    assert close == next(e for e in pareto_front(lossless) if e.figures.tokens_per_second >= speed)
    assert set(found["best_by_method"]) == {"fp16", "speq", "hierarchical", "qspec"}
    shown = capsys.readouterr().out
    assert f"{POINTS} designs" in shown
    assert found["best"]["key"] in shown


def test_the_budget_is_kept(call, every):
    sizes = sorted(each.figures.transistors for each in every if each.point.method in LOSSLESS)
    budget = sizes[len(sizes) // 3]
    found = call("--area-budget", str(budget))
    assert found["best"]["transistors"] <= budget < sizes[-1]
    assert all(
        each is None or each["transistors"] <= budget for each in found["best_by_method"].values()
    )
    fitting = [each for each in every if each.figures.transistors <= budget]
    speeds = [e.figures.tokens_per_second for e in fitting if e.point.method in LOSSLESS]
    assert found["best"]["tokens_per_second"] == max(speeds)


def test_no_design_in_the_budget_is_one_error(call):
    with pytest.raises(ValueError, match=r"no design has 9 transistors or fewer: the smallest"):
        call("--area-budget", "9")


def test_the_best_design_is_a_design_file(call, tmp_path):
    path = tmp_path / "hw" / "best.toml"
    best = call("--write-design", str(path), "--plot", str(tmp_path / "a.png"))["best"]
    design = load(path)
    assert design.name == "best"
    for field in ("rows", "columns", "port_words", "tokens", "draft_lanes", "clock_mhz"):
        assert getattr(design, field) == best[field]
    assert list(design.modes) == best["modes"]
    assert design.activation_values == 4096  # 4 tokens of 768 inputs
    assert f"# For: {best['units']} of these on lpddr5, {best['method']}" in path.read_text()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_run_goes_on(call, monkeypatch, tmp_path):
    monkeypatch.setattr(explore, "BATCH", 10)
    whole = call(resume=tmp_path / "whole.jsonl")
    evaluated, calls = explore.evaluate, []

    def interrupted(conditions, points):
        calls.extend(points)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return evaluated(conditions, points)

    monkeypatch.setattr(explore, "evaluate", interrupted)
    path = tmp_path / "parts.jsonl"
    with pytest.raises(KeyboardInterrupt):
        call(resume=path)
    assert len(path.read_text().splitlines()) == 1 + 20
    with path.open("a") as file:
        file.write('{"key": "lpddr5/')
    calls.append(None)  # past the interruption
    found = call(resume=path)
    assert len(calls) == 30 + 1 + POINTS - 20
    assert without_command(found) == without_command(whole)
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    monkeypatch.setattr(explore, "evaluate", None)
    assert without_command(call(resume=path)) == without_command(whole)


def test_a_larger_space_goes_on_with_a_smaller_one(call, tmp_path):
    path = tmp_path / "a.jsonl"
    call(resume=path, rows="4")
    assert without_command(call(resume=path)) == without_command(call())


def test_other_conditions_are_refused(call, tmp_path):
    path = tmp_path / "a.jsonl"
    call(resume=path, rows="4")
    before = path.read_bytes()
    with pytest.raises(ModelError, match=r"a\.jsonl was made under other .*context: 16, now 17"):
        call(resume=path, context=17)
    assert path.read_bytes() == before


def test_workers_find_the_same(call, monkeypatch):
    monkeypatch.setattr(explore, "BATCH", 20)
    assert without_command(call(workers=2)) == without_command(call())


def test_a_memory_each_has_a_front(call):
    found = call(memory="lpddr5,ideal:10", methods="fp16,speq", **{"draft-length": "2,best"})
    assert set(found["pareto"]) == {
        "lpddr5, the FP16 model's tokens",
        "ideal:10, the FP16 model's tokens",
    }
    assert len(found["best_by_method"]) == 4
    assert found["points"] == (1 + 2 * 2) * 2 * 2 * 2 * 2
    assert {
        each["draft_length"] for each in found["pareto"]["lpddr5, the FP16 model's tokens"]
    } <= {
        None,
        2,
    }


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"port-words": "3"}, ValueError, "no combination is a legal design .because of port_wor"),
        ({"methods": "olive4"}, ModelError, "method 'olive4' is not explored: use fp16"),
        ({"memory": "sdram"}, ModelError, "memory 'sdram' is unknown"),
        ({"draft-length": "2,many"}, ModelError, "'many' is neither an integer nor 'best'"),
        ({"clock": "4=500"}, ModelError, "the table of clocks has no 8 columns"),
        ({"modes": "verify+fast"}, ParameterError, "modes is 'fast', but must be one of verify"),
        ({"write-design": "best.txt"}, ParameterError, "best.txt is no design file: end it in .t"),
        ({"workers": None, "scheduler": "nowhere"}, WorkerError, "no Dask scheduler answers at no"),
    ],
)
def test_bad_input_is_one_error(call, options, error, message):
    with pytest.raises(error, match=message):
        call(**options)


def test_options_of_lists():
    assert _explore.integers("8, 4,8") == (8, 4)
    assert _explore.mode_sets("verify+draft,all")[1] == (
        "verify",
        "draft",
        "middle",
        "qdraft",
        "qverify",
    )
    assert _explore.clock("450") == 450.0
    assert _explore.clock("4=500,8=450.5") == {4: 500.0, 8: 450.5}


def test_help_states_the_defaults(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["explore.py", "--help"])
    with pytest.raises(SystemExit):
        explore.run()
    assert f"({','.join(map(str, Space().rows))})" in capsys.readouterr().out
