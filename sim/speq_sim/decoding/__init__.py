"""Decoding Llama models whose matrix products run on the array.

* :func:`load_model` reads a model; :class:`Llama` runs it on a :class:`Backend`;
* :func:`load_tokenizer` gives the :class:`Tokenizer` of a model, :func:`read_prompts` prompts;
* :func:`load_packed` reads the matrices that ``scripts/pack_weights.py`` packed;
* :class:`FastBackend` multiplies by BLAS, :class:`WideBackend` in float64 for comparison;
* :class:`GoldenBackend` and :class:`Int4Backend` multiply on the golden model of the array;
* :class:`Rotation` and :class:`RotatedBackend` rotate inputs online;
* :func:`capture` gives the inputs of every linear layer;
* :mod:`speq_sim.decoding.speculative` decodes with drafts, losslessly.
"""

from speq_sim.decoding.backends import Backend, FastBackend, WideBackend
from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.capture import CaptureBackend, capture
from speq_sim.decoding.config import LlamaConfig, RopePairing
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.golden_backend import GoldenBackend, PackedLayer, PackedLayers
from speq_sim.decoding.golden_int4 import Int4Backend, Int4Layer, Int4Layers
from speq_sim.decoding.hadamard import hadamard_matrix, hadamard_transform
from speq_sim.decoding.llama import Llama, Segment, greedy
from speq_sim.decoding.prompts import Prompt, calibration_prompts, own_prompts, read_prompts
from speq_sim.decoding.readers import load_model, load_packed, load_tokenizer
from speq_sim.decoding.rotation import AttentionRotation, RotatedBackend, Rotation
from speq_sim.decoding.speculative import (
    Adaptive,
    Confidence,
    Fixed,
    Generation,
    Policy,
    Round,
    Tree,
    Verdict,
    accept_greedy,
    accept_sampled,
    accept_tree,
    plain,
    plain_many,
    plain_rounds,
    prefill,
    prefill_many,
    probabilities,
    speculate,
    speculate_hierarchically,
    speculate_many,
    speculate_rounds,
)
from speq_sim.decoding.tokenizer import TextStream, Tokenizer
from speq_sim.decoding.weights import LlamaWeights

__all__ = [
    "Adaptive",
    "AttentionRotation",
    "Backend",
    "CaptureBackend",
    "Confidence",
    "FastBackend",
    "Fixed",
    "Generation",
    "GoldenBackend",
    "Int4Backend",
    "Int4Layer",
    "Int4Layers",
    "KVCache",
    "Llama",
    "LlamaConfig",
    "LlamaWeights",
    "ModelError",
    "PackedLayer",
    "PackedLayers",
    "Policy",
    "Prompt",
    "RopePairing",
    "RotatedBackend",
    "Rotation",
    "Round",
    "Segment",
    "TextStream",
    "Tokenizer",
    "Tree",
    "Verdict",
    "WideBackend",
    "accept_greedy",
    "accept_sampled",
    "accept_tree",
    "calibration_prompts",
    "capture",
    "greedy",
    "hadamard_matrix",
    "hadamard_transform",
    "load_model",
    "load_packed",
    "load_tokenizer",
    "own_prompts",
    "plain",
    "plain_many",
    "plain_rounds",
    "prefill",
    "prefill_many",
    "probabilities",
    "read_prompts",
    "speculate",
    "speculate_hierarchically",
    "speculate_many",
    "speculate_rounds",
]
