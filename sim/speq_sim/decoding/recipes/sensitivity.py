"""What drafting one matrix alone costs: KL(target || draft) when all others are verified.

The matrix runs on the golden model, with the activations of a draft; all others on BLAS, which is
near enough for a statistic and quicker. Teacher-forced, as in
:mod:`speq_sim.decoding.evaluation.agreement`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from speq_sim import golden
from speq_sim.decoding.backends import Backend
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.evaluation import Context, agree
from speq_sim.decoding.golden_backend import GoldenBackend, PackedLayers, PackedMode
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["CHEAPER", "measure_sensitivities"]

CHEAPER: tuple[PackedMode, ...] = ("draft", "middle")
"""Modes that read fewer planes than all."""


def measure_sensitivities(
    weights: LlamaWeights,
    layers: PackedLayers,
    found: Sequence[Context],
    verified: Backend,
    draft_format: golden.BlockFormat | None = None,
    step: Callable[[str], None] = lambda text: None,
) -> dict[str, dict[str, float]]:
    """Measure every packed matrix in every cheaper mode, one at a time.

    Parameters
    ----------
    weights : LlamaWeights
        The model.
    layers : PackedLayers
        Its matrices; plain ones are verified in every mode, and so are left out.
    found : sequence of Context
        Texts, as the model on `verified` read them.
    verified : Backend
        Multiplies by all other matrices, each product the same bits every time.
    draft_format : BlockFormat, optional
        Activations of DRAFT, as :class:`GoldenBackend`.
    step : callable
        Called with a text before each matrix.

    Returns
    -------
    dict of str to dict
        By name of the layer and by mode: mean KL(target || draft) in nats, 0 or more.

    Raises
    ------
    ModelError
        If there are no texts, or a pass fails.
    """
    if not found:
        raise ModelError("sensitivities are measured on texts, and there is none: give one")
    known = _Recorder(verified)
    agree(Llama(weights, known), found)
    names = [name for name, layer in layers.items() if not layer.is_plain]
    sensitivities = {}
    for number, name in enumerate(names, start=1):
        step(f"sensitivity of {name}, {number} of {len(names)}")
        # Of one matrix alone, so that what is prepared of it goes before the next one.
        alone = PackedLayers({name: layers[name]})
        sensitivities[name] = {
            mode: _divergence(
                weights, found, _OneDrafted(known, name, GoldenBackend(alone, mode, draft_format))
            )
            for mode in CHEAPER
        }
    return sensitivities


def _divergence(weights: LlamaWeights, found: Sequence[Context], backend: Backend) -> float:
    judged = agree(Llama(weights, backend), found)
    return float(np.concatenate([each.divergences for each in judged]).mean())


class _Recorder:
    """Keeps what a back end gives, layer by layer in the order they run, pass by pass."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.results: dict[str, list[NDArray]] = {}

    def multiply(self, name: str, x: NDArray) -> NDArray:
        result = self.inner.multiply(name, x)
        # Nothing runs behind the head, so that nobody will ask for it.
        self.results.setdefault(name, []).append(result if name != "head" else x[:0])
        return result


class _OneDrafted:
    """Drafts one layer. What runs before it is known, as nothing has been changed there yet."""

    def __init__(self, known: _Recorder, name: str, draft: Backend) -> None:
        order = list(known.results)
        before = order[: order.index(name)]
        self._known: Mapping = {each: iter(known.results[each]) for each in before}
        self._name = name
        self._draft = draft
        self._verified = known.inner

    def multiply(self, name: str, x: NDArray) -> NDArray:
        if name == self._name:
            return self._draft.multiply(name, x)
        if name in self._known:
            return next(self._known[name])
        return self._verified.multiply(name, x)
