"""A packed file and the model it was made from give the layers that packing in memory gives."""

import dataclasses

import decoding_models as models
import numpy as np
import pytest
from decoding_models import TOKENS, interleaved, random_model

from speq.formats import family, pack
from speq.formats.container import PackedModel, write_packed
from speq.formats.int4_model import Int4Options
from speq.formats.model import Options, pack_model
from speq.formats.sources import open_source
from speq_sim.decoding import (
    FastBackend,
    GoldenBackend,
    Llama,
    ModelError,
    PackedLayers,
    load_model,
    load_packed,
)

FAMILY = "fitted-1"


def packed(path, source, **options):
    target = path.with_name("packed.safetensors")
    pack_model(open_source(source), target, family(FAMILY), Options(**options))
    return target


def same_layers(found, expected):
    assert list(found) == list(expected)
    for name, layer in expected.items():
        for field in dataclasses.fields(layer):
            np.testing.assert_array_equal(
                getattr(found[name], field.name), getattr(layer, field.name)
            )


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["gguf", "folder"])
def test_a_packed_file_has_the_layers_of_its_model(tmp_path, kind, tied):
    if kind == "gguf":
        pytest.importorskip("gguf")
        path = models.write_gguf(tmp_path / "a.gguf", interleaved(random_model(tied_head=tied)))
        source = path
    else:
        path = models.write_hugging_face(tmp_path / "model", random_model(tied_head=tied))
        source = path / "model.safetensors"
    weights = load_model(path)
    found = load_packed(packed(path, source), weights)
    same_layers(found, PackedLayers.pack(weights.matrices, FAMILY))
    assert not found["head"].is_plain
    model = Llama(weights, GoldenBackend(found, "verify"))
    reference = Llama(weights, FastBackend(weights.matrices))
    first, second = (each.forward(TOKENS, each.cache()) for each in (model, reference))
    np.testing.assert_allclose(first, second, rtol=0, atol=0.05)


def test_names_of_a_file_that_names_nothing_are_those_of_the_layers(tmp_path):
    weights = interleaved(random_model(tied_head=True))
    path = tmp_path / "model.bin"
    path.write_bytes(models.llama2c_bytes(weights))
    weights = load_model(path)
    assert weights.stored["layer.1.down"] == "layer.1.down"
    assert weights.stored["head"] == "embedding"
    tensors = {weights.stored[name]: pack(values, family(FAMILY))
               for name, values in weights.matrices.items()}  # fmt: skip
    write_packed(tmp_path / "packed.safetensors", PackedModel(family(FAMILY), tensors))
    found = load_packed(tmp_path / "packed.safetensors", weights)
    same_layers(found, PackedLayers.pack(weights.matrices, FAMILY))


def test_rounded_weights_are_those_of_the_model(tmp_path):
    name = "model.layers.1.mlp.up_proj.weight"
    wide = (np.random.default_rng(0).standard_normal((96, 48)) * 0.1).astype(np.float32)
    wide[0, :3] = 1e-7, -1e-9, 2.0**-24 * 1.5
    folder = models.write_hugging_face(tmp_path / "model", random_model(), **{name: wide})
    weights = load_model(folder)
    path = packed(folder, folder / "model.safetensors", round=True)
    same_layers(load_packed(path, weights), PackedLayers.pack(weights.matrices, FAMILY))
    path = packed(folder, folder / "model.safetensors")
    with pytest.raises(
        ModelError, match=rf"keeps '{name}', the matrix of layer 'layer.1.up', in F32.*--round"
    ):
        load_packed(path, weights)


def test_files_of_other_models_are_refused(tmp_path):
    folder = models.write_hugging_face(tmp_path / "model", random_model())
    path = packed(folder, folder / "model.safetensors")
    other = load_model(models.write_hugging_face(tmp_path / "other", random_model(1)))
    with pytest.raises(
        ModelError,
        match=r"'model.layers.0.self_attn.q_proj.weight' of packed.safetensors has other",
    ):
        load_packed(path, other)
    larger = load_model(models.write_hugging_face(tmp_path / "larger", random_model(hidden=60)))
    with pytest.raises(ModelError, match="has other weights than the model from larger"):
        load_packed(path, larger)
    with pytest.raises(
        ModelError, match=r"packed.safetensors lacks 'layer.0.q', the matrix of layer 'layer.0.q'"
    ):
        load_packed(path, random_model())
    weights = load_model(folder)
    path = packed(folder, folder / "model.safetensors", int4=Int4Options(group=16))
    with pytest.raises(ModelError, match=r"is INT4, so it cannot be layer 'layer.0.q'"):
        load_packed(path, weights)
