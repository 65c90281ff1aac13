"""scripts/decode.py on a toy model with a tokenizer: streams, comparisons, errors in one line."""

import argparse
import dataclasses
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import _cli
import decode
import pack_weights
from _decode_view import LiveView, PlainView, view_on, visible
from speq_sim.decoding import (
    Llama,
    ModelError,
    WideBackend,
    load_model,
    load_tokenizer,
    plain,
)
from speq_sim.decoding.tokenizer import ChatTemplate

sys.path.append(str(Path(__file__).parents[1] / "speq_sim" / "decoding"))

from decoding_models import random_model, write_gguf
from toy_story_model import PIECES, write_model

PROMPT = "a fox"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("toy") / "toy.bin")


@pytest.fixture
def call(monkeypatch, tmp_path, model):
    """Run the command on the toy; gives its JSON record."""

    def run(*words, model=model, prompt=PROMPT, tokens=20):
        path = tmp_path / "out.json"
        argv = ["decode.py", "--model", str(model), "--prompt", prompt, "--json", str(path)]
        argv += ["--tokens", str(tokens)] if tokens else []
        monkeypatch.setattr(sys, "argv", [*argv, *words])
        decode.run()
        return json.loads(path.read_text())

    return run


def plain_tokens(model, count=20):
    """Plain decoding in double precision, with no code of the command."""
    weights, tokenizer = load_model(model), load_tokenizer(model)
    target = Llama(weights, WideBackend(weights.matrices), np.float64)
    return plain(target, tokenizer.completion(PROMPT), count, stop=tokenizer.stop)


def test_the_text_is_streamed_and_recorded(call, model, capsys):
    found = call()
    out, err = capsys.readouterr()
    tokenizer = load_tokenizer(model)
    assert found["tokens"] == plain_tokens(model)
    assert found["text"] == tokenizer.decode(found["tokens"], continued=True)
    assert out == found["text"] + "\n"
    assert found["prompt_tokens"] == tokenizer.completion(PROMPT)
    # No recipe is fitted for a toy: the head is drafted from eight bits.
    sizes = {name: rows * k for name, (rows, k) in load_model(model).config.matrix_shapes().items()}
    bits = 4 + 4 * sizes["head"] / sum(sizes.values())
    assert (found["method"], found["codec"], found["recipe"]) == (
        "speq", "fitted-8", {"head": "middle"},
    )  # fmt: skip
    assert found["draft_bits_per_weight"] == pytest.approx(bits, abs=1e-4)
    verify = found["passes"]["verify"]
    assert verify["passes"] == found["rounds"]
    assert verify["tokens"] == found["passes"]["draft"]["passes"] + found["rounds"]
    assert "golden model of the array" in found["arithmetic"]
    assert "... packing with fitted-8\n" in err
    status = f"20 tokens, acceptance {found['acceptance']:.3f}, "
    status += f"{found['tokens_per_round']:.2f} tokens per round, "
    assert status + f"predicted speedup {found['predicted_speedup']:.2f}, " in err
    assert f"Arithmetic: {found['arithmetic']}." in err


@pytest.mark.parametrize(
    "words",
    [
        ["--method", "plain"],
        ["--method", "hierarchical", "--min-draft-length", "3"],
        ["--tree", "--draft-length", "2"],
        ["--policy", "confidence", "--threshold", "0.3"],
        ["--policy", "fixed", "--draft-length", "1", "--codec", "bsfp"],
        ["--codec", "mxfp4"],
    ],
)
def test_every_way_to_decode_gives_the_tokens_of_plain_decoding(call, model, words):
    found = call(*words)
    assert found["tokens"] == plain_tokens(model)
    if "fixed" in words:
        assert found["passes"]["verify"]["tokens"] <= 2 * found["rounds"]
    if "plain" in words:
        assert (found["acceptance"], found["predicted_speedup"], found["rounds"]) == (None, 1, 20)


