"""Every vocabulary encodes as its definition says, on random texts."""

import json

import decoding_vocabularies as toys
import numpy as np
import pytest
from decoding_vocabularies import ASCII_CUTS, CHATML, byte_level, sentence_piece, short
from hypothesis import given, settings
from hypothesis import strategies as st

from speq_sim.decoding import ModelError, load_tokenizer, own_prompts
from speq_sim.decoding.vocabularies import (
    tokenizer_from_gguf,
    tokenizer_from_hugging_face,
    tokenizer_from_llama2c,
)
from speq_sim.decoding.vocabularies.chat_template import chat_template

WORDS = (" the", " then", "he", "12", "1234", "it's", " ''", "\n\n", "  ", "   x", "é", " 😀")
ASCII = st.text(st.sampled_from("then xhi12340's.\n\t \r'TS"), max_size=40)
PIECES = [(" ", -5.0), ("a", -6.0), ("b", -7.0), ("é", -8.0), ("aa", -1.0), ("ab", -2.0)]
PIECES += [("aaa", -3.0), ("ba", -2.0), ("bab", -1.5), (" a", -4.0), ("éa", -1.0), ("abab", -0.5)]
PIECES += [(" " * count, -1e9) for count in (2, 3, 4, 5, 8)]
SPACED = st.text(st.sampled_from("  aaabbé😀"), max_size=30)


@pytest.mark.parametrize("pre", ASCII_CUTS)
@settings(max_examples=60, deadline=None)
@given(text=ASCII)
def test_byte_level_merges_by_rank_within_what_was_cut(pre, text):
    pytest.importorskip("tokenizers")
    keys = byte_level(WORDS, pre)
    tokenizer = cached(keys, pre)
    expected = toys.encode_by_rank(text, short(keys))
    pieces = b"".join(tokenizer.pieces[token] for token in expected)
    assert pieces.decode() == text
    if pre == "llama-bpe":
        # A cut that is a token is that token, though no merge may lead to it: here all do.
        assert all(
            merge.replace(" ", "") in short(keys)["tokens"] for merge in short(keys)["merges"]
        )
    assert tokenizer.encode(text) == expected
    assert tokenizer.decode(expected) == text


CACHE = {}


def cached(keys, name):
    if name not in CACHE:
        CACHE[name] = tokenizer_from_gguf(keys, name)
    return CACHE[name]


@pytest.mark.parametrize(
    ("pre", "text", "pieces"),
    [
        ("gpt-2", "x1234 it's", ["x", "1234", " ", "it", "'", "s"]),
        ("smollm", "x1234", ["x", "1", "2", "3", "4"]),
        ("smollm", "x²½४", ["x", "²", "½", "४"]),
        ("llama-bpe", "x1234", ["x", "123", "4"]),
        ("llama-bpe", "x\n\n y", ["x", "\n\n", " ", "y"]),
        ("default", "x1234", ["x", "123", "4"]),
        ("default", "then<12>", ["t", "he", "n", "<", "12", ">"]),
        ("default", "the", ["t", "he"]),
    ],
)
def test_what_is_cut(pre, text, pieces):
    pytest.importorskip("tokenizers")
    tokenizer = tokenizer_from_gguf(byte_level((*WORDS, "²", "½", "४"), pre), pre)
    found = [tokenizer.pieces[token].decode() for token in tokenizer.encode(text)]
    assert found == pieces


def test_a_file_that_names_no_pre_tokenizer_has_the_default_one():
    pytest.importorskip("tokenizers")
    keys = byte_level(WORDS)
    del keys["tokenizer.ggml.pre"]
    unnamed = tokenizer_from_gguf(keys, "unnamed")
    named = tokenizer_from_gguf(byte_level(WORDS, "default"), "named")
    for text in ("1234567 the+then 12", "then=12345"):
        assert unnamed.encode(text) == named.encode(text)


