"""Packing by the side-car: round trips, placement of bits, and every message."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_stream import emit, payloads

from speq_sim.benches.payload import Design, Field, PayloadError, Stream, integers

FIELD = st.tuples(st.integers(1, 32), st.integers(1, 5), st.booleans(), st.integers(0, 7))


@given(layout=st.lists(FIELD, min_size=1, max_size=4), seed=st.integers(0, 99))
def test_round_trip_of_any_layout(layout, seed):
    fields, offset = {}, 0
    for index, (width, count, signed, gap) in enumerate(layout):
        fields[f"f{index}"] = Field(offset + gap, width, count, signed)
        offset += gap + width * count
    stream = Stream("any", "in", offset, fields)
    random = np.random.default_rng(seed)
    values = {
        name: random.integers(field.lowest, field.highest + 1, (7, field.count))
        for name, field in fields.items()
    }
    packed = stream.pack(values)
    assert packed.shape == (7, stream.size)
    for name, array in stream.unpack(packed).items():
        np.testing.assert_array_equal(array, values[name])


def test_bits_lie_where_the_side_car_says():
    stream = Stream("s", "in", 20, {"a": Field(1, 3, 2, True), "b": Field(12, 8, 1, False)})
    packed = stream.pack({"a": [[-1, 2]], "b": [0xA5]})
    assert integers(packed) == [(0b111 << 1) | (2 << 4) | (0xA5 << 12)]


@pytest.fixture
def design(tmp_path):
    return Design.load(emit(tmp_path)[1])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": [0]}, "give exactly its fields"),
        ({"mode": [0], "row_exponent": [0], "plain": [0]}, "give exactly its fields"),
        ({"mode": [0, 1], "row_exponent": [0]}, "one row per transfer"),
        ({"mode": [2], "row_exponent": [0]}, r"mode of stream tiles holds 0\.\.1"),
        ({"mode": [0], "row_exponent": [64]}, r"holds -64\.\.63, but was given 64\.\.64"),
        ({"mode": [0], "row_exponent": [-65]}, r"holds -64\.\.63"),
        ({"mode": [0], "row_exponent": [[1, 2]]}, "has 1 elements"),
    ],
)
def test_values_that_do_not_fit(design, values, message):
    with pytest.raises(PayloadError, match=message):
        design.streams["tiles"].pack(values)


def test_side_car_of_another_schema(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"schema": "speq-design/9"}))
    with pytest.raises(PayloadError, match=r"speq-design/9.*emit the design anew"):
        Design.load(tmp_path / "a.json")


@pytest.mark.parametrize("text", [None, "{"])
def test_side_car_that_cannot_be_read(tmp_path, text):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PayloadError, match="cannot be read"):
        Design.load(path)


def test_expected_results_of_the_toy(design):
    work = payloads(design, 3, seed=0)
    inputs = [integers(work[name])[0] for name in ("tiles", "weights", "activations")]
    assert integers(work["results"])[0] == (inputs[0] ^ inputs[1] ^ inputs[2]) % 2**34
