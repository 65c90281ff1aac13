"""Drafting from a second copy of the weights in 4 bits, with a scale for each group of inputs."""

import dataclasses
import math

from speq_sim.performance.engine import Attention, Product, Work
from speq_sim.performance.unit_engine import UnitEngine

__all__ = ["COPY", "CopyBeside"]

COPY = "copy"
"""Form of weights: the copy."""


@dataclasses.dataclass(frozen=True)
class CopyBeside:
    """Our units, which also read a copy of 4 bits a weight and FP16 scales of groups.

    The copy is taken to be computed at the rate of QDRAFT, as if the array had a mode for it, and
    its scales to come through the port behind the weights.

    Parameters
    ----------
    inner : UnitEngine
        The units.
    group : int
        Inputs that share a scale.
    """

    inner: UnitEngine
    group: int = 128

    @property
    def name(self) -> str:
        """That of the units."""
        return f"{self.inner.name}, copy beside"

    @property
    def clock_hz(self) -> float:
        """That of the units."""
        return self.inner.clock_hz

    @property
    def vector_lanes(self) -> int:
        """Those of the units."""
        return self.inner.vector_lanes

    def product(self, product: Product) -> Work:
        """That of the units; of the copy: QDRAFT's, and the scales."""
        if product.form != COPY:
            return self.inner.product(product)
        work = self.inner.product(dataclasses.replace(product, form="qdraft"))
        scales = 2 * product.outputs * math.ceil(product.inputs / self.group)
        port = self.inner.units * self.inner.design.bus_bytes
        return dataclasses.replace(
            work, read_bytes=work.read_bytes + scales, cycles=work.cycles + scales / port
        )

    def attention(self, attention: Attention) -> Work:
        """That of the units."""
        return self.inner.attention(attention)
