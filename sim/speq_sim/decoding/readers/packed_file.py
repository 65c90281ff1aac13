"""The matrices of a model as ``scripts/pack_weights.py`` packed them."""

from pathlib import Path

import numpy as np

from speq.formats.packed_reader import PackedReader
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.golden_backend import PackedLayers
from speq_sim.decoding.weights import LlamaWeights, to_half

__all__ = ["load_packed"]


def load_packed(path: Path | str, weights: LlamaWeights) -> PackedLayers:
    """Read the matrices of a packed file, and hold them against those of the model.

    Configuration, norms and the embedding are the model's. A packed file names its tensors as the
    file that was packed, so `weights` must be read from a file of the same kind. A tied head is
    packed as the embedding.

    Parameters
    ----------
    path : Path or str
        The packed file.
    weights : LlamaWeights
        The model that was packed.

    Raises
    ------
    ModelError
        If the file lacks a matrix, keeps one unpacked or as INT4, or is of another model: every
        packed weight, rounded to FP16, must be that of the model.
    FormatError
        If it is no packed file, or damaged.
    """
    reader = PackedReader(Path(path))
    names = {name: weights.stored.get(name, name) for name in weights.matrices}
    for name, stored in names.items():
        _check_stored(reader, name, stored)
    layers = PackedLayers.read(reader, names)
    for name, stored in names.items():
        values = reader.unpack(stored)
        expected = weights.matrices[name]
        same = values.shape == expected.shape and np.array_equal(
            to_half(stored, values).view(np.uint16), expected.view(np.uint16)
        )
        if not same:
            raise ModelError(
                f"tensor {stored!r} of {reader.path.name} has other weights than the model from "
                f"{weights.origin}: pack this model, or load the one that was packed"
            )
    return layers


def _check_stored(reader: PackedReader, name: str, stored: str) -> None:
    if stored not in reader:
        raise ModelError(
            f"{reader.path.name} lacks {stored!r}, the matrix of layer {name!r}: it was packed "
            f"from another model, or from another kind of file"
        )
    if stored in reader.kept:
        raise ModelError(
            f"{reader.path.name} keeps {stored!r}, the matrix of layer {name!r}, in "
            f"{reader.dtype(stored)}, which the array cannot run: pack the model with --round"
        )
