"""The forward pass of a Llama model."""

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from speq_sim.decoding.backends import Backend
from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.layers import attend, rms_norm, rope_angles, rotate_positions, swiglu
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["Llama", "Segment", "greedy"]


@dataclasses.dataclass(frozen=True, eq=False)
class Segment:
    """The part of a pass that belongs to one sequence.

    Parameters
    ----------
    tokens : array_like
        [T] token numbers, T of 1 or more.
    cache : KVCache
        What was before; the tokens take its next slots.
    parents : sequence of int, optional
        T slots of the cache: what each token follows, so that the tokens make a tree. By default
        each follows the one before.
    rows : int, optional
        Give logits of the last `rows` tokens only, 0 to T; by default of all. The head is the
        largest matrix of small models.
    """

    tokens: ArrayLike
    cache: KVCache
    parents: Sequence[int] | None = None
    rows: int | None = None


class Llama:
    """A model that runs: its weights, and the back end that multiplies by its matrices.

    Everything but the matrix products is computed in `dtype`, each token by itself. So with a back
    end that treats each token by itself, logits are the same bits however the tokens are split
    into passes, and whatever other sequences are in the pass.

    Parameters
    ----------
    weights : LlamaWeights
        Embedding, norms and architecture. The matrices are the back end's affair.
    backend : Backend
        Multiplies by the matrices.
    dtype : dtype
        Type of all else: float32, or float64 for references.
    """

    def __init__(
        self, weights: LlamaWeights, backend: Backend, dtype: DTypeLike = np.float32
    ) -> None:
        self.config = weights.config
        self.backend = backend
        self.dtype = np.dtype(dtype)
        self._embedding = weights.embedding
        self._norms = weights.norms

    def cache(self, capacity: int | None = None, spare: int = 0) -> KVCache:
        """An empty cache of `capacity` positions (by default the context), and `spare` slots."""
        return KVCache(self.config, capacity, self.dtype, spare)

    def forward(self, tokens: ArrayLike, cache: KVCache, rows: int | None = None) -> NDArray:
        """Run the tokens that follow what the cache holds, and add them to it.

        Parameters
        ----------
        tokens : array_like
            [T] token numbers, T of 1 or more.
        cache : KVCache
            The positions before.
        rows : int, optional
            R: give logits of the last R tokens only, 0 to T; by default of all T.

        Returns
        -------
        NDArray
            [R, V] logits, each row for the token behind its own.

        Raises
        ------
        ModelError
            As :meth:`forward_many`.
        """
        return self.forward_many([Segment(tokens, cache, rows=rows)])[0]

    # What overflows ends in a logit of Inf or NaN, which is an error of its own.
    @np.errstate(over="ignore", invalid="ignore")
    def forward_many(self, segments: Sequence[Segment]) -> list[NDArray]:
        """Run tokens of several sequences in one pass, and add them to their caches.

        Every matrix multiplies all tokens together; each sequence attends to itself alone.

        Parameters
        ----------
        segments : sequence of Segment
            One for each sequence, each with a cache of its own.

        Returns
        -------
        list of NDArray
            Logits [R, V] of each segment's last R tokens, each row for the token behind its own.

        Raises
        ------
        ModelError
            If a segment has no token, one is not of the vocabulary, they do not fit into the cache,
            two segments share a cache, or a logit is Inf or NaN. All caches keep their lengths
            then.
        """
        if not segments:
            return []
        parts = self._parts(segments)
        x = self._run(parts)
        wanted = np.concatenate([np.arange(part.last, part.end) for part in parts])
        logits = np.empty((0, self.config.vocabulary), self.dtype)
        if wanted.size:
            logits = self._multiply("head", x[wanted])
        if not (np.isfinite(x).all() and np.isfinite(logits).all()):
            raise self._broken(segments)
        for part in parts:
            part.cache.advance(part.end - part.start)
        return np.split(logits, np.cumsum([part.end - part.last for part in parts])[:-1])

    def _parts(self, segments: Sequence[Segment]) -> list["_Part"]:
        if len({id(each.cache) for each in segments}) < len(segments):
            raise ModelError(
                "two sequences of a pass share a cache: give each its own, such as a copy of it"
            )
        parts: list[_Part] = []
        for each in segments:
            numbers = self._checked(each.tokens)
            rows = len(numbers) if each.rows is None else each.rows
            if not 0 <= rows <= len(numbers):
                raise ModelError(
                    f"logits of the last {rows} of {len(numbers)} tokens were asked for: give 0 "
                    f"to {len(numbers)}"
                )
            start = parts[-1].end if parts else 0
            end = start + len(numbers)
            positions = each.cache.reserve(len(numbers), each.parents)
            first = each.cache.length
            seen = [each.cache.seen(slot) for slot in range(first, first + len(numbers))]
            parts.append(_Part(numbers, each.cache, positions, seen, start, end - rows, end))
        return parts

    def _run(self, parts: Sequence["_Part"]) -> NDArray:
        """What the head multiplies [tokens, H]."""
        positions = np.concatenate([part.positions for part in parts])
        angles = rope_angles(positions, self.config.head_dim, self.config.rope_theta)
        x = self._embedding[np.concatenate([part.tokens for part in parts])].astype(self.dtype)
        for layer in range(self.config.layers):
            x = x + self._attention(layer, x, angles, parts)
            x = x + self._feed_forward(layer, x)
        return self._norm("norm", x)

    def _attention(
        self, layer: int, x: NDArray, angles: NDArray[np.float64], parts: Sequence["_Part"]
    ) -> NDArray:
        config, name = self.config, f"layer.{layer}"
        inputs = self._norm(f"{name}.attention_norm", x)

        def heads(part: str) -> NDArray:
            return self._multiply(f"{name}.{part}", inputs).reshape(len(x), -1, config.head_dim)

        queries, keys, values = heads("q"), heads("k"), heads("v")
        queries = rotate_positions(queries, angles, config.rope_pairing)
        keys = rotate_positions(keys, angles, config.rope_pairing)
        mixed = []
        for part in parts:
            span = slice(part.start, part.end)
            stored = part.cache.write(layer, keys[span], values[span])
            mixed.append(attend(queries[span], *stored, part.seen))
        return self._multiply(f"{name}.o", np.concatenate(mixed))

    def _feed_forward(self, layer: int, x: NDArray) -> NDArray:
        name = f"layer.{layer}"
        inputs = self._norm(f"{name}.ffn_norm", x)
        gate = self._multiply(f"{name}.gate", inputs)
        up = self._multiply(f"{name}.up", inputs)
        return self._multiply(f"{name}.down", swiglu(gate, up))

    def _norm(self, name: str, x: NDArray) -> NDArray:
        return rms_norm(x, self._norms[name], self.config.norm_epsilon)

    def _multiply(self, name: str, x: NDArray) -> NDArray:
        return self.backend.multiply(name, x).astype(self.dtype, copy=False)

    def _broken(self, segments: Sequence[Segment]) -> ModelError:
        """The error for a logit of Inf or NaN; the pass is run again to see where it began."""
        watched = copy.copy(self)
        watched.backend = watch = _Watch(self.backend)
        parts = watched._parts(segments)
        watched._multiply("head", watched._run(parts))
        return ModelError(f"the model gave a logit of Inf or NaN: {watch.cause}")

    def _checked(self, tokens: ArrayLike) -> NDArray[np.int64]:
        numbers = np.asarray(tokens)
        if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "iu":
            raise ModelError("tokens must be a list of one or more integers")
        wrong = numbers[(numbers < 0) | (numbers >= self.config.vocabulary)]
        if wrong.size:
            raise ModelError(
                f"token {wrong[0]} is not of the vocabulary, 0 to {self.config.vocabulary - 1}: "
                f"the tokenizer is of another model"
            )
        return numbers.astype(np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
    """A segment, checked: rows `start` to `end` of the pass; the head takes those from `last`."""

    tokens: NDArray[np.int64]
    cache: KVCache
    positions: NDArray[np.int64]
    seen: list[slice | NDArray[np.int64]]
    start: int
    last: int
    end: int


class _Watch:
    """Notes the first linear layer that gives Inf or NaN, and why."""

    cause = "sums of finite results are beyond what the model's type can hold"

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self._found = False

    def multiply(self, name: str, x: NDArray) -> NDArray:
        """Apply the layer, and look at what comes out."""
        result = self._inner.multiply(name, x)
        if not (self._found or np.isfinite(result).all()):
            self._found = True
            self.cause = f"layer {name!r} gave the first, {self._why(x)}"
        return result

    @staticmethod
    def _why(x: NDArray) -> str:
        if np.isnan(x).any():
            return "from an input that is NaN: the embedding, a norm or the cache is damaged"
        greatest = np.abs(x).max()
        if not np.isfinite(greatest.astype(np.float16)):
            return f"as an activation of {greatest:.3g} is beyond what FP16 can hold"
        return "from finite inputs: its weights are damaged"


def greedy(model: Llama, prompt: Sequence[int], count: int) -> list[int]:
    """Continue a prompt with the likeliest token each time (the lowest number among equals).

    Parameters
    ----------
    model : Llama
    prompt : sequence of int
        Token numbers, one or more.
    count : int
        Tokens to give.

    Returns
    -------
    list of int
        `count` tokens, without the prompt.
    """
    cache = model.cache(len(prompt) + count)
    found: list[int] = []
    fed = list(prompt)
    while len(found) < count:
        fed = [int(model.forward(fed, cache, rows=1)[-1].argmax())]
        found += fed
    return found
