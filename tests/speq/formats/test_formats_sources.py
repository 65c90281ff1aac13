"""Models to pack: what each kind of file gives, and what is said of damaged and hostile ones."""

import contextlib
import json
import struct

import gguf
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from speq.formats import FormatError
from speq.formats.container import write_weights
from speq.formats.dtypes import BITS, NUMPY_TYPES
from speq.formats.safetensors_file import SafetensorsFile
from speq.formats.sources import open_source

RANDOM = np.random.default_rng(11)
MATRIX = (RANDOM.standard_normal((4, 64)) * 0.1).astype(np.float32)


def tensors_of(path):
    return {tensor.name: tensor for tensor in open_source(path).tensors}


def raw_file(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


# Safetensors ------------------------------------------------------------------------------------


def test_every_type_passes_byte_for_byte(tmp_path):
    header, data = {}, b""
    for dtype, bits in BITS.items():
        chunk = RANDOM.integers(0, 2, bits, np.uint8).tobytes()
        entry = {"dtype": dtype, "shape": [2, 4], "data_offsets": [len(data), len(data) + bits]}
        header[f"of {dtype}"] = entry
        data += chunk
    found = tensors_of(raw_file(tmp_path / "x.safetensors", header, data))
    assert len(found) == len(BITS)
    for dtype, bits in BITS.items():
        tensor = found[f"of {dtype}"]
        begin = header[f"of {dtype}"]["data_offsets"][0]
        assert tensor.load().tobytes() == data[begin : begin + bits]
        assert tensor.nbytes == bits
        if dtype in NUMPY_TYPES:
            assert tensor.values().shape == (2, 4)
        else:
            with pytest.raises(FormatError, match=f"NumPy lacks the type {dtype}"):
                tensor.values()


def test_files_of_the_library_are_read(tmp_path):
    tensors = {"a": MATRIX, "b": np.arange(3), "empty": np.zeros((0, 3), np.float16)}
    tensors["scalar"] = np.array(2.5)
    save_file(tensors, tmp_path / "x.safetensors", {"format": "pt"})
    found = tensors_of(tmp_path / "x.safetensors")
    for name, array in tensors.items():
        assert found[name].values().tobytes() == array.tobytes()
        assert found[name].shape == array.shape


def entry(dtype="U8", shape=(2,), offsets=(0, 2)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"x": entry()}, b"12", None),
        ({"x": entry()}, b"1", "its tensors end at byte .* but the file at"),
        ({"x": entry()}, b"123", "its tensors end at byte"),
        ({"x": entry(offsets=(0, 1))}, b"1", "offsets of tensor 'x' do not fit"),
        ({"x": entry(offsets=(-2, 0))}, b"", "tensor 'x' has no sound data_offsets"),
        ({"x": entry(offsets=(2, 0))}, b"", "do not fit its type and shape"),
        ({"x": entry(offsets=(0, 2, 2))}, b"12", "no sound data_offsets"),
        ({"x": entry(shape=(-2,))}, b"12", "tensor 'x' has no sound shape"),
        ({"x": entry(shape=(True, 2))}, b"12", "tensor 'x' has no sound shape"),
        ({"x": entry(shape=(2.0,))}, b"12", "tensor 'x' has no sound shape"),
        ({"x": entry(shape=(1,) * 40)}, b"1", "tensor 'x' has no sound shape"),
        ({"x": entry(shape=(1 << 40, 1 << 40))}, b"12", "more elements than an address"),
        ({"x": entry(shape=(0, 1 << 70), offsets=(0, 0))}, b"", "more elements than an address"),
        ({"x": entry(dtype="Q4")}, b"12", "tensor 'x' has the unknown type 'Q4'"),
        ({"x": entry(dtype=["U8"])}, b"12", "unknown type"),
        ({"x": entry(), "y": entry(offsets=(1, 3))}, b"123", "tensor 'y' overlaps another"),
        ({"x": entry(), "y": entry(offsets=(3, 5))}, b"12345", "leaves a gap before it"),
        ({"x": 3}, b"", "the entry of tensor 'x' is no object"),
        ({"__metadata__": {"a": 1}}, b"", "its metadata are no texts"),
        ({"__metadata__": 1}, b"", "its metadata are no texts"),
        (b'{"x":{"dtype":"U8"},"x":{}}', b"", "'x' is there twice"),
        (b'{"\\ud800":{"dtype":"U8"}}', b"", "is no Unicode text"),
        (b"[1]", b"", "its header is no JSON object"),
        (b"{", b"", "its header is no JSON"),
        (b'{"x":\xff}', b"", "its header is no JSON"),
        (b'{"x":' + b"[" * 100_000, b"", "nested too deeply"),
        (b'{"x":' + b"1" * 10_000 + b"}", b"", "its header is no JSON"),
    ],
)
def test_unsound_headers_are_told(tmp_path, header, data, message):
    path = raw_file(tmp_path / "x.safetensors", header, data)
    if message is None:
        assert tensors_of(path)["x"].load().tobytes() == data
        return
    with pytest.raises(FormatError, match=rf"x\.safetensors is no valid .*{message}") as raised:
        open_source(path)
    assert str(raised.value).endswith("fetch or write it again")


