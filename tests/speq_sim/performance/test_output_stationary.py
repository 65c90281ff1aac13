"""OliVe's and Tender's arrays as engines: cycles are the arrays' own, areas keep to budgets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq.baselines.parameters import BaselineParameters
from speq.parameters import PRESETS
from speq_sim.decoding import ModelError
from speq_sim.performance.engine import Attention, Product
from speq_sim.performance.output_stationary import (
    OutputStationaryEngine,
    as_published,
    iso_area,
    iso_bandwidth,
)

SERVER = PRESETS["server"]

TOY = BaselineParameters(name="toy", kind="tender", bits=4, rows=2, columns=8)


def test_by_hand():
    found = OutputStationaryEngine(TOY, 1e9).product(Product(20, 100, "tender4", 3))
    # Two rows of tokens by three of outputs; eight groups, a hundred inputs, two rows of results.
    assert found.cycles == 2 * 3 * (8 + 100 + 2) == 6 * TOY.tile_cycles(100, 8)
    assert found.read_bytes == 2 * (20 * 100 // 2 + 20 * 2)
    assert (found.macs, found.mode, found.bound) == (6000, "int4", "compute")
    one = OutputStationaryEngine(TOY, 1e9).product(Product(20, 100, "tender4", 1))
    assert one.bound == "port"  # columns take all that the port brings, and one row of two works


def test_a_narrow_port_sets_the_pace():
    wide, narrow = (
        OutputStationaryEngine(TOY, 1e9, port).product(Product(20, 1000, "tender4", 1))
        for port in (None, 1.0)
    )
    assert narrow.cycles == 3 * 1000 * 4  # eight columns of half a byte, one byte a cycle
    assert narrow.bound == "port"
    assert narrow.cycles > wide.cycles


def test_olive_takes_pairs_and_has_one_group():
    array = BaselineParameters(name="toy", kind="olive", bits=8, rows=1, columns=4)
    found = OutputStationaryEngine(array, 1e9).product(Product(4, 5, "olive8", 1))
    assert found.cycles == array.tile_cycles(5) == 1 + 6 + 1


def test_attention_by_hand():
    engine = OutputStationaryEngine(TOY, 1e9, port_bytes_per_cycle=64)
    found = engine.attention(Attention(heads=4, kv_heads=2, head_dim=8, tokens=1, positions=24))
    # Two queries a head of keys: 24 scores over 8 inputs, then 8 values over 24.
    assert found.cycles == 2 * (3 * TOY.tile_cycles(8) + 1 * TOY.tile_cycles(24))
    assert found.read_bytes == 2 * 24 * 2 * 8 * 2
    assert found.macs == 2 * 24 * 8 * 4


def test_keys_and_values_come_through_the_port():
    attention = Attention(heads=2, kv_heads=2, head_dim=64, tokens=1, positions=512)
    engine = OutputStationaryEngine(TOY, 1e9, units=2)
    found = engine.attention(attention)
    # FP16 of one head through columns that take four bytes a cycle.
    assert (found.cycles, found.bound) == (2 * 512 * 64 * 2 / 4, "port")
    assert found.read_bytes / found.cycles == 2 * 4


def test_published_arrays_have_as_many_bricks():
    arrays = [
        as_published(kind, bits, 1e9).array for kind in ("olive", "tender") for bits in (4, 8)
    ]
    assert {array.bricks for array in arrays} == {4096}


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ["small", "edge", "server"])
def test_iso_bandwidth_takes_what_our_port_brings(name, bits):
    design = PRESETS[name]
    engine = iso_bandwidth("olive", bits, design)
    assert engine.array.columns * bits == 16 * design.port_words
    assert engine.port_bytes_per_cycle == design.bus_bytes
    assert (engine.clock_hz, engine.vector_lanes) == (500e6, design.columns)


def test_a_wide_port_feeds_several_arrays():
    design = SERVER.replace(port_words=128, columns=128)
    engine = iso_bandwidth("olive", 4, design)
    assert (engine.array.columns, engine.units) == (256, 2)
    assert engine.units * engine.port_bytes_per_cycle == design.port_bits / 8


def cells(array: BaselineParameters) -> float:
    """An area: PEs, and borders."""
    return array.multipliers * array.bits + array.rows + array.columns


@given(
    st.floats(30, 1e6), st.sampled_from(["olive", "tender"]), st.sampled_from([4, 8]),
    st.sampled_from(["small", "server"]),
)  # fmt: skip
def test_iso_area_is_the_most_that_fits(budget, kind, bits, name):
    array = iso_area(kind, bits, PRESETS[name], budget, cells).array
    assert cells(array) <= budget
    most = iso_bandwidth(kind, bits, PRESETS[name]).array.rows
    assert array.rows == most or cells(array.replace(rows=array.rows + 1)) > budget
    wanted = iso_bandwidth(kind, bits, PRESETS[name]).array.columns
    assert array.columns <= wanted
    if array.columns < wanted:
        assert cells(array.replace(rows=1, columns=2 * array.columns)) > budget


@given(st.integers(1, 200), st.integers(1, 300), st.integers(1, 80), st.integers(1, 4))
def test_more_work_takes_no_less(outputs, inputs, tokens, units):
    engine = OutputStationaryEngine(TOY, 1e9, units=units)
    one = engine.product(Product(outputs, inputs, "tender4", tokens))
    for more in ((outputs + 1, inputs, tokens), (outputs, inputs + 1, tokens),
                 (outputs, inputs, tokens + 1)):  # fmt: skip
        found = engine.product(Product(more[0], more[1], "tender4", more[2]))
        assert found.cycles >= one.cycles
        assert found.read_bytes >= one.read_bytes


def test_refusals():
    with pytest.raises(ModelError, match="kind of baseline is 'ant': use one of olive, tender"):
        iso_bandwidth("ant", 4, SERVER)
    with pytest.raises(ModelError, match="bits of an operand is 2: use one of 4, 8"):
        as_published("olive", 2, 1e9)
    with pytest.raises(ModelError, match="no PE of olive8 fits an area of 1: give more"):
        iso_area("olive", 8, SERVER, 1, cells)
    with pytest.raises(ModelError, match="reads no weights of form 'fp16': use one of tender4"):
        OutputStationaryEngine(TOY, 1e9).product(Product(8, 8, "fp16", 1))
    with pytest.raises(ModelError, match="clock in hertz is 0"):
        OutputStationaryEngine(TOY, 0)
    with pytest.raises(ModelError, match="groups is 0"):
        OutputStationaryEngine(TOY, 1e9, groups=0)
