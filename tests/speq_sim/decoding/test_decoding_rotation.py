"""Rotation leaves the function of a model unchanged, and takes outliers away."""

import dataclasses

import numpy as np
import pytest
from decoding_models import CONFIG, TOKENS, interleaved, random_model
from hypothesis import given
from hypothesis import strategies as st

from speq_sim.decoding import (
    AttentionRotation,
    FastBackend,
    Llama,
    ModelError,
    RotatedBackend,
    Rotation,
    WideBackend,
    capture,
    greedy,
    hadamard_matrix,
)
from speq_sim.decoding.outliers import crest

KINDS = [
    (AttentionRotation.NONE, True),
    (AttentionRotation.HEAD, False),
    (AttentionRotation.HEAD, True),
    (AttentionRotation.ALL, True),
]
UNIT = 2.0**-11
"""Largest relative error of rounding a normal number to FP16."""


def logits(model):
    return model.forward(TOKENS, model.cache())


def rotated(weights, rotation):
    """The FP16 model with folded weights, on the fast back end."""
    return Llama(weights, RotatedBackend(FastBackend(rotation.fold(weights.matrices)), rotation))


@pytest.mark.parametrize(("attention", "down"), KINDS)
def test_without_rounding_logits_stay(attention, down):
    weights = interleaved(random_model(1))
    rotation = Rotation(CONFIG, attention, down)
    folded = rotation.fold(weights.matrices, np.float64)
    inner = WideBackend(folded)
    plain = logits(Llama(weights, WideBackend(weights.matrices), np.float64))
    found = logits(Llama(weights, RotatedBackend(inner, rotation), np.float64))
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-12)
    # Without the online half it is another function: the rotation is not the identity.
    assert np.abs(logits(Llama(weights, inner, np.float64)) - plain).max() > 0.1


@given(st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.integers(-10, 4))
def test_one_layer_errs_by_its_roundings_alone(kind, seed, exponent):
    """|x'W'^T - xW^T| <= |x'| |W'|^T * (2u + u^2) + subnormal and FP32 errors, u = 2**-11."""
    rotation = Rotation(CONFIG, *kind)
    generator = np.random.default_rng(seed)
    for name, (outputs, inputs) in CONFIG.matrix_shapes().items():
        if rotation.order(name) is None:
            continue
        w = (generator.standard_t(3, (outputs, inputs)) * 2.0**exponent).astype(np.float16)
        x = generator.standard_t(3, (3, inputs)).astype(np.float32)
        backend = RotatedBackend(FastBackend(rotation.fold({name: w})), rotation)
        exact = x.astype(float) @ w.astype(float).T
        turned_x = np.abs(rotation.apply(name, x.astype(float)))
        turned_w = np.abs(rotation.apply(name, w.astype(float)))
        bound = (turned_x @ turned_w.T) * (2 * UNIT + UNIT**2)
        # Half a subnormal step, absolute; and n additions in FP32, in the transform and the sum.
        bound += 2.0**-25 * (turned_x.sum(1)[:, None] + turned_w.sum(1) + inputs * 2.0**-25)
        size = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(turned_w, axis=1)
        bound += 3 * inputs * 2.0**-24 * size
        assert (np.abs(backend.multiply(name, x) - exact) <= bound).all()


@pytest.mark.parametrize(("attention", "down"), KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_rounded_to_half_logits_differ_by_as_much_as_rounding_does(attention, down, seed):
    # The plain model rounds inputs of 15 products, the rotated one also weights of up to 4. Each
    # rounding errs by up to 2**-11, evenly: 2**-11 / sqrt(3) of a product's root mean square. As
    # independent errors, the two models differ by sqrt(2 * 15 + 4) times that.
    weights = random_model(seed)
    plain = logits(Llama(weights, FastBackend(weights.matrices)))
    model = rotated(weights, Rotation(CONFIG, attention, down))
    relative = np.sqrt(np.mean((logits(model) - plain) ** 2) / np.mean(plain**2))
    assert 0 < relative < np.sqrt(34 / 3) * UNIT
    expected = greedy(Llama(weights, FastBackend(weights.matrices)), TOKENS, 24)
    assert greedy(model, TOKENS, 24) == expected


def test_outliers_are_spread():
    weights = random_model(4)
    matrices = dict(weights.matrices)
    for name in ("layer.0.up", "layer.1.up"):
        matrices[name] = matrices[name].copy()
        matrices[name][[5, 70]] *= np.float16(60)
    weights = dataclasses.replace(weights, matrices=matrices)
    rotation = Rotation(CONFIG)
    plain = capture(weights, FastBackend(matrices), TOKENS)
    found = capture(weights, FastBackend(rotation.fold(matrices)), TOKENS, rotation)
    for name in ("layer.0.down", "layer.1.down"):
        before, after = crest(plain[name]), crest(found[name])
        # Nearly one spike of 96 elements, sqrt(96) = 9.8, becomes nearly flat.
        assert np.median(before) > 6
        assert np.median(after) < 3
        assert (after < before).all()


def test_an_outlier_within_one_head_reaches_others_only_if_all_are_rotated():
    x = np.zeros((1, 48))
    x[0, 13] = 1
    head = Rotation(CONFIG, AttentionRotation.HEAD).apply("layer.0.o", x)
    assert (head[0, 12:24] != 0).all()
    assert not head[0, :12].any()
    assert not head[0, 24:].any()
    every = Rotation(CONFIG, AttentionRotation.ALL).apply("layer.0.o", x)
    np.testing.assert_allclose(np.abs(every), 48**-0.5)


def test_all_is_quarots_product_for_powers_of_two():
    config = dataclasses.replace(CONFIG, heads=4, head_dim=16)
    x = np.random.default_rng(0).standard_normal((5, 64))
    found = Rotation(config, AttentionRotation.ALL).apply("layer.0.o", x)
    across, within = hadamard_matrix(4), hadamard_matrix(16)
    expected = np.einsum("thd,hg,de->tge", x.reshape(5, 4, 16), across, within).reshape(5, 64)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


def test_other_layers_are_left_alone():
    weights = random_model()
    rotation = Rotation(CONFIG)
    folded = rotation.fold(weights.matrices)
    for name, values in weights.matrices.items():
        changed = name.endswith((".o", ".down"))
        assert (rotation.order(name) is not None) == changed
        assert folded[name].dtype == np.float16
        assert changed != (folded[name] is values)
    assert rotation.order("layer.0.o") == 48
    assert Rotation(CONFIG, AttentionRotation.HEAD).order("layer.0.o") == 12
    nothing = Rotation(CONFIG, AttentionRotation.NONE, down=False)
    assert all(nothing.order(name) is None for name in weights.matrices)


@pytest.mark.parametrize(
    ("changes", "attention", "message"),
    [
        ({"intermediate": 92}, "head", "inputs of 'down' cannot be rotated: .*order 92"),
        ({"head_dim": 6}, "head", "inputs of 'o' cannot be rotated: .*order 6"),
        ({"heads": 2, "kv_heads": 2, "head_dim": 46}, "all", "inputs of 'o' .*order 92"),
    ],
)
def test_sizes_without_a_transform_are_named(changes, attention, message):
    with pytest.raises(ModelError, match=message):
        Rotation(dataclasses.replace(CONFIG, **changes), AttentionRotation(attention))
