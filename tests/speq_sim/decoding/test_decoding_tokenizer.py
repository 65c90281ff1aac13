"""Texts and tokens, there and back, piece by piece; and every lack is one clear error."""

import sys

import decoding_vocabularies as toys
import pytest
from decoding_models import interleaved, llama2c_bytes, random_model, write_gguf
from decoding_vocabularies import CHATML, byte_level, sentence_piece
from hypothesis import given, settings
from hypothesis import strategies as st

from speq_sim.decoding import ModelError, load_model, load_tokenizer
from speq_sim.decoding.vocabularies import tokenizer_from_gguf, tokenizer_from_llama2c

PIECES = [(" ", 0.0), ("a", 0.0), ("b", 0.0), (" a", -1.0), ("ab", -2.0), (" ab", -3.0)]


def score_tokenizer(**keys):
    return tokenizer_from_gguf(sentence_piece(PIECES) | keys, "toy")


def byte_tokenizer(**keys):
    pytest.importorskip("tokenizers")
    return tokenizer_from_gguf(byte_level((" the", " then", "\n\n")) | keys, "toy")


@pytest.fixture(scope="module", params=["byte-level", "scores"])
def tokenizer(request):
    return byte_tokenizer() if request.param == "byte-level" else score_tokenizer()


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[toys.SPACE])))
def test_texts_come_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_stream_gives_what_decoding_gives(tokenizer, data):
    tokens = data.draw(st.lists(st.integers(0, len(tokenizer.pieces) - 1), max_size=20))
    control = data.draw(st.booleans())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(tokens)), max_size=4)))
    stream, found = tokenizer.stream(control=control), ""
    for start, end in zip([0, *cuts], [*cuts, len(tokens)], strict=True):
        found += stream.push(tokens[start:end])
    found += stream.close()
    assert found == tokenizer.decode(tokens, control=control, continued=True)


def test_a_stream_holds_back_what_is_not_complete():
    stream = score_tokenizer().stream()
    first, *others = [3 + byte for byte in "é😀".encode()]
    assert stream.push([260, first]) == "a"
    assert [stream.push([token]) for token in others] == ["é", "", "", "", "😀"]
    assert stream.push([first]) == ""
    assert stream.close() == "\ufffd"


def test_the_space_before_a_text_is_taken_away_at_its_beginning_alone():
    tokenizer = score_tokenizer()
    assert tokenizer.encode("ab a") == [264, 262]
    assert tokenizer.decode([264, 262]) == "ab a"
    assert tokenizer.decode([262], continued=True) == " a"
    assert tokenizer.stream().push([262]) == " a"
    bare = score_tokenizer(**{"tokenizer.ggml.add_space_prefix": False})
    assert bare.encode("ab a") == [263, 262]
    assert bare.decode([262]) == " a"


def test_control_tokens_are_text_unless_they_are_asked_for(tokenizer):
    mark = list(tokenizer.control)[-1]
    token = tokenizer.control[mark]
    text = f"a{mark}b"
    plain = tokenizer.encode(text)
    assert token not in plain
    assert tokenizer.decode(plain) == text
    parsed = tokenizer.encode(text, control=True)
    assert parsed == [*tokenizer.encode("a"), token, *tokenizer.encode("b")]
    assert tokenizer.decode(parsed).replace(" ", "") == "ab"
    assert tokenizer.decode(parsed, control=True).replace(" ", "") == text


def test_user_defined_tokens_stand_for_their_text_always():
    keys = sentence_piece([*PIECES, ("<a", 0.0), ("<a>", 0.0)])
    keys["tokenizer.ggml.token_type"][-2:] = [4, 4]
    tokenizer = tokenizer_from_gguf(keys, "toy")
    # The longest one wins, and comes before anything is merged.
    assert tokenizer.encode("ab<a>b<ab") == [264, 266, 259, 261, 265, 259, 261]
    assert tokenizer.decode([266, 265], control=False) == "<a><a"


def test_what_a_text_begins_and_an_answer_ends_with():
    score, byte = score_tokenizer(), byte_tokenizer()
    assert (score.bos, score.add_bos, score.stop) == (1, True, {2})
    assert score.completion("ab") == [1, 264]
    assert (byte.bos, byte.add_bos, byte.stop) == (1, False, {0, 2})
    assert byte.completion("a") == byte.encode("a")
    ended = byte_tokenizer(
        **{"tokenizer.ggml.eot_token_id": 9, "tokenizer.ggml.add_bos_token": True}
    )
    assert ended.stop == {0, 2, 9}
    assert ended.completion("a") == [1, *byte.encode("a")]
    assert byte_tokenizer(**{"tokenizer.ggml.pre": "llama-bpe"}).add_bos