@settings(max_examples=200, deadline=None)
@given(text=SPACED, seed=st.integers(0, 5))
def test_scores_merge_as_in_llama2c(text, seed):
    pieces = PIECES
    if seed:
        # Few different scores: equal ones are merged from the left.
        scores = np.random.default_rng(seed).integers(0, 3, len(PIECES))
        pieces = [(piece, -float(score)) for (piece, _), score in zip(PIECES, scores, strict=True)]
    entries = toys.llama2c_entries(pieces)
    expected = toys.encode_like_llama2c(text, entries)
    data = toys.tokenizer_bin(entries)
    one = tokenizer_from_llama2c(data, len(entries), "toy")
    two = tokenizer_from_gguf(sentence_piece(pieces), "toy")
    assert one.encode(text) == two.encode(text) == expected
    assert one.decode(expected) == two.decode(expected) == text
    assert one.completion(text) == [1, *expected]


def test_runs_of_spaces_of_equal_score_grow_from_the_left():
    keys = sentence_piece(PIECES) | {"tokenizer.ggml.add_space_prefix": False}
    tokenizer = tokenizer_from_gguf(keys, "toy")
    found = [len(tokenizer.pieces[token]) for token in tokenizer.encode(" " * 13)]
    # The first grows to 5, as there is no 6, the next to 3, which makes 8; then 5 are left. By
    # ranks, all pairs would come first.
    assert found == [8, 5]


def test_characters_without_a_token_become_bytes_or_the_unknown_token():
    keys = sentence_piece(PIECES)
    assert tokenizer_from_gguf(keys, "toy").encode("ça") == [
        259, 3 + 0xC3, 3 + 0xA7, 260
    ]  # fmt: skip
    keys["tokenizer.ggml.token_type"] = [2, 3, 3] + [5] * 256 + [1] * len(PIECES)
    assert tokenizer_from_gguf(keys, "toy").encode("ça") == [259, 0, 260]
    del keys["tokenizer.ggml.unknown_token_id"]
    with pytest.raises(ModelError, match="the vocabulary has no token for 'ç', and none for"):
        tokenizer_from_gguf(keys, "toy").encode("ça")


def test_a_space_written_as_sentence_piece_does_is_a_space():
    tokenizer = tokenizer_from_gguf(sentence_piece(PIECES), "toy")
    assert tokenizer.encode(f"a{toys.SPACE}a") == tokenizer.encode("a a")


def write_folder(folder, settings=None, **changes):
    """A folder with the vocabulary of :func:`byte_level` as tokenizer.json."""
    import tokenizers

    keys = short(byte_level(WORDS))
    model = tokenizers.models.BPE(
        {text: token for token, text in enumerate(keys["tokens"])},
        [tuple(merge.split(" ")) for merge in keys["merges"]],
    )
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    program = json.loads(backend.to_str())
    program["added_tokens"] = [
        {"id": token, "content": text, "special": True, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False}
        for token, text in enumerate(toys.MARKS)
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(program | changes))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings or {}))
    return folder


def test_a_hugging_face_folder_is_the_same_vocabulary(tmp_path):
    pytest.importorskip("tokenizers")
    settings = {
        "bos_token": "<|im_start|>",
        "eos_token": {"content": "<|im_end|>"},
        "chat_template": CHATML,
    }
    found = load_tokenizer(write_folder(tmp_path / "toy", settings))
    keys = byte_level(WORDS) | {"tokenizer.chat_template": CHATML}
    expected = tokenizer_from_gguf(keys, "toy")
    assert found.pieces == expected.pieces
    assert (found.bos, found.add_bos, found.stop) == (1, False, frozenset((0, 2)))
    assert found.template == expected.template
    text = "then <|im_end|> it's 😀\n\n"
    for control in (False, True):
        tokens = expected.encode(text, control=control)
        assert found.encode(text, control=control) == tokens
        assert found.decode(tokens, control=True) == text
    assert found.chat(text) == expected.chat(text)
    (tmp_path / "toy" / "chat_template.jinja").write_text("{{ messages }}")
    (tmp_path / "toy" / "generation_config.json").write_text('{"eos_token_id": [7, 2]}')
    found = load_tokenizer(tmp_path / "toy")
    assert found.template is None
    assert found.stop == frozenset((0, 2, 7))


