"""The machines that headlines are asked of: our array on named memories."""

import dataclasses

from speq.parameters import PRESETS, Parameters
from speq_sim.performance.dram import Dram
from speq_sim.performance.engine import Attention, Engine, Product, Work
from speq_sim.performance.machine import Machine
from speq_sim.performance.unit_engine import UnitEngine

__all__ = ["ALL_MODES", "FLAT", "SERVER", "WIDE", "PlacedPlanes", "fed_units", "on_memory"]

ALL_MODES = ("verify", "draft", "middle", "qdraft", "qverify")
"""Modes of a design that runs every method."""

SERVER: Parameters = PRESETS["server"].replace(modes=ALL_MODES)
"""The preset of 64 x 64 PEs that serves 16 tokens a tile, with all modes."""

WIDE: Parameters = SERVER.replace(name="server_64", tokens=64, activation_values=1 << 20)
"""The same array for 64 tokens a tile, which is where computing takes as long as loading; its
activation buffer holds them for inputs of up to 16,384."""

FLAT: Parameters = WIDE.replace(name="server_16x256", rows=16, columns=256)
"""As many PEs and tokens as :data:`WIDE`, in a quarter of the rows: an output tile is a quarter as
high, so that small shares of a matrix fill it."""


@dataclasses.dataclass(frozen=True)
class PlacedPlanes:
    """An engine whose planes are placed so that they never meet in a bank.

    The DRAM model takes streams of several planes to meet by chance, which is an upper bound; this
    is the lower one.

    Parameters
    ----------
    inner : Engine
        The engine.
    """

    inner: Engine

    @property
    def name(self) -> str:
        """That of the engine."""
        return self.inner.name

    @property
    def clock_hz(self) -> float:
        """That of the engine."""
        return self.inner.clock_hz

    @property
    def vector_lanes(self) -> int:
        """Those of the engine."""
        return self.inner.vector_lanes

    def product(self, product: Product) -> Work:
        """That of the engine, as one stream."""
        return dataclasses.replace(self.inner.product(product), streams=1)

    def attention(self, attention: Attention) -> Work:
        """That of the engine."""
        return self.inner.attention(attention)


def fed_units(design: Parameters, dram: Dram) -> int:
    """Units side by side whose weight ports take all that a memory gives, at least one."""
    one = UnitEngine(design)
    return one.units_fed_by(dram.bytes_per_second)


def on_memory(
    design: Parameters, dram: Dram, *, kv_bits: int = 16, placed: bool = False
) -> Machine:
    """As many units of a design as a memory feeds.

    Parameters
    ----------
    design : Parameters
        The design point.
    dram : Dram
        The memory.
    kv_bits : int
        16, 8 or 4 bits of each key and value.
    placed : bool
        Whether planes never meet in a bank.
    """
    engine: Engine = UnitEngine(design, fed_units(design, dram))
    return Machine(PlacedPlanes(engine) if placed else engine, dram, kv_bits=kv_bits)
