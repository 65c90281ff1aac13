"""Recipes by command on a small random model: what is written, and bad input."""

import json
import sys

import pytest
from toy_story_model import write_model

import _recipe
import fit_recipe
import measure_acceptance
from speq_sim.decoding import ModelError, load_model
from speq_sim.decoding.preparation import read_recipe
from speq_sim.performance import draft_bits

TEXTS = ("a fox", "def", "Who, me?", "There")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("toy") / "toy.bin")


@pytest.fixture
def call(monkeypatch, tmp_path, model):
    """Run the command on the toy; gives its figures and its recipe."""

    def run(*words, texts=TEXTS, **options):
        prompts = tmp_path / "prompts.jsonl"
        lines = (json.dumps({"kind": "chat", "prompt": text}) for text in texts)
        prompts.write_text("\n".join(lines))
        paths = {"json": tmp_path / "figures.json", "output": tmp_path / "recipe.json"}
        options = {
            "model": model, "prompts": prompts, "codec": "bsfp", "positions": 12, "judged": 40,
            "recipes": 4, "context": 20, **paths,
        } | options  # fmt: skip
        argv = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
        monkeypatch.setattr(sys, "argv", ["fit_recipe.py", *argv, *words])
        fit_recipe.run()
        return tuple(json.loads(path.read_text()) for path in paths.values())

    return run


def test_the_best_of_the_measured_recipes_is_written(call, model, tmp_path, capsys):
    figures, recipe = call("--plot", str(tmp_path / "a.png"))
    config = load_model(model).config
    rows = figures["recipes"]
    assert {"all 4 bits", "head at middle", "head verified", "chosen"} < set(rows)
    assert rows["chosen"]["speedup_fit"] == max(row["speedup_fit"] for row in rows.values())
    assert rows["chosen"]["bits"] == pytest.approx(draft_bits(config, recipe), abs=1e-4)
    assert figures["chosen"] == recipe == read_recipe(tmp_path / "recipe.json")
    assert "head" in recipe
    # More planes, less KL: of the sums, by construction, and as measured at the ends.
    curve = figures["curve"]
    assert (curve[0]["bits"], curve[-1]["bits"], curve[-1]["kl_sum"]) == (4, 16, 0)
    assert rows["all 4 bits"]["kl_sum"] == curve[0]["kl_sum"]
    assert rows["all 4 bits"]["kl"] > rows["head verified"]["kl"] > 0
    assert set(figures["sensitivities"]) == set(config.matrix_shapes())
    assert all(row["lossless"] for row in rows.values())
    assert sum(rows["head verified"]["planes"].values()) == len(config.matrix_shapes())
    assert (figures["codec"], figures["settings"]["judged_prompts"]) == ("bsfp", 2)
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert str(tmp_path) not in json.dumps(figures)
    assert "head at middle" in capsys.readouterr().out


def test_sensitivities_and_recipes_are_measured_on_different_prompts(call, monkeypatch):
    read = []
    prefill = _recipe.prefill_many

    def noted(model, prompts):
        read.append(prompts)
        return prefill(model, prompts)

    monkeypatch.setattr(_recipe, "prefill_many", noted)
    call()
    fitted, judged = ({tuple(prompt) for prompt in prompts} for prompts in read)
    assert len(fitted) == len(judged) == 2
    assert not fitted & judged


def test_the_recipe_is_read_by_measure_acceptance(call, monkeypatch, tmp_path, model):
    figures, recipe = call()
    path = tmp_path / "a.json"
    argv = [
        f"--model={model}", f"--prompts={tmp_path / 'prompts.jsonl'}", "--codec=bsfp",
        f"--recipe={tmp_path / 'recipe.json'}", f"--json={path}", "--tokens=10",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["measure_acceptance.py", *argv])
    assert measure_acceptance.run() == 0
    codec = json.loads(path.read_text())["models"]["toy"]["codecs"]["bsfp+recipe"]
    assert codec["about"]["recipe"] == recipe
    assert codec["bits"]["read"] == pytest.approx(figures["recipes"]["chosen"]["bits"], abs=1e-4)


def test_lost_tokens_are_a_fault(call, monkeypatch, tmp_path):
    figures_of = _recipe.figures_of

    def lossy(*values):
        figures = figures_of(*values)
        figures["recipes"]["chosen"]["lossless"] = False
        return figures

    monkeypatch.setattr(fit_recipe, "figures_of", lossy)
    with pytest.raises(ModelError, match="differ from plain decoding"):
        call()
    assert (tmp_path / "recipe.json").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": 0}, "--positions 0 is none"),
        ({"draft_length": 0}, "--draft-length 0 is none"),
        ({"recipes": 1}, "--recipes 1 make no curve"),
        ({"model": "none.gguf"}, "none.gguf does not exist"),
        ({"prompts": "none.jsonl"}, "none.jsonl cannot be read"),
        ({"texts": TEXTS[:1]}, "fitted on some prompts and chosen on others: give 2 or more"),
        ({"texts": ("a" * 63, "b")}, "of the model's context of 64: shorten it"),
    ],
)
def test_bad_input_is_one_error(call, options, message):
    with pytest.raises(ModelError, match=message):
        call(**options)


def test_a_model_without_packed_matrices_has_no_recipe(call, monkeypatch):
    plain = fit_recipe.PackedLayers.plain
    monkeypatch.setattr(fit_recipe.PackedLayers, "pack", lambda matrices, _: plain(matrices))
    with pytest.raises(ModelError, match="none has planes to choose"):
        call()
