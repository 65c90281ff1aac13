"""Hypothesis strategies: legal tables, families, patterns and adversarial FP16 tensors."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from speq.formats import CodeTable, Family


@st.composite
def code_tables(draw):
    places = [code for code in range(8) for _ in range(16)]
    return CodeTable(tuple(draw(st.permutations(places))[:64]))


@st.composite
def families(draw):
    tables = draw(st.lists(code_tables(), min_size=1, max_size=8))
    values = draw(st.lists(st.integers(0, 63), min_size=8, max_size=8))
    return Family("drawn", tuple(tables), tuple(values))


PATTERNS = st.integers(0, 0xFFFF) | st.sampled_from(
    [0, 0x8000, 1, 0x8001, 0x03FF, 0x0400, 0x3C00, 0x3FFF, 0x4000, 0x7BFF, 0x7C00, 0xFC00, 0x7E00,
     0x7D01, 0xFFFF]
)  # fmt: skip

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=7)


def any_tensors():
    return hnp.arrays(np.uint16, SHAPES, elements=PATTERNS)


def finite_matrices():
    finite = st.integers(0, 0xFFFF).filter(lambda bits: bits & 0x7C00 != 0x7C00)
    shape = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)
    return hnp.arrays(np.uint16, shape, elements=finite)
