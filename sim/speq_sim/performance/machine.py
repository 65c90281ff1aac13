"""A machine: engine, DRAM, links; and the time of a pass on it.

The roofline of a pass, piece by piece: reading a piece's bytes and occupying the engine with it
overlap, so that the longer of the two is its time, and the engine's fixed cycles come on top.
Pieces follow each other, since each needs the results of the one before; so their times add up, and
with them the time that each *bound* accounts for.
"""

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Mapping

from speq_sim.performance.checks import check_choice, check_count
from speq_sim.performance.dram import Dram
from speq_sim.performance.engine import Engine, Work
from speq_sim.performance.link import LINKS, Link
from speq_sim.performance.transformer import PassSpec

__all__ = ["BOUNDS", "Machine", "PassTime"]

BOUNDS: tuple[str, ...] = ("memory", "port", "compute", "fixed", "vector", "link")
"""What time is spent on: reading DRAM; the weight port; multiplying; filling and draining and the
DRAM's first answer; elementwise operations; the links between devices."""


@dataclasses.dataclass(frozen=True)
class PassTime:
    """What a pass takes.

    Parameters
    ----------
    seconds : float
        From the first byte read to the logits.
    by_bound : mapping of str to float
        Seconds by what limits, of :data:`BOUNDS`; they add up to `seconds`.
    read_bytes : mapping of str to int
        ``weights``, ``kv``, ``other``: bytes that one device reads.
    written_bytes : int
        Keys and values that one device writes.
    link_bytes : int
        Vectors that are reduced or gathered.
    macs : mapping of str to int
        Multiply-accumulates of one device by mode.
    sram_bits : float
        Bits into and out of buffers on one device.
    """

    seconds: float
    by_bound: Mapping[str, float]
    read_bytes: Mapping[str, int]
    written_bytes: int
    link_bytes: int
    macs: Mapping[str, int]
    sram_bits: float

    @property
    def limited_by(self) -> str:
        """The bound with the most time."""
        return max(self.by_bound, key=self.by_bound.__getitem__)

    @property
    def total_bytes(self) -> int:
        """All that passes between DRAM and engine."""
        return sum(self.read_bytes.values()) + self.written_bytes


@dataclasses.dataclass(frozen=True)
class Machine:
    """`devices` alike, each an engine with a DRAM of its own.

    Parameters
    ----------
    engine : Engine
        The computing part of a device.
    dram : Dram
        Its memory.
    devices : int
        N, tensor-parallel (1..1024).
    link : Link
        Between them.
    kv_bits : int
        16, 8 or 4 bits of each key and value.
    """

    engine: Engine
    dram: Dram
    devices: int = 1
    link: Link = LINKS["pcie5"]
    kv_bits: int = 16

    def __post_init__(self) -> None:
        check_count("devices", self.devices, 1, 1024)
        check_choice("bits of keys and values", self.kv_bits, (16, 8, 4))

    def time(self, spec: PassSpec) -> PassTime:
        """Time of a pass; its `devices` and `kv_bits` are the machine's."""
        if (spec.devices, spec.kv_bits) != (self.devices, self.kv_bits):
            spec = dataclasses.replace(spec, devices=self.devices, kv_bits=self.kv_bits)
        return _time(self, spec)


# Passes over more or fewer tokens read the same weights.
@functools.lru_cache(maxsize=1 << 14)
def _reading(dram: Dram, reads: tuple[tuple[int, int], ...], streams: int) -> float:
    return dram.seconds(reads, streams=streams)


@functools.lru_cache(maxsize=1 << 14)
def _time(machine: Machine, spec: PassSpec) -> PassTime:
    engine, dram, layers = machine.engine, machine.dram, spec.config.layers
    bounds: dict[str, float] = dict.fromkeys(BOUNDS, 0.0)
    macs: defaultdict[str, int] = defaultdict(int)
    read = {"weights": 0, "kv": 0, "other": spec.other_bytes}

    sram_bits = 0.0

    def add(kind: str, work: Work, count: int) -> None:
        nonlocal sram_bits
        reads = ((work.read_bytes // work.regions, work.regions),)
        memory = _reading(dram, reads, work.streams)
        busy = work.cycles / engine.clock_hz
        bounds["memory" if memory > busy else work.bound] += count * max(memory, busy)
        bounds["fixed"] += count * work.fixed / engine.clock_hz
        read[kind] += count * work.read_bytes
        macs[work.mode] += count * work.macs
        sram_bits += count * work.sram_bits

    for product, count in spec.products().items():
        add("weights", engine.product(product), count)
    add("kv", engine.attention(spec.attention), layers * spec.batch)
    # Each layer writes its keys and values, and the bus turns for them.
    bounds["memory"] += dram.seconds(
        spec.other_bytes, ((spec.written_bytes // layers, layers),), switches=layers
    )
    bounds["fixed"] += dram.latency_seconds
    bounds["vector"] += spec.vector_operations / engine.vector_lanes / engine.clock_hz
    link_bytes = 0
    if machine.devices > 1:
        one = machine.link.all_reduce_seconds(spec.reduced_bytes, machine.devices)
        gather = machine.link.gather_seconds(spec.logit_bytes, machine.devices)
        bounds["link"] += 2 * layers * one + gather
        link_bytes = 2 * layers * spec.reduced_bytes + spec.logit_bytes
    return PassTime(
        seconds=sum(bounds.values()),
        by_bound=bounds,
        read_bytes=read,
        written_bytes=spec.written_bytes,
        link_bytes=link_bytes,
        macs=dict(macs),
        sram_bits=sram_bits,
    )