def test_methods_side_by_side(call, capsys):
    found = call("--compare")
    out = capsys.readouterr().out
    methods = found["methods"]
    assert list(methods) == ["plain", "speq", "hierarchical", "qspec-plain", "qspec"]
    for method, other in (("speq", "plain"), ("hierarchical", "plain"), ("qspec", "qspec-plain")):
        assert methods[method]["tokens"] == methods[other]["tokens"]
        assert (methods[method]["equal"], methods[method]["equal_tokens"]) == (True, 20)
        assert methods[method]["equal_to"] == other
        assert re.search(rf"{method} +yes +[0-9.]+ ", out)
    # Each reads less of a weight in a draft; QSpec's two passes read the same.
    assert methods["hierarchical"]["passes"]["middle"]["passes"] >= 1
    assert methods["qspec"]["predicted_speedup"] <= 1
    assert methods["qspec-plain"]["bytes_per_token"] < methods["plain"]["bytes_per_token"]
    assert out.startswith(visible(methods["plain"]["text"]))
    assert all(len(line) <= 80 for line in out.splitlines() if "yes" in line)


def test_what_differs_from_plain_decoding_is_shown(monkeypatch, call, capsys):
    session = decode.Preparation.session

    def broken(self, method):
        found = session(self, method)
        if method != "speq":
            return found

        class Broken(type(found)):
            def rounds(self, *words, **options):
                for index, each in enumerate(found.rounds(*words, **options)):
                    tokens = tuple(7 for _ in each.tokens) if index else each.tokens
                    yield dataclasses.replace(each, tokens=tokens)

        return Broken(**vars(found))

    monkeypatch.setattr(decode.Preparation, "session", broken)
    found = call("--compare")["methods"]["speq"]
    assert found["equal"] is False
    assert 1 <= found["equal_tokens"] < 20
    assert f"no: {found['equal_tokens']}" in capsys.readouterr().out


def test_methods_that_do_not_apply_are_named(call, tmp_path, capsys):
    odd = write_model(tmp_path / "odd.bin", intermediate=4 * 23)
    found = call("--compare", "--codec", "mxfp4", model=odd)
    assert list(found["methods"]) == ["plain", "speq"]
    assert set(found["left_out"]) == {"hierarchical", "qspec"}
    out = capsys.readouterr().out
    assert "hierarchical is left out: codec 'mxfp4' is a copy" in out
    assert "qspec is left out: the inputs of 'down' cannot be rotated" in out


def test_sampled_tokens_are_not_compared_one_by_one(call):
    words = ("--compare", "--temperature", "0.8", "--seed", "3", "--backend", "fast")
    found = call(*words)
    assert {each["equal"] for each in found["methods"].values()} == {None}
    assert "BLAS" in found["arithmetic"]
    assert set(found["left_out"]) == {"qspec"}


def test_a_seed_gives_the_same_text_again(call):
    words = ("--temperature", "1", "--seed")
    texts = [call(*words, seed)["tokens"] for seed in ("1", "1", "2")]
    assert texts[0] == texts[1] != texts[2]


def test_a_recipe_reads_more_planes(call, tmp_path):
    path = tmp_path / "recipe.json"
    config = random_model(5, vocabulary=len(PIECES)).config
    path.write_text(json.dumps({"recipe": dict.fromkeys(config.matrix_shapes(), "verify")}))
    found = call("--recipe", str(path))
    assert (found["draft_bits_per_weight"], found["acceptance"]) == (16, 1)
    assert found["predicted_speedup"] <= 1
    path.write_text('{"head": "middle"}')
    found = call("--recipe", str(path), "--compare")["methods"]["speq"]
    assert 4 < found["draft_bits_per_weight"] < 8


@pytest.fixture(scope="module")
def toy_gguf(tmp_path_factory):
    pytest.importorskip("gguf")
    weights = random_model(5, vocabulary=len(PIECES))
    return write_gguf(tmp_path_factory.mktemp("gguf") / "toy.gguf", weights)


def test_a_packed_file_is_read_instead_of_packing(
    monkeypatch, call, model, toy_gguf, tmp_path, capsys
):
    # The same weights with rows of q and k in another order: a model of its own.
    monkeypatch.setattr(decode, "load_tokenizer", lambda _: load_tokenizer(model))
    packed = tmp_path / "toy.safetensors"
    monkeypatch.setattr(
        sys, "argv", ["pack", str(toy_gguf), str(packed), "--round", "--family", "bsfp"]
    )
    pack_weights.main()
    found = call("--packed", str(packed), model=toy_gguf)
    assert found["codec"] == "bsfp"
    assert "... reading toy.safetensors\n" in capsys.readouterr().err
    assert found["tokens"] == call("--method", "plain", model=toy_gguf)["tokens"]


