"""Models to speculate with: random Llamas on tokenwise back ends, and tables of logits."""

import dataclasses
from functools import cache

import numpy as np
from decoding_models import CONFIG, random_model

from speq_sim.decoding import FastBackend, KVCache, Llama

VOCABULARY = 8


class TokenwiseBackend(FastBackend):
    """One product per token: its sums do not depend on the tokens beside it."""

    def multiply(self, name, x):
        return np.concatenate(
            [super(TokenwiseBackend, self).multiply(name, row[None]) for row in x]
        )


@cache
def model(noise=0.0, tokenwise=True):
    """The one random model, with `noise` times the size of its weights added to its matrices."""
    weights = random_model(5, layers=2)
    generator = np.random.default_rng(7)
    matrices = {
        name: (values + noise * generator.standard_normal(values.shape) * values.std()).astype(
            np.float16
        )
        for name, values in weights.matrices.items()
    }
    return Llama(weights, (TokenwiseBackend if tokenwise else FastBackend)(matrices))


class TableModel:
    """Logits of the next token by the last token alone, in place of a Llama."""

    config = dataclasses.replace(
        CONFIG, layers=1, kv_heads=1, head_dim=2, context=100_000, vocabulary=VOCABULARY
    )

    def __init__(self, probabilities):
        with np.errstate(divide="ignore"):
            self.logits = np.log(probabilities)

    def cache(self, capacity, spare=0):
        return KVCache(self.config, capacity, spare=spare)

    def forward_many(self, segments):
        found = []
        for each in segments:
            each.cache.reserve(len(each.tokens), each.parents)
            each.cache.advance(len(each.tokens))
            found.append(self.logits[np.asarray(each.tokens)])
        return found


def chi_square(counts, probabilities):
    """Statistic of counts [.., V] against rows of p, and its 99.99 % point.

    Tokens of p = 0 must not occur. The point is Wilson and Hilferty's.
    """
    possible = probabilities > 0
    assert not counts[~possible].any()
    expected = counts.sum(axis=-1, keepdims=True) * probabilities
    assert expected[possible].min() > 5
    statistic = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    freedom = possible.sum() - counts[..., 0].size
    spread = 2 / (9 * freedom)
    return statistic, freedom * (1 - spread + 3.719 * spread**0.5) ** 3
