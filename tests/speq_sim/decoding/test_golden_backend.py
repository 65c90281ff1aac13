"""The back ends of the golden model: what each product is, and that a token is alone in it."""

import contextlib
from unittest import mock

import numpy as np
import pytest
from decoding_models import CONFIG, TOKENS, random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.formats import FormatError, decode, family, from_planes, pack, quantise_int4
from speq.formats.codec import draft_codes
from speq.formats.packed_reader import PackedReader
from speq.formats.packed_writer import PackedWriter
from speq.parameters import TABLE_NAMES
from speq_sim import golden
from speq_sim.decoding import (
    GoldenBackend,
    Int4Backend,
    Int4Layers,
    Llama,
    ModelError,
    PackedLayers,
    greedy,
)


def uneven_model():
    """Columns of some matrices differ by up to 2**6, so that packing scales them."""
    weights = random_model(5)
    for name in ("layer.0.q", "layer.1.down"):
        values = weights.matrices[name]
        powers = np.float16(2) ** -(np.arange(values.shape[1]) % 7)
        weights.matrices[name] = (values * powers).astype(np.float16)
    return weights


WEIGHTS = uneven_model()
PACKED_MODES = ("verify", "draft", "middle")
FAMILY = "fitted-8"
PACKED = PackedLayers.pack(WEIGHTS.matrices, FAMILY)
INT4 = {group: Int4Layers(WEIGHTS.matrices, group) for group in (0, 20)}
BACK_ENDS = {
    **{mode: GoldenBackend(PACKED, mode) for mode in PACKED_MODES},
    **{
        f"{mode}-{group}": Int4Backend(layers, mode)
        for mode in ("qdraft", "qverify")
        for group, layers in INT4.items()
    },
}
SPECIAL = np.array([0, -0.0, 1e-8, 6e-5, 1.0009766, 7e4, -7e4, np.inf, np.nan], dtype=np.float32)