def test_the_answer_ends_at_a_stop_token(monkeypatch, call, model):
    tokens = plain_tokens(model)
    stop = next(token for token in tokens[2:] if token not in tokens[:2])
    tokenizer = dataclasses.replace(load_tokenizer(model), stop=frozenset([stop]))
    monkeypatch.setattr(decode, "load_tokenizer", lambda _: tokenizer)
    for method in ("speq", "plain", "hierarchical"):
        found = call("--method", method)
        assert found["tokens"] == tokens[: tokens.index(stop) + 1]
        assert found["stopped"]
    assert not call(tokens=2)["stopped"]


def test_without_a_number_as_many_tokens_as_fit(call, monkeypatch):
    monkeypatch.setattr(decode, "TOKENS", 5)
    assert len(call(tokens=None)["tokens"]) == 5
    monkeypatch.setattr(decode, "TOKENS", 1000)
    found = call("--method", "plain", tokens=None)
    assert len(found["tokens"]) + len(found["prompt_tokens"]) == 64


def asked(**options):
    return argparse.Namespace(**{"prompt": "Hi", "raw": False, "system": None} | options)


def test_prompts_in_the_chat_template_and_raw(model):
    bare = load_tokenizer(model)
    chat = dataclasses.replace(bare, template=ChatTemplate(start=300, end=301, system="Be."))
    assert decode.prompt_of(asked(raw=True), chat) == bare.completion("Hi")
    assert decode.prompt_of(asked(), chat) == chat.chat("Hi")
    found = decode.prompt_of(asked(system="Rhyme."), chat)
    assert found[:12] == [300, *chat.encode("system\nRhyme.")][:12]
    assert found != chat.chat("Hi")
    with pytest.raises(ModelError, match="no chat template for --system: leave it out"):
        decode.prompt_of(asked(system="Rhyme."), bare)


def test_an_empty_prompt_of_a_model_without_a_first_token(monkeypatch, call, model):
    tokenizer = dataclasses.replace(load_tokenizer(model), bos=None)
    monkeypatch.setattr(decode, "load_tokenizer", lambda _: tokenizer)
    with pytest.raises(ModelError, match="the prompt has no tokens"):
        call(prompt="")


def spoilt(weights):
    weights.norms["norm"][3] = np.nan


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tree", "--temperature", "1"], "--tree is judged greedily: leave out --temperature"),
        (["--tree", "--policy", "fixed"], "--tree has no policy"),
        (["--threshold", "0.5"], "--threshold is of --policy confidence"),
        (["--temperature", "-1"], "--temperature -1.0 is none"),
        (["--temperature", "nan"], "--temperature nan is none"),
        (["--method", "plain", "--tree"], "--method plain drafts nothing"),
        (["--method", "plain", "--codec", "bsfp"], "--method plain runs weights as they are"),
        (["--method", "qspec", "--codec", "bsfp"], "--method qspec makes its own INT4"),
        (["--codec", "best"], "codec 'best' does not exist: use one of truncate, speq, bsfp"),
        (["--codec", "mxfp4", "--method", "hierarchical"], "codec 'mxfp4' is a copy"),
        (["--method", "qspec", "--backend", "fast"], "qspec runs on the golden back end alone"),
        (["--draft-length", "0"], "--draft-length 0 is none: give 1 or more"),
        (["--min-draft-length", "0", "--method", "hierarchical"], "--min-draft-length 0 is none"),
    ],
)
def test_options_that_make_no_sense(call, words, message):
    with pytest.raises(ModelError, match=message):
        call(*words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "recipe.json is no JSON"),
        ("[1]", "recipe.json is no recipe: give a mode for each layer"),
        ('{"head": 3}', "recipe.json is no recipe"),
        ('{"tail": "draft"}', "the recipe names layer 'tail', which the model has not"),
        ('{"head": "plain"}', "the recipe reads layer 'head' in mode 'plain'"),
    ],
)
def test_recipes_that_are_none(call, tmp_path, content, message):
    path = tmp_path / "recipe.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=message):
        call("--recipe", str(path))
    if "names" in message:
        path.write_text('{"head": "draft"}')
        with pytest.raises(ModelError, match="codec 'mxfp4' has no planes: leave out the recipe"):
            call("--recipe", str(path), "--codec", "mxfp4")


