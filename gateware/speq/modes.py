"""Modes of the array: how many weights a word holds in each, and how many a PE multiplies at once.

Pure Python, like :mod:`speq.parameters`, which asks here. docs/numerics.md says what each computes.
"""

from typing import Literal

from speq.parameter_checks import ParameterError, check_choice

__all__ = [
    "ACTIVATION_FORMATS",
    "DEFAULT_MODES",
    "INTEGER_MODES",
    "MODES",
    "WEIGHTS_PER_WORD",
    "Mode",
    "lanes_of",
    "ordered_modes",
    "resolve_format",
]

Mode = Literal["verify", "draft", "middle", "qdraft", "qverify"]

MODES: tuple[str, ...] = ("verify", "draft", "middle", "qdraft", "qverify")
"""Modes a design can be built with; the place of each is its encoding in a tile header."""

DEFAULT_MODES: tuple[str, ...] = ("verify", "draft")

INTEGER_MODES: tuple[str, ...] = ("qdraft", "qverify")
"""The two passes of QSpec over the same INT4 weights."""

WEIGHTS_PER_WORD: dict[str, int] = {
    "verify": 1,
    "draft": 4,
    "middle": 2,
    "qdraft": 4,
    "qverify": 4,
}
"""Weights in a 16-bit word, hence 16, 4, 8, 4 and 4 bits read per weight."""

ACTIVATION_FORMATS: dict[int, dict[str, int]] = {
    1: {"fp16": 11},
    2: {"bfp12": 12},
    4: {"bfp6": 6, "bfp8": 8, "bfp12": 12},
}
"""Formats of draft activations by draft lanes, the default first, with their magnitude bits.

A block is the L activations that share a PE's shift: their products are added before it.
"""

AUTO = "auto"


def lanes_of(mode: str, draft_lanes: int) -> int:
    """Weights that one PE multiplies in one cycle."""
    match mode:
        case "draft" | "qdraft":
            return draft_lanes
        case "qverify":
            return min(draft_lanes, 2)
        case _:
            return 1


def resolve_format(draft_activations: str, draft_lanes: int) -> str:
    """The format that "auto" stands for, or the one that is named.

    Raises
    ------
    ParameterError
        If the format is unknown, or the PE has no bricks for it.
    """
    formats = ACTIVATION_FORMATS[draft_lanes]
    if draft_activations == AUTO:
        return next(iter(formats))
    every = dict.fromkeys(name for some in ACTIVATION_FORMATS.values() for name in some)
    check_choice("draft_activations", draft_activations, (AUTO, *every))
    if draft_activations not in formats:
        raise ParameterError(
            f"draft_activations is {draft_activations!r}, but a PE of draft_lanes = {draft_lanes} "
            f"takes {' or '.join(formats)}: choose one of them, or other draft_lanes"
        )
    return draft_activations


def ordered_modes(modes: object) -> tuple[str, ...]:
    """Check a list of modes and put it in the order of :data:`MODES`.

    Raises
    ------
    ParameterError
        If it is no list, names an unknown mode or one twice, lacks VERIFY, or has one of QSpec's
        two modes without the other.
    """
    if isinstance(modes, str) or not isinstance(modes, list | tuple):
        raise ParameterError(f'modes is {modes!r}, but must be a list such as ["verify", "draft"]')
    for mode in modes:
        check_choice("modes", mode, MODES)
    if len(set(modes)) != len(modes):
        raise ParameterError(f"modes is {list(modes)!r}, which names a mode twice: name each once")
    if "verify" not in modes:
        raise ParameterError(
            f'modes is {list(modes)!r}, but "verify" must be there: every draft needs a verifier'
        )
    if len({mode in modes for mode in INTEGER_MODES}) > 1:
        raise ParameterError(
            f'modes is {list(modes)!r}, but "qdraft" and "qverify" come together: one drafts what '
            f"the other verifies, from the same INT4 weights"
        )
    return tuple(mode for mode in MODES if mode in modes)
