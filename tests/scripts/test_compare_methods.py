"""compare_methods.py on a toy: identical tokens, figures, and what it says when they differ."""

import json
import sys

import pytest
from toy_story_model import write_model

import compare_methods
from speq_sim.decoding import Generation, Round

PROMPTS = ("a fox", "the sea", "once")


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run the command on some methods; gives its JSON record."""
    model = write_model(tmp_path / "toy.bin")
    prompts = tmp_path / "prompts.jsonl"
    lines = [json.dumps({"kind": "story", "prompt": prompt}) for prompt in PROMPTS]
    prompts.write_text("\n".join(lines) + "\n")

    def run(*methods):
        path = tmp_path / "out.json"
        argv = ["compare_methods.py", "--model", str(model), "--prompts", str(prompts)]
        argv += ["--tokens", "12", "--json", str(path)]
        for method in methods:
            argv += ["--method", method]
        monkeypatch.setattr(sys, "argv", argv)
        try:
            compare_methods.main()
        finally:
            run.found = json.loads(path.read_text())
        return run.found

    return run


def test_every_method_gives_the_tokens_of_plain_decoding(call):
    found = call()
    assert found["prompts"] == len(PROMPTS)
    assert list(found["methods"]) == list(compare_methods.METHODS)
    for name, each in found["methods"].items():
        assert each["lossless"], name
        assert each["prompts_identical"] == len(PROMPTS)
        assert 0 <= each["acceptance"] <= 1
        assert each["tokens"] <= 12 * len(PROMPTS)
        assert each["predicted_speedup"] > 0


def test_only_some_methods_are_run_when_they_are_named(call):
    assert list(call("trees")["methods"]) == ["speq, trees", "hierarchical, trees"]


def test_a_token_that_differs_is_an_error(call, monkeypatch):
    def broken(*arguments, **options):
        found = honest(*arguments, **options)
        first = found[0].rounds[0]
        changed = Round(**{**vars(first), "tokens": (first.tokens[0] ^ 1, *first.tokens[1:])})
        return [Generation((changed, *found[0].rounds[1:])), *found[1:]]

    honest = compare_methods.speculate_many
    monkeypatch.setattr(compare_methods, "speculate_many", broken)
    with pytest.raises(ValueError, match="tokens differ from plain decoding: speq, drafts of 4"):
        call("speq, drafts")
    assert call.found["methods"]["speq, drafts of 4"]["prompts_identical"] == len(PROMPTS) - 1
