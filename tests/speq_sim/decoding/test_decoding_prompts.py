"""Prompts come as they are written; every bad line is named."""

from collections import Counter

import pytest

from speq_sim.decoding import ModelError, Prompt, calibration_prompts, own_prompts, read_prompts


def test_prompts_of_a_file(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        '{"kind": "chat", "prompt": "Grüße\\n\\u2028x", "id": 7}\r\n\n'
        '{"prompt": "def f():\\n", "kind": "code"}',
        encoding="utf-8",
    )
    expected = (Prompt("chat", "Grüße\n\u2028x"), Prompt("code", "def f():\n"))
    assert read_prompts(path) == read_prompts(str(path)) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", r"line 2 of bad.jsonl is no JSON .*: write \{\"kind\": \"chat\", \"prompt\""),
        (b"\xff", "line 2 of bad.jsonl is no JSON"),
        (b"[]", "line 2 of bad.jsonl lacks 'kind', a text that is not empty: add it"),
        (b'{"prompt": "x"}', "line 2 of bad.jsonl lacks 'kind'"),
        (b'{"kind": "chat"}', "line 2 of bad.jsonl lacks 'prompt'"),
        (b'{"kind": "chat", "prompt": 3}', "line 2 of bad.jsonl lacks 'prompt'"),
        (b'{"kind": "chat", "prompt": " "}', "line 2 of bad.jsonl lacks 'prompt'"),
        (b'{"kind": "chat", "prompt": "\\ud800"}', "line 2 of bad.jsonl has half of a surrogate"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"kind": "chat", "prompt": "x"}\n' + line + b"\n")
    with pytest.raises(ModelError, match=message):
        read_prompts(path)


def test_files_without_prompts(tmp_path):
    with pytest.raises(
        ModelError, match=r"the prompts absent.jsonl cannot be read .*: give a file"
    ):
        read_prompts(tmp_path / "absent.jsonl")
    with pytest.raises(ModelError, match="cannot be read"):
        read_prompts(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(
        ModelError, match=r"empty.jsonl has no prompts: write one JSON object a line"
    ):
        read_prompts(tmp_path / "empty.jsonl")


def test_our_own_prompts_are_of_all_kinds_and_share_nothing():
    kinds = {"chat": 8, "maths": 8, "code": 8}
    sets = [own_prompts(), calibration_prompts()]
    for prompts, stories in zip(sets, (24, 6), strict=True):
        assert Counter(prompt.kind for prompt in prompts) == kinds | {"story": stories}
    texts = [prompt.text for prompts in sets for prompt in prompts]
    assert len(set(texts)) == len(texts)
    # No sentence is in two of them either.
    openings = [" ".join(text.split()[:6]) for text in texts]
    assert [text for text, count in Counter(openings).items() if count > 1] == []
