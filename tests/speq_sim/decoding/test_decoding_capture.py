"""Captured inputs are what the products of the model were given."""

import numpy as np
import pytest
from decoding_models import CONFIG, TOKENS, random_model

from speq_sim.decoding import CaptureBackend, FastBackend, Llama, Rotation, capture
from speq_sim.decoding.layers import swiglu
from speq_sim.decoding.outliers import crest


def test_inputs_of_every_layer():
    weights = random_model(1)
    backend = FastBackend(weights.matrices)
    found = capture(weights, backend, TOKENS)
    assert {name: values.shape[1] for name, values in found.items()} == {
        name: inputs for name, (_, inputs) in CONFIG.matrix_shapes().items()
    }
    for values in found.values():
        assert values.dtype == np.float16
        assert len(values) == len(TOKENS)
    np.testing.assert_array_equal(found["layer.1.gate"], found["layer.1.up"])
    # Inputs are FP16, so that they give the outputs again, bit for bit: gate and up lead to down.
    gate, up = (
        backend.multiply(f"layer.1.{part}", found[f"layer.1.{part}"].astype(np.float32))
        for part in ("gate", "up")
    )
    np.testing.assert_array_equal(swiglu(gate, up).astype(np.float16), found["layer.1.down"])
    model = Llama(weights, backend)
    logits = model.forward(TOKENS, model.cache())
    head = backend.multiply("head", found["head"].astype(np.float32))
    np.testing.assert_array_equal(head, logits)


def test_rotated_inputs_are_captured_after_rotation():
    weights = random_model(2)
    rotation = Rotation(CONFIG)
    plain = capture(weights, FastBackend(weights.matrices), TOKENS)
    found = capture(weights, FastBackend(rotation.fold(weights.matrices)), TOKENS, rotation)
    expected = rotation.apply("layer.0.o", plain["layer.0.o"].astype(np.float64))
    # Rounded before here and after there: 2**-11 of the largest, times a few.
    error = np.abs(found["layer.0.o"] - expected).max()
    assert error < 4 * 2.0**-11 * np.abs(expected).max()
    np.testing.assert_array_equal(plain["layer.0.q"], found["layer.0.q"])


def test_passes_add_up_in_order():
    weights = random_model(3)
    watched = CaptureBackend(FastBackend(weights.matrices))
    model = Llama(weights, watched)
    cache = model.cache()
    model.forward(TOKENS[:3], cache)
    first = watched.inputs()["layer.0.q"]
    model.forward(TOKENS[3:], cache)
    both = watched.inputs()["layer.0.q"]
    assert len(both) == len(TOKENS)
    np.testing.assert_array_equal(both[:3], first)


@pytest.mark.parametrize(
    ("x", "expected"),
    [([1, -1, 1, 1], 1.0), ([0, 0, 0, -5], 2.0), ([0, 0, 0, 0], 1.0), ([65504] * 4, 1.0)],
)
def test_crest(x, expected):
    np.testing.assert_allclose(crest(np.array([x], dtype=np.float16)), [expected])
