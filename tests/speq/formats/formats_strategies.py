"""Hypothesis strategies: legal tables, families, patterns and adversarial FP16 tensors."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from speq.formats import CodeTable, Family


@st.composite
def code_tables(draw, spare=None):
    """Any legal map; with spare codes, without, or by default either."""
    places = draw(st.permutations([code for code in range(8) for _ in range(16)]))
    codes, left = places[:64], places[64:]
    if spare is None:
        spare = draw(st.booleans())
    if not spare:
        return CodeTable(tuple(codes))
    others = [set() for _ in codes]
    cells = st.lists(st.integers(0, 63), min_size=1, max_size=64)
    for cell, code in zip(draw(cells), left, strict=False):
        others[cell].add(code)
    groups = zip(codes, others, strict=True)
    return CodeTable(tuple(codes), tuple(tuple(sorted(more - {own})) for own, more in groups))


@st.composite
def families(draw, spare=None):
    """Families of such tables; `spare` is of every one of them."""
    tables = draw(st.lists(code_tables(spare), min_size=1, max_size=8))
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


@st.composite
def second_moments(draw, inputs):
    """Means of x x^T: of none, few or many inputs x, some of them dead, of any size."""
    count = draw(st.integers(0, inputs + 2))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = generator.standard_normal((count, inputs)) * generator.lognormal(0, 2, inputs)
    x[:, draw(st.lists(st.integers(0, inputs - 1), max_size=3))] = 0
    return x.T @ x * 10.0 ** draw(st.sampled_from([0, 0, -30, 30, -200, 200]))
