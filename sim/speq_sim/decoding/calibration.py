"""What a packer asks of a model: the second moments of the inputs of its layers.

Text is written by the model itself behind prompts that nothing is measured on, at temperature
:data:`TEMPERATURE`. Every token counts alike: its input to a layer is scaled to mean square 1. The
first :data:`SKIPPED` positions are left out, because attention parks on them what it has no use
for, and their inputs are orders of magnitude larger than all others.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from speq_sim.decoding.backends import Backend, FastBackend
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.llama import Llama, Segment
from speq_sim.decoding.speculative import plain_many
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["calibration_texts", "second_moments"]

TEMPERATURE = 0.8
"""Of the text that a model writes for its own calibration."""

SKIPPED = 4
"""Positions at the beginning of a text that do not count."""

SHARED = {"k": "q", "v": "q", "up": "gate"}
"""Parts of a layer that have the input of another."""

_AT_ONCE = 24
"""Texts that are written in lock step."""

_PASS_TOKENS = 1024
"""Tokens of a pass when moments are gathered, about."""


def calibration_texts(
    weights: LlamaWeights,
    prompts: Sequence[Sequence[int]],
    tokens: int = 8192,
    length: int = 160,
    seed: int = 0,
    stop: frozenset[int] = frozenset(),
    step: Callable[[str], None] = lambda text: None,
) -> list[list[int]]:
    """Texts that a model writes behind some prompts.

    Parameters
    ----------
    weights : LlamaWeights
        The model; it runs on BLAS.
    prompts : sequence of sequence of int
        Prompts, each taken again until there is enough, with other random numbers.
    tokens : int
        Least tokens of all texts together, prompts not counted.
    length : int
        Most tokens of a text, its prompt not counted.
    seed : int
        Of the random numbers.
    stop : frozenset of int
        Tokens that end a text.
    step : callable
        Called with a text before each pass over some prompts.

    Returns
    -------
    list of list of int
        Prompt and continuation of each.

    Raises
    ------
    ModelError
        If there is no prompt, one leaves no room for `length` tokens in the context, or `length` is
        below 1.
    """
    if not prompts:
        raise ModelError("there are no calibration prompts: give one or more")
    if length < 1:
        raise ModelError(f"texts of {length} tokens hold nothing: give a length of 1 or more")
    model = Llama(weights, FastBackend(weights.matrices))
    texts: list[list[int]] = []
    written = 0
    while written < tokens:
        first = len(texts)
        chosen = [prompts[(first + place) % len(prompts)] for place in range(_AT_ONCE)]
        step(f"{written} of {tokens} tokens of calibration text")
        found = plain_many(model, chosen, length, TEMPERATURE, seed + first, stop=stop)
        texts += [[*prompt, *each.tokens] for prompt, each in zip(chosen, found, strict=True)]
        written += sum(len(each.tokens) for each in found)
    return texts


def second_moments(
    weights: LlamaWeights,
    texts: Sequence[Sequence[int]],
    step: Callable[[str], None] = lambda text: None,
) -> dict[str, NDArray[np.float64]]:
    """Mean of ``x x^T`` over the inputs x of every layer, each x scaled to mean square 1.

    Parameters
    ----------
    weights : LlamaWeights
        The model; it runs on BLAS.
    texts : sequence of sequence of int
        Tokens, each text longer than :data:`SKIPPED`.
    step : callable
        Called with a text before each pass.

    Returns
    -------
    dict of str to NDArray
        float64 [K, K] by name of the layer. Layers that share an input share the array.

    Raises
    ------
    ModelError
        If no text is longer than :data:`SKIPPED`.
    """
    watched = _Moments(FastBackend(weights.matrices))
    model = Llama(weights, watched)
    texts = [text for text in texts if len(text) > SKIPPED]
    if not texts:
        raise ModelError(
            f"no calibration text is longer than {SKIPPED} tokens, and the first {SKIPPED} do not "
            f"count: give longer ones"
        )
    for number, group in enumerate(groups := _grouped(texts)):
        step(f"moments: pass {number + 1} of {len(groups)}")
        watched.counted = np.concatenate([np.arange(len(text)) >= SKIPPED for text in group])
        model.forward_many([Segment(text, model.cache(len(text))) for text in group])
    return watched.means(weights.matrices)


def _grouped(texts: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """Texts in groups of about :data:`_PASS_TOKENS` tokens."""
    groups: list[list[Sequence[int]]] = []
    size = _PASS_TOKENS
    for text in texts:
        if size >= _PASS_TOKENS:
            groups.append([])
            size = 0
        groups[-1].append(text)
        size += len(text)
    return groups


class _Moments:
    """A back end that adds up ``x x^T`` of what goes into another.

    `counted` says which tokens of the pass count.
    """

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._tokens = 0
        self.counted = np.zeros(0, dtype=bool)

    def multiply(self, name: str, x: NDArray) -> NDArray:
        if name.rpartition(".")[2] not in SHARED:
            self._add(name, x[self.counted].astype(np.float16).astype(np.float32))
        return self._inner.multiply(name, x)

    def _add(self, name: str, x: NDArray[np.float32]) -> None:
        power = np.mean(np.square(x, dtype=np.float64), axis=1)
        x = x[power > 0] / np.sqrt(power[power > 0])[:, None].astype(np.float32)
        self._sums[name] = self._sums.get(name, 0.0) + (x.T @ x).astype(np.float64)
        if name == "head":
            self._tokens += len(x)

    def means(self, names: Mapping[str, NDArray]) -> dict[str, NDArray[np.float64]]:
        """Means by name, for every layer of a model."""
        means = {name: total / self._tokens for name, total in self._sums.items()}
        for name in names:
            layer, _, part = name.rpartition(".")
            if part in SHARED:
                means[name] = means[f"{layer}.{SHARED[part]}"]
        return {name: means[name] for name in names}
