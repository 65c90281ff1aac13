"""scripts/predict.py: the figures by command, all methods, and what is refused."""

import json
from pathlib import Path

import pytest

import predict as script
from speq.parameters import ParameterError
from speq_sim.decoding import ModelError

ALL_MODES = str(Path(__file__).parents[2] / "hw/small-all.toml")

HEADLINE = [
    *("--model", "llama-2-7b", "--design", "server", "--memory", "hbm2e"),
    *("--method", "speq", "--acceptance", "0.976"),
]


@pytest.fixture
def predict(monkeypatch, tmp_path, capsys):
    """The figures of a call, and what it prints."""

    def call(*words):
        path = tmp_path / "figures.json"
        monkeypatch.setattr("sys.argv", ["predict.py", *words, "--json", str(path)])
        script.run()
        return json.loads(path.read_text()), capsys.readouterr().out

    return call


def test_the_figures_of_one_method(predict):
    figures, text = predict(*HEADLINE)
    for name in (
        "seconds_per_token", "speedup_vs_fp16", "byte_bound_speedup", "limited_by", "energy",
    ):  # fmt: skip
        assert name in figures
    assert figures["method"] == "speq"
    # FP16 reads 13.2 GB through a port of 64 GB/s; a draft pass a quarter of it.
    assert 0.05 < figures["seconds_per_token"] < 0.15
    assert 2 < figures["speedup_vs_fp16"] < 1 / 0.25
    assert figures["limited_by"] == "port"
    assert figures["energy"]["joules_per_token"] > 0
    assert "--units auto" in text


def test_all_methods_of_a_design_and_a_measured_acceptance(predict):
    figures, _ = predict(
        *("--model", "llama-3-8b", "--memory", "lpddr5", "--method", "all"),
        *("--acceptance", "spare-1", "--design", ALL_MODES),
    )
    found = {each["method"]: each for each in figures["methods"]}
    assert {"fp16", "int4", "speq", "qspec", "hierarchical", "olive8", "eagle2"} <= set(found)
    assert "hierspec" not in found  # Llama-3-8B does not draft for itself
    assert found["fp16"]["speedup_vs_fp16"] == 1
    assert 0.85 < figures["acceptance"] < 0.95


def test_of_all_methods_those_are_left_out_that_the_design_lacks(predict):
    figures, _ = predict("--model", "smollm2-135m", "--design", "server", "--method", "all")
    found = {each["method"] for each in figures["methods"]}
    assert "speq" in found
    assert not found & {"qspec", "w4a16", "hierarchical"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "gpt-5"], "llama-2-7b"),
        (["--model", "llama-2-7b", "--memory", "sram"], "hbm2e"),
        (["--model", "llama-2-7b", "--acceptance", "high"], "neither a chance from 0 to 1 nor"),
        (["--model", "llama-2-7b", "--acceptance", "2"], "acceptance is 2.0"),
        (["--model", "llama-2-7b", "--units", "many"], "--units 'many' is neither an integer nor"),
        (["--model", "llama-2-7b", "--draft-length", "x"], "--draft-length 'x' is neither"),
        (["--model", "llama-2-7b", "--recipe", "tail=verify"], "the recipe names 'tail'"),
        (["--model", "llama-2-7b", "--method", "qspec"], "mode 'qdraft' is not built into"),
        (["--model", "llama-2-7b", "--set", "rows=0"], "rows is 0"),
    ],
)
def test_refusals(predict, words, message):
    with pytest.raises((ModelError, ParameterError), match=message):
        predict(*words)
