"""Reduction is the exact sum of shifted products: proved for every value and shift that occurs."""

import types
from pathlib import Path

import pytest
from amaranth.hdl import Assume, Cat, Module, Signal, signed
from amaranth.lib.wiring import In

from speq import reduce
from speq.block import place
from speq.layouts import Specials, product_layout
from speq.parameters import Parameters
from speq.proof import Harness, Verdict, prove
from speq_sim.proofs.mutation import mutated_module

LARGEST_SHIFT = 58


class Products(Harness):
    """Any products; the sum as plain shifts and additions, a cycle later."""

    def __init__(self, block: reduce.Reduce) -> None:
        self.block = block
        self.size = product_layout(block.parameters).size
        super().__init__({"products": In(self.size * block.parameters.columns), "enable": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        dut = place(m, "reduce", self.block)
        m.d.comb += [dut.products.eq(self.products), dut.enable.eq(self.enable)]
        lanes = [dut.products[lane] for lane in range(self.block.parameters.columns)]
        m.d.comb += [Assume(lane.shift <= LARGEST_SHIFT) for lane in lanes]

        seen = Signal()
        found = self._total(m, dut)
        total = Signal(found.shape())
        specials = Signal(Specials.as_shape().size)
        with m.If(self.enable):
            m.d.sync += [
                seen.eq(1),
                total.eq(sum(lane.value << lane.shift for lane in lanes)),
                specials.eq(
                    Cat(
                        Cat(*(lane.specials[name] for lane in lanes)).any()
                        for name, _ in Specials.as_shape()
                    )
                ),
            ]
        self.check(
            m,
            live & seen,
            found == total,
            dut.total.specials.as_value() == specials,
        )
        return m

    def _total(self, m: Module, dut: object) -> Signal:
        """The sum, or what the accumulator makes of its two rows."""
        if self.block.parameters.pipeline == 1:
            total = Signal(signed(len(dut.total.value)))
            m.d.comb += total.eq(dut.total.value)
            return total
        total = Signal(signed(reduce.ACCUMULATOR_BITS))
        m.d.comb += total.eq(dut.total.rows[0] + dut.total.rows[1])
        return total


def _prove(
    columns: int, folder: Path, module: types.ModuleType = reduce, pipeline: int = 1
) -> Verdict:
    parameters = Parameters(name="proof", rows=4, columns=columns, port_words=1, pipeline=pipeline)
    block = module.Reduce(parameters)
    return prove(Products(block), folder, [block])


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("pipeline", [1, 2])
def test_reduction_is_the_exact_sum(columns: int, pipeline: int, tmp_path: Path) -> None:
    assert _prove(columns, tmp_path, pipeline=pipeline).proved


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("unsigned_sum[low:] - negatives", "unsigned_sum[low:]"),
        ("BITS - 1] for row in rows)", "BITS - 1] for row in rows[:1])"),
        ("for lane in lanes))", "for lane in lanes[:1]))"),
        ("[row[:low] for row in rows]", "[row[: low - 1] for row in rows]"),
        ("with m.If(self.enable):", "with m.If(1):"),
    ],
)
def test_the_proof_refutes_faults(old: str, new: str, tmp_path: Path) -> None:
    assert _prove(2, tmp_path, mutated_module("speq.reduce", old, new)).refuted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("signs.eq(-self._negatives(m, rows))", "signs.eq(self._negatives(m, rows))"),
        ("*(row[:low] for row in rows)", "*(row[: low - 1] for row in rows)"),
    ],
)
def test_the_proof_refutes_faults_of_pipelined_rows(old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.reduce", old, new)
    assert _prove(2, tmp_path, faulty, pipeline=2).refuted
