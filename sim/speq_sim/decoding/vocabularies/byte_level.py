"""Byte-level BPE, as GPT-2 has it: bytes written as characters, merges by rank.

What may be merged is cut out of the text first; GGUF files name how (``tokenizer.ggml.pre``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.vocabularies.library import import_tokenizers

__all__ = ["PRE_TOKENIZERS", "byte_level_encoder", "bytes_of"]

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CUTS = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "llama-bpe": (_LLAMA3,),
    # llama.cpp takes these where a file names nothing.
    "default": (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
}
_WHOLE_WORDS = ("llama-bpe",)
"""Where a word that is a token is not merged from its bytes."""

PRE_TOKENIZERS: tuple[str, ...] = tuple(_CUTS)
"""Known names of ``tokenizer.ggml.pre``."""


def _alphabet() -> dict[str, int]:
    """Byte of each character: printable ones stand for themselves, others count up from 256."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    shown = {chr(byte): byte for byte in printable}
    return shown | {chr(256 + index): byte for index, byte in enumerate(others)}


_BYTES = _alphabet()


def bytes_of(text: str) -> bytes:
    """The bytes of a token written in GPT-2's alphabet; other characters stand for themselves."""
    return b"".join(
        bytes((_BYTES[character],)) if character in _BYTES else character.encode()
        for character in text
    )


def byte_level_encoder(
    tokens: Mapping[str, int], merges: Sequence[str], pre: str
) -> Callable[[str], list[int]]:
    """An encoder of the library ``tokenizers``.

    Parameters
    ----------
    tokens : mapping of str to int
        Tokens by their text in GPT-2's alphabet, control tokens left out.
    merges : sequence of str
        Pairs of texts with a space between, the first rank first.
    pre : str
        One of :data:`PRE_TOKENIZERS`.

    Raises
    ------
    ModelError
        If `pre` is unknown, merges and tokens do not fit, or the library is missing.
    """
    if pre not in _CUTS:
        raise ModelError(
            f"unknown pre-tokenizer {pre!r} (tokenizer.ggml.pre), known are "
            f"{', '.join(PRE_TOKENIZERS)}: take the model as a Hugging Face folder instead"
        )
    library = import_tokenizers()
    pairs = [tuple(merge.split(" ", 1)) for merge in merges]
    try:
        model = library.models.BPE(dict(tokens), pairs, ignore_merges=pre in _WHOLE_WORDS)
    except Exception as error:  # The library raises nothing narrower.
        raise ModelError(
            f"merges and tokens of the vocabulary do not fit ({error}): fetch the model again"
        ) from None
    backend = library.Tokenizer(model)
    backend.pre_tokenizer = _cutter(library.pre_tokenizers, pre, library.Regex)
    pieces = {token: bytes_of(text) for text, token in tokens.items()}
    singles = frozenset(piece for piece in pieces.values() if len(piece) == 1)

    def encode(text: str) -> list[int]:
        found = backend.encode(text, add_special_tokens=False).ids
        # The library drops bytes that are no token.
        if b"".join(pieces[token] for token in found) != text.encode():
            missing = {byte for byte in text.encode() if bytes((byte,)) not in singles}
            raise ModelError(
                f"the vocabulary has no token for the byte 0x{min(missing):02x} of the text: leave "
                f"the character out"
            )
        return found

    return encode


def _cutter(library: Any, pre: str, regex: Callable[[str], Any]) -> Any:
    cuts = [library.Split(regex(cut), "isolated") for cut in _CUTS[pre]]
    return library.Sequence([*cuts, library.ByteLevel(add_prefix_space=False, use_regex=False)])