def test_absurd_lengths_and_other_files_are_told(tmp_path):
    path = tmp_path / "x.safetensors"
    for data in (b"", b"1234567", (1 << 62).to_bytes(8, "little") + b"{}"):
        path.write_bytes(data)
        with pytest.raises(FormatError, match="its header is longer than the file"):
            open_source(path)
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(100_000_100)
    with pytest.raises(FormatError, match="its header would have 100000001 bytes"):
        open_source(path)
    with pytest.raises(FormatError, match="none does not exist: check the path"):
        open_source(tmp_path / "none")
    with pytest.raises(FormatError, match=r"is a folder: give its \*\.safetensors file"):
        open_source(tmp_path)


def test_a_file_that_shrinks_is_told(tmp_path):
    path = tmp_path / "x.safetensors"
    write_weights(path, {"x": np.arange(9)})
    file = SafetensorsFile(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError, match="has become shorter while it was read"):
        file.read("x")
    with pytest.raises(FormatError, match="has no tensor 'y': check the name"):
        file.read("y")


# Sharded models ---------------------------------------------------------------------------------


def sharded(folder, places=None):
    write_weights(folder / "a.safetensors", {"one": MATRIX, "two": np.arange(3)})
    (folder / "sub").mkdir()
    write_weights(folder / "sub" / "b.safetensors", {"three": MATRIX * 2})
    if places is None:
        places = {"one": "a.safetensors", "three": "sub/b.safetensors", "two": "a.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 9}, "weight_map": places}))
    return index


def test_shards_are_one_model(tmp_path):
    source = open_source(sharded(tmp_path))
    assert [tensor.name for tensor in source.tensors] == ["one", "two", "three"]
    found = {tensor.name: tensor.values() for tensor in source.tensors}
    assert np.array_equal(found["one"], MATRIX)
    assert np.array_equal(found["three"], MATRIX * 2)
    assert source.nbytes == sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert source.remarks == ()


def test_tensors_without_a_place_are_remarked(tmp_path):
    source = open_source(sharded(tmp_path, {"one": "a.safetensors"}))
    assert [tensor.name for tensor in source.tensors] == ["one"]
    assert source.remarks == ("1 tensors that the index does not name were passed over",)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"one": "c.safetensors"}, "the shard 'c.safetensors', which does not exist: fetch"),
        ({"four": "a.safetensors"}, "tensor 'four' lies in a.safetensors, which does not have it"),
        ({"three": "a.safetensors"}, "tensor 'three' lies in a.safetensors, which does not"),
        ({"one": "../a.safetensors"}, "is no file in its own folder: do not trust"),
        ({"one": "sub/../../x"}, "is no file in its own folder"),
        ({"one": "/etc/passwd"}, "is no file in its own folder"),
        ({"one": "..\\a"}, "is no file in its own folder"),
        ({"one": "c:a"}, "is no file in its own folder"),
        ({"one": "a\0"}, "is no file in its own folder"),
        ({"one": ""}, "is no file in its own folder"),
        ({"one": "sub"}, "the shard 'sub', which does not exist"),
        ({"one": "model.safetensors.index.json"}, "is no valid safetensors file"),
        ({"one": 1}, "has no weight_map"),
        ([], "has no weight_map"),
    ],
)
def test_unsound_indices_are_told(tmp_path, places, message):
    with pytest.raises(FormatError, match=message):
        open_source(sharded(tmp_path, places))


