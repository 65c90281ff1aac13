"""A Llama forward pass in loops over Python floats: no cache, no batches, no shared code."""

import math

from speq_sim.decoding import RopePairing


def logits(weights, tokens):
    """Logits of every position, each computed from all tokens up to it."""
    config = weights.config
    matrices = {name: values.astype(float).tolist() for name, values in weights.matrices.items()}
    norms = {name: values.astype(float).tolist() for name, values in weights.norms.items()}
    states = [weights.embedding[token].astype(float).tolist() for token in tokens]
    for layer in range(config.layers):
        name = f"layer.{layer}"
        inputs = [norm(x, norms[f"{name}.attention_norm"], config) for x in states]
        q, k, v = (
            [heads(apply(matrices[f"{name}.{part}"], x), config.head_dim) for x in inputs]
            for part in "qkv"
        )
        q, k = (
            [[turn(head, p, config) for head in token] for p, token in enumerate(side)]
            for side in (q, k)
        )
        for p in range(len(tokens)):
            mixed = []
            for head in range(config.heads):
                shared = head * config.kv_heads // config.heads
                scores = [
                    dot(q[p][head], k[s][shared]) / math.sqrt(config.head_dim) for s in range(p + 1)
                ]
                total = sum(math.exp(score) for score in scores)
                for i in range(config.head_dim):
                    mixed.append(
                        sum(math.exp(scores[s]) * v[s][shared][i] for s in range(p + 1)) / total
                    )
            states[p] = add(states[p], apply(matrices[f"{name}.o"], mixed))
        for p, x in enumerate(states):
            inputs = norm(x, norms[f"{name}.ffn_norm"], config)
            gate = apply(matrices[f"{name}.gate"], inputs)
            up = apply(matrices[f"{name}.up"], inputs)
            inner = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up, strict=True)]
            states[p] = add(x, apply(matrices[f"{name}.down"], inner))
    return [apply(matrices["head"], norm(x, norms["norm"], config)) for x in states]


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def add(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def apply(matrix, x):
    return [dot(row, x) for row in matrix]


def heads(x, head_dim):
    return [x[start : start + head_dim] for start in range(0, len(x), head_dim)]


def norm(x, gain, config):
    scale = 1 / math.sqrt(dot(x, x) / len(x) + config.norm_epsilon)
    return [value * scale * g for value, g in zip(x, gain, strict=True)]


def turn(head, position, config):
    turned = list(head)
    half = len(head) // 2
    for i in range(half):
        angle = position / config.rope_theta ** (2 * i / len(head))
        a, b = (
            (2 * i, 2 * i + 1) if config.rope_pairing is RopePairing.INTERLEAVED else (i, i + half)
        )
        turned[a] = head[a] * math.cos(angle) - head[b] * math.sin(angle)
        turned[b] = head[a] * math.sin(angle) + head[b] * math.cos(angle)
    return turned