def test_a_prompt_that_leaves_no_room(call):
    with pytest.raises(
        ModelError, match=r"prompt has 102 tokens, which leaves no room in .* of 64"
    ):
        call(prompt="x" * 100)
    with pytest.raises(ModelError, match=r"60 tokens were asked for, but .* has room for 1 to 57"):
        call(tokens=60)


def test_errors_are_one_line_and_write_nothing(monkeypatch, tmp_path, model, toy_gguf, capsys):
    """Through the command's own way out: status 2, one line, no file."""
    out = tmp_path / "out.json"
    bare = write_model(tmp_path / "bare.bin", tokens=())
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"model_type": "gpt_neox"}')
    broken = write_model(tmp_path / "broken.bin", spoilt)
    not_packed = tmp_path / "not.safetensors"
    not_packed.write_bytes(b"nothing")
    cases = [
        (bare, [], "bare.bin has no tokenizer: put llama2.c's tokenizer.bin into its folder"),
        (tmp_path / "none.gguf", [], "none.gguf does not exist: give a GGUF file"),
        (broken, [], "the model gave a logit of Inf or NaN: layer 'head' gave the first"),
        (model, ["--recipe", str(tmp_path / "none.json")], "No such file or directory"),
        (model, ["--packed", str(not_packed)], "not.safetensors"),
    ]
    for path, words, message in cases:
        argv = ["decode.py", "--model", str(path), "--prompt", "a", "--json", str(out), *words]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as end:
            _cli.main(decode.run, expected=(ModelError,))
        assert end.value.code == 2
        errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
        assert len(errors) == 1
        assert message in errors[0]
        assert not out.exists()
    # The tokenizer of a model of another architecture may be fine: its weights are refused.
    monkeypatch.setattr(decode, "load_tokenizer", lambda _: load_tokenizer(model))
    monkeypatch.setattr(sys, "argv", ["decode.py", "--model", str(foreign), "--prompt", "a"])
    with pytest.raises(ModelError, match="unknown architecture: model_type is 'gpt_neox'"):
        decode.run()


def terminal():
    file = io.StringIO()
    return Console(file=file, force_terminal=True, color_system="standard", width=60), file


def test_accepted_tokens_are_green_on_a_terminal(monkeypatch, call, model):
    console, file = terminal()
    monkeypatch.setattr(_cli, "console", console)
    found = call()
    shown = file.getvalue()
    assert "\x1b[32m" in shown
    assert "tokens per round" in shown
    plainly = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    last = visible(found["text"]).split("\n")[-1]
    assert last[-5:] in plainly


def test_the_live_view_commits_whole_lines_and_ends_without_the_status():
    console, file = terminal()
    with LiveView(console) as view:
        view.add("one ", True)
        view.status("STATUS")
        view.add("two\nthree", False)
    whole, _, rest = file.getvalue().partition("two")
    assert "\x1b[32mone \x1b[0m" in whole
    assert "STATUS" in whole
    assert rest.rstrip("\x1b[?25h\n").endswith("three")
    assert "STATUS" in rest


def test_the_view_fits_its_console(capsys):
    console, _ = terminal()
    assert isinstance(view_on(console, plain=False), LiveView)
    assert isinstance(view_on(console, plain=True), PlainView)
    assert isinstance(view_on(Console(file=io.StringIO()), plain=False), PlainView)
    with PlainView() as view:
        view.add("a\x1b", True)
        view.status("STATUS")
    assert capsys.readouterr().out == "a\x1b\n"


def test_no_text_steers_the_terminal():
    assert visible("a\tb\nc\x1b[2J\x07\x7f\x9b") == "a\tb\nc\u241b[2J\u2407\ufffd\ufffd"
