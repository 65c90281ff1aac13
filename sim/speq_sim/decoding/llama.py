"""The forward pass of a Llama model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from speq_sim.decoding.backends import Backend
from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.layers import attend, rms_norm, rope_angles, rotate_positions, swiglu
from speq_sim.decoding.weights import LlamaWeights

__all__ = ["Llama", "greedy"]


class Llama:
    """A model that runs: its weights, and the back end that multiplies by its matrices.

    Everything but the matrix products is computed in `dtype`, each token by itself. So with a back
    end that treats each token by itself, logits are the same bits however the tokens are split
    into passes.

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

    def cache(self, capacity: int | None = None) -> KVCache:
        """An empty cache for this model, of `capacity` positions (by default its context)."""
        return KVCache(self.config, capacity, self.dtype)

    # What overflows ends in a logit of Inf or NaN, which is an error of its own.
    @np.errstate(over="ignore", invalid="ignore")
    def forward(self, tokens: ArrayLike, cache: KVCache) -> NDArray:
        """Run the tokens that follow what the cache holds, and add them to it.

        Parameters
        ----------
        tokens : array_like
            [T] token numbers, T of 1 or more.
        cache : KVCache
            The positions before.

        Returns
        -------
        NDArray
            [T, V] logits; row i is for the token behind ``tokens[i]``.

        Raises
        ------
        ModelError
            If there is no token, one is not of the vocabulary, they do not fit into the cache, or
            a logit is Inf or NaN. The cache keeps its length then.
        """
        numbers = self._checked(tokens)
        cache.reserve(len(numbers))
        positions = np.arange(cache.length, cache.length + len(numbers))
        angles = rope_angles(positions, self.config.head_dim, self.config.rope_theta)
        x = self._embedding[numbers].astype(self.dtype)
        for layer in range(self.config.layers):
            x = x + self._attention(layer, x, angles, cache)
            x = x + self._feed_forward(layer, x)
        logits = self._multiply("head", self._norm("norm", x))
        if not np.isfinite(logits).all():
            raise ModelError(
                "the model gave a logit of Inf or NaN: its weights are damaged, or an activation "
                "is beyond what FP16 can hold"
            )
        cache.advance(len(numbers))
        return logits

    def _attention(
        self, layer: int, x: NDArray, angles: NDArray[np.float64], cache: KVCache
    ) -> NDArray:
        config, name = self.config, f"layer.{layer}"
        inputs = self._norm(f"{name}.attention_norm", x)

        def heads(part: str) -> NDArray:
            return self._multiply(f"{name}.{part}", inputs).reshape(len(x), -1, config.head_dim)

        queries, keys, values = heads("q"), heads("k"), heads("v")
        queries = rotate_positions(queries, angles, config.rope_pairing)
        keys = rotate_positions(keys, angles, config.rope_pairing)
        mixed = attend(queries, *cache.write(layer, keys, values))
        return self._multiply(f"{name}.o", mixed)

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
        fed = [int(model.forward(fed, cache)[-1].argmax())]
        found += fed
    return found
