"""The architecture of a Llama model: what sizes it has, and how it turns positions."""

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

from speq_sim.decoding.errors import ModelError

__all__ = ["PARTS", "LlamaConfig", "RopePairing", "config_from_gguf", "config_from_hugging_face"]

PARTS: tuple[str, ...] = ("q", "k", "v", "o", "gate", "up", "down")
"""Linear layers of one transformer layer, in the order in which they run."""

_SIZES = (
    "hidden",
    "layers",
    "heads",
    "kv_heads",
    "head_dim",
    "intermediate",
    "vocabulary",
    "context",
)


class RopePairing(enum.StrEnum):
    """Which two elements of a head (D of them) turn together by the i-th angle.

    The rows of q and k lie in the order that the pairing wants. GGUF files of Hugging Face models
    have them permuted, so that one function has two files and two pairings.
    """

    INTERLEAVED = "interleaved"
    """2i and 2i + 1: GGUF files of architecture ``llama``, and llama2.c."""

    HALVES = "halves"
    """i and i + D/2: Hugging Face."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LlamaConfig:
    """Sizes and constants of a Llama-architecture model.

    Parameters
    ----------
    hidden : int
        H, elements of the residual stream.
    layers : int
        Transformer layers.
    heads, kv_heads : int
        Heads of queries, and of keys and values; each of the latter serves ``heads / kv_heads``
        heads of queries.
    head_dim : int
        D, elements of a head; even.
    intermediate : int
        I, elements between up and down projection.
    vocabulary : int
        V, tokens.
    context : int
        Most positions.
    rope_theta : float
        Position p turns pair i by the angle ``p * rope_theta**(-2*i / D)``.
    norm_epsilon : float
        Added to the mean square in RMSNorm.
    tied_head : bool
        Whether the head's matrix is the embedding.
    rope_pairing : RopePairing
        Which elements turn together.

    Raises
    ------
    ModelError
        If a value makes no model.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    context: int
    rope_theta: float
    norm_epsilon: float
    tied_head: bool
    rope_pairing: RopePairing

    def __post_init__(self) -> None:
        for name in _SIZES:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ModelError(f"{name} is {value!r}: give an integer of at least 1")
        if self.heads % self.kv_heads:
            raise ModelError(
                f"{self.heads} heads are no multiple of {self.kv_heads} kv_heads: every head of "
                f"keys must serve the same number of heads of queries"
            )
        if self.head_dim % 2:
            raise ModelError(f"head_dim is {self.head_dim}, but rotary positions turn pairs")
        for name in ("rope_theta", "norm_epsilon"):
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise ModelError(f"{name} is {value!r}: give a positive number")

    @property
    def attention_width(self) -> int:
        """Elements of all heads of queries together, the inputs of o."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Elements of all heads of keys (or values) together."""
        return self.kv_heads * self.head_dim

    def matrix_shapes(self) -> dict[str, tuple[int, int]]:
        """Outputs and inputs [N, K] of every linear layer, by name, in the order they run."""
        layer = {
            "q": (self.attention_width, self.hidden),
            "k": (self.kv_width, self.hidden),
            "v": (self.kv_width, self.hidden),
            "o": (self.hidden, self.attention_width),
            "gate": (self.intermediate, self.hidden),
            "up": (self.intermediate, self.hidden),
            "down": (self.hidden, self.intermediate),
        }
        shapes = {
            f"layer.{index}.{part}": layer[part] for index in range(self.layers) for part in PARTS
        }
        return shapes | {"head": (self.vocabulary, self.hidden)}

    def norm_names(self) -> list[str]:
        """Names of the norms, H elements each, in the order they run."""
        parts = ("attention_norm", "ffn_norm")
        layers = [f"layer.{index}.{part}" for index in range(self.layers) for part in parts]
        return [*layers, "norm"]


def config_from_gguf(metadata: Mapping[str, Any], vocabulary: int, tied_head: bool) -> LlamaConfig:
    """Read the architecture from the key-values of a GGUF file.

    Parameters
    ----------
    metadata : mapping
        Values by key, such as ``llama.block_count``.
    vocabulary : int
        Rows of the embedding.
    tied_head : bool
        Whether the file has no ``output.weight``.

    Raises
    ------
    ModelError
        If it is another architecture, or a key is missing.
    """
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise _unknown(f"general.architecture is {architecture!r}")

    def value(key: str, default: Any = None) -> Any:
        found = metadata.get(f"llama.{key}", default)
        if found is None:
            raise ModelError(f"the GGUF file lacks the key llama.{key}: convert the model anew")
        return found

    if value("rope.scaling.type", "none") != "none":
        raise _unknown(f"its rotary positions are scaled ({value('rope.scaling.type')})")
    heads, hidden = value("attention.head_count"), value("embedding_length")
    if not isinstance(heads, int):
        raise _unknown("its layers differ in their number of heads")
    head_dim = value("attention.key_length", hidden // max(heads, 1))
    if value("rope.dimension_count", head_dim) != head_dim:
        raise _unknown("its rotary positions turn only a part of each head")
    return LlamaConfig(
        hidden=hidden,
        layers=value("block_count"),
        heads=heads,
        kv_heads=value("attention.head_count_kv", heads),
        head_dim=head_dim,
        intermediate=value("feed_forward_length"),
        vocabulary=vocabulary,
        context=value("context_length"),
        rope_theta=float(value("rope.freq_base", 10000.0)),
        norm_epsilon=float(value("attention.layer_norm_rms_epsilon")),
        tied_head=tied_head,
        rope_pairing=RopePairing.INTERLEAVED,
    )


def config_from_hugging_face(settings: Mapping[str, Any]) -> LlamaConfig:
    """Read the architecture from the object of a Hugging Face ``config.json``.

    Raises
    ------
    ModelError
        If it is another architecture, or a setting is missing.
    """
    kind = settings.get("model_type")
    if kind != "llama":
        raise _unknown(f"model_type is {kind!r}")

    def value(key: str, default: Any = None) -> Any:
        found = settings.get(key)
        found = default if found is None else found
        if found is None:
            raise ModelError(f"config.json lacks {key!r}: fetch it again")
        return found

    activation = value("hidden_act", "silu")
    if activation != "silu":
        raise _unknown(f"hidden_act is {activation!r}")
    # Older files have rope_theta and rope_scaling; newer ones put both into rope_parameters.
    rope = settings.get("rope_parameters") or {}
    scaling = settings.get("rope_scaling") or rope
    scaling_kind = scaling.get("rope_type", scaling.get("type", "default"))
    if scaling_kind != "default":
        raise _unknown(f"its rotary positions are scaled ({scaling_kind})")
    heads, hidden = value("num_attention_heads"), value("hidden_size")
    return LlamaConfig(
        hidden=hidden,
        layers=value("num_hidden_layers"),
        heads=heads,
        kv_heads=value("num_key_value_heads", heads),
        head_dim=value("head_dim", hidden // max(heads, 1)),
        intermediate=value("intermediate_size"),
        vocabulary=value("vocab_size"),
        context=value("max_position_embeddings"),
        rope_theta=float(value("rope_theta", rope.get("rope_theta", 10000.0))),
        norm_epsilon=float(value("rms_norm_eps")),
        tied_head=bool(value("tie_word_embeddings", False)),
        rope_pairing=RopePairing.HALVES,
    )


def _unknown(what: str) -> ModelError:
    return ModelError(f"unknown architecture: {what}, and only plain Llama models can be run")
