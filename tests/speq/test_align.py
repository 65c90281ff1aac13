"""Alignment is a shift: proved for every product and every shift that occurs."""

from pathlib import Path

import pytest
from amaranth.hdl import Assume, Module, Signal, signed
from amaranth.lib.wiring import In

from speq import align
from speq.layouts import SHIFT_BITS, SIGNIFICAND_BITS
from speq.proof import Harness, prove
from speq_sim.mutation import mutated_module

LARGEST_SHIFT = 58


class Shifts(Harness):
    def __init__(self, module: object = align) -> None:
        self.module = module
        super().__init__({"value": In(signed(2 * SIGNIFICAND_BITS + 1)), "shift": In(SHIFT_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        shifted = Signal(signed(align.FIELD_BITS))
        m.d.comb += [
            shifted.eq(self.value << self.shift),
            Assume(self.shift <= LARGEST_SHIFT),
        ]
        self.check(m, live, self.module.align(m, self.value, self.shift) == shifted)
        return m


def test_alignment_is_a_shift(tmp_path: Path) -> None:
    assert prove(Shifts(), tmp_path).proved


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("filled & sign.replicate(FIELD_BITS)", "0"),
        ("shift[FINE_BITS:] == step", "shift[FINE_BITS:] == step & 1"),
        ("high = min(low + len(fine), FIELD_BITS)", "high = min(low + len(fine) - 2, FIELD_BITS)"),
        ("value << shift[:FINE_BITS]", "value << shift[: FINE_BITS - 1]"),
    ],
)
def test_the_proof_refutes_faults(old: str, new: str, tmp_path: Path) -> None:
    assert prove(Shifts(mutated_module("speq.align", old, new)), tmp_path).refuted
