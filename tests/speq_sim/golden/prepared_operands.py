"""Random operands of every mode, prepared and by definition."""

import numpy as np

from speq_sim import golden

MODES = ("verify", "middle", "draft", "integers")
DRAFT_VALUES = (0, 1, 5, 9, 17, 30, 46, 63)
BFP6 = golden.block_format("bfp6", 4)


def stored(mode, generator, shape, spread=31):
    """Random weights of a mode; `spread` is the number of binades of FP16 ones."""
    if mode in ("draft", "integers"):
        return generator.integers(0, 16, shape).astype(np.uint8)
    return halves(generator, shape, 15 if mode == "middle" else spread)


def halves(generator, shape, spread=31):
    """Finite FP16 numbers of every pattern within the lowest binades."""
    signs = generator.integers(0, 2, shape) << 15
    return (generator.integers(0, spread << 10, shape) | signs).astype(np.uint16).view(np.float16)


def prepare(mode, weights, shifts=None, exponents=None):
    if mode == "verify":
        return golden.prepare_verify(weights, shifts, exponents)
    if mode == "middle":
        return golden.prepare_middle(weights, shifts, exponents)
    if mode == "draft":
        return golden.prepare_draft(weights, DRAFT_VALUES, shifts, exponents)
    return golden.prepare_integers(weights)


def define(mode, weights, x, shifts, exponents, form=BFP6, result="fp32"):
    if mode == "verify":
        return golden.verify_packed(weights, x, shifts, exponents, result)
    if mode == "middle":
        return golden.middle(weights, x, shifts, exponents, result)
    if mode == "draft":
        return golden.draft(weights, DRAFT_VALUES, x, shifts, exponents, form, result)
    return golden.integer_draft(weights, x, form, result)


def row(*values):
    return np.array([values], dtype=np.float16)
