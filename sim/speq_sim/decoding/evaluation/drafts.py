"""Models that draft, by the name of a codec, and the targets that judge them.

Whatever a draft verifies, the LM head first of all, is the target's own product, and nothing is
kept twice.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from speq_sim import golden
from speq_sim.decoding.backends import Backend, FastBackend
from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.evaluation.codecs import (
    FP16,
    HEAD,
    MIDDLE,
    Arithmetic,
    DraftOptions,
    check_codec,
    family_of,
    is_packed,
    packed_path,
    target_of,
)
from speq_sim.decoding.evaluation.copies import COPIES, CopyBackend
from speq_sim.decoding.golden_backend import (
    GoldenBackend,
    PackedLayer,
    PackedLayers,
    PackedMode,
    layer_of,
    mode_of,
)
from speq_sim.decoding.golden_int4 import Int4Backend, Int4Layers
from speq_sim.decoding.hadamard import hadamard_matrix
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.readers import load_packed
from speq_sim.decoding.rotation import RotatedBackend, Rotation
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["Draft", "Target", "WholeRotation", "make_draft", "make_target", "stands_for"]

QSPEC_GROUP = 128
_BITS = {"draft": 4.0, "middle": 8.0, "verify": 16.0}


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """What drafts are judged by.

    Parameters
    ----------
    name : str
        ``fp16``, ``w4a16``, ``w4a16-hadamard`` or ``w4a16-hadamard-all``.
    model : Llama
    layers : Int4Layers or None
        The INT4 matrices, if these are its weights.
    rotation : Rotation or None
        What its inputs are rotated by.
    """

    name: str
    model: Llama
    layers: Int4Layers | None = None
    rotation: Rotation | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Draft:
    """A model that drafts.

    Parameters
    ----------
    model : Llama
    bits : dict
        ``read``: bits that it reads per weight, of all matrices; ``read_layers``: without the head;
        ``stored_extra``: bits that are stored for it alone, per weight of what it drafts. Group
        scales are in them, constants of rows and columns (about 0.02) are not.
    digest : str or None
        16 hexadecimal digits that change with any draft word and constant of packed weights.
    """

    model: Llama
    bits: dict[str, float]
    digest: str | None = None


class WholeRotation(Rotation):
    """Rotates the inputs of every layer but the head, online.

    To the inputs of q, k, v, gate and up it does what QuaRot's rotation of the residual stream
    does; gains of norms stay before it.

    Parameters
    ----------
    config : LlamaConfig
        The model.

    Raises
    ------
    ModelError
        If no Hadamard transform of an order is known.
    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        hadamard_matrix(config.hidden)  # refuses an order that is not known
        self._orders |= dict.fromkeys(("q", "k", "v", "gate", "up"), config.hidden)


def make_target(name: str, weights: LlamaWeights, arithmetic: Arithmetic = "golden") -> Target:
    """Build a target.

    Raises
    ------
    ModelError
        If QSpec's is asked for in another arithmetic than the golden one, or the model's sizes have
        no Hadamard transform.
    """
    if name == FP16:
        if arithmetic == "fast":
            return Target(name, Llama(weights, FastBackend(weights.matrices)))
        layers = PackedLayers.plain(weights.matrices)
        return Target(name, Llama(weights, GoldenBackend(layers, "verify")))
    if arithmetic == "fast":
        raise ModelError(f"{name} is measured on the golden back end alone: leave it out")
    rotation = None
    if name != "w4a16":
        whole = name.endswith("-all")
        rotation = WholeRotation(weights.config) if whole else Rotation(weights.config)
    matrices = weights.matrices if rotation is None else rotation.fold(weights.matrices)
    integers = Int4Layers(matrices, QSPEC_GROUP)
    backend = _rotated(Int4Backend(integers, "qverify"), rotation)
    return Target(name, Llama(weights, backend), integers, rotation)


def make_draft(
    codec: str, weights: LlamaWeights, target: Target, options: DraftOptions | None = None
) -> Draft:
    """Build the draft of a codec.

    Parameters
    ----------
    codec : str
        One of :func:`codec_names`, or ``packed:PATH``.
    weights : LlamaWeights
        The model.
    target : Target
        That of :func:`target_of` for the same weights and arithmetic.
    options : DraftOptions, optional

    Raises
    ------
    ModelError
        If the codec is unknown, the options do not fit to it, or a recipe names a layer or mode
        that does not exist.
    FormatError, QuantisationError
        If a packed file is damaged, or a matrix has no copy.
    """
    options = DraftOptions() if options is None else options
    check_codec(codec, options)
    if target.name != target_of(codec):
        raise ModelError(f"{codec} is held against {target_of(codec)}, not against {target.name}")
    if is_packed(codec):
        return _packed_draft(codec, weights, target, options)
    if codec in COPIES:
        return _copy_draft(codec, weights, target, options)
    return _integer_draft(weights, target)


