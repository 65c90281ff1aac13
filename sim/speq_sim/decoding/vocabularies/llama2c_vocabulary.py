"""The vocabulary of llama2.c: ``tokenizer.bin``, or what stands behind the model.

The longest length, then per token its score (FP32), length and UTF-8. The layout is that of Llama's
vocabulary: 0 unknown, 1 begin, 2 end, then the 256 bytes. Spaces are written as they are.
"""

import struct

from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.tokenizer import Tokenizer
from speq_sim.decoding.vocabularies.score_merges import ScoreEncoder

__all__ = ["tokenizer_from_llama2c"]

_BOS, _EOS = 1, 2
_FIRST_BYTE, _FIRST_TEXT = 3, 259


def tokenizer_from_llama2c(data: bytes, vocabulary: int, name: str) -> Tokenizer:
    """Build the tokenizer of a llama2.c model.

    Parameters
    ----------
    data : bytes
        A whole ``tokenizer.bin``.
    vocabulary : int
        V, tokens of the model.
    name : str
        Of the file, for errors.

    Raises
    ------
    ModelError
        If it is cut, or there are too few tokens for this layout.
    """
    if vocabulary < _FIRST_TEXT:
        raise ModelError(
            f"{name} has no tokenizer: {vocabulary} tokens are less than the {_FIRST_TEXT} control "
            f"and byte tokens of llama2.c's vocabularies; give token numbers"
        )
    entries = _entries(data, vocabulary, name)
    scores: dict[str, tuple[int, float]] = {}
    for token, (text, score) in enumerate(entries):
        # Control and byte tokens have texts as well, and older files the bytes' own characters.
        if token >= _FIRST_TEXT:
            scores.setdefault(text.decode("utf-8", "replace"), (token, score))
    byte_tokens = range(_FIRST_BYTE, _FIRST_TEXT)
    marks = ("<unk>", "<s>", "</s>")
    return Tokenizer(
        encoder=ScoreEncoder(scores, byte_tokens, None, leading_space=True),
        pieces=(
            *(mark.encode() for mark in marks),
            *(bytes((byte,)) for byte in range(256)),
            *(text for text, _ in entries[_FIRST_TEXT:]),
        ),
        control={mark: token for token, mark in enumerate(marks)},
        bos=_BOS,
        add_bos=True,
        # llama2.c ends a story where the next one would begin.
        stop=frozenset((_BOS, _EOS)),
        leading_space=True,
    )


def _entries(data: bytes, vocabulary: int, name: str) -> list[tuple[bytes, float]]:
    position, found = 4, []
    for _ in range(vocabulary):
        if position + 8 > len(data):
            raise _cut(name)
        score, length = struct.unpack_from("<fi", data, position)
        position += 8 + length
        if length < 0 or position > len(data):
            raise _cut(name)
        found.append((data[position - length : position], score))
    return found


def _cut(name: str) -> ModelError:
    return ModelError(f"the tokenizer of {name} is cut or damaged: fetch it again")
