"""Decoding Llama models whose matrix products run on the array.

* :func:`load_model` reads a model; :class:`Llama` runs it on a :class:`Backend`;
* :class:`FastBackend` multiplies by BLAS, :class:`WideBackend` in float64 for comparison;
* :class:`Rotation` and :class:`RotatedBackend` rotate inputs online;
* :func:`capture` gives the inputs of every linear layer.
"""

from speq_sim.decoding.backends import Backend, FastBackend, WideBackend
from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.capture import CaptureBackend, capture
from speq_sim.decoding.config import LlamaConfig, RopePairing
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.hadamard import hadamard_matrix, hadamard_transform
from speq_sim.decoding.llama import Llama, greedy
from speq_sim.decoding.readers import load_model
from speq_sim.decoding.rotation import AttentionRotation, RotatedBackend, Rotation
from speq_sim.decoding.weights import LlamaWeights

__all__ = [
    "AttentionRotation",
    "Backend",
    "CaptureBackend",
    "FastBackend",
    "KVCache",
    "Llama",
    "LlamaConfig",
    "LlamaWeights",
    "ModelError",
    "RopePairing",
    "RotatedBackend",
    "Rotation",
    "WideBackend",
    "capture",
    "greedy",
    "hadamard_matrix",
    "hadamard_transform",
    "load_model",
]
