"""FP32 operations of the epilogue as combinational modules, and what NumPy says they give."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Value
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from speq.block import Block, module_name
from speq.emission import design_rtlil
from speq.epilogue.add import align, round_sum
from speq.epilogue.convert import to_fp16
from speq.epilogue.multiply import product, round_product
from speq.parameters import Parameters
from speq.yosys import verilog_from_rtlil
from speq_sim.proofs.bit_parallel import Circuit

Bits = NDArray[np.uint32]

PARAMETERS = Parameters(name="floats", rows=1, columns=1, port_words=1, modes=("verify",))


class Operation(Block):
    """One operation of two FP32 patterns, without registers."""

    clocked = False

    def __init__(
        self, stem: str, width: int, build: Callable[[Module, Value, Value], Value]
    ) -> None:
        self.stem, self.build = stem, build
        super().__init__(PARAMETERS, {"a": In(32), "b": In(32), "y": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.y.eq(self.build(m, self.a, self.b))
        return m


OPERATIONS = {
    "multiply": (32, lambda m, a, b: round_product(m, product(m, a, b))),
    "add": (32, lambda m, a, b: round_sum(m, align(m, a, b))),
    "convert": (16, lambda m, a, b: to_fp16(m, a)),
}


def verilog_of(name: str) -> tuple[str, str]:
    """Verilog of an operation, and its module's name."""
    block = Operation(name, *OPERATIONS[name])
    return verilog_from_rtlil(design_rtlil(block)), module_name(block)


def circuit_of(name: str, folder: Path) -> Circuit:
    """An operation as a compiled circuit."""
    return Circuit(*verilog_of(name), folder)


def wanted(name: str, a: Bits, b: Bits) -> NDArray[np.unsignedinteger]:
    """Patterns that NumPy gives, with the canonical NaN."""
    x, y = a.view(np.float32), b.view(np.float32)
    with np.errstate(all="ignore"):
        result = {
            "multiply": lambda: x * y,
            "add": lambda: x + y,
            "convert": lambda: x.astype(np.float16),
        }[name]()
    patterns = result.view(np.uint16 if name == "convert" else np.uint32)
    return np.where(np.isnan(result), 0x7E00 if name == "convert" else 0x7FC00000, patterns)
