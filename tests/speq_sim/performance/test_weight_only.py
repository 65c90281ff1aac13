"""Weight-only integers on our geometry: bytes and cycles by hand."""

import pytest

from speq.parameters import PRESETS
from speq_sim.decoding import ModelError
from speq_sim.performance.engine import Attention, Product
from speq_sim.performance.unit_engine import UnitEngine
from speq_sim.performance.weight_only import WeightOnlyEngine

SMALL = PRESETS["small"]
"""8 x 8, W = 8: eight cycles to load FP16 words, eight tokens."""


@pytest.mark.parametrize(("bits", "load"), [(8, 4.5), (4, 2.5)])
def test_by_hand(bits, load):
    engine = WeightOnlyEngine(SMALL, bits, group=16)
    found = engine.product(Product(20, 40, f"int{bits}", 1))
    assert found.read_bytes == 20 * 40 * bits // 8 + 20 * 3 * 2
    assert found.cycles == 3 * 5 * load
    assert found.bound == "port"
    assert found.fixed == 5
    assert found.macs == 800
    many = engine.product(Product(20, 40, f"int{bits}", 8))
    assert many.cycles == 3 * 5 * 8
    assert many.bound == "compute"
    assert many.read_bytes == found.read_bytes
    more = engine.product(Product(20, 40, f"int{bits}", 9))
    assert more.read_bytes == 2 * found.read_bytes
    assert more.cycles == 2 * 3 * 5 * 5


def test_units_share_outputs_and_attention_is_ours():
    one, two = (WeightOnlyEngine(SMALL, 8, units=units) for units in (1, 2))
    product = Product(64, 64, "int8", 1)
    assert two.product(product).cycles == one.product(product).cycles / 2
    attention = Attention(4, 2, 16, 3, 50)
    assert two.attention(attention) == UnitEngine(SMALL, 2).attention(attention)
    assert two.name == "INT8 g128 on 2 x small"
    assert (two.clock_hz, two.vector_lanes) == (500e6, 16)


def test_fp16_matrices_are_read_as_ours():
    product = Product(64, 64, "fp16", 2)
    assert WeightOnlyEngine(SMALL, 4).product(product) == UnitEngine(SMALL).product(product)


def test_refusals():
    with pytest.raises(ModelError, match="bits of a weight is 3: use one of 8, 4"):
        WeightOnlyEngine(SMALL, 3)
    with pytest.raises(ModelError, match="group is 0"):
        WeightOnlyEngine(SMALL, 4, group=0)
    with pytest.raises(ModelError, match="reads no weights of form 'int8': use one of int4, fp16"):
        WeightOnlyEngine(SMALL, 4).product(Product(8, 8, "int8", 1))
