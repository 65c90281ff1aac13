"""Methods of decoding by name: what each needs of a model, made once."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from speq.formats.packed_reader import PackedReader
from speq.parameters import TABLE_NAMES
from speq_sim.decoding.backends import FastBackend
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.evaluation import DraftOptions, Target, make_draft, make_target
from speq_sim.decoding.evaluation.copies import COPIES
from speq_sim.decoding.evaluation.drafts import QSPEC_GROUP, stands_for
from speq_sim.decoding.golden_backend import GoldenBackend, PackedLayers
from speq_sim.decoding.golden_int4 import Int4Layer
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.readers import load_packed
from speq_sim.decoding.rotation import Rotation
from speq_sim.decoding.session import Session
from speq_sim.decoding.weights import LlamaWeights
from speq_sim.performance.passes import Costs, PassCost, draft_bits

__all__ = ["BACKENDS", "CODECS", "METHODS", "Preparation", "read_recipe"]

METHODS: tuple[str, ...] = ("plain", "speq", "qspec", "hierarchical")
"""Methods; ``qspec-plain`` is the plain decoding that QSpec is compared with (W4A16)."""

BACKENDS: Mapping[str, str] = {
    "golden": "golden model of the array: every product is the array's, bit for bit",
    "fast": "BLAS in FP32, for statistics: not the array's, and how passes are cut may show",
}
"""Back ends, and what their arithmetic is."""

CODECS: tuple[str, ...] = (*TABLE_NAMES, *COPIES)
"""What drafts are made of: families of tables over the one stored copy, or copies of their own."""

QSPEC_TARGET, QSPEC_DRAFT = "w4a16-hadamard", "w4a4-hadamard"


class Preparation:
    """The matrices of a model in every form that methods need, each made once, when needed.

    Parameters
    ----------
    weights : LlamaWeights
        The model.
    backend : str
        A key of :data:`BACKENDS`.
    codec : str
        One of :data:`CODECS`: a family of tables to pack with, or a copy to draft with.
    packed : Path, optional
        Packed file of this model, instead of packing it here.
    recipe : mapping of str to str, optional
        Mode of single layers in the draft pass; the middle model reads no fewer planes of them.
    step : callable
        Called with a text when something begins that takes seconds.

    Raises
    ------
    ModelError
        If there is no such back end or codec, or the recipe names what does not exist, or is given
        to a copy.
    FormatError
        If the packed file is none.
    """

    def __init__(
        self,
        weights: LlamaWeights,
        backend: str = "golden",
        *,
        codec: str = "fitted-8",
        packed: Path | None = None,
        recipe: Mapping[str, str] | None = None,
        step: Callable[[str], None] = lambda text: None,
    ) -> None:
        if backend not in BACKENDS:
            raise ModelError(
                f"back end {backend!r} does not exist: use one of {', '.join(BACKENDS)}"
            )
        draft_bits(weights.config, recipe)  # refuses what is no recipe
        self.weights = weights
        self.recipe = dict(recipe or {})
        self.codec = _codec(codec, packed)
        if self.recipe and self.codec in COPIES:
            raise ModelError(f"codec {self.codec!r} has no planes: leave out the recipe")
        self._arithmetic = backend
        self._packed = packed
        self._step = step

    def session(self, method: str) -> Session:
        """A method over these weights.

        Raises
        ------
        ModelError
            If there is no such method, or :meth:`check` refuses it, or the packed file is of
            another model.
        """
        self.check(method)
        if method == "plain":
            return self._plain()
        if method in ("qspec", "qspec-plain"):
            return self._qspec(drafts=method == "qspec")
        return self._copied() if self.codec in COPIES else self._packed_method(method)

    def check(self, method: str) -> None:
        """Refuse a method that does not apply, before anything is made for it.

        Raises
        ------
        ModelError
            If there is no such method; the codec is a copy, which has no middle plane; QSpec is not
            to run on the golden back end; or its rotation is not known for the sizes of the model.
        """
        if method not in (*METHODS, "qspec-plain"):
            raise ModelError(f"method {method!r} does not exist: use one of {', '.join(METHODS)}")
        if method == "hierarchical" and self.codec in COPIES:
            raise ModelError(
                f"codec {self.codec!r} is a copy, of which no middle model can be read: use one of "
                f"{', '.join(TABLE_NAMES)}"
            )
        if method in ("qspec", "qspec-plain"):
            if self._arithmetic == "fast":
                raise ModelError("qspec runs on the golden back end alone: leave out the fast one")
            Rotation(self.weights.config)  # refuses sizes that it does not know

    def _plain(self) -> Session:
        """Runs on the weights as they are, so that what packing does would be seen beside it."""
        cost = PassCost.of(self.weights.config, "plain")
        return Session("plain", self._unpacked(), None, None, Costs(cost, cost), None)

    def _copied(self) -> Session:
        """SPEQ's loop with a second copy of all matrices as the draft: a baseline."""
        config, form = self.weights.config, COPIES[self.codec]
        matrices = self.weights.matrices.values()
        bits = sum(form.bits(values.shape[1]) * values.size for values in matrices)
        target = make_target("fp16", self.weights, self._arithmetic)
        options = DraftOptions(self._arithmetic, draft_head=True)
        self._step(f"copying to {self.codec}")
        draft = make_draft(self.codec, self.weights, target, options).model
        plain = PassCost.of(config, "plain")
        costs = Costs(plain, plain, PassCost.copied(config, round(bits / 8)))
        return Session(
            "speq", target.model, draft, None, costs, bits / sum(values.size for values in matrices)
        )

    def _packed_method(self, method: str) -> Session:
        config, layers = self.weights.config, self._layers
        unpacked = [name for name, layer in layers.items() if layer.is_plain]

        def cost(mode: str, recipe: Mapping[str, str] | None = None) -> PassCost:
            return PassCost.of(config, mode, recipe, plain=unpacked)

        # A middle model that read less of a layer than its draft would be no better there.
        above = {name: mode for name, mode in self.recipe.items() if mode == "verify"}
        middle, middle_cost = None, None
        if method == "hierarchical":
            middle, middle_cost = self._model("middle", above), cost("middle", above)
        costs = Costs(
            PassCost.of(config, "plain"), cost("verify"), cost("draft", self.recipe), middle_cost
        )
        bits = draft_bits(config, self.recipe, unpacked)
        draft = self._model("draft", self.recipe)
        return Session(method, self._target, draft, middle, costs, bits)

    def _qspec(self, drafts: bool) -> Session:
        config, target = self.weights.config, self._integers
        halves = [name for name, each in target.layers.items() if not isinstance(each, Int4Layer)]

        def cost(mode: str) -> PassCost:
            return PassCost.of(config, mode, plain=halves, group=QSPEC_GROUP)

        plain = cost("qverify")
        if not drafts:
            return Session("qspec-plain", target.model, None, None, Costs(plain, plain), None)
        draft = make_draft(QSPEC_DRAFT, self.weights, target).model
        # Four bits as in the draft of packed matrices, those in FP16 beside them.
        bits = draft_bits(config, plain=halves)
        return Session(
            "qspec", target.model, draft, None, Costs(plain, plain, cost("qdraft")), bits
        )

    @functools.cached_property
    def _layers(self) -> PackedLayers:
        if self._packed is not None:
            self._step(f"reading {self._packed.name}")
            return load_packed(self._packed, self.weights)
        self._step(f"packing with {self.codec}")
        return PackedLayers.pack(self.weights.matrices, self.codec)

    @functools.cached_property
    def _target(self) -> Llama:
        return self._model("verify", {})

    def _unpacked(self) -> Llama:
        self._step("preparing plain decoding")
        return make_target("fp16", self.weights, self._arithmetic).model

    def _model(self, mode: str, recipe: Mapping[str, str]) -> Llama:
        layers = self._layers
        self._step(f"preparing {mode}")
        modes = {name: recipe.get(name, mode) for name in layers}
        if self._arithmetic == "fast":
            matrices = {name: stands_for(layers[name], modes[name]) for name in layers}
            return Llama(self.weights, FastBackend(matrices))
        for name, each in modes.items():
            layers.prepared(name, each)
        return Llama(self.weights, GoldenBackend(layers, mode, recipe=recipe))

    @functools.cached_property
    def _integers(self) -> Target:
        """QSpec's target; its draft has the same weights."""
        self._step("rotating and quantising to INT4")
        target = make_target(QSPEC_TARGET, self.weights, self._arithmetic)
        self._step("preparing qverify and qdraft")
        for name in target.layers:
            target.layers.prepared(name)
        return target


def _codec(name: str, packed: Path | None) -> str:
    if packed is not None:
        return PackedReader(packed).family.name
    if name not in CODECS:
        raise ModelError(f"codec {name!r} does not exist: use one of {', '.join(CODECS)}")
    return name


def read_recipe(path: Path) -> dict[str, str]:
    """A recipe from a JSON file: an object with a mode for each layer that is named.

    It may also be the value of the key ``recipe`` of the object.

    Raises
    ------
    ModelError
        If the file holds no such object.
    OSError
        If it cannot be read.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path.name} is no JSON: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("recipe"), dict):
        found = found["recipe"]
    if not isinstance(found, dict) or not all(isinstance(mode, str) for mode in found.values()):
        raise ModelError(
            f'{path.name} is no recipe: give a mode for each layer, such as {{"head": "middle"}}'
        )
    return found
