"""The vocabulary in the key-values of a GGUF file: byte-level BPE ("gpt2"), or SentencePiece's
BPE ("llama")."""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.tokenizer import Tokenizer
from speq_sim.decoding.vocabularies.byte_level import byte_level_encoder, bytes_of
from speq_sim.decoding.vocabularies.chat_template import chat_template
from speq_sim.decoding.vocabularies.score_merges import ScoreEncoder

__all__ = ["END_TEXTS", "tokenizer_from_gguf"]

END_TEXTS: tuple[str, ...] = (
    "</s>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
)
"""Control tokens that end an answer, whatever the file says of them."""

_SPACE = "\u2581"
"""How SentencePiece writes a space."""


class _Kind(enum.IntEnum):
    NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)


def tokenizer_from_gguf(metadata: Mapping[str, Any], name: str) -> Tokenizer:
    """Build the tokenizer of a GGUF file.

    Parameters
    ----------
    metadata : mapping
        Values by key, such as ``tokenizer.ggml.tokens``.
    name : str
        Of the file, for errors.

    Raises
    ------
    ModelError
        If the file has no tokenizer, or one of another kind, or the library is missing.
    """
    keys = {
        key.removeprefix("tokenizer.ggml."): value
        for key, value in metadata.items()
        if key.startswith("tokenizer.ggml.")
    }
    model, texts = keys.get("model"), keys.get("tokens")
    if model is None or not texts:
        raise ModelError(
            f"{name} has no tokenizer: its key-values lack tokenizer.ggml.model or .tokens; "
            f"convert the model anew, or give token numbers"
        )
    if model not in ("gpt2", "llama"):
        raise ModelError(
            f"unknown tokenizer {model!r} (tokenizer.ggml.model) of {name}, known are gpt2 and "
            f"llama: take the model as a Hugging Face folder instead"
        )
    kinds = keys.get("token_type") or [_Kind.NORMAL] * len(texts)
    if len(kinds) != len(texts):
        raise ModelError(
            f"{name} has {len(texts)} tokens but {len(kinds)} token types: fetch it again"
        )
    control = _of_kind(texts, kinds, _Kind.CONTROL)
    byte_level = model == "gpt2"
    if byte_level:
        encoder = byte_level_encoder(
            _of_kind(texts, kinds, _Kind.NORMAL), keys.get("merges", ()), keys.get("pre", "default")
        )
        leading = False
    else:
        leading = bool(keys.get("add_space_prefix", True))
        encoder = _score_encoder(texts, kinds, keys, leading, name)
    stop = {control[text] for text in END_TEXTS if text in control}
    stop |= {keys[key] for key in ("eos_token_id", "eot_token_id") if key in keys}
    return Tokenizer(
        encoder=encoder,
        pieces=tuple(_piece(*each, byte_level) for each in zip(texts, kinds, strict=True)),
        control=control,
        literal=_of_kind(texts, kinds, _Kind.USER_DEFINED),
        bos=keys.get("bos_token_id"),
        # What llama.cpp takes where a file does not say.
        add_bos=bool(keys.get("add_bos_token", not byte_level or keys.get("pre") == "llama-bpe")),
        stop=frozenset(stop),
        template=chat_template(metadata.get("tokenizer.chat_template"), control),
        leading_space=leading,
    )


def _of_kind(texts: Sequence[str], kinds: Sequence[int], kind: _Kind) -> dict[str, int]:
    """Tokens by text; of equal texts the first counts."""
    found: dict[str, int] = {}
    for token, (text, each) in enumerate(zip(texts, kinds, strict=True)):
        if each == kind and text:
            found.setdefault(text, token)
    return found


def _piece(text: str, kind: int, byte_level: bool) -> bytes:
    if kind == _Kind.BYTE:
        return bytes((int(text[3:5], 16),))
    if kind != _Kind.NORMAL:
        return text.encode()
    return bytes_of(text) if byte_level else text.replace(_SPACE, " ").encode()


def _score_encoder(
    texts: Sequence[str], kinds: Sequence[int], keys: Mapping[str, Any], leading: bool, name: str
) -> Callable[[str], list[int]]:
    values = keys.get("scores", ())
    if len(values) != len(texts):
        raise ModelError(f"{name} has {len(texts)} tokens but {len(values)} scores: fetch it again")
    scores: dict[str, tuple[int, float]] = {}
    for token, (text, kind, score) in enumerate(zip(texts, kinds, values, strict=True)):
        if kind == _Kind.NORMAL:
            scores.setdefault(text.replace(_SPACE, " "), (token, score))
    found = _of_kind(texts, kinds, _Kind.BYTE)
    names = [f"<0x{byte:02X}>" for byte in range(256)]
    missing = [text for text in names if text not in found]
    if found and missing:
        raise ModelError(f"{name} has byte tokens, but not {missing[0]}: fetch it again")
    encode = ScoreEncoder(
        scores, [found[text] for text in names] if found else (), keys.get("unknown_token_id"),
        leading,
    )  # fmt: skip
    return lambda text: encode(text.replace(_SPACE, " "))