@pytest.mark.parametrize("text", ["", "[]", '{"weight_map":{"a":"b","a":"c"}}', "[" * 100_000])
def test_indices_that_are_none_are_told(tmp_path, text):
    path = tmp_path / "x.index.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"x\.index\.json (is no JSON|has no weight_map)"):
        open_source(path)


# GGUF -------------------------------------------------------------------------------------------


def gguf_file(path, alignment=None):
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_array("tokens", ["a", "bc", "d\u00e9"])
    writer.add_array("scores", [1.0, 2.0])
    writer.add_bool("flag", True)
    writer.add_tensor("half", MATRIX.astype(np.float16))
    writer.add_tensor("single", MATRIX[0])
    brain = MATRIX.astype(ml_dtypes.bfloat16)
    kinds = gguf.GGMLQuantizationType
    writer.add_tensor("brain", brain.view(np.uint8), raw_dtype=kinds.BF16)
    for kind in (kinds.Q4_1, kinds.Q8_0):
        writer.add_tensor(kind.name, gguf.quantize(MATRIX, kind), raw_dtype=kind)
    writer.add_tensor("ids", np.arange(6, dtype=np.int32).reshape(2, 3))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("alignment", [None, 64])
def test_gguf_is_read(tmp_path, alignment):
    found = tensors_of(gguf_file(tmp_path / "x.gguf", alignment))
    assert np.array_equal(found["half"].values(), MATRIX.astype(np.float16))
    assert np.array_equal(found["single"].values(), MATRIX[0])
    assert np.array_equal(found["brain"].values(), MATRIX.astype(ml_dtypes.bfloat16))
    assert np.array_equal(found["ids"].values(), np.arange(6).reshape(2, 3))
    for name in ("Q4_1", "Q8_0"):
        kind = gguf.GGMLQuantizationType[name]
        wanted = gguf.dequantize(gguf.quantize(MATRIX, kind), kind)
        assert np.array_equal(found[name].values(), wanted)
        assert (found[name].dtype, found[name].origin) == ("F32", f"de-quantised {name}")
    assert found["half"].origin is None


def test_a_missing_package_is_told(tmp_path, monkeypatch):
    path = gguf_file(tmp_path / "x.gguf")
    find = "speq.formats.sources.gguf_model.importlib.util.find_spec"
    monkeypatch.setattr(find, lambda name: None)
    with pytest.raises(FormatError, match=r"package gguf is missing: .* pip install -e \.\[models"):
        open_source(path)


def header(tensors=0, pairs=0, version=3, body=b""):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + body


def text(value):
    return struct.pack("<Q", len(value)) + value


