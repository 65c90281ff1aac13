"""What every engine of the performance model answers: the work of a product, of attention.

An *engine* is the computing part of a device, without its DRAM: our array behind its weight port,
an array of OliVe or Tender, a GPU. It says how long each piece of a pass occupies it, in its own
clock; :mod:`speq_sim.performance.machine` sets that against the time of the DRAM.
"""

import dataclasses
from typing import Protocol

from speq_sim.decoding.errors import ModelError

__all__ = ["Attention", "Engine", "Product", "Work", "check_form"]


@dataclasses.dataclass(frozen=True)
class Product:
    """One linear layer, Y[T, N] = X[T, K] W[N, K]^T.

    Parameters
    ----------
    outputs, inputs : int
        N and K.
    form : str
        How the weights are stored and read: ``"fp16"``, ``"draft"``, ``"middle"``, ``"verify"``
        (planes of packed words), ``"qdraft"``, ``"qverify"`` (INT4), or a form that the engine
        names.
    tokens : int
        T.
    keep : bool
        The activations are those of the product before, and lie in the engine already.
    """

    outputs: int
    inputs: int
    form: str
    tokens: int
    keep: bool = False


@dataclasses.dataclass(frozen=True)
class Attention:
    """Scores and weighted values of one layer for one sequence.

    Parameters
    ----------
    heads, kv_heads : int
        Heads of queries, and of keys and values.
    head_dim : int
        D.
    tokens : int
        T, tokens of the pass.
    positions : int
        S, positions that are attended to, the pass's own included.
    kv_bits : int
        16, 8 or 4 bits of each key and value.
    """

    heads: int
    kv_heads: int
    head_dim: int
    tokens: int
    positions: int
    kv_bits: int = 16

    @property
    def macs(self) -> int:
        """2*T*S*D for each head of queries. Positions behind a token are masked, not left out."""
        return 2 * self.tokens * self.positions * self.head_dim * self.heads


@dataclasses.dataclass(frozen=True)
class Work:
    """What a piece of a pass takes.

    Reading, loading and computing overlap, so that the slowest of them sets the pace; `fixed` is
    what comes on top: loading activations, filling and draining pipelines.

    Parameters
    ----------
    mode : str
        What is computed: one of :data:`speq_sim.performance.energy.ENERGY_MODES`.
    macs : int
        Multiply-accumulates without padding.
    read_bytes : int
        What the engine reads from memory, padding and repeated reads included.
    cycles : float
        Busy cycles of loading and computing.
    bound : str
        ``"port"`` if loading takes all of them, else ``"compute"``.
    fixed : float
        Further cycles.
    regions : int
        Contiguous pieces of memory that are read.
    streams : int
        Of them, how many at the same time.
    sram_bits : float
        Bits written to and read from buffers on the chip.
    """

    mode: str
    macs: int
    read_bytes: int
    cycles: float
    bound: str
    fixed: float = 0.0
    regions: int = 1
    streams: int = 1
    sram_bits: float = 0.0


class Engine(Protocol):
    """The computing part of a device."""

    @property
    def name(self) -> str:
        """What it is, for reports."""
        ...

    @property
    def clock_hz(self) -> float:
        """Cycles per second."""
        ...

    @property
    def vector_lanes(self) -> int:
        """Elementwise operations (norms, softmax, SwiGLU) per cycle."""
        ...

    def product(self, product: Product) -> Work:
        """Work of a linear layer.

        Raises
        ------
        ModelError, speq.parameters.ParameterError
            If the engine cannot read the weights' form.
        """
        ...

    def attention(self, attention: Attention) -> Work:
        """Work of attention."""
        ...


def check_form(form: str, known: tuple[str, ...], engine: str) -> None:
    """Refuse a form of weights that an engine does not read.

    Raises
    ------
    ModelError
        With the forms that it reads.
    """
    if form not in known:
        raise ModelError(
            f"{engine} reads no weights of form {form!r}: use one of {', '.join(known)}"
        )
