"""A toy model, an engine whose work is easily counted, and machines of it."""

import dataclasses

from speq_sim.decoding import LlamaConfig, RopePairing
from speq_sim.performance.dram import Dram
from speq_sim.performance.engine import Attention, Product, Work
from speq_sim.performance.machine import Machine

TOY = LlamaConfig(
    hidden=8,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=2,
    intermediate=12,
    vocabulary=20,
    context=64,
    rope_theta=10000.0,
    norm_epsilon=1e-5,
    tied_head=False,
    rope_pairing=RopePairing.HALVES,
)
"""q, o 8 x 8; k, v 4 x 8; gate, up 12 x 8; down 8 x 12; head 20 x 8."""

BITS = {"fp16": 16, "verify": 16, "middle": 8, "draft": 4, "qdraft": 4, "qverify": 4}


@dataclasses.dataclass(frozen=True)
class ToyEngine:
    """Reads each weight once, takes a cycle for each `rate` MACs, and `fixed` a product."""

    rate: float = 1.0
    fixed: float = 0.0
    name: str = "toy"
    clock_hz: float = 1.0
    vector_lanes: float = 1e30

    def product(self, product: Product) -> Work:
        macs = product.outputs * product.inputs * product.tokens
        nbytes = product.outputs * product.inputs * BITS[product.form] // 8
        return Work("verify", macs, nbytes, macs / self.rate, "compute", self.fixed)

    def attention(self, attention: Attention) -> Work:
        nbytes = 2 * attention.positions * attention.kv_heads * attention.head_dim * 2
        cycles = attention.macs / self.rate
        return Work("verify", attention.macs, nbytes, cycles, "compute")


def bytes_alone(bytes_per_second: float = 1.0) -> Machine:
    """A machine that computes in no time behind a memory without losses."""
    return Machine(ToyEngine(rate=1e30), Dram.ideal(bytes_per_second))
