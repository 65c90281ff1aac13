"""Drafts by name: what each multiplies by, what it shares with its target, and its bits."""

import dataclasses

import decoding_models as models
import numpy as np
import pytest
from decoding_models import TOKENS, random_model

from speq.formats import family
from speq.formats.model import Options, pack_model
from speq.formats.sources import open_source
from speq.parameters import TABLE_NAMES
from speq_sim import golden
from speq_sim.decoding import (
    GoldenBackend,
    Int4Backend,
    Int4Layers,
    Llama,
    ModelError,
    PackedLayers,
    RotatedBackend,
    Rotation,
    WideBackend,
    load_model,
)
from speq_sim.decoding.evaluation import (
    COPIES,
    DraftOptions,
    codec_names,
    identity,
    make_draft,
    make_target,
    target_of,
)
from speq_sim.decoding.evaluation.drafts import WholeRotation, stands_for

WEIGHTS = random_model(5)
TARGET_NAMES = ("fp16", "w4a16", "w4a16-hadamard", "w4a16-hadamard-all")
TARGETS = {name: make_target(name, WEIGHTS) for name in TARGET_NAMES}
HEAD = WEIGHTS.matrices["head"].size
LAYERS = sum(values.size for name, values in WEIGHTS.matrices.items() if name != "head")


def draft(codec, **options):
    return make_draft(codec, WEIGHTS, TARGETS[target_of(codec)], DraftOptions(**options))


def logits(model):
    return model.forward(TOKENS, model.cache())


def golden_logits(name, mode, form="bfp6", recipe=None):
    layers = PackedLayers.pack(WEIGHTS.matrices, name)
    backend = GoldenBackend(layers, mode, golden.block_format(form, 4), recipe)
    return logits(Llama(WEIGHTS, backend))


def test_every_family_is_a_codec():
    assert set(TABLE_NAMES) < set(codec_names())
    assert {"middle", "w4a4", "w4a4-hadamard", *COPIES} < set(codec_names())


@pytest.mark.parametrize("name", ["bsfp", "fitted-8"])
def test_a_family_drafts_all_but_the_head(name):
    found = logits(draft(name).model)
    np.testing.assert_array_equal(found, golden_logits(name, "draft", recipe={"head": "verify"}))
    assert (found != logits(TARGETS["fp16"].model)).any()


def test_the_head_is_drafted_if_asked_for():
    found = draft("bsfp", draft_head=True)
    np.testing.assert_array_equal(logits(found.model), golden_logits("bsfp", "draft"))
    assert found.bits["read"] == 4


def test_activations_are_those_asked_for():
    found = logits(draft("bsfp", activations="bfp12").model)
    expected = golden_logits("bsfp", "draft", "bfp12", {"head": "verify"})
    np.testing.assert_array_equal(found, expected)
    assert (found != logits(draft("bsfp").model)).any()


def test_middle_reads_eight_bits():
    found = draft("middle")
    expected = golden_logits("fitted-8", "middle", recipe={"head": "verify"})
    np.testing.assert_array_equal(logits(found.model), expected)
    assert found.bits["read_layers"] == 8


def test_a_recipe_names_the_mode_of_layers():
    recipe = {"layer.0.q": "verify", "layer.1.down": "middle", "head": "draft"}
    found = draft("bsfp", recipe=recipe)
    np.testing.assert_array_equal(
        logits(found.model), golden_logits("bsfp", "draft", recipe=recipe)
    )
    sizes = {name: values.size for name, values in WEIGHTS.matrices.items()}
    expected = 4 + (12 * sizes["layer.0.q"] + 4 * sizes["layer.1.down"]) / (HEAD + LAYERS)
    assert found.bits["read"] == pytest.approx(expected, abs=1e-4)


def test_a_recipe_of_verify_alone_is_the_target():
    found = draft("truncate", recipe=dict.fromkeys(WEIGHTS.matrices, "verify"))
    np.testing.assert_array_equal(logits(found.model), logits(TARGETS["fp16"].model))
    assert found.bits == {"read": 16, "read_layers": 16, "stored_extra": 0}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_stored_beside_and_its_head_is_the_targets(name):
    found = draft(name)
    x = np.random.default_rng(1).standard_normal((3, 48)).astype(np.float32)
    target = TARGETS["fp16"].model.backend
    np.testing.assert_array_equal(
        found.model.backend.multiply("head", x), target.multiply("head", x)
    )
    whole = draft(name, draft_head=True)
    assert (whole.model.backend.multiply("head", x) != target.multiply("head", x)).any()
    bits = found.bits
    assert bits["stored_extra"] == bits["read_layers"] > 4
    expected = (bits["read_layers"] * LAYERS + 16 * HEAD) / (LAYERS + HEAD)
    assert bits["read"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "rotation"),
    [
        ("w4a4", None),
        ("w4a4-hadamard", Rotation(WEIGHTS.config)),
        ("w4a4-hadamard-all", WholeRotation(WEIGHTS.config)),
    ],
)
def test_qspec_has_a_target_of_its_own(name, rotation):
    matrices = WEIGHTS.matrices if rotation is None else rotation.fold(WEIGHTS.matrices)
    layers = Int4Layers(matrices, 128)

    def expected(mode):
        backend = Int4Backend(layers, mode)
        return logits(
            Llama(WEIGHTS, backend if rotation is None else RotatedBackend(backend, rotation))
        )

    found, target = draft(name), TARGETS[target_of(name)]
    np.testing.assert_array_equal(logits(found.model), expected("qdraft"))
    np.testing.assert_array_equal(logits(target.model), expected("qverify"))
    assert found.bits["stored_extra"] == 0


