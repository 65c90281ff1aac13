"""Tensors of a file by name: what a model needs and what it must not have."""

from collections.abc import Collection, Mapping

from speq.formats.sources import SourceTensor
from speq_sim.decoding.errors import ModelError

__all__ = ["check_used", "tensor_of"]

_HARMLESS = ("rotary_emb.inv_freq",)
"""Ends of names that hold nothing but what the configuration says as well."""


def tensor_of(tensors: Mapping[str, SourceTensor], name: str, file: str) -> SourceTensor:
    """The tensor of a name.

    Raises
    ------
    ModelError
        If it is missing.
    """
    if name not in tensors:
        raise ModelError(
            f"{file} lacks the tensor {name!r}: it is no whole Llama model, or the file is cut"
        )
    return tensors[name]


def check_used(tensors: Collection[str], used: Collection[str], file: str) -> None:
    """Hold what a file has against what was read of it.

    A tensor left over (a bias, a norm of queries) means another function than the one run here.

    Raises
    ------
    ModelError
        If a tensor was not read.
    """
    left = [name for name in tensors if name not in used and not name.endswith(_HARMLESS)]
    if left:
        raise ModelError(
            f"unknown architecture: {file} has the tensor {left[0]!r}"
            + (f" and {len(left) - 1} more" if len(left) > 1 else "")
            + ", which a plain Llama model does not have"
        )
