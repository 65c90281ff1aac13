"""Back end of the golden model over packed matrices: VERIFY, DRAFT and MIDDLE, bit for bit.

What the array and its epilogue give (docs/numerics.md, docs/epilogue.md). Sums are exact, so every
result is of its own token and weight row alone, whatever else is in the pass.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from speq.formats import Family, PackedTensor, decode, draft_codes, family, from_planes, pack
from speq.formats.packed_reader import PackedReader
from speq_sim import golden
from speq_sim.decoding.errors import ModelError

__all__ = ["GoldenBackend", "PackedLayer", "PackedLayers", "layer_of", "mode_of", "rounded"]

Layer = TypeVar("Layer")

PackedMode = Literal["verify", "draft", "middle"]
"""Modes over packed matrices."""


@dataclasses.dataclass(frozen=True, eq=False)
class PackedLayer:
    """A matrix [N, K] as the golden model takes it; a plain one has values alone.

    Parameters
    ----------
    values : NDArray
        float16 [N, K]: v, the stored values; the weights themselves of a plain matrix.
    nibbles : NDArray or None
        uint8 [N, K]: draft words ``sign << 3 | code``.
    draft_values : tuple of int
        d[code]; empty of a plain matrix.
    shifts : NDArray or None
        int64 [K]: s[k] = -c[k].
    row_exponents : NDArray or None
        int64 [N]: t + r[n].
    alpha : NDArray or None
        float32 [N]: scale of each row's draft result.
    """

    values: NDArray[np.float16]
    nibbles: NDArray[np.uint8] | None = None
    draft_values: tuple[int, ...] = ()
    shifts: NDArray[np.int64] | None = None
    row_exponents: NDArray[np.int64] | None = None
    alpha: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, tensor: PackedTensor, members: Family) -> "PackedLayer":
        """What a packed tensor holds.

        Raises
        ------
        FormatError
            If a word is damaged or of another family.
        """
        if tensor.is_plain:
            return cls(tensor.plain.view(np.float16))
        words = from_planes(tensor.planes)
        return cls(
            decode(words, members, tensor.tables).view(np.float16),
            draft_codes(words),
            members.draft_values,
            -tensor.scale.columns.astype(np.int64),
            tensor.scale.row_exponents,
            tensor.alpha,
        )

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to draft with: it is verified in every mode."""
        return self.nibbles is None

    def prepare(self, mode: PackedMode) -> golden.Prepared:
        """The matrix prepared for many products in a mode; a plain one is verified."""
        scale = self.shifts, self.row_exponents
        if mode == "verify" or self.is_plain:
            return golden.prepare_verify(self.values, *scale)
        if mode == "middle":
            return golden.prepare_middle(self.values, *scale)
        return golden.prepare_draft(self.nibbles, self.draft_values, *scale)


