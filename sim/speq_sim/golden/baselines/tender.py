"""Tender: channel groups whose scales differ by factors of two, and products that shift between.

Activations (M tokens, K channels) are quantised by groups of channels, weights (N, K) by output
channel. The sums of the groups are accumulated from the group of the largest scale to that of the
smallest, with the accumulator doubled in between, ``A = 2 * A + P``: so they end up in the smallest
scale, without a multiplication.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speq_sim.golden.baselines.accumulators import integer_products, wrapped

__all__ = [
    "CHUNK_ROWS",
    "Calibration",
    "calibrate",
    "linear",
    "matmul",
    "quantise_activations",
    "quantise_weights",
]

CHUNK_ROWS = 256
"""Rows (tokens) that share a calibration."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What is known of the channels of one chunk of rows before it comes.

    Attributes
    ----------
    bits : int
        4 or 8.
    bias : NDArray of float64, shape (K,)
        Subtracted from each channel: the middle of its range.
    scales : NDArray of float64, shape (G,)
        Step of each group, halved from one to the next.
    groups : NDArray of int64, shape (K,)
        Group of each channel, 0 (largest scale) to G - 1.
    """

    bits: int
    bias: NDArray[np.float64]
    scales: NDArray[np.float64]
    groups: NDArray[np.int64]

    @property
    def order(self) -> NDArray[np.int64]:
        """Channels in the order in which they are multiplied: by group."""
        return np.argsort(self.groups, kind="stable")

    @property
    def sizes(self) -> list[int]:
        """Channels of each group; some may have none."""
        return np.bincount(self.groups, minlength=len(self.scales)).tolist()


def calibrate(samples: NDArray[np.floating], bits: int, groups: int) -> Calibration:
    """Bias, group and scale of each channel.

    With CMax the largest magnitude of a channel less its bias, and TMax the largest of all, group g
    (from 1) has the channels with ``TMax / 2**g < CMax <= TMax / 2**(g-1)`` and the scale
    ``TMax / (2**(g-1) * (2**(bits-1) - 1))``. The last group takes all smaller channels as well.

    Parameters
    ----------
    samples : NDArray, shape (M, K)
        Activations like those to come, finite, M at least 1.
    bits : int
        4 or 8.
    groups : int
        G, at least 1.
    """
    samples = np.asarray(samples, np.float64)
    low, high = samples.min(axis=0), samples.max(axis=0)
    bias = (low + high) / 2
    channel = np.maximum(high - bias, bias - low)
    tensor = channel.max() if channel.max() > 0 else 1.0
    scales = tensor / (2.0 ** np.arange(groups) * ((1 << (bits - 1)) - 1))
    limits = tensor / 2.0 ** np.arange(1, groups)
    return Calibration(bits, bias, scales, (channel[:, None] <= limits).sum(axis=1))


def quantise_activations(
    activations: NDArray[np.floating], calibration: Calibration
) -> NDArray[np.int64]:
    """Integers of activations (M, K): less the bias, by the group's scale, nearest (ties to even).

    What lies outside the calibrated range saturates at ``2**(bits-1) - 1``.
    """
    largest = (1 << (calibration.bits - 1)) - 1
    steps = (activations - calibration.bias) / calibration.scales[calibration.groups]
    return np.clip(np.rint(steps), -largest, largest).astype(np.int64)


def quantise_weights(
    weights: NDArray[np.floating], bits: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Integers (N, K) and scales (N,) of weights, symmetric per output channel (our choice)."""
    weights = np.asarray(weights, np.float64)
    largest = (1 << (bits - 1)) - 1
    peak = np.abs(weights).max(axis=1)
    scales = np.where(peak > 0, peak, 1.0) / largest
    return np.rint(weights / scales[:, None]).astype(np.int64), scales


def matmul(
    weights: NDArray[np.integer],
    activations: NDArray[np.integer],
    sizes: Sequence[int],
    accumulator_bits: int = 32,
) -> NDArray[np.int64]:
    """Sums of all groups with doubling in between, exact modulo ``2**accumulator_bits``.

    Parameters
    ----------
    weights, activations : NDArray of int
        (N, K) and (M, K), channels in the order of their groups.
    sizes : sequence of int
        Channels of each group, K in all; zeros are allowed.
    accumulator_bits : int
        Width of the accumulators; sums are the representatives in two's complement.

    Returns
    -------
    NDArray of int64, shape (M, N)
        In steps of the last group's scale times the weights'.

    Raises
    ------
    ValueError
        If the groups do not add up to K.
    """
    weights, activations = np.asarray(weights, np.int64), np.asarray(activations, np.int64)
    if sum(sizes) != weights.shape[1]:
        raise ValueError(
            f"the groups have {sum(sizes)} channels, but weights {weights.shape[1]}: give sizes "
            f"that add up to K"
        )
    sums = np.zeros((activations.shape[0], weights.shape[0]), np.int64)
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        sums = wrapped(
            2 * sums + integer_products(weights[:, part], activations[:, part]), accumulator_bits
        )
        start += size
    return sums


def linear(
    weights: NDArray[np.floating], activations: NDArray[np.floating], bits: int, groups: int
) -> NDArray[np.float64]:
    """A whole layer: quantise, multiply, scale back, add what the bias took away.

    Each chunk of :data:`CHUNK_ROWS` rows is calibrated on itself. (The paper calibrates offline on
    other data: this is the best case.)

    Returns
    -------
    NDArray of float64, shape (M, N)
    """
    integers, weight_scales = quantise_weights(weights, bits)
    results = []
    for start in range(0, len(activations), CHUNK_ROWS):
        chunk = activations[start : start + CHUNK_ROWS]
        known = calibrate(chunk, bits, groups)
        order = known.order
        sums = matmul(integers[:, order], quantise_activations(chunk, known)[:, order], known.sizes)
        biases = weights @ known.bias
        results.append(sums * known.scales[-1] * weight_scales + biases)
    return np.concatenate(results)
