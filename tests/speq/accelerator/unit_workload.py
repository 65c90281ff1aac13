"""Small design, matrices and activations with which the whole unit is tested against faults."""

import os

import numpy as np

from speq.formats import family, pack
from speq.formats.int4 import Int4Tensor, quantise_int4
from speq.formats.packing import PackedTensor
from speq.parameters import MODES, PRESETS

DESIGN_VARIABLE = "SPEQ_UNIT_DESIGN"

_SMALL = PRESETS["tiny"].replace(
    name="faulty",
    tokens=2,
    burst_beats=4,
    outstanding=2,
    activation_values=128,
    queue_depth=2,
    address_bits=16,
)

DESIGNS = {
    "faulty": _SMALL,
    "narrow": _SMALL.replace(
        name="narrow",
        port_words=2,
        draft_lanes=1,
        tokens=3,
        burst_beats=1,
        outstanding=1,
        activation_values=192,
        result_format="fp16",
    ),
    "wide": _SMALL.replace(
        name="wide",
        rows=8,
        columns=8,
        port_words=8,
        draft_lanes=2,
        outstanding=3,
        queue_depth=3,
        burst_beats=16,
        address_bits=20,
    ),
    "all_modes": _SMALL.replace(name="all_modes", modes=MODES),
    "all_modes_wide": _SMALL.replace(
        name="all_modes_wide",
        modes=MODES,
        rows=8,
        columns=8,
        port_words=4,
        draft_lanes=2,
        activation_values=192,
        address_bits=20,
    ),
    "verify_only": _SMALL.verify_only().replace(name="verify_only"),
}
"""Bursts and buffers as short as they may be: jobs of some hundred cycles use all of them."""

DESIGN = DESIGNS[os.environ.get(DESIGN_VARIABLE, "faulty")]


def packed(outputs: int, inputs: int, seed: int = 1) -> PackedTensor:
    """A random matrix: packed, and not fallen back to plain, if the design can decode it."""
    if not DESIGN.packs:
        return plain(outputs, inputs, seed)
    generator = np.random.default_rng(seed)
    weights = (generator.standard_normal((outputs, inputs)) * 0.05).astype(np.float16)
    tensor = pack(weights, family(DESIGN.family))
    assert not tensor.is_plain
    return tensor


def plain(outputs: int, inputs: int, seed: int = 1) -> PackedTensor:
    """A random matrix of FP16 patterns."""
    generator = np.random.default_rng(seed)
    weights = generator.standard_normal((outputs, inputs)).astype(np.float16)
    bits = weights.view(np.uint16)
    return PackedTensor(DESIGN.family, bits.shape, plain=bits, reason="it is a test")


def int4(outputs: int, inputs: int, seed: int = 1, group: int = 0) -> Int4Tensor:
    """A random matrix in INT4."""
    generator = np.random.default_rng(seed)
    return quantise_int4(generator.standard_normal((outputs, inputs)).astype(np.float32), group)


def activations(tokens: int, inputs: int, seed: int = 1) -> np.ndarray:
    """Random activations [M, K]."""
    generator = np.random.default_rng(100 + seed)
    return generator.standard_normal((tokens, inputs)).astype(np.float16)
