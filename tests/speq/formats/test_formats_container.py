"""Packed files: what is written comes back, and damaged or hostile ones are told apart."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from speq.formats import FormatError, Int4Tensor, family, pack, quantise_int4
from speq.formats.container import (
    PackedModel,
    read_packed,
    read_weights,
    write_packed,
    write_weights,
)

MEMBER = family("fitted-4")


def model():
    random = np.random.default_rng(5)
    weights = (random.standard_normal((6, 7)) * 0.1).astype(np.float16)
    plain = np.array([1.0, np.nan, np.inf], dtype=np.float16)
    tensors = {"a.weight": pack(weights, MEMBER), "norm": pack(plain, MEMBER)}
    tensors["single"] = pack(weights.astype(np.float32), MEMBER)
    other = {"ids": np.arange(4, dtype=np.int64)}
    packed = PackedModel(MEMBER, tensors, other)
    return packed, {
        "a.weight": weights,
        "norm": plain,
        "single": weights.astype(np.float32),
        **other,
    }


@pytest.fixture
def packed_file(tmp_path):
    path = tmp_path / "model.safetensors"
    write_packed(path, model()[0])
    return path


def contents(path):
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def test_a_model_comes_back_byte_for_byte(packed_file):
    found = read_packed(packed_file)
    assert found.family == MEMBER
    for name, tensor in model()[1].items():
        assert found.unpack(name).dtype == tensor.dtype
        assert found.unpack(name).shape == tensor.shape
        assert found.unpack(name).tobytes() == tensor.tobytes()
    assert found.tensors["norm"].reason == "it has 1 dimensions, and only matrices are packed"
    with pytest.raises(FormatError, match="has no tensor 'b': check the name"):
        found.unpack("b")


def test_planes_are_tensors_of_their_own(packed_file):
    arrays, metadata = contents(packed_file)
    assert arrays["a.weight.draft"].shape == arrays["a.weight.middle"].shape == (6, 4)
    assert arrays["a.weight.low"].shape == (6, 7)
    assert {arrays[f"a.weight.{part}"].dtype for part in ("draft", "middle", "low")} == {
        np.dtype(np.uint8)
    }
    assert metadata["version"] == "1"
    assert json.loads(metadata["family"])["name"] == "fitted-4"


def test_nothing_is_left_of_a_failed_write(tmp_path):
    packed = model()[0]
    clash = dataclasses.replace(packed, other={"a.weight.low": np.zeros(1)})
    with pytest.raises(FormatError, match=r"two tensors would be stored as 'a\.weight\.low'"):
        write_packed(tmp_path / "x.safetensors", clash)
    with pytest.raises(FormatError, match=r"x\.safetensors cannot be written: Unknown dtype"):
        write_weights(tmp_path / "x.safetensors", {"x": np.zeros(1, dtype="U3")})
    assert list(tmp_path.iterdir()) == []


def test_writing_replaces_the_old_file(packed_file):
    write_weights(packed_file, {"x": np.ones(2, np.float16)})
    assert list(read_weights(packed_file)) == ["x"]
    assert len(list(packed_file.parent.iterdir())) == 1


def test_views_are_written_as_they_read(tmp_path):
    whole = np.arange(24, dtype=np.float16).reshape(4, 6)
    views = {"turned": whole.T, "strided": whole[::2, 1::2], "scalar": np.float16(3) * np.ones(())}
    write_weights(tmp_path / "x.safetensors", views)
    for name, found in read_weights(tmp_path / "x.safetensors").items():
        assert found.shape == views[name].shape
        assert np.array_equal(found, views[name])


def change_metadata(key, value):
    def change(arrays, metadata):
        if value is None:
            del metadata[key]
        else:
            metadata[key] = value

    return change


def change_entry(**changes):
    def change(arrays, metadata):
        entries = json.loads(metadata["tensors"])
        entries["a.weight"] |= changes
        metadata["tensors"] = json.dumps(entries)

    return change


def change_array(name, make):
    def change(arrays, metadata):
        arrays[name] = make(arrays[name])

    return change


def drop(name):
    def change(arrays, metadata):
        del arrays[name]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_metadata("format", "pt"), "is not a packed model: pack it first"),
        (change_metadata("version", "3"), "is of version '3', and this reader knows '1' and '2'"),
        (change_metadata("version", None), "is of version None"),
        (change_metadata("family", None), "metadata entry family is missing or no JSON"),
        (change_metadata("family", "{"), "metadata entry family is missing or no JSON"),
        (change_metadata("family", "[" * 100_000), "metadata entry family is missing or no JSON"),
        (change_metadata("family", "{}"), "a family must be an object"),
        (change_metadata("tensors", "[]"), "the metadata entry tensors is no object"),
        (change_metadata("tensors", '{"a": 1}'), "tensor 'a': its entry is damaged"),
        (change_metadata("tensors", '{"a": {}, "a": {}}'), "entry tensors is missing or no JSON"),
        (change_metadata("kept", "3"), "the metadata entry kept is no object"),
        (change_entry(dtype="F64"), "tensor 'a.weight': its entry is damaged"),
        (change_entry(dtype=["F16"]), "tensor 'a.weight': its entry is damaged"),
        (change_entry(origin=1), "tensor 'a.weight': its entry is damaged"),
        (change_entry(t="0"), "its t or its number of columns is damaged"),
        (change_entry(t=10**9), "its t or its number of columns is damaged"),
        (change_entry(t=100), r"t \+ r\[n\] is \d+, outside -64\.\.63"),
        (
            change_entry(columns=8),
            r"columns' has shape \(7,\), but must have \(8,\)",
        ),
        (
            change_entry(columns=-7),
            r"columns' has shape \(7,\), but must have \(-7,\)",
        ),
        (change_entry(plain=3), "tensor 'a.weight': its entry is damaged"),
        (change_entry(plain=""), "its part 'a.weight' is missing"),
        (drop("a.weight.middle"), "tensor 'a.weight': its part 'a.weight.middle' is missing"),
        (
            change_array("a.weight.low", lambda a: a.astype(np.int16)),
            "its part 'a.weight.low' has type I16, but must have U8",
        ),
        (change_array("a.weight.low", np.ravel), "its low plane has shape"),
        (
            change_array("a.weight.rows", lambda a: a[1:]),
            r"weight.rows' has shape \(5,\)",
        ),
        (change_array("a.weight.tables", lambda a: a + 4), "but family 'fitted-4' has tables 0"),
        (change_array("a.weight.columns", lambda a: a + 1), r"c\[k\] is 1, outside"),
        (change_array("a.weight.alpha", lambda a: a * np.inf), "its alpha holds Inf or NaN"),
    ],
)
def test_damaged_files_are_told(packed_file, change, message):
    arrays, metadata = contents(packed_file)
    change(arrays, metadata)
    save_file(arrays, packed_file, metadata)
    with pytest.raises(FormatError, match=message):
        read_packed(packed_file)


def test_words_of_another_family_are_told(packed_file):
    arrays, metadata = contents(packed_file)
    arrays["a.weight.middle"][:] = 0xFF
    save_file(arrays, packed_file, metadata)
    with pytest.raises(FormatError, match="has a slot that its code does not use"):
        read_packed(packed_file).unpack("a.weight")


@pytest.mark.parametrize("cut", [0, 4, 60, -1])
def test_cut_files_are_told(packed_file, cut):
    packed_file.write_bytes(packed_file.read_bytes()[:cut])
    with pytest.raises(FormatError, match="is no valid safetensors file"):
        read_packed(packed_file)


def test_other_files_are_told(tmp_path):
    with pytest.raises(FormatError, match="none does not exist: check the path"):
        read_packed(tmp_path / "none")
    (tmp_path / "text").write_text("hello, world" * 9)
    with pytest.raises(FormatError, match="is no valid safetensors file"):
        read_weights(tmp_path / "text")


def test_types_that_numpy_lacks_are_told(tmp_path):
    header = b'{"x":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}'
    path = tmp_path / "f4.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")
    with pytest.raises(FormatError, match=r"f4\.safetensors holds 'x' of type F4, which NumPy"):
        read_weights(path)


# INT4 -------------------------------------------------------------------------------------------


@pytest.fixture
def int4_file(tmp_path):
    """A model with a packed tensor, and INT4 ones per row and per group."""
    weights = model()[1]["a.weight"]
    tensors = {
        "rows": quantise_int4(weights),
        "a.weight": pack(weights, MEMBER),
        "groups": quantise_int4(weights, 4, "mse"),
        "exact": quantise_int4(np.eye(7, dtype=np.float32) * 7),
        "unknown": Int4Tensor((1, 2), np.zeros((1, 1), np.uint8), np.ones(1, np.float16)),
    }
    write_packed(tmp_path / "int4.safetensors", PackedModel(MEMBER, tensors))
    return tmp_path / "int4.safetensors", tensors


def test_int4_tensors_come_back(int4_file):
    path, tensors = int4_file
    found = read_packed(path)
    assert list(found.tensors) == list(tensors)
    for name in ("rows", "groups", "exact", "unknown"):
        one, other = found.tensors[name], tensors[name]
        assert (one.shape, one.group, one.clip) == (other.shape, other.group, other.clip)
        assert one.plane.tobytes() == other.plane.tobytes()
        assert one.scale.tobytes() == other.scale.tobytes()
        assert found.unpack(name).dtype == np.float32
        assert np.array_equal(found.unpack(name), other.dequantise())
    assert found.tensors["rows"].sqnr_db == pytest.approx(tensors["rows"].sqnr_db, abs=1e-4)
    assert found.tensors["exact"].sqnr_db == np.inf
    assert found.tensors["unknown"].sqnr_db is None
    assert found.unpack("a.weight").tobytes() == model()[1]["a.weight"].tobytes()


def test_int4_parts_and_version(int4_file):
    arrays, metadata = contents(int4_file[0])
    assert metadata["version"] == "2"
    assert (arrays["groups.int4"].dtype, arrays["groups.int4"].shape) == (np.uint8, (6, 4))
    assert (arrays["groups.scale"].dtype, arrays["groups.scale"].shape) == (np.float16, (6, 2))
    assert arrays["rows.scale"].shape == (6,)
    entry = json.loads(metadata["tensors"])["groups"]
    ratio = entry["int4"].pop("sqnr_db")
    assert ratio > 15
    assert entry == {"dtype": "F32", "int4": {"group": 4, "clip": "mse", "columns": 7}}


def change_int4(entry=None, **changes):
    def change(arrays, metadata):
        entries = json.loads(metadata["tensors"])
        entries["groups"]["int4"] |= changes
        entries["groups"] |= entry or {}
        metadata["tensors"] = json.dumps(entries)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_metadata("version", "1"), "tensor 'rows': its entry of INT4 is damaged"),
        (change_int4({"int3": {}}), "tensor 'groups': its entry has 'int3', which this reader"),
        (change_int4({"int4": 3}), "tensor 'groups': its entry of INT4 is damaged"),
        (change_int4({"int4": {"group": 4}}), "its entry of INT4 is damaged"),
        (change_int4({"dtype": "F16"}), "its entry of INT4 is damaged"),
        (change_int4({"t": 0}), "its entry of INT4 is damaged"),
        (change_int4(zero=8), "its entry of INT4 is damaged: pack the model again, or update"),
        (change_int4(columns=0), "its entry of INT4 is damaged"),
        (change_int4(columns="7"), "its entry of INT4 is damaged"),
        (change_int4(columns=9), r"groups.scale' has shape \(6, 2\), but must have \(6, 3\)"),
        (change_int4(sqnr_db="high"), "its entry of INT4 is damaged"),
        (change_int4(sqnr_db=float("nan")), "its entry of INT4 is damaged"),
        (change_int4(sqnr_db=10**400), "its entry of INT4 is damaged"),
        (change_int4(group=5), "tensor 'groups': the group is 5, but must be 0"),
        (change_int4(group=[4]), r"the group is \[4\], but must be 0"),
        (change_int4(group=0), r"scale' has shape \(6, 2\), but must have \(6,\)"),
        (change_int4(clip="gptq"), "the clip is 'gptq', but must be one of none, mse"),
        (change_int4(clip=[]), r"the clip is \[\], but must be one of none, mse"),
        (drop("groups.scale"), "its part 'groups.scale' is missing: the file is damaged"),
        (drop("groups.int4"), "its part 'groups.int4' is missing: the file is damaged"),
        (change_array("groups.int4", np.ravel), "its int4 plane has shape"),
        (
            change_array("groups.int4", lambda a: a.astype(np.int8)),
            "its part 'groups.int4' has type I8, but must have U8",
        ),
        (
            change_array("groups.scale", lambda a: a.astype(np.float32)),
            "its part 'groups.scale' has type F32, but must have F16",
        ),
        (change_array("groups.scale", lambda a: a * 0), "a scale is Inf, NaN or not above 0"),
        (change_array("groups.scale", lambda a: -a), "a scale is Inf, NaN or not above 0"),
    ],
)
def test_damaged_int4_is_told(int4_file, change, message):
    arrays, metadata = contents(int4_file[0])
    change(arrays, metadata)
    save_file(arrays, int4_file[0], metadata)
    with pytest.raises(FormatError, match=message):
        read_packed(int4_file[0])


def test_every_nibble_of_a_file_is_legal(int4_file):
    arrays, metadata = contents(int4_file[0])
    arrays["exact.int4"][:] = np.random.default_rng(0).integers(0, 256, (7, 4))
    save_file(arrays, int4_file[0], metadata)
    found = read_packed(int4_file[0]).tensors["exact"]
    assert set(found.integers.reshape(-1).tolist()) <= set(range(-8, 8))
