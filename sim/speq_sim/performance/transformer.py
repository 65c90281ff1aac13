"""What one pass of a Llama model asks of a device: products, attention, elementwise operations.

A *pass* takes T tokens of each of B sequences through all layers and the LM head. With N devices
(tensor parallelism, as Megatron-LM cuts it, arXiv 1909.08053), q, k, v, gate, up and the head are
cut by outputs, o and down by inputs, heads of keys and values are dealt out, and the sums behind o
and down are reduced over all devices.
"""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Mapping

from speq_sim.decoding.config import LlamaConfig
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.checks import check_choice, check_count
from speq_sim.performance.engine import Attention, Product

__all__ = ["PassSpec", "Recipe", "recipe_of"]

Recipe = tuple[tuple[str, str], ...]
"""Form of single matrices: names such as ``head`` or ``layer.3.down``, or of a part of every
layer, such as ``down``."""

_KEPT = ("k", "v", "up")
"""Parts that take the activations of the part before."""

_CUT_BY_INPUTS = ("o", "down")

_HALF_BYTES, _SINGLE_BYTES = 2, 4


def recipe_of(forms: Mapping[str, str] | None) -> Recipe:
    """A recipe as a value that can be a key."""
    return tuple(sorted((forms or {}).items()))


@dataclasses.dataclass(frozen=True)
class PassSpec:
    """One pass.

    Parameters
    ----------
    config : LlamaConfig
        The model.
    form : str
        Form of all matrices that the recipe does not name.
    tokens : int
        T, tokens of each sequence.
    context : int
        Positions of each sequence in the cache before.
    batch : int
        B, sequences.
    recipe : Recipe
        Matrices of other forms.
    extra : tuple of (int, int, str)
        Outputs, inputs and form of products besides, such as an EAGLE head's.
    kv_bits : int
        16, 8 or 4 bits of each key and value.
    devices : int
        N. Figures are those of one device.

    Raises
    ------
    ModelError
        If a value is illegal, or the recipe names what the model has not.
    """

    config: LlamaConfig
    form: str
    tokens: int = 1
    context: int = 0
    batch: int = 1
    recipe: Recipe = ()
    extra: tuple[tuple[int, int, str], ...] = ()
    kv_bits: int = 16
    devices: int = 1

    def __post_init__(self) -> None:
        check_count("tokens of a pass", self.tokens, 1, 1 << 20)
        check_count("context", self.context, 0, 1 << 24)
        check_count("batch", self.batch, 1, 1 << 16)
        check_choice("bits of keys and values", self.kv_bits, (16, 8, 4))
        check_count("devices", self.devices, 1, 1024)
        known = {"head", *_parts(self.config)}
        for name, _ in self.recipe:
            if name not in known and name not in self.config.matrix_shapes():
                raise ModelError(
                    f"the recipe names {name!r}, which the model has not: use names such as head, "
                    f"down or layer.0.down"
                )

    def products(self) -> Mapping[Product, int]:
        """Linear layers of one device, and how many there are of each."""
        counts = _matrices(self.config, self.form, self.recipe, self.devices)
        tokens = self.tokens * self.batch
        found: Counter[Product] = Counter()
        for (outputs, inputs, form, keep), count in counts.items():
            found[Product(outputs, inputs, form, tokens, keep)] += count
        for outputs, inputs, form in self.extra:
            found[Product(math.ceil(outputs / self.devices), inputs, form, tokens)] += 1
        return found

    @property
    def attention(self) -> Attention:
        """One layer, one sequence, one device: ``layers * batch`` of these make the pass."""
        config = self.config
        kv_heads = math.ceil(config.kv_heads / self.devices)
        return Attention(
            heads=kv_heads * (config.heads // config.kv_heads),
            kv_heads=kv_heads,
            head_dim=config.head_dim,
            tokens=self.tokens,
            positions=self.context + self.tokens,
            kv_bits=self.kv_bits,
        )

    @property
    def written_bytes(self) -> int:
        """Keys and values of the pass's own tokens, a scale for each if they are quantised."""
        config = self.config
        kv_heads = math.ceil(config.kv_heads / self.devices)
        scale = _HALF_BYTES if self.kv_bits < 16 else 0
        position = 2 * kv_heads * (config.head_dim * self.kv_bits // 8 + scale)
        return config.layers * position * self.tokens * self.batch

    @property
    def other_bytes(self) -> int:
        """Norms once (FP32), a row of the embedding (FP16) for every token."""
        hidden = self.config.hidden
        norms = (2 * self.config.layers + 1) * hidden * _SINGLE_BYTES
        return norms + self.tokens * self.batch * hidden * _HALF_BYTES

    @property
    def vector_operations(self) -> int:
        """Elementwise operations of one device.

        For each token and layer: two RMSNorms (4 H each: square, sum, two products), two residual
        sums (H each), rotary positions (3 for each element of q and k: two products and a sum),
        SwiGLU (6 I: exponential, sum, quotient, two products, rounding) and softmax (5 for each
        score: maximum, difference, exponential, sum, quotient); at the end a norm, and the largest
        of the V logits.
        """
        config, devices = self.config, self.devices
        attention = self.attention
        layer = (
            10 * config.hidden
            + 3 * (attention.heads + attention.kv_heads) * config.head_dim
            + 6 * math.ceil(config.intermediate / devices)
            + 5 * attention.heads * attention.positions
        )
        end = 4 * config.hidden + math.ceil(config.vocabulary / devices)
        return self.tokens * self.batch * (config.layers * layer + end)

    @property
    def reduced_bytes(self) -> int:
        """Bytes of each of the ``2 * layers`` vectors that are reduced over all devices (FP16)."""
        return self.tokens * self.batch * self.config.hidden * _HALF_BYTES

    @property
    def logit_bytes(self) -> int:
        """Logits of all devices together, FP32."""
        return self.tokens * self.batch * self.config.vocabulary * _SINGLE_BYTES


@functools.cache
def _parts(config: LlamaConfig) -> frozenset[str]:
    return frozenset(name.rpartition(".")[2] for name in config.matrix_shapes())


@functools.lru_cache(maxsize=4096)
def _matrices(
    config: LlamaConfig, form: str, recipe: Recipe, devices: int
) -> Mapping[tuple[int, int, str, bool], int]:
    """Outputs, inputs, form and whether activations are kept: how many matrices of each."""
    chosen = dict(recipe)
    found: Counter[tuple[int, int, str, bool]] = Counter()
    for name, (outputs, inputs) in config.matrix_shapes().items():
        part = name.rpartition(".")[2]
        each = chosen.get(name, chosen.get(part, form))
        if part in _CUT_BY_INPUTS:
            inputs = math.ceil(inputs / devices)
        elif part in ("k", "v"):
            outputs = math.ceil(config.kv_heads / devices) * config.head_dim
        else:
            outputs = math.ceil(outputs / devices)
        found[outputs, inputs, each, part in _KEPT] += 1
    return found
