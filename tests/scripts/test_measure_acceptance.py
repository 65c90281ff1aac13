"""Acceptance by command on a small random model: figures, resuming, faults, bad input."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

import _acceptance
import measure_acceptance
from speq_sim.decoding import ModelError, load_model, load_tokenizer, plain
from speq_sim.decoding.evaluation import make_target, tasks

sys.path.append(str(Path(__file__).parents[1] / "speq_sim" / "decoding"))

from decoding_models import llama2c_bytes, random_model

PIECES = ("<unk>", "\n<s>\n", "\n</s>\n", *(f"<0x{byte:02X}>" for byte in range(256)), " ", "e")
PROMPTS = (("chat", "a fox"), ("code", "def"), ("chat", "Who, me?"), ("story", "There"))
TOKENS = 12
LABELS = ("bsfp", "fitted-8", "int4-g128")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.bin"
    path.write_bytes(llama2c_bytes(random_model(5, vocabulary=len(PIECES)), PIECES))
    return path


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    lines = (json.dumps({"kind": kind, "prompt": text}) for kind, text in PROMPTS)
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def call(monkeypatch, tmp_path, model, prompts):
    """Run the command on the toy; gives what it wrote."""

    def run(*words, codecs=("bsfp",), path=tmp_path / "a.json", **options):
        options = {"model": model, "prompts": prompts, "tokens": TOKENS, "json": path} | options
        argv = [f"--{key}={value}" for key, value in options.items()]
        argv += [f"--codec={codec}" for codec in codecs]
        monkeypatch.setattr(sys, "argv", ["measure_acceptance.py", *argv, *words])
        assert measure_acceptance.run() == 0
        return json.loads(path.read_text())

    return run


def forbid(monkeypatch, name):
    def fail(*_args, **_options):
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(tasks, name, fail)


def test_figures_of_codecs_by_kind(call, model, tmp_path, capsys):
    found = call("--plot", str(tmp_path / "a.png"), codecs=LABELS)
    toy = found["models"]["toy"]
    assert toy["kinds"] == {"chat-1": "chat", "code-1": "code", "chat-2": "chat"}
    assert tuple(toy["codecs"]) == LABELS
    weights, tokenizer = load_model(model), load_tokenizer(model)
    target = make_target("fp16", weights).model
    for name, text in (("chat-2", "Who, me?"), ("code-1", "def")):
        tokens = plain(target, tokenizer.chat(text), TOKENS, stop=tokenizer.stop)
        assert list(map(int, toy["plain"]["fp16"][name].split())) == tokens
    for label, codec in toy["codecs"].items():
        figures = codec["summary"]["all"]
        assert list(codec["summary"]) == ["chat", "code", "all"]
        assert figures["lossless"]
        assert figures["prompts"] == 3
        assert figures["positions"] == sum(
            len(tokens.split()) for tokens in toy["plain"]["fp16"].values()
        )
        assert 0 < figures["agreement"]["value"] <= 1
        assert figures["agreement"]["low"] <= figures["agreement"]["high"]
        assert 1 <= figures["tokens_per_round"]["value"] <= 5
        assert figures["kl_mean"]["value"] > 0
        assert codec["about"]["head"] == "verify"
        assert ("minus_bsfp" in codec) == (label != "bsfp")
    values = [toy["codecs"][label]["summary"]["all"]["agreement"]["value"] for label in LABELS]
    paired = toy["codecs"]["int4-g128"]["minus_bsfp"]["all"]["agreement"]["value"]
    assert paired == pytest.approx(values[2] - values[0], abs=2e-6)
    assert (tmp_path / "a.png").is_file()
    assert str(tmp_path) not in json.dumps(found)
    assert "int4-g128" in capsys.readouterr().out


def test_what_is_there_is_not_measured_again(call, monkeypatch):
    whole = call(codecs=LABELS)
    forbid(monkeypatch, "plain_many")
    forbid(monkeypatch, "make_draft")
    assert call(codecs=LABELS)["models"] == whole["models"]


@pytest.mark.parametrize("policy", ["fixed", "adaptive"])
def test_workers_write_the_record_of_a_serial_run(call, tmp_path, policy):
    codecs = ("bsfp", "w4a4", "fitted-8")
    serial = call(codecs=codecs, group=1, policy=policy)
    parallel = call("--workers=2", codecs=codecs, group=1, policy=policy, path=tmp_path / "b.json")
    assert json.dumps(parallel["models"]) == json.dumps(serial["models"])
    assert parallel["settings"] == serial["settings"]


def test_workers_go_on_with_a_serial_run(call, tmp_path):
    call(limit=1)
    parts = call("--workers=1", codecs=LABELS, path=tmp_path / "a.json")
    whole = call(codecs=LABELS, path=tmp_path / "b.json")
    assert parts["models"] == whole["models"]


def test_a_worker_refuses_another_model_of_that_name(model):
    task = tasks.PlainTask("fp16", {"chat-1": (1, 2)}, TOKENS, frozenset())
    with pytest.raises(ModelError, match=r"toy\.bin has other weights where the worker runs"):
        tasks.measure_elsewhere(str(model), "0" * 16, "golden", task)


def test_more_prompts_and_codecs_are_added_to_what_is_there(call, tmp_path):
    call(limit=1, group=1)
    parts = call(codecs=("bsfp", "int4-g128"), group=2)
    whole = call(codecs=("bsfp", "int4-g128"), path=tmp_path / "b.json")
    for label in ("bsfp", "int4-g128"):
        one, other = (each["models"]["toy"]["codecs"][label] for each in (parts, whole))
        assert one["prompts"] == other["prompts"]
        assert one["summary"]["all"]["prompts"] == 3
    assert len(parts["commands"]) == 2


def test_another_packing_is_not_mixed_with_what_is_there(call, monkeypatch):
    call(limit=1)
    made = tasks.make_draft

    def other(*values):
        return dataclasses.replace(made(*values), digest="0")

    monkeypatch.setattr(tasks, "make_draft", other)
    with pytest.raises(ModelError, match=r"the draft bsfp of toy \(digest"):
        call()


def test_results_up_to_an_interruption_are_kept(call, monkeypatch, tmp_path):
    measured, calls = tasks.measure_draft, []

    def interrupted(*values):
        calls.append(values)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measured(*values)

    monkeypatch.setattr(tasks, "measure_draft", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call(group=1)
    left = json.loads((tmp_path / "a.json").read_text())
    assert len(left["models"]["toy"]["codecs"]["bsfp"]["prompts"]) == 2
    found = call(group=1)
    assert len(calls) == 4
    assert found["models"]["toy"]["codecs"]["bsfp"]["summary"]["all"]["prompts"] == 3


def test_other_tokens_than_plain_decoding_are_a_fault(call, tmp_path):
    found = call(limit=1)
    toy = found["models"]["toy"]
    tokens = toy["plain"]["fp16"]["chat-1"].split()
    toy["plain"]["fp16"]["chat-1"] = " ".join([*tokens[:-1], "7" if tokens[-1] != "7" else "8"])
    toy["codecs"] = {}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(found))
    with pytest.raises(ModelError, match="differ from plain decoding with bsfp of toy"):
        call(limit=1)
    prompts = json.loads(path.read_text())["models"]["toy"]["codecs"]["bsfp"]["prompts"]
    assert {name: each["lossless"] for name, each in prompts.items()} == {
        "chat-1": False,
        "code-1": True,
    }


@pytest.mark.parametrize("policy", ["adaptive", "confidence"])
def test_policies_draft_other_lengths(call, policy):
    found = call("--draft-length", "6", policy=policy)
    codec = found["models"]["toy"]["codecs"]["bsfp"]
    assert codec["summary"]["all"]["lossless"]
    rounds = sum(each["rounds"] for each in codec["prompts"].values())
    drafted = sum(each["drafted"] for each in codec["prompts"].values())
    assert drafted / rounds not in (4, 6)
    assert found["settings"]["draft_length"] == 6


def test_a_recipe_has_a_name_of_its_own(call, tmp_path):
    recipe = tmp_path / "best.json"
    recipe.write_text(json.dumps({"layer.0.down": "middle", "head": "draft"}))
    codecs = call(recipe=recipe)["models"]["toy"]["codecs"]
    assert list(codecs) == ["bsfp+best"]
    assert codecs["bsfp+best"]["about"]["head"] == "draft"
    assert codecs["bsfp+best"]["about"]["recipe"]["layer.0.down"] == "middle"


def test_qspec_is_held_against_its_own_target(call):
    found = call(codecs=("w4a4", "bsfp", "w4a4-hadamard"), limit=1)["models"]["toy"]
    assert set(found["plain"]) == {"fp16", "w4a16", "w4a16-hadamard"}
    assert all(each["summary"]["all"]["lossless"] for each in found["codecs"].values())


def test_kinds_can_be_chosen(call):
    found = call("--kind", "story", "--kind", "code", backend="fast")
    assert set(found["models"]["toy"]["kinds"].values()) == {"story", "code"}


def test_stories_are_for_story_models(call, monkeypatch, model):
    monkeypatch.setattr(_acceptance, "STORY_MODELS", ("toy",))
    assert set(call()["models"]["toy"]["kinds"]) == {"story-1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codecs": ("int5",)}, "codec 'int5' is not known: use one of truncate"),
        ({"codecs": ("packed:none.safetensors",)}, "none.safetensors does not exist"),
        ({"model": "nowhere.gguf"}, "nowhere.gguf does not exist"),
        ({"kind": "poem"}, "no prompt for toy .of kind poem. among those of kind chat, code"),
        ({"prompts": "none.jsonl"}, "none.jsonl cannot be read"),
        ({"policy": "confidence", "threshold": 2}, "threshold of 2.0 is no probability"),
        ({"codecs": ("mxfp4", "w4a4"), "backend": "fast"}, "golden back end alone"),
        ({"tokens": 70}, "beyond the model's context of 64"),
    ],
)
def test_bad_input_is_one_error_and_leaves_no_results(call, tmp_path, options, message):
    with pytest.raises(ModelError, match=message):
        call(**options)
    path = tmp_path / "a.json"
    if path.exists():
        assert not any(
            each["prompts"]
            for model in json.loads(path.read_text())["models"].values()
            for each in model["codecs"].values()
        )


@pytest.mark.parametrize("text", ["", "[1]", "{", "{}"])
def test_a_bad_recipe_is_one_error(call, tmp_path, text):
    recipe = tmp_path / "bad.json"
    recipe.write_text(text)
    with pytest.raises(ModelError, match=r"bad\.json is no recipe"):
        call(recipe=recipe)


def test_other_settings_leave_the_file_as_it_is(call, tmp_path):
    call(limit=1)
    before = (tmp_path / "a.json").read_bytes()
    for options, key in (({"tokens": 8}, "tokens"), ({"activations": "bfp8"}, "activations")):
        with pytest.raises(ModelError, match=rf"other settings .*\({key}"):
            call(limit=1, **options)
        assert (tmp_path / "a.json").read_bytes() == before
