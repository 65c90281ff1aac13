"""Shapes of models by name, or from a file.

Sizes are those of the public ``config.json`` of each model. Only matrices, embedding and norms are
counted: Qwen2.5 adds a bias to q, k and v, 0.002 % of its parameters, which is left out. How
rotary positions are scaled (Llama 3.2) changes no size and is left out too, so these configurations
serve the performance model alone.
"""

import json
import math
from pathlib import Path
from typing import Any

from speq.formats.errors import FormatError
from speq.formats.sources.gguf_header import MAGIC, read_gguf_header
from speq_sim.decoding.config import (
    LlamaConfig,
    RopePairing,
    config_from_gguf,
    config_from_hugging_face,
)
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.readers.gguf_values import read_key_values

__all__ = ["MODELS", "model_config", "parameter_count"]


def _model(
    hidden: int,
    layers: int,
    heads: tuple[int, int],
    intermediate: int,
    vocabulary: int,
    context: int,
    *,
    theta: float = 10000.0,
    epsilon: float = 1e-5,
    tied: bool = False,
    pairing: RopePairing = RopePairing.HALVES,
) -> LlamaConfig:
    return LlamaConfig(
        hidden=hidden,
        layers=layers,
        heads=heads[0],
        kv_heads=heads[1],
        head_dim=hidden // heads[0],
        intermediate=intermediate,
        vocabulary=vocabulary,
        context=context,
        rope_theta=theta,
        norm_epsilon=epsilon,
        tied_head=tied,
        rope_pairing=pairing,
    )


MODELS: dict[str, LlamaConfig] = {
    "llama-2-7b": _model(4096, 32, (32, 32), 11008, 32000, 4096),
    "llama-2-13b": _model(5120, 40, (40, 40), 13824, 32000, 4096),
    "llama-3-8b": _model(4096, 32, (32, 8), 14336, 128256, 8192, theta=500000.0),
    "llama-3-70b": _model(8192, 80, (64, 8), 28672, 128256, 8192, theta=500000.0),
    "llama-3.2-3b": _model(
        3072, 28, (24, 8), 8192, 128256, 131072, theta=500000.0, tied=True
    ),
    "qwen2.5-7b": _model(
        3584, 28, (28, 4), 18944, 152064, 131072, theta=1000000.0, epsilon=1e-6
    ),
    "smollm2-135m": _model(576, 30, (9, 3), 1536, 49152, 8192, theta=100000.0, tied=True),
    "stories15m": _model(
        288, 6, (6, 6), 768, 32000, 256, tied=True, pairing=RopePairing.INTERLEAVED
    ),
}  # fmt: skip
"""Hidden, layers, heads (queries, keys), intermediate, vocabulary, context. The head of Llama 3.2,
SmolLM2 and the stories model is the embedding."""


def model_config(name_or_path: str | Path) -> LlamaConfig:
    """The shape of a model.

    Parameters
    ----------
    name_or_path : str or Path
        A key of :data:`MODELS`; a ``config.json`` of Llama or Qwen2, or its folder; or a GGUF file
        of architecture ``llama``. No weights are read.

    Raises
    ------
    ModelError
        If there is no such preset or file, or it has another architecture.
    """
    known = MODELS.get(str(name_or_path))
    if known is not None:
        return known
    path = Path(name_or_path)
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ModelError(
            f"model {str(name_or_path)!r} is unknown: use one of {', '.join(MODELS)}, a "
            f"config.json or its folder, or a GGUF file"
        )
    with file.open("rb") as stream:
        packed = stream.read(len(MAGIC)) == MAGIC
    return _from_gguf(file) if packed else _from_hugging_face(file)


def parameter_count(config: LlamaConfig) -> int:
    """Parameters of matrices, embedding and norms; a tied head counts once."""
    shapes = config.matrix_shapes()
    matrices = sum(math.prod(shapes[name]) for name in shapes if name != "head")
    tables = 1 if config.tied_head else 2
    norms = config.hidden * len(config.norm_names())
    return matrices + tables * config.vocabulary * config.hidden + norms


def _from_gguf(path: Path) -> LlamaConfig:
    try:
        shapes = {tensor.name: tensor.shape for tensor in read_gguf_header(path)}
        metadata = read_key_values(path)
    except FormatError as error:
        raise ModelError(str(error)) from error
    embedding = shapes.get("token_embd.weight")
    if embedding is None:
        raise ModelError(f"{path.name} lacks token_embd.weight: give the file of a whole model")
    return config_from_gguf(metadata, embedding[0], "output.weight" not in shapes)


def _from_hugging_face(path: Path) -> LlamaConfig:
    try:
        settings: Any = json.loads(path.read_text())
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ModelError(f"{path.name} is neither a config.json nor a GGUF file: give one of them")
    if settings.get("model_type") == "qwen2":
        settings["model_type"] = "llama"
    # Scaled positions change no size, but the reader of runnable models refuses them.
    rope = settings.pop("rope_parameters", None) or {}
    settings.pop("rope_scaling", None)
    if "rope_theta" in rope:
        settings.setdefault("rope_theta", rope["rope_theta"])
    return config_from_hugging_face(settings)
