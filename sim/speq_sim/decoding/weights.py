"""The weights of a Llama model: FP16 matrices and FP32 norms, by name."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from speq.formats.dtypes import dtype_name
from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError

__all__ = ["LlamaWeights", "assemble", "to_half"]


@dataclasses.dataclass(frozen=True, eq=False)
class LlamaWeights:
    """A model.

    Parameters
    ----------
    config : LlamaConfig
        Its architecture.
    embedding : NDArray
        float16 [V, H].
    matrices : mapping of str to NDArray
        float16 [N, K] of every linear layer: ``layer.<i>.<q|k|v|o|gate|up|down>`` and ``head``. A
        tied head is the array `embedding`.
    norms : mapping of str to NDArray
        float32 [H] of every norm: ``layer.<i>.attention_norm``, ``layer.<i>.ffn_norm``, ``norm``.
    origin : str
        Where it was read from, and what was done to its weights.
    stored : mapping of str to str
        Name of each matrix in that file; of a tied head, that of the embedding. Packed files have
        the same names.
    """

    config: LlamaConfig
    embedding: NDArray[np.float16]
    matrices: Mapping[str, NDArray[np.float16]]
    norms: Mapping[str, NDArray[np.float32]]
    origin: str
    stored: Mapping[str, str] = dataclasses.field(default_factory=dict)


def assemble(
    config: LlamaConfig,
    read: Callable[[str], NDArray],
    origin: str,
    stored_name: Callable[[str], str] = str,
) -> LlamaWeights:
    """Read every tensor of a model, round its matrices to FP16, and check all shapes.

    Parameters
    ----------
    config : LlamaConfig
        The architecture.
    read : callable
        Gives the tensor of a name: those of :class:`LlamaWeights`, and ``embedding``. It is not
        asked for a tied head.
    origin : str
        Where it is read from; what the rounding did is added to it.
    stored_name : callable
        Gives the name that a tensor has in the file; by default the same.

    Raises
    ------
    ModelError
        If a tensor has another shape than the architecture says, or does not fit into FP16.
    """

    rounded: dict[str, None] = {}

    def checked(name: str, shape: tuple[int, ...]) -> NDArray:
        values = read(name)
        if values.shape != shape:
            raise ModelError(
                f"tensor {name!r} has shape {values.shape}, but the architecture says {shape}: "
                f"weights and configuration are of different models"
            )
        return values

    def half(name: str, shape: tuple[int, int]) -> NDArray[np.float16]:
        values = checked(name, shape)
        if values.dtype != np.float16:
            rounded[dtype_name(values.dtype)] = None
        return to_half(name, values)

    embedding = half("embedding", (config.vocabulary, config.hidden))
    matrices, stored = {}, {}
    for name, shape in config.matrix_shapes().items():
        tied = name == "head" and config.tied_head
        matrices[name] = embedding if tied else half(name, shape)
        stored[name] = stored_name("embedding" if tied else name)
    norms = {
        name: np.array(checked(name, (config.hidden,)), dtype=np.float32)
        for name in config.norm_names()
    }
    if rounded:
        origin = f"{origin}, rounded from {', '.join(rounded)} to FP16"
    return LlamaWeights(config, embedding, matrices, norms, origin, stored)


def to_half(name: str, values: NDArray) -> NDArray[np.float16]:
    """A matrix rounded to FP16, to nearest even; a copy.

    Parameters
    ----------
    name : str
        For the error.
    values : NDArray
        Of any floating-point type.

    Raises
    ------
    ModelError
        If a weight is Inf or NaN, or rounds to Inf.
    """
    with np.errstate(over="ignore"):
        # BF16 reaches FP16 through FP32, which holds it exactly.
        wide = values if values.dtype.kind == "f" else values.astype(np.float32)
        half = wide.astype(np.float16)
    if not np.isfinite(half).all():
        raise ModelError(
            f"tensor {name!r} has weights that FP16 cannot hold (Inf, NaN, or above 65504): the "
            f"file is damaged, or the model needs another format"
        )
    return half