def place(name=b"x", sides=(4,), kind=0, offset=0):
    numbers = struct.pack(f"<I{len(sides)}QIQ", len(sides), *sides, kind, offset)
    return text(name) + numbers


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(), None),
        (header(1, body=place().ljust(40) + b"\0" * 16), None),
        (b"GGUF", "it ends within its header"),
        (header(version=1), "of version 1, and only little-endian files of versions 2 and 3"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "is a GGUF file big-endian, and only"),
        (header(1 << 60), "tensors do not fit into it"),
        (header(0, 1 << 60), "key-values do not fit into it"),
        (header(0, 1, body=text(b"k") + struct.pack("<I", 99)), "has the unknown type 99"),
        (header(0, 1, body=text(b"\xff") + b"\0" * 8), "a name is no Unicode text"),
        (header(0, 1, body=struct.pack("<Q", 1 << 63) + b"\0" * 8), "it ends within its header"),
        (
            header(0, 1, body=text(b"k") + struct.pack("<IIQ", 9, 8, 1 << 62)),
            "entries of an array do not fit",
        ),
        (
            header(0, 1, body=text(b"k") + struct.pack("<IIQ", 9, 4, 1 << 62)),
            "it ends within its header",
        ),
        (
            header(0, 1, body=text(b"k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 9),
            "has the unknown type 9",
        ),
        (
            header(0, 1, body=text(b"general.alignment") + struct.pack("<II", 4, 0)),
            "its alignment is 0, no power of two",
        ),
        (
            header(0, 1, body=text(b"general.alignment") + struct.pack("<IQ", 10, 32)),
            "its alignment is no 32-bit number",
        ),
        (header(2, body=place() * 2 + b"\0" * 99), "tensor 'x' is there twice"),
        (header(1, body=place(sides=(1,) * 5) + b"\0" * 99), "has 5 dimensions"),
        (header(1, body=place(sides=(1 << 63,)) + b"\0" * 99), "more elements than an address"),
        (header(1, body=place(kind=200) + b"\0" * 99), "has type 200, which the package gguf"),
        (header(1, body=place(kind=3) + b"\0" * 99), "no whole blocks of 32"),
        (header(1, body=place(offset=1) + b"\0" * 99), "the offset of tensor 'x' is not sound"),
        (header(1, body=place(offset=1 << 62) + b"\0" * 99), "offset of tensor 'x' is not sound"),
        (header(1, body=place(sides=(1 << 30,)) + b"\0" * 99), "overlap, or end beyond the file"),
        (header(2, body=place() + place(b"y") + b"\0" * 99), "overlap, or end beyond the file"),
    ],
)
def test_unsound_gguf_is_told(tmp_path, data, message):
    path = tmp_path / "x.gguf"
    path.write_bytes(data + b"\0" * (-len(data) % 32) if message is None else data)
    if message is None:
        open_source(path)
        return
    with pytest.raises(FormatError, match=rf"x\.gguf.*{message}"):
        open_source(path)


def test_types_that_cannot_be_de_quantised_are_told(tmp_path, monkeypatch):
    def refuse(data, kind):
        raise NotImplementedError

    monkeypatch.setattr("gguf.quants.dequantize", refuse)
    with pytest.raises(FormatError, match=r"'Q4_1' has type Q4_1, which the package gguf cannot"):
        open_source(gguf_file(tmp_path / "x.gguf"))


# Damage anywhere --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    write_weights(folder / "x.safetensors", {"a": MATRIX[:, :3].astype(np.float16), "b": MATRIX})
    gguf_file(folder / "x.gguf")
    index = sharded(folder)
    return {path.name: path.read_bytes() for path in (*folder.glob("x.*"), index)}, folder


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damage_is_read_or_told(small_files, data):
    files, folder = small_files
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    # The headers lie in front; most of a file is data, where every byte is a value.
    place = st.integers(0, len(content) - 1) | st.integers(0, min(1100, len(content) - 1))
    if data.draw(st.booleans()):
        content[data.draw(place)] = data.draw(st.integers(0, 255))
    else:
        del content[data.draw(place) :]
    damaged = folder / f"damaged-{name}"
    damaged.write_bytes(bytes(content))
    with contextlib.suppress(FormatError):
        for tensor in open_source(damaged).tensors:
            assert tensor.load().size == tensor.nbytes