def test_a_hugging_face_folder_with_the_vocabulary_of_sentence_piece(tmp_path):
    pytest.importorskip("tokenizers")
    keys = short(sentence_piece([(" ", 0.0), ("a", 0.0), (" a", -1.0), ("aa", -2.0)]))
    space = toys.SPACE
    program = {
        "version": "1.0",
        "added_tokens": [
            {"id": token, "content": text, "special": True, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False}
            for token, text in enumerate(keys["tokens"][:3])
        ],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": space},
            {"type": "Replace", "pattern": {"String": " "}, "content": space}]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": space}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True,
            "vocab": {text: token for token, text in enumerate(keys["tokens"])},
            "merges": [f"{space} a", "a a"]},
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(program))
    found = tokenizer_from_hugging_face(tmp_path)
    assert (found.bos, found.add_bos, found.leading_space) == (1, True, True)
    tokens = found.completion("aaa ç")
    assert tokens == [1, 261, 262, 259, 3 + 0xC3, 3 + 0xA7]
    assert found.decode(tokens) == "aaa ç"
    assert found.stop == frozenset((2,))


@pytest.mark.parametrize(
    ("program", "system", "bos"),
    [
        (CHATML, "You help.", False),
        (CHATML.replace("\n", "\\n"), "You help.", False),
        (CHATML.replace("'<|im_start|>system\nYou help.", '"<|im_start|>system\nIt\'s \\"it\\".')
         .replace("<|im_end|>\n' }}{% endif", '<|im_end|>\n" }}{% endif'), 'It\'s "it".', False),
        ("{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + "
         "'<|im_end|>\n' }}{% endfor %}", None, True),
        ("{{ '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}", None, False),
    ],
)  # fmt: skip
def test_chat_ml_is_recognised(program, system, bos):
    found = chat_template(program, {"<|im_start|>": 1, "<|im_end|>": 2})
    assert (found.start, found.end, found.system, found.bos) == (1, 2, system, bos)


def test_other_chats_are_not():
    control = {"<|im_start|>": 1, "<|im_end|>": 2}
    assert chat_template(None, control) is None
    assert chat_template("{{ '<|user|>' + messages[0].content }}", control) is None
    assert chat_template(CHATML, {"<|im_start|>": 1}) is None


@pytest.fixture(scope="module")
def real():
    """Tokenizers of the packages that are there, by name."""
    pytest.importorskip("tokenizers")

    def load(name):
        try:
            return load_tokenizer(name)
        except ModelError as error:
            pytest.skip(str(error))

    return load


def test_prompts_in_the_vocabulary_of_smollm2(real):
    from speq_sim.decoding.readers import find_package
    from speq_sim.decoding.readers.gguf_values import read_key_values

    tokenizer = real("smollm2-135m")
    keys = short(read_key_values(find_package("smollm2-135m")))
    for prompt in own_prompts():
        expected = toys.encode_by_rank(prompt.text, keys)
        assert tokenizer.encode(prompt.text) == expected
        assert tokenizer.decode(expected) == prompt.text
    assert tokenizer.chat("Hi")[:3] == [1, 9690, 198]
    assert tokenizer.decode(tokenizer.chat("Hi"), control=True) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_prompts_in_the_vocabulary_of_stories(real):
    tokenizer = real("stories15m")
    scores = {token: score for token, score in tokenizer.encoder._scores.values()}
    entries = [(piece.decode("utf-8", "replace"), scores.get(token, 0.0))
               for token, piece in enumerate(tokenizer.pieces)]  # fmt: skip
    generator = np.random.default_rng(0)
    texts = [prompt.text for prompt in own_prompts()]
    texts += ["".join(generator.choice(list("  abeé\n1.😀'"), 30)) for _ in range(20)]
    for text in texts:
        expected = toys.encode_like_llama2c(text[:200], entries)
        assert tokenizer.encode(text[:200]) == expected
        assert tokenizer.decode(expected) == text[:200]
