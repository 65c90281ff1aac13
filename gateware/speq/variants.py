"""Variants of a design point that differ in one choice: what modes and formats cost.

Pure Python, like :mod:`speq.parameters`.
"""

from speq.modes import ACTIVATION_FORMATS, MODES
from speq.parameters import Parameters

__all__ = ["VERIFY_ONLY", "ablation", "by_activation_format"]

VERIFY_ONLY = "verify only"

_VARIANTS: dict[str, tuple[tuple[str, ...], int]] = {
    "+draft(1)": (("draft",), 1),
    "+draft(4)": (("draft",), 4),
    "+middle": (("middle",), 4),
    "+qspec": (("qdraft", "qverify"), 4),
    "all": (MODES[1:], 4),
}
"""Modes beside VERIFY, and draft lanes."""


def ablation(parameters: Parameters) -> dict[str, Parameters]:
    """The same array with VERIFY alone, with one thing added to it, and with everything.

    Draft activations are the default format of the variant's draft lanes, unless the design names
    one that the variant can have.

    Parameters
    ----------
    parameters : Parameters
        The design; its modes and draft lanes do not matter.

    Returns
    -------
    dict of str to Parameters
        By label, the FP16-only array first. Names are the design's with the label's word.
    """
    variants = {VERIFY_ONLY: parameters.verify_only()}
    for label, (modes, lanes) in _VARIANTS.items():
        word = "".join(letter if letter.isalnum() else "_" for letter in label).strip("_")
        kept = parameters.draft_lanes == lanes
        variants[label] = parameters.replace(
            name=f"{parameters.name}_{word}",
            modes=("verify", *modes),
            draft_lanes=lanes,
            draft_activations=parameters.draft_activations if kept else "auto",
        )
    return variants


def by_activation_format(parameters: Parameters) -> dict[str, Parameters]:
    """The same array with every format of draft activations, and FP16-only.

    Parameters
    ----------
    parameters : Parameters
        The design; its draft lanes and format do not matter. FP16-only designs get DRAFT.

    Returns
    -------
    dict of str to Parameters
        By label, such as ``"bfp6 x 4"`` for that format with four lanes; the FP16-only array first.
    """
    modes = parameters.modes if parameters.has_nibbles else (*parameters.modes, "draft")
    variants = {VERIFY_ONLY: parameters.verify_only()}
    for lanes, formats in ACTIVATION_FORMATS.items():
        for form in formats:
            variants[f"{form} x {lanes}"] = parameters.replace(
                name=f"{parameters.name}_{form}_{lanes}",
                modes=modes,
                draft_lanes=lanes,
                draft_activations=form,
            )
    return variants