def _recipe_modes(
    weights: LlamaWeights, base: PackedMode, options: DraftOptions
) -> dict[str, PackedMode]:
    """The mode of every layer: that of the recipe, else `base`; the head is verified by default.

    Raises
    ------
    ModelError
        If the recipe names a layer or mode that does not exist.
    """
    found = dict.fromkeys(weights.matrices, base)
    if not options.draft_head:
        found[HEAD] = "verify"
    for name, mode in options.recipe.items():
        layer_of(weights.matrices, name)
        found[name] = mode_of(mode, PackedMode)
    return found


def _packed_draft(
    codec: str, weights: LlamaWeights, target: Target, options: DraftOptions
) -> Draft:
    modes = _recipe_modes(weights, "middle" if codec == MIDDLE else "draft", options)
    drafted = {name: weights.matrices[name] for name, mode in modes.items() if mode != "verify"}
    path = packed_path(codec)
    if path is not None:
        packed = load_packed(path, weights)
        layers = PackedLayers({name: packed[name] for name in drafted})
    else:
        layers = PackedLayers.pack(drafted, family_of(codec))
    recipe = {name: modes[name] for name in drafted}
    backend: Backend
    if options.arithmetic == "fast":
        backend = FastBackend({name: stands_for(layers[name], recipe[name]) for name in drafted})
    else:
        form = golden.block_format(options.activations, 4)
        backend = GoldenBackend(layers, "draft", form, recipe)
    read = {
        name: 16.0 if name not in layers or layers[name].is_plain else _BITS[mode]
        for name, mode in modes.items()
    }
    model = Llama(weights, _Routed(backend, drafted, target.model.backend))
    return Draft(model, _bits(weights, read, 0.0), _digest(layers))


def _copy_draft(codec: str, weights: LlamaWeights, target: Target, options: DraftOptions) -> Draft:
    form = COPIES[codec]
    copied = {
        name: values
        for name, values in weights.matrices.items()
        if name != HEAD or options.draft_head
    }
    backend = _Routed(CopyBackend(copied, form), copied, target.model.backend)
    read = {
        name: form.bits(values.shape[1]) if name in copied else 16.0
        for name, values in weights.matrices.items()
    }
    return Draft(Llama(weights, backend), _bits(weights, read, _mean(copied, read)))


def _integer_draft(weights: LlamaWeights, target: Target) -> Draft:
    layers = target.layers
    backend = _rotated(Int4Backend(layers, "qdraft"), target.rotation)
    read = {
        name: 16.0
        if isinstance(layers[name], np.ndarray)
        else 4 + 16 * layers[name].scales.shape[1] / weights.matrices[name].shape[1]
        for name in weights.matrices
    }
    return Draft(Llama(weights, backend), _bits(weights, read, 0.0))


def _bits(weights: LlamaWeights, read: Mapping[str, float], extra: float) -> dict[str, float]:
    layers = {name: each for name, each in weights.matrices.items() if name != HEAD}
    return {
        "read": round(_mean(weights.matrices, read), 4),
        "read_layers": round(_mean(layers, read), 4),
        "stored_extra": round(extra, 4),
    }


def _mean(matrices: Mapping[str, NDArray], bits: Mapping[str, float]) -> float:
    total = sum(values.size for values in matrices.values())
    return sum(bits[name] * values.size for name, values in matrices.items()) / total


def stands_for(layer: PackedLayer, mode: PackedMode) -> NDArray[np.float32]:
    """What a packed matrix is in a mode, as float32 [N, K]: weights times row and column scales."""
    if layer.is_plain:
        return layer.values.astype(np.float32)
    alpha = np.float32(1)
    if mode == "draft":
        magnitudes = np.array(layer.draft_values, dtype=np.float32) / 32
        values = np.concatenate([magnitudes, -magnitudes])[layer.nibbles]
        alpha = layer.alpha[:, None]
    elif mode == "middle":
        values = golden.middle_values(layer.values).astype(np.float32)
    else:
        values = layer.values.astype(np.float32)
    exponents = layer.shifts[None, :] - layer.row_exponents[:, None]
    return np.ldexp(values, exponents) * alpha


def _digest(layers: PackedLayers) -> str:
    found = hashlib.sha256()
    for name, layer in layers.items():
        found.update(f"{name} {layer.draft_values}".encode())
        for part in (getattr(layer, field.name) for field in dataclasses.fields(layer)):
            if isinstance(part, np.ndarray):
                found.update(part.tobytes())
    return found.hexdigest()[:16]


def _rotated(inner: Backend, rotation: Rotation | None) -> Backend:
    return inner if rotation is None else RotatedBackend(inner, rotation)


class _Routed:
    """Sends the layers that are drafted to one back end, and all others to that of the target."""

    def __init__(self, draft: Backend, drafted: Mapping[str, NDArray], target: Backend) -> None:
        self._multiply: dict[str, Callable[[str, NDArray], NDArray]] = dict.fromkeys(
            drafted, draft.multiply
        )
        self._otherwise = target.multiply

    def multiply(self, name: str, x: NDArray) -> NDArray:
        """Results [tokens, N] of the back end of the layer."""
        return self._multiply.get(name, self._otherwise)(name, x)