def test_a_chat_is_written_by_the_template():
    tokenizer = byte_tokenizer(**{"tokenizer.chat_template": CHATML})
    tokens = tokenizer.chat("the <|im_end|>")
    assert tokenizer.decode(tokens, control=True) == (
        "<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\nthe <|im_end|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    # What the user writes ends nothing.
    assert tokens.count(2) == 2
    assert byte_tokenizer().chat("the") == byte_tokenizer().completion("the")
    template = "{{ bos_token }}" + CHATML.replace("'system'", "").replace("system", "x")
    tokenizer = byte_tokenizer(**{"tokenizer.chat_template": template})
    assert tokenizer.decode(tokenizer.chat("a"), control=True) == (
        "<|im_start|><|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
    )


def test_tokens_and_texts_that_do_not_exist(tokenizer):
    count = len(tokenizer.pieces)
    for token in (-1, count):
        with pytest.raises(
            ModelError, match=f"token {token} does not exist: .* has {count} tokens"
        ):
            tokenizer.decode([token])
        with pytest.raises(ModelError, match=f"token {token} does not exist"):
            tokenizer.stream().push([token])
    with pytest.raises(ModelError, match="character 1 of the text is half of a surrogate pair"):
        tokenizer.encode("a\ud800")


def test_a_byte_without_a_token_is_named_and_not_dropped():
    pytest.importorskip("tokenizers")
    keys = byte_level(("the",))
    keys["tokenizer.ggml.tokens"][3 + 0x04] = "[unused]"
    with pytest.raises(ModelError, match="no token for the byte 0x04 of the text"):
        tokenizer_from_gguf(keys, "toy").encode("a\x04")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "toy has no tokenizer: its key-values lack tokenizer.ggml.model"),
        ({"tokens": []}, "toy has no tokenizer"),
        ({"model": "bert"}, "unknown tokenizer 'bert' .* of toy, known are gpt2 and llama"),
        (
            {"pre": "tekken"},
            r"unknown pre-tokenizer 'tekken' .*, known are gpt-2, smollm, llama-bp",
        ),
        ({"token_type": [1]}, "toy has [0-9]+ tokens but 1 token types"),
        ({"merges": ["x"]}, "merges and tokens of the vocabulary do not fit"),
        ({"merges": ["q q"]}, "merges and tokens of the vocabulary do not fit"),
        ({"model": "llama"}, "toy has [0-9]+ tokens but 0 scores"),
    ],
)
def test_vocabularies_that_cannot_be_used(changes, message):
    pytest.importorskip("tokenizers")
    keys = byte_level(("the",)) | {f"tokenizer.ggml.{key}": v for key, v in changes.items()}
    with pytest.raises(ModelError, match=message):
        tokenizer_from_gguf(keys, "toy")


def test_byte_tokens_come_all_or_none():
    keys = sentence_piece(PIECES)
    keys["tokenizer.ggml.token_type"][3 + 0x0A] = 5
    with pytest.raises(ModelError, match="toy has byte tokens, but not <0x0A>"):
        tokenizer_from_gguf(keys, "toy")


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        ModelError, match=r"need the package tokenizers.*pip install -e .\[models\]"
    ):
        tokenizer_from_gguf(byte_level(("the",)), "toy")
    # SentencePiece's and llama2.c's rule is our own.
    assert score_tokenizer().encode("ab") == [264]


def test_a_model_without_a_tokenizer_can_be_loaded(tmp_path):
    weights = interleaved(random_model(tied_head=True, vocabulary=265))
    path = tmp_path / "model.bin"
    path.write_bytes(llama2c_bytes(weights))
    load_model(path)
    with pytest.raises(
        ModelError, match=r"model.bin has no tokenizer: put llama2.c's tokenizer.bin"
    ):
        load_tokenizer(path)
    (tmp_path / "tokenizer.bin").write_bytes(toys.tokenizer_bin(toys.llama2c_entries(PIECES)))
    assert load_tokenizer(path).encode("ab") == [264]
    path.write_bytes(path.read_bytes() + b"\1\0\0\0\0")
    load_model(path)
    with pytest.raises(ModelError, match=r"the tokenizer of model.bin is cut or damaged"):
        load_tokenizer(path)


def test_a_gguf_model_without_a_tokenizer_can_be_loaded(tmp_path):
    pytest.importorskip("gguf")
    path = write_gguf(tmp_path / "model.gguf", interleaved(random_model()))
    load_model(path)
    with pytest.raises(ModelError, match=r"model.gguf has no tokenizer"):
        load_tokenizer(path)


def test_a_tokenizer_in_a_gguf_file(tmp_path):
    gguf = pytest.importorskip("gguf")
    pytest.importorskip("tokenizers")
    keys = byte_level((" the",))
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    for key, value in keys.items():
        add = {str: writer.add_string, int: writer.add_uint32}.get(type(value), writer.add_array)
        add(key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = load_tokenizer(tmp_path / "model.gguf")
    assert found.pieces == tokenizer_from_gguf(keys, "toy").pieces
    assert found.encode(" the") == [len(found.pieces) - 1]


def test_damaged_tokenizers_of_llama2c():
    data = toys.tokenizer_bin(toys.llama2c_entries(PIECES))
    for damaged in (data[:-1], data[:8] + b"\xff\xff\xff\xff" + data[12:], b""):
        with pytest.raises(ModelError, match="the tokenizer of toy is cut or damaged"):
            tokenizer_from_llama2c(damaged, 265, "toy")
    with pytest.raises(ModelError, match="toy has no tokenizer: 61 tokens are less than the 259"):
        tokenizer_from_llama2c(data, 61, "toy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the folder toy has no tokenizer: fetch tokenizer.json"),
        ("{", "tokenizer.json is no JSON"),
        ("[]", "tokenizer.json holds no object"),
        ("{}", "tokenizer.json of toy cannot be read"),
    ],
)
def test_damaged_folders_of_hugging_face(tmp_path, content, message):
    pytest.importorskip("tokenizers")
    folder = tmp_path / "toy"
    folder.mkdir()
    if content is not None:
        (folder / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        load_tokenizer(folder)


def test_an_unknown_decoder_is_named(tmp_path):
    library = pytest.importorskip("tokenizers")
    backend = library.Tokenizer(library.models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    backend.decoder = library.decoders.WordPiece()
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match=r"unknown decoder \['WordPiece'\] in tokenizer.json"):
        load_tokenizer(tmp_path)