class PackedLayers(Mapping[str, PackedLayer]):
    """The matrices of a model, packed once; any number of back ends can share them.

    Takes 3 bytes a weight, and 2 of a plain matrix. Besides, a matrix takes 8 bytes a weight for
    each mode that it was multiplied in: it is prepared at its first product, and kept prepared for
    all back ends.

    Parameters
    ----------
    layers : mapping of str to PackedLayer
        By the names of :class:`speq_sim.decoding.weights.LlamaWeights`.
    """

    def __init__(self, layers: Mapping[str, PackedLayer]) -> None:
        self._layers = dict(layers)
        self._prepared: dict[tuple[str, str], golden.Prepared] = {}

    @classmethod
    def plain(cls, matrices: Mapping[str, NDArray[np.float16]]) -> "PackedLayers":
        """Matrices float16 [N, K] as they are, none of them packed."""
        return cls({name: PackedLayer(values) for name, values in matrices.items()})

    @classmethod
    def pack(
        cls, matrices: Mapping[str, NDArray[np.float16]], members: Family | str
    ) -> "PackedLayers":
        """Pack every matrix; one that cannot be, or would gain nothing, is plain.

        Parameters
        ----------
        matrices : mapping of str to NDArray
            float16 [N, K] by name.
        members : Family or str
            The tables, or the name of a family.

        Raises
        ------
        FormatError
            If there is no such family.
        """
        members = family(members) if isinstance(members, str) else members
        return cls(
            {
                name: PackedLayer.of(pack(values, members), members)
                for name, values in matrices.items()
            }
        )

    @classmethod
    def read(cls, reader: PackedReader, names: Mapping[str, str]) -> "PackedLayers":
        """Read matrices of a packed file.

        Parameters
        ----------
        reader : PackedReader
            The file.
        names : mapping of str to str
            Name of the tensor in the file, by the name of the layer.

        Raises
        ------
        FormatError
            If a tensor is missing or damaged.
        ModelError
            If a tensor is no matrix, or INT4.
        """
        layers = {}
        for name, stored in names.items():
            tensor = reader.tensor(stored)
            if not isinstance(tensor, PackedTensor) or len(tensor.shape) != 2:
                kind = "no matrix" if isinstance(tensor, PackedTensor) else "INT4"
                raise ModelError(
                    f"tensor {stored!r} of {reader.path.name} is {kind}, so it cannot be layer "
                    f"{name!r}: name a matrix that was packed"
                )
            layers[name] = PackedLayer.of(tensor, reader.family)
        return cls(layers)

    def prepared(self, name: str, mode: PackedMode) -> golden.Prepared:
        """A layer prepared for many products in a mode, the same for every caller.

        Raises
        ------
        ModelError
            If there is no layer of that name, or no such mode.
        """
        layer, mode = layer_of(self, name), mode_of(mode, PackedMode)
        key = name, "verify" if layer.is_plain else mode
        if key not in self._prepared:
            self._prepared[key] = layer.prepare(mode)
        return self._prepared[key]

    def __getitem__(self, name: str) -> PackedLayer:
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


class GoldenBackend:
    """Multiplies by packed matrices in one mode, or in the one that a recipe has for a layer.

    Parameters
    ----------
    layers : PackedLayers
        The matrices.
    mode : {"verify", "draft", "middle"}
        What is computed. Plain matrices are verified in every mode.
    draft_format : BlockFormat, optional
        Activations of DRAFT; by default those of a design of four lanes.
    recipe : mapping of str to str, optional
        Mode of single layers, by name, instead of `mode`.

    Raises
    ------
    ModelError
        If there is no such mode, or the recipe names a layer that is not there.
    """

    def __init__(
        self,
        layers: PackedLayers,
        mode: PackedMode,
        draft_format: golden.BlockFormat | None = None,
        recipe: Mapping[str, str] | None = None,
    ) -> None:
        recipe = {} if recipe is None else recipe
        for name in recipe:
            layer_of(layers, name)
        self._layers = layers
        self._mode = mode_of(mode, PackedMode)
        self._recipe = {name: mode_of(each, PackedMode) for name, each in recipe.items()}
        self._format = golden.block_format("bfp6", 4) if draft_format is None else draft_format

    def multiply(self, name: str, x: NDArray) -> NDArray[np.float32]:
        """Results [tokens, N] of ``float16(x)``; drafts are multiplied by alpha.

        Raises
        ------
        ModelError
            If there is no layer of that name.
        """
        layer = layer_of(self._layers, name)
        mode = "verify" if layer.is_plain else self._recipe.get(name, self._mode)
        results = self._layers.prepared(name, mode).multiply(rounded(x), self._format)
        if mode != "draft":
            return results
        ones = np.ones(len(results), dtype=np.float32)
        return golden.scale_results(results[None], layer.alpha[:, None], ones)


def rounded(x: NDArray) -> NDArray[np.float16]:
    """Inputs in FP16, to nearest even; beyond 65504 is Inf, as the array would be given it."""
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(np.float16)


def layer_of(layers: Mapping[str, Layer], name: str) -> Layer:
    """A layer by its name.

    Raises
    ------
    ModelError
        If it is not there.
    """
    if name not in layers:
        raise ModelError(
            f"layer {name!r} is not among the {len(layers)} matrices of the back end: build it "
            f"from the model that runs, and check the name"
        )
    return layers[name]


def mode_of(mode: str, modes: Any) -> str:
    """A mode that is one of a Literal's.

    Raises
    ------
    ModelError
        If it is not.
    """
    known = get_args(modes)
    if mode not in known:
        raise ModelError(f"mode {mode!r} does not exist here: use one of {', '.join(known)}")
    return mode
