"""A toy model in the layout of llama2.c, with a tokenizer behind it."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "speq_sim" / "decoding"))

from decoding_models import llama2c_bytes, random_model

__all__ = ["PIECES", "write_model"]

PIECES = ("<unk>", "\n<s>\n", "\n</s>\n", *(f"<0x{byte:02X}>" for byte in range(256)), " ", "e")
"""Control tokens, bytes and two characters."""


def write_model(path, change=None, tokens=PIECES, **changes):
    """Write a random model; `change` may spoil its weights first."""
    weights = random_model(5, vocabulary=len(PIECES), **changes)
    if change:
        change(weights)
    path.write_bytes(llama2c_bytes(weights, tokens))
    return path