def test_rotating_every_input_keeps_the_function():
    rotation = WholeRotation(WEIGHTS.config)
    folded = rotation.fold(WEIGHTS.matrices, np.float64)
    changed = {name for name in folded if (folded[name] != WEIGHTS.matrices[name]).any()}
    assert changed == set(folded) - {"head"}
    rotated = Llama(WEIGHTS, RotatedBackend(WideBackend(folded), rotation), np.float64)
    plain = Llama(WEIGHTS, WideBackend(WEIGHTS.matrices), np.float64)
    np.testing.assert_allclose(logits(rotated), logits(plain), atol=1e-10)


def test_an_order_without_a_transform_is_refused():
    weights = random_model(1, hidden=92, intermediate=96)
    with pytest.raises(ModelError, match="92"):
        make_target("w4a16-hadamard-all", weights)


@pytest.mark.parametrize("codec", ["truncate", "fitted-4", "middle"])
def test_the_fast_arithmetic_is_near_the_golden_one(codec):
    target = make_target("fp16", WEIGHTS, "fast")
    fast = make_draft(codec, WEIGHTS, target, DraftOptions("fast"))
    exact = draft(codec, activations="fp16")
    np.testing.assert_allclose(logits(fast.model), logits(exact.model), atol=0.02)
    assert abs(logits(fast.model) - logits(target.model)).max() > 0.05
    assert fast.bits == exact.bits


def test_what_a_matrix_stands_for_has_its_scales():
    columns = np.float16(2) ** -(np.arange(48) % 7)
    values = (random_model(2).matrices["layer.0.q"] * 4 * columns).astype(np.float16)
    layer = PackedLayers.pack({"a": values}, "fitted-8")["a"]
    assert layer.row_exponents.any()
    np.testing.assert_array_equal(stands_for(layer, "verify"), values)
    for mode, most in (("middle", 0.1), ("draft", 0.6)):
        error = np.abs(stands_for(layer, mode) - values).sum() / np.abs(values).sum()
        assert 0 < error < most


def test_a_packed_file_drafts_as_packing_in_memory(tmp_path):
    folder = models.write_hugging_face(tmp_path / "model", random_model(5))
    path = tmp_path / "packed.safetensors"
    source = open_source(folder / "model.safetensors")
    pack_model(source, path, family("fitted-1"), Options())
    weights = load_model(folder)
    target = make_target("fp16", weights)
    found = make_draft(f"packed:{path}", weights, target)
    np.testing.assert_array_equal(logits(found.model), logits(draft("fitted-1").model))
    about = identity(f"packed:{path}")
    assert str(tmp_path) not in str(about)
    path.write_bytes(path.read_bytes() + b" ")
    assert identity(f"packed:{path}")["packing"] != about["packing"]


def test_a_digest_changes_with_what_is_packed():
    values = {name: values.copy() for name, values in WEIGHTS.matrices.items()}
    values["layer.0.q"][3, 5] *= -1
    other = make_draft("bsfp", dataclasses.replace(WEIGHTS, matrices=values), TARGETS["fp16"])
    found = draft("bsfp")
    assert len(found.digest) == 16
    assert found.digest == draft("bsfp", activations="bfp8").digest
    assert len({found.digest, other.digest, draft("fitted-1").digest}) == 3


def test_identity_tells_drafts_apart():
    base = identity("bsfp")
    assert base["head"] == "verify"
    assert base["activations"] == "bfp6"
    for codec, options in (
        ("fitted-1", {}),
        ("bsfp", {"activations": "bfp8"}),
        ("bsfp", {"draft_head": True}),
        ("bsfp", {"recipe": {"layer.0.q": "verify"}}),
        ("bsfp", {"arithmetic": "fast"}),
    ):
        assert identity(codec, DraftOptions(**options)) != base
    assert identity("w4a4", DraftOptions(draft_head=True))["head"] == "verify"
    assert identity("mxfp4", DraftOptions(activations="bfp8"))["activations"] == "fp16"


@pytest.mark.parametrize(
    ("codec", "options", "message"),
    [
        ("int5", {}, "'int5' is not known: use one of truncate"),
        ("packed:a/none.safetensors", {}, "none.safetensors does not exist"),
        ("mxfp4", {"recipe": {"head": "verify"}}, "has no planes"),
        ("w4a4", {"arithmetic": "fast"}, "golden back end alone"),
        ("bsfp", {"recipe": {"layer.9.q": "verify"}}, "'layer.9.q' is not among"),
        ("bsfp", {"recipe": {"head": "low"}}, "'low' does not exist"),
    ],
)
def test_what_cannot_be_measured_is_one_error(codec, options, message):
    with pytest.raises(ModelError, match=message):
        draft(codec, **options)


def test_a_draft_is_not_held_against_another_target():
    with pytest.raises(ModelError, match="w4a4 is held against w4a16, not against fp16"):
        make_draft("w4a4", WEIGHTS, TARGETS["fp16"])
    with pytest.raises(ModelError, match="golden back end alone"):
        make_target("w4a16", WEIGHTS, "fast")


def test_plain_matrices_count_their_sixteen_bits():
    # No scale brings both ends of the range of FP16 below 2.
    values = WEIGHTS.matrices["layer.0.q"].copy()
    values[0, :2] = 60000, 6e-8
    weights = dataclasses.replace(WEIGHTS, matrices=WEIGHTS.matrices | {"layer.0.q": values})
    found = make_draft("bsfp", weights, make_target("fp16", weights))
    expected = 4 + 12 * values.size / LAYERS
    assert found.bits["read_layers"] == pytest.approx(expected, abs=1e-4)