def inputs(name, tokens=4, seed=0):
    """Inputs of a layer, in float32, one of them far out."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((tokens, WEIGHTS.matrices[name].shape[1])).astype(np.float32)
    x[0, 3] = 50
    return x


def same(found, wanted):
    assert found.dtype == wanted.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


def logits(backend):
    model = Llama(WEIGHTS, backend)
    return model.forward(TOKENS, model.cache())


def ones(x):
    return np.ones(len(x), dtype=np.float32)


@pytest.mark.parametrize("name", ["layer.0.q", "layer.1.down", "head"])
@pytest.mark.parametrize("form", [None, golden.block_format("bfp12", 2)])
def test_packed_products_are_the_golden_ones(name, form):
    x = inputs(name)
    half = x.astype(np.float16)
    members = family(FAMILY)
    tensor = pack(WEIGHTS.matrices[name], members)
    assert not tensor.is_plain
    assert tensor.scale.columns.any() == (name != "head")
    words = from_planes(tensor.planes)
    values = decode(words, members, tensor.tables).view(np.float16)
    scale = -tensor.scale.columns.astype(int), tensor.scale.row_exponents
    found = {mode: GoldenBackend(PACKED, mode, form).multiply(name, x) for mode in PACKED_MODES}
    same(found["verify"], golden.verify_packed(values, half, *scale))
    same(found["middle"], golden.middle(values, half, *scale))
    used = golden.block_format("bfp6", 4) if form is None else form
    sums = golden.draft(draft_codes(words), members.draft_values, half, *scale, form=used)
    same(found["draft"], sums * tensor.alpha)
    assert (tensor.alpha != 1).any()


@pytest.mark.parametrize("clip", ["none", "mse"])
@pytest.mark.parametrize("name", ["layer.0.q", "layer.1.down"])
def test_int4_products_are_the_golden_ones(name, clip):
    x = inputs(name)
    half = x.astype(np.float16)
    layers = Int4Layers(WEIGHTS.matrices, clip=clip)
    tensor = quantise_int4(WEIGHTS.matrices[name], clip=clip)
    rows = tensor.scale.astype(np.float32)[:, None]
    integers, scales = golden.quantise_activations(half)
    sums = golden.integer_draft(tensor.nibbles, integers)
    wanted = golden.scale_results(sums[None], rows, scales.astype(np.float32))
    same(Int4Backend(layers, "qdraft").multiply(name, x), wanted)
    found = []
    for lanes in (1, 2, 4):
        sums = golden.integer_verify(tensor.nibbles, half, lanes)
        found.append(Int4Backend(layers, "qverify", lanes).multiply(name, x))
        same(found[-1], golden.scale_results(sums[None], rows, ones(x)))
    assert (found[0] != found[2]).any()


@pytest.mark.parametrize("name", ["layer.0.q", "layer.1.down"])
def test_groups_are_products_of_their_own_added_in_order(name):
    """Groups of 20: the last one is shorter, of 8 and 16 inputs."""
    x = inputs(name)
    half = x.astype(np.float16)
    tensor = quantise_int4(WEIGHTS.matrices[name], 20)
    integers, scales = golden.quantise_activations(half)
    for mode, given_to in (("qdraft", integers), ("qverify", half)):
        total = np.float32(0)
        for group, start in enumerate(range(0, x.shape[1], 20)):
            columns = slice(start, start + 20)
            part = np.ascontiguousarray(given_to[:, columns])
            multiply = golden.integer_draft if mode == "qdraft" else golden.integer_verify
            sums = multiply(tensor.nibbles[:, columns], part)
            total = total + sums * tensor.scale[:, group].astype(np.float32)
        if mode == "qdraft":
            total = total * scales.astype(np.float32)[:, None]
        same(BACK_ENDS[f"{mode}-20"].multiply(name, x), total)


def test_packing_is_invisible():
    """Verified logits are those of the plain weights, bit for bit, by every family."""
    plain = logits(GoldenBackend(PackedLayers.plain(WEIGHTS.matrices), "verify"))
    for name in TABLE_NAMES:
        layers = PackedLayers.pack(WEIGHTS.matrices, name)
        assert not any(layer.is_plain for layer in layers.values())
        same(logits(GoldenBackend(layers, "verify")), plain)
    half = inputs("head").astype(np.float16)
    wanted = golden.verify(WEIGHTS.matrices["head"], half)
    for backend in (BACK_ENDS["verify"], BACK_ENDS["qdraft-0"], BACK_ENDS["qverify-20"]):
        same(backend.multiply("head", inputs("head")), wanted)


@given(
    st.sampled_from(sorted(BACK_ENDS)),
    st.sampled_from(["layer.0.q", "layer.1.down", "head"]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_a_token_is_alone(backend, name, seed):
    """Rows together are rows one by one, beside infinities, NaNs and what FP16 cannot hold."""
    generator = np.random.default_rng(seed)
    x = inputs(name, 5, seed) * 2.0 ** generator.integers(-20, 12, (5, 1)).astype(np.float32)
    where = generator.random(x.shape) < generator.choice([0, 0.02])
    x = np.where(where, generator.choice(SPECIAL, x.shape), x)
    multiply = BACK_ENDS[backend].multiply
    same(multiply(name, x), np.concatenate([multiply(name, row[None]) for row in x]))


@pytest.mark.parametrize("backend", sorted(BACK_ENDS))
def test_positions_together_are_one_by_one(backend):
    model = Llama(WEIGHTS, BACK_ENDS[backend])
    together = model.forward(TOKENS, model.cache())
    cache = model.cache()
    same(together, np.concatenate([model.forward([token], cache) for token in TOKENS]))


def test_back_ends_share_one_cache():
    """A draft is forgotten without a trace: verifying behind it is verifying alone."""
    model = Llama(WEIGHTS, BACK_ENDS["verify"])
    cache = model.cache()
    model.forward(TOKENS[:3], cache)
    for name in sorted(BACK_ENDS):
        model.backend = BACK_ENDS[name]
        model.forward(TOKENS[3:], cache)
        cache.cut(3)
    model.backend = BACK_ENDS["verify"]
    same(model.forward(TOKENS[3:], cache), logits(BACK_ENDS["verify"])[3:])


def test_recipe_overrides_the_mode_of_single_layers():
    recipe = {"head": "verify", "layer.0.down": "middle"}
    backend = GoldenBackend(PACKED, "draft", recipe=recipe)
    for name in WEIGHTS.matrices:
        x = inputs(name)
        same(backend.multiply(name, x), BACK_ENDS[recipe.get(name, "draft")].multiply(name, x))
    recipe["head"] = "draft"
    x = inputs("head")
    same(backend.multiply("head", x), BACK_ENDS["verify"].multiply("head", x))


def test_what_cannot_be_packed_is_verified():
    """A matrix that holds Inf is verified in every mode, of QSpec too."""
    weights = WEIGHTS.matrices["layer.0.q"].copy()
    weights[2, 5] = np.inf
    x = inputs("layer.0.q")
    wanted = golden.verify(weights, x.astype(np.float16))
    layers = PackedLayers.pack({"q": weights}, FAMILY)
    assert layers["q"].is_plain
    for mode in PACKED_MODES:
        same(GoldenBackend(layers, mode).multiply("q", x), wanted)
    same(Int4Backend(Int4Layers({"q": weights}), "qdraft").multiply("q", x), wanted)


def test_layers_are_prepared_once_for_all_back_ends():
    """At the first product in a mode, not before; plain matrices have one mode."""
    matrices = {name: WEIGHTS.matrices[name] for name in ("layer.0.q", "head")}
    layers = PackedLayers.pack(matrices, FAMILY)
    back_ends = [GoldenBackend(layers, mode) for mode in (*PACKED_MODES, *PACKED_MODES)]
    back_ends.append(GoldenBackend(layers, "draft", golden.block_format("bfp12", 4)))
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(mock.patch.object(golden, name, wraps=getattr(golden, name)))
            for name in ("prepare_verify", "prepare_middle", "prepare_draft")
        ]
        for count, name in enumerate(matrices):
            assert [each.call_count for each in made] == [count] * 3
            for backend in back_ends:
                backend.multiply(name, inputs(name))
        assert [each.call_count for each in made] == [2] * 3
    assert layers.prepared("head", "draft") is layers.prepared("head", "draft")
    assert layers.prepared("head", "draft") is not layers.prepared("head", "middle")
    plain = PackedLayers.plain(matrices)
    assert plain.prepared("head", "draft") is plain.prepared("head", "verify")
    with pytest.raises(ModelError, match="mode 'qdraft'"):
        layers.prepared("head", "qdraft")
    integers = Int4Layers(matrices)
    with mock.patch.object(golden, "prepare_integers", wraps=golden.prepare_integers) as made:
        for mode in ("qdraft", "qverify"):
            Int4Backend(integers, mode).multiply("layer.0.q", inputs("layer.0.q"))
        assert made.call_count == 1


def test_a_packed_file_gives_the_same(tmp_path):
    path, members = tmp_path / "model.packed", family(FAMILY)
    names = {name: f"stored.{name}" for name in ("layer.0.q", "head")}
    expected = [(stored, "F16", WEIGHTS.matrices[name].shape) for name, stored in names.items()]
    with PackedWriter(path, members, [*expected, ("int4", "F32", (61, 48))]) as file:
        for name, stored in names.items():
            file.add(stored, pack(WEIGHTS.matrices[name], members))
        file.add("int4", quantise_int4(WEIGHTS.matrices["head"]))
    reader = PackedReader(path)
    layers = PackedLayers.read(reader, names)
    assert list(layers) == list(names)
    for name in names:
        for mode in PACKED_MODES:
            x = inputs(name)
            found = GoldenBackend(layers, mode).multiply(name, x)
            same(found, BACK_ENDS[mode].multiply(name, x))
    with pytest.raises(ModelError, match=r"'int4' of model.packed is INT4.*layer 'head'"):
        PackedLayers.read(reader, {"head": "int4"})
    with pytest.raises(FormatError, match=r"no tensor 'head'"):
        PackedLayers.read(reader, {"head": "head"})


@pytest.mark.parametrize("backend", sorted(BACK_ENDS))
def test_decodes_greedily(backend):
    found = greedy(Llama(WEIGHTS, BACK_ENDS[backend]), TOKENS, 4)
    assert len(found) == 4
    assert all(0 <= token < CONFIG.vocabulary for token in found)


def test_drafts_resemble_what_they_draft():
    """Scales mixed up would leave nothing of a product.

    MIDDLE errs evenly within cells of a quarter of a binade: 1/4 / sqrt(12), 0.072, of the binade's
    start, and so between 0.036 and 0.072 of a weight. No draft here has more than half an error.
    """
    x = inputs("layer.1.down", 33)[1:]
    exact = BACK_ENDS["verify"].multiply("layer.1.down", x)
    errors = {
        name: np.linalg.norm(backend.multiply("layer.1.down", x) - exact) / np.linalg.norm(exact)
        for name, backend in BACK_ENDS.items()
    }
    assert 0.036 < errors["middle"] < 0.072
    assert all(0.072 < errors[name] < 0.5 for name in errors if name not in PACKED_MODES[::2])
    assert errors["qverify-20"] < errors["qverify-0"] < errors["qdraft-0"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BACK_ENDS["draft"].multiply("layer.9.q", SPECIAL[None]), "layer 'layer.9.q'"),
        (lambda: BACK_ENDS["qdraft-0"].multiply("x", SPECIAL[None]), "layer 'x' is not among"),
        (lambda: GoldenBackend(PACKED, "qdraft"), "mode 'qdraft' .* verify, draft, middle"),
        (lambda: Int4Backend(INT4[0], "draft"), "mode 'draft' .* qdraft, qverify"),
        (lambda: GoldenBackend(PACKED, "draft", recipe={"tail": "verify"}), "layer 'tail'"),
        (lambda: GoldenBackend(PACKED, "draft", recipe={"head": "fast"}), "mode 'fast'"),
    ],
)
def test_what_does_not_exist_is_named(make, message):
    with pytest.raises(ModelError, match=message):
        make()


def test_unknown_families_groups_and_lanes_are_named():
    with pytest.raises(FormatError, match=r"family 'fitted-9' does not exist: use one of"):
        PackedLayers.pack(WEIGHTS.matrices, "fitted-9")
    with pytest.raises(FormatError, match=r"the group is 6, but must be"):
        Int4Layers(WEIGHTS.matrices, 6)
    with pytest.raises(ValueError, match=r"lanes is 3, but must be 1, 2 or 4"):
        Int4Backend(INT4[0], "qverify", 3)
