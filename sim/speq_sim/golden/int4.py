"""INT4 numbers of QSpec: weights as nibbles, and activations quantised (docs/numerics.md)."""

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.checks import check_activations
from speq_sim.golden.special import finite, to_float64

__all__ = ["INTEGERS", "nibbles_of", "quantise_activations"]

INTEGERS = np.array([*range(8), -8, *range(-1, -8, -1)], dtype=np.int64)
"""What a nibble stands for: sign and magnitude, but -8 instead of a negative zero."""

LEAST, LARGEST = -8, 7

LEAST_SCALE = np.float16(2.0**-24)
"""Least positive FP16 number: the scale of a token of zeros, or of next to nothing."""


def nibbles_of(integers: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Nibbles that stand for integers -8..7, of the same shape.

    Raises
    ------
    ValueError
        If the integers are none, or out of range.
    """
    if not np.issubdtype(integers.dtype, np.integer):
        raise ValueError(f"integers are {integers.dtype}: round them, and convert them to int8")
    if integers.size and not LEAST <= integers.min() <= integers.max() <= LARGEST:
        raise ValueError(
            f"integers reach from {integers.min()} to {integers.max()}, but INT4 is -8..7: "
            f"clamp them"
        )
    nibbles = np.empty(16, dtype=np.uint8)
    nibbles[INTEGERS - LEAST] = np.arange(16)
    return nibbles[integers.astype(np.int64) - LEAST]


def quantise_activations(
    activations: NDArray[np.float16], clip_ratio: float = 1.0, group: int = 0
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Quantise activations to INT4, symmetrically, with a scale per token or per group of inputs.

    Parameters
    ----------
    activations : NDArray
        x, M x K float16.
    clip_ratio : float
        Share of the largest magnitude that becomes 7, above 0 and at most 1; taken as FP32.
    group : int
        Consecutive inputs that share a scale, a multiple of 4; the last group may be shorter. 0 is
        all of a token.

    Returns
    -------
    integers : NDArray
        M x K float16, integers -8..7 (zero is +0), and x itself where it is infinite or NaN.
    scales : NDArray
        float16 above 0, M, or M x ceil(K / group) with groups.

    Raises
    ------
    TypeError, ValueError
        If the activations are no M x K float16, or a number is out of its range.
    """
    check_activations(activations)
    if not 0 < clip_ratio <= 1:
        raise ValueError(f"clip_ratio is {clip_ratio!r}, but must be above 0 and at most 1")
    if group < 0 or group % 4:
        raise ValueError(f"group is {group!r}, but must be a multiple of 4, or 0 for none")
    tokens, depth = activations.shape
    size = group or max(depth, 1)
    padded = np.zeros((tokens, max(-(-depth // size), 1) * size), dtype=np.float16)
    padded[:, :depth] = activations
    grouped = padded.reshape(tokens, -1, size)

    largest = np.abs(finite(to_float64(grouped))).max(axis=2).astype(np.float32)
    scales = (largest / np.float32(7) * np.float32(clip_ratio)).astype(np.float16)
    scales = np.maximum(scales, LEAST_SCALE)
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        quotients = grouped / scales[:, :, None]
        # Adding +0 makes a zero positive.
        integers = np.clip(np.rint(quotients), np.float16(LEAST), np.float16(LARGEST))
        integers = integers + np.float16(0)
    integers = np.where(np.isfinite(grouped), integers, grouped)
    integers = integers.reshape(tokens, -1)[:, :depth]
    return np.ascontiguousarray(integers), scales if group else scales[:, 0]
