"""Texts to tokens and back, and the tokens of a prompt.

A :class:`Tokenizer` is built by :func:`speq_sim.decoding.load_tokenizer` from what a model's file
says (:mod:`speq_sim.decoding.vocabularies`).
"""

import codecs
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping

from speq_sim.decoding.errors import ModelError

__all__ = ["ChatTemplate", "TextStream", "Tokenizer"]


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
    """ChatML: ``<|im_start|>role``, a line feed, the message, ``<|im_end|>``, a line feed.

    Parameters
    ----------
    start, end : int
        The tokens of ``<|im_start|>`` and ``<|im_end|>``.
    system : str or None
        Message of the system that the model has if none is given.
    bos : bool
        Whether the first token of a text stands before all messages.
    """

    start: int
    end: int
    system: str | None = None
    bos: bool = False


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Tokenizer:
    """The vocabulary of a model.

    Parameters
    ----------
    encoder : callable
        Tokens of a text in which nothing is a control token.
    pieces : tuple of bytes
        What each token stands for. A character may be spread over several tokens.
    control : mapping of str to int
        Tokens that are no text, by how they are written.
    literal : mapping of str to int
        Tokens that stand for their text wherever it occurs, before anything else is looked at.
    bos : int or None
        First token of a text, if the model has one.
    add_bos : bool
        Whether prompts begin with it.
    stop : frozenset of int
        Tokens that end an answer.
    template : ChatTemplate or None
        How a chat is written; None: as plain text.
    leading_space : bool
        Whether `encoder` puts a space before each text.
    """

    encoder: Callable[[str], list[int]]
    pieces: tuple[bytes, ...]
    control: Mapping[str, int]
    literal: Mapping[str, int] = dataclasses.field(default_factory=dict)
    bos: int | None = None
    add_bos: bool = False
    stop: frozenset[int] = frozenset()
    template: ChatTemplate | None = None
    leading_space: bool = False

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        """Tokens of a text, without `bos`.

        Parameters
        ----------
        text : str
            Any Unicode text.
        control : bool
            Whether ``<|im_end|>`` and the like become control tokens. By default they are text as
            any other, so that no prompt can pose as the system.

        Raises
        ------
        ModelError
            If the model has no tokens for a character, or the text is no Unicode (a lone
            surrogate).
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ModelError(
                f"character {error.start} of the text is half of a surrogate pair, which is no "
                f"text: give valid Unicode"
            ) from None
        whole = {**self.literal, **(self.control if control else {})}
        tokens: list[int] = []
        for part in _split(text, whole):
            if part in whole:
                tokens.append(whole[part])
            elif part:
                tokens += self.encoder(part)
        return tokens

    def decode(
        self, tokens: Iterable[int], *, control: bool = False, continued: bool = False
    ) -> str:
        """The text of tokens; bytes that are no UTF-8 become U+FFFD.

        Parameters
        ----------
        tokens : iterable of int
            Tokens.
        control : bool
            Whether control tokens are written. By default they are left out.
        continued : bool
            Whether other text stands before it. If not, the space that :meth:`encode` puts before
            a text is taken away again.

        Raises
        ------
        ModelError
            If there is no such token.
        """
        data = b"".join(self._bytes(tokens, control))
        if self.leading_space and not continued:
            data = data.removeprefix(b" ")
        return data.decode("utf-8", "replace")

    def stream(self, *, control: bool = False) -> "TextStream":
        """Text of tokens that come one after another, behind a prompt."""
        return TextStream(self, control)

    def completion(self, prompt: str) -> list[int]:
        """Tokens of a text to go on with: `bos` if the model wants it, and the text."""
        first = [self.bos] if self.add_bos and self.bos is not None else []
        return first + self.encode(prompt)

    def chat(self, prompt: str) -> list[int]:
        """Tokens of a question to answer.

        In the model's chat template, with its default message of the system, up to where the
        answer begins; :meth:`completion` for a model without one.
        """
        if self.template is None:
            return self.completion(prompt)
        template = self.template
        messages = [("user", prompt)]
        if template.system is not None:
            messages.insert(0, ("system", template.system))
        tokens = [self.bos] if template.bos and self.bos is not None else []
        for role, message in messages:
            tokens += [template.start, *self.encode(f"{role}\n{message}"), template.end]
            tokens += self.encode("\n")
        return [*tokens, template.start, *self.encode("assistant\n")]

    def _bytes(self, tokens: Iterable[int], control: bool) -> Iterable[bytes]:
        hidden = frozenset() if control else frozenset(self.control.values())
        for token in tokens:
            if not 0 <= token < len(self.pieces):
                raise ModelError(
                    f"token {token} does not exist: the vocabulary has {len(self.pieces)} tokens, "
                    f"so model and tokenizer are of different models"
                )
            if token not in hidden:
                yield self.pieces[token]


class TextStream:
    """Gives text as tokens come, and holds back characters that are not complete yet.

    All that :meth:`push` and :meth:`close` give, put together, is what :meth:`Tokenizer.decode`
    gives of all tokens, ``continued``.
    """

    def __init__(self, tokenizer: Tokenizer, control: bool = False) -> None:
        self._tokenizer = tokenizer
        self._control = control
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, tokens: Iterable[int]) -> str:
        """Text that is complete with these tokens.

        Raises
        ------
        ModelError
            If there is no such token.
        """
        data = b"".join(self._tokenizer._bytes(tokens, self._control))
        return self._decoder.decode(data)

    def close(self) -> str:
        """What is left: U+FFFD for a character cut amid, else nothing."""
        return self._decoder.decode(b"", final=True)


def _split(text: str, whole: Mapping[str, int]) -> list[str]:
    """The text cut at every one of some texts, which stay as parts; the longest one wins."""
    if not whole:
        return [text]
    pattern = "|".join(map(re.escape, sorted(whole, key=len, reverse=True)))
    return re.split(f"({pattern})", text)
