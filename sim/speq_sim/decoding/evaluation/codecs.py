"""Codecs: how a draft sees the weights, by name; and what makes one another.

The target of a codec is the FP16 model in VERIFY, which is the same bits for every packing. QSpec's
drafts have a target of their own, over the same INT4 weights.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from speq.formats import Family, family
from speq.parameters import TABLE_NAMES
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.evaluation.copies import COPIES

__all__ = [
    "FP16",
    "HEAD",
    "MIDDLE",
    "PACKED_PREFIX",
    "Arithmetic",
    "DraftOptions",
    "check_codec",
    "codec_names",
    "family_of",
    "identity",
    "is_packed",
    "packed_path",
    "target_of",
]

Arithmetic = Literal["golden", "fast"]
"""The array's arithmetic bit for bit, or BLAS over what the weights stand for."""

PACKED_PREFIX = "packed:"
"""What stands before the path of a packed file."""

MIDDLE, MIDDLE_FAMILY = "middle", "fitted-8"
"""The codec that reads the first eight bits, and the family that it reads them of."""

_QSPEC_TARGETS = {
    "w4a4": "w4a16",
    "w4a4-hadamard": "w4a16-hadamard",
    "w4a4-hadamard-all": "w4a16-hadamard-all",
}

FP16 = "fp16"
"""The target of all codecs but QSpec's."""

HEAD = "head"
"""Name of the LM head."""


@dataclasses.dataclass(frozen=True)
class DraftOptions:
    """What is the same for all codecs of a run.

    Parameters
    ----------
    arithmetic : {"golden", "fast"}
        Of drafts and targets.
    activations : {"bfp6", "bfp8", "bfp12", "fp16"}
        Of drafts of packed weights; blocks are of four. The fast arithmetic has FP16 alone.
    draft_head : bool
        Whether the LM head is drafted as the other layers are. By default it is verified.
    recipe : mapping of str to str
        ``draft``, ``middle`` or ``verify`` for single layers, the head among them.
    """

    arithmetic: Arithmetic = "golden"
    activations: str = "bfp6"
    draft_head: bool = False
    recipe: Mapping[str, str] = dataclasses.field(default_factory=dict)


def codec_names() -> tuple[str, ...]:
    """All names of codecs; besides there is ``packed:PATH``."""
    return (*TABLE_NAMES, MIDDLE, *COPIES, *_QSPEC_TARGETS)


def check_codec(codec: str, options: DraftOptions | None = None) -> None:
    """Refuse what cannot be measured, before anything is.

    Raises
    ------
    ModelError
        If the name is unknown, a packed file is not there, or the options do not fit to it.
    """
    options = DraftOptions() if options is None else options
    path = packed_path(codec)
    if path is not None:
        if not path.is_file():
            raise ModelError(
                f"the packed file {path.name} does not exist: make it with "
                f"scripts/pack_weights.py, and give packed:PATH"
            )
    elif codec not in codec_names():
        raise ModelError(
            f"codec {codec!r} is not known: use one of {', '.join(codec_names())}, or packed:PATH"
        )
    if options.recipe and not is_packed(codec):
        raise ModelError(f"{codec} has no planes: leave out the recipe, or name packed codecs only")
    if options.arithmetic == "fast" and codec in _QSPEC_TARGETS:
        raise ModelError(f"{codec} is measured on the golden back end alone: leave it out")


def target_of(codec: str) -> str:
    """Name of the target that a codec is held against."""
    return _QSPEC_TARGETS.get(codec, FP16)


def identity(codec: str, options: DraftOptions | None = None) -> dict[str, Any]:
    """What makes a draft another one, besides the model and the back end, in JSON values.

    ``target``; ``head``: what becomes of it; ``activations``; ``recipe``; ``packing``: a digest of
    the tables, or of the packed file.

    Raises
    ------
    ModelError
        If the codec is unknown.
    """
    options = DraftOptions() if options is None else options
    check_codec(codec, options)
    head = "middle" if codec == MIDDLE else "draft"
    # Only DRAFT has another format than the FP16 activation itself.
    activations, packing = "fp16", None
    if codec in _QSPEC_TARGETS:
        activations = "int4, one scale per token"
    elif is_packed(codec):
        packing = _digest_of_packing(codec)
        drafts = codec != MIDDLE or "draft" in options.recipe.values()
        if options.arithmetic == "golden" and drafts:
            activations = options.activations
    drafts_head = options.draft_head and codec not in _QSPEC_TARGETS
    return {
        "target": target_of(codec),
        "head": options.recipe.get(HEAD, head if drafts_head else "verify"),
        "activations": activations,
        "recipe": dict(options.recipe),
        "packing": packing,
    }


def is_packed(codec: str) -> bool:
    """Whether a codec drafts from packed words."""
    return codec in TABLE_NAMES or codec == MIDDLE or packed_path(codec) is not None


def packed_path(codec: str) -> Path | None:
    """The file of ``packed:PATH``; None for another codec."""
    if not codec.startswith(PACKED_PREFIX):
        return None
    return Path(codec.removeprefix(PACKED_PREFIX))


def family_of(codec: str) -> Family:
    """The tables of a codec of packed words."""
    return family(MIDDLE_FAMILY if codec == MIDDLE else codec)


def _digest_of_packing(codec: str) -> str:
    path = packed_path(codec)
    if path is not None:
        data = path.read_bytes()
    else:
        data = json.dumps(family_of(codec).as_dict(), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()[:16]
