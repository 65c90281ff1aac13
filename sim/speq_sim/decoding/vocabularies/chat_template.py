"""Recognises ChatML among chat templates, which are programs in Jinja; none is run."""

import re
from collections.abc import Mapping

from speq_sim.decoding.tokenizer import ChatTemplate

__all__ = ["chat_template"]

_START, _END = "<|im_start|>", "<|im_end|>"

# A literal of the program that is one whole message of the system. Line feeds may be escaped.
_SYSTEM = re.compile(
    r"""(['"])<\|im_start\|>system(?:\n|\\n)(?P<message>(?:\\.|(?!\1)[^\\])*?)<\|im_end\|>""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def chat_template(program: str | None, control: Mapping[str, int]) -> ChatTemplate | None:
    """How a model's chats are written.

    Parameters
    ----------
    program : str or None
        The chat template of the model's file.
    control : mapping of str to int
        Control tokens of the model.

    Returns
    -------
    ChatTemplate or None
        None if there is no template, or it is not ChatML.
    """
    if not program or not all(mark in program and mark in control for mark in (_START, _END)):
        return None
    found = _SYSTEM.search(program)
    system = _ESCAPE.sub(_unescaped, found["message"]) if found else None
    return ChatTemplate(control[_START], control[_END], system, "bos_token" in program)


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(found[1], found[1])
