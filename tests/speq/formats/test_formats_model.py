"""Packing whole models: what is stored how, in little memory, and nothing is left of failures."""

import contextlib
import dataclasses
import json
import subprocess
import sys

import gguf
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from speq.formats import FormatError, family, pack, quantise_int4
from speq.formats.container import read_packed, read_weights, write_weights
from speq.formats.exponents import Exponents, plot_exponents
from speq.formats.int4_model import Int4Options
from speq.formats.model import Options, draft_bits_per_weight, pack_model, verify_model
from speq.formats.packed_reader import PackedReader
from speq.formats.packed_writer import PackedWriter
from speq.formats.safetensors_file import SafetensorsFile
from speq.formats.sources import open_source

MEMBER = family("fitted-4")
BF16 = np.dtype(ml_dtypes.bfloat16)


def gaussian(shape, dtype, scale=0.02):
    return (np.random.default_rng(23).standard_normal(shape) * scale).astype(dtype)


def tensors():
    # The exponents of `inexact` span more than FP16 can.
    inexact = gaussian((6, 9), BF16)
    inexact[3, 4] = 1e-30
    return {
        "half": gaussian((8, 15), np.float16),
        "brain": gaussian((8, 15), BF16),
        "far": gaussian((8, 15), BF16, 1e-9),
        "inexact": inexact,
        "single": gaussian((4, 6), np.float32),
        "huge": np.full((2, 2), 1e9 + 64, np.float32),
        "norm": np.array([1.5, 0.25, -1], BF16),
        "scales": np.array([1e-20, 1], np.float32),
        "ids": np.arange(5),
        "nan": np.array([[np.nan, 1]], np.float16),
    }


@pytest.fixture
def source_file(tmp_path):
    path = tmp_path / "in.safetensors"
    write_weights(path, tensors())
    return path


def packed_model(path, out, **options):
    source = open_source(path)
    return source, pack_model(source, out, MEMBER, Options(**options))


def test_a_model_is_packed_and_comes_back(source_file, tmp_path):
    out = tmp_path / "out.safetensors"
    source, reports = packed_model(source_file, out)
    verify_model(source, out, reports)
    wanted = read_weights(source_file)
    rows = {report.name: report for report in reports}
    stored = {name: report.stored for name, report in rows.items()}
    assert stored == {
        "half": "packed", "brain": "packed", "far": "packed", "inexact": "as it is",
        "single": "as it is", "huge": "as it is", "norm": "plain", "scales": "as it is",
        "ids": "as it is", "nan": "plain",
    }  # fmt: skip
    assert rows["inexact"].reason.startswith("row 3 spans ")
    assert rows["inexact"].reason.endswith("; --round rounds it to FP16")
    assert "significant bits" in rows["single"].reason
    assert "--round" not in rows["scales"].reason
    assert rows["nan"].reason == "it holds Inf or NaN"
    reader = PackedReader(out)
    assert set(reader.names) | set(reader.kept) == set(wanted)
    for name, tensor in wanted.items():
        assert reader.shape(name) == tensor.shape
        assert reader.dtype(name) == rows[name].dtype
        assert reader.reason(name) == rows[name].reason
        assert reader.unpack(name).dtype == tensor.dtype
        assert reader.unpack(name).tobytes() == tensor.tobytes()
        assert reader.raw(name).tobytes() == tensor.tobytes()
    everything = read_packed(out)
    assert set(everything.tensors) == set(reader.names)
    assert everything.unpack("far").tobytes() == wanted["far"].tobytes()


def test_rounding_is_asked_for_and_reported(source_file, tmp_path):
    out = tmp_path / "out.safetensors"
    source, reports = packed_model(source_file, out, round=True)
    verify_model(source, out, reports)
    rows = {report.name: report for report in reports}
    reader, wanted = PackedReader(out), read_weights(source_file)
    for name in ("inexact", "single"):
        half = wanted[name].astype(np.float32).astype(np.float16)
        assert reader.unpack(name).tobytes() == half.tobytes()
        assert reader.origin(name) == rows[name].origin
        assert rows[name].origin == f"rounded from {rows[name].dtype} to FP16"
    assert rows["single"].rounding.largest_relative_error < 2**-11
    assert rows["inexact"].rounding.largest_relative_error == 1
    assert "beyond FP16's largest number" in rows["huge"].reason
    assert rows["far"].rounding is rows["brain"].rounding is None
    assert json.dumps([report.as_dict() for report in reports])


def test_packing_of_fp16_is_that_of_pack(source_file, tmp_path):
    packed_model(source_file, tmp_path / "out")
    found = PackedReader(tmp_path / "out").tensor("half")
    wanted = pack(read_weights(source_file)["half"], MEMBER)
    for part in ("draft", "middle", "low"):
        assert np.array_equal(getattr(found.planes, part), getattr(wanted.planes, part))
    assert np.array_equal(found.alpha, wanted.alpha)


def test_gguf_is_packed(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "in.gguf", "llama")
    kind = gguf.GGMLQuantizationType.Q4_1
    weights = gaussian((8, 64), np.float32)
    writer.add_tensor("q", gguf.quantize(weights, kind), raw_dtype=kind)
    writer.add_tensor("half", weights.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    source, reports = packed_model(tmp_path / "in.gguf", tmp_path / "out", round=True)
    verify_model(source, tmp_path / "out", reports)
    assert reports[0].origin == "de-quantised Q4_1, rounded from F32 to FP16"
    assert reports[1].origin is None
    _, reports = packed_model(tmp_path / "in.gguf", tmp_path / "out")
    assert reports[0].stored == "as it is"
    assert PackedReader(tmp_path / "out").dtype("q") == "F32"


def test_the_library_reads_the_file(source_file, tmp_path):
    """Planes of odd sizes leave tensors at any byte; the header is padded to a multiple of 8."""
    packed_model(source_file, tmp_path / "out.safetensors")
    data = (tmp_path / "out.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    assert data[8 : 8 + length].rstrip(b" ").endswith(b"}")
    assert data[8 : 8 + length].endswith(b" ")
    ours = PackedReader(tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", framework="numpy") as file:
        for part in ("alpha", "rows", "draft", "low"):
            found = file.get_tensor(f"half.{part}")
            tensor = ours.tensor("half")
            place = {"alpha": tensor, "rows": tensor.scale}.get(part, tensor.planes)
            assert np.array_equal(found, getattr(place, part))
        assert np.array_equal(file.get_tensor("ids"), np.arange(5))
        assert file.metadata()["format"] == "speq-packed"


def test_bits_of_a_draft_pass(source_file, tmp_path):
    source, reports = packed_model(source_file, tmp_path / "out")
    rows = {report.name: report for report in reports}
    # 8 x 15: 8 bytes of draft nibbles, alpha (4), r and table a row, and a byte a column.
    assert rows["half"].draft_bytes == 8 * (8 + 4 + 1 + 1) + 15
    assert rows["half"].stored_bytes == rows["half"].draft_bytes + 8 * (8 + 15)
    assert rows["ids"].draft_bytes == rows["ids"].stored_bytes == 40
    header = int.from_bytes((tmp_path / "out").read_bytes()[:8], "little") + 8
    stored = sum(report.stored_bytes for report in reports)
    assert header + stored == (tmp_path / "out").stat().st_size
    elements = sum(tensor.size for tensor in tensors().values())
    read = sum(report.draft_bytes for report in reports)
    assert draft_bits_per_weight(reports) == pytest.approx(8 * read / elements)
    assert len(source.tensors) == len(reports)
    assert draft_bits_per_weight([]) == 0


def test_models_without_tensors_are_packed(tmp_path):
    write_weights(tmp_path / "in", {})
    source, reports = packed_model(tmp_path / "in", tmp_path / "out")
    verify_model(source, tmp_path / "out", reports)
    assert read_packed(tmp_path / "out").tensors == {}
    with safe_open(tmp_path / "out", framework="numpy") as file:
        assert list(file.keys()) == []


# INT4 -------------------------------------------------------------------------------------------


def test_matrices_become_int4(source_file, tmp_path):
    out = tmp_path / "out.safetensors"
    source, reports = packed_model(source_file, out, int4=Int4Options(4, "mse"))
    verify_model(source, out, reports)
    rows, wanted = {report.name: report for report in reports}, read_weights(source_file)
    stored = {name: report.stored for name, report in rows.items()}
    assert stored == {
        "half": "int4", "brain": "int4", "far": "as it is", "inexact": "int4",
        "single": "int4", "huge": "as it is", "norm": "plain", "scales": "as it is",
        "ids": "as it is", "nan": "plain",
    }  # fmt: skip
    assert rows["nan"].reason == "it cannot be INT4: it holds Inf or NaN"
    assert "would be 1.43e+08, which is beyond FP16's largest, 65504; FP16" in rows["huge"].reason
    assert rows["far"].reason.startswith("it cannot be INT4: the scale of row 0, group 0 would be")
    assert rows["far"].reason.endswith(
        "FP16 rounds to 0; FP16 cannot hold its values; --round rounds it to FP16"
    )
    reader = PackedReader(out)
    for name in ("half", "brain", "inexact", "single"):
        found, again = reader.tensor(name), quantise_int4(wanted[name], 4, "mse")
        assert found.plane.tobytes() == again.plane.tobytes()
        assert found.scale.tobytes() == again.scale.tobytes()
        assert np.array_equal(reader.unpack(name), again.dequantise())
        assert reader.raw(name).tobytes() == again.dequantise().tobytes()
        assert (reader.shape(name), reader.dtype(name)) == (wanted[name].shape, "F32")
        assert reader.origin(name) == f"quantised from {rows[name].dtype} to INT4"
        assert rows[name].int4_sqnr_db == again.sqnr_db
        assert (rows[name].group, rows[name].clip) == (4, "mse")
        assert rows[name].as_dict()["int4_sqnr_db"] == round(again.sqnr_db, 2)
    # 8 x 15: 8 bytes of nibbles and 4 scales of 2 bytes a row.
    assert rows["half"].draft_bytes == rows["half"].stored_bytes == 8 * (8 + 8)
    header = int.from_bytes(out.read_bytes()[:8], "little") + 8
    assert header + sum(report.stored_bytes for report in reports) == out.stat().st_size


@pytest.mark.parametrize(
    "name",
    ["model.embed_tokens.weight", "lm_head.weight", "token_embd.weight", "output.weight",
     "transformer.wte.weight", "transformer.wpe.weight", "gpt_neox.embed_out.weight"],
)  # fmt: skip
def test_embeddings_and_heads_stay_fp16(name):
    reason = Int4Options().why_fp16(name)
    assert reason.startswith("its name matches '")
    assert reason.endswith("', so it stays FP16")
    assert Int4Options(fp16_names=()).why_fp16(name) is None


@pytest.mark.parametrize(
    "name",
    ["model.layers.0.self_attn.o_proj.weight", "blk.0.attn_output.weight", "h.0.attn.c_proj.weight",
     "blk.3.ffn_down.weight", "model.layers.0.mlp.gate_proj.weight"],
)  # fmt: skip
def test_layers_do_not_stay_fp16(name):
    assert Int4Options().why_fp16(name) is None


def test_names_that_stay_fp16_can_be_given(tmp_path):
    single = gaussian((4, 6), np.float32)
    tensors = {"output.weight": single, "a": single, "b": gaussian((4, 6), np.float16)}
    write_weights(tmp_path / "in", tensors)
    options = Int4Options(fp16_names=("a", "b"))
    source, reports = packed_model(tmp_path / "in", tmp_path / "out", int4=options)
    verify_model(source, tmp_path / "out", reports)
    assert [report.stored for report in reports] == ["int4", "as it is", "plain"]
    assert reports[1].reason.startswith("its name matches 'a', so it stays FP16; FP16 cannot hold")
    assert reports[1].reason.endswith(
        "significant bits, and FP16 has 11; --round rounds it to FP16"
    )
    assert reports[2].reason == "its name matches 'b', so it stays FP16"
    source, reports = packed_model(tmp_path / "in", tmp_path / "out", int4=options, round=True)
    verify_model(source, tmp_path / "out", reports)
    assert [report.stored for report in reports] == ["int4", "plain", "plain"]
    assert reports[1].rounding.sqnr_db > 60


def test_verifying_finds_changed_int4(source_file, tmp_path):
    out = tmp_path / "out.safetensors"
    source, reports = packed_model(source_file, out, int4=Int4Options())
    for part in ("int4", "scale"):
        data = bytearray(out.read_bytes())
        place = SafetensorsFile(out).entries[f"half.{part}"].begin
        data[place] ^= 1
        (tmp_path / "changed").write_bytes(data)
        with pytest.raises(FormatError, match="'half' is not what its source quantises to"):
            verify_model(source, tmp_path / "changed", reports)
    for changes in ({"clip": "mse"}, {"group": 4}):
        others = [dataclasses.replace(r, **changes) if r.stored == "int4" else r for r in reports]
        with pytest.raises(FormatError, match="'half' is not what its source quantises to"):
            verify_model(source, out, others)
    with pytest.raises(FormatError, match="the group is 3"):
        Int4Options(3)


# Failures ---------------------------------------------------------------------------------------


def test_verifying_finds_a_changed_byte(source_file, tmp_path):
    out = tmp_path / "out.safetensors"
    source, reports = packed_model(source_file, out)
    begin = SafetensorsFile(out).entries["half.low"].begin
    data = bytearray(out.read_bytes())
    data[begin] ^= 1
    out.write_bytes(data)
    with pytest.raises(FormatError, match="tensor 'half' does not unpack to its own bytes"):
        verify_model(source, out, reports)
    fewer = dataclasses.replace(source, tensors=source.tensors[1:])
    with pytest.raises(FormatError, match="has other tensors than"):
        verify_model(fewer, out, reports[1:])


def test_nothing_is_left_of_a_failure(source_file, tmp_path):
    out = tmp_path / "out.safetensors"
    out.write_text("the one before")
    source = open_source(source_file)
    before = sorted(path.name for path in tmp_path.iterdir())

    def stop(text):
        if text == "packing norm":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_model(source, out, MEMBER, Options(), step=stop)
    with pytest.raises(FormatError, match="tensor 'half': importance must be 15 finite numbers"):
        pack_model(source, out, MEMBER, Options(importance={"half": np.ones(3)}))
    source_file.write_bytes(source_file.read_bytes()[:-9])
    with pytest.raises(FormatError, match=r"in\.safetensors has become shorter"):
        pack_model(source, out, MEMBER, Options())
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert out.read_text() == "the one before"


def test_names_that_collide_are_told(source_file, tmp_path):
    half = gaussian((3, 4), np.float16)
    write_weights(source_file, {"a": half, "a.low": np.ones(3, np.float16)})
    with pytest.raises(FormatError, match=r"two tensors would be stored as 'a\.low'"):
        packed_model(source_file, tmp_path / "out")
    with pytest.raises(FormatError, match="is the model itself: give another name"):
        packed_model(source_file, source_file)
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]
    packed = pack(half, MEMBER)
    with (
        pytest.raises(FormatError, match="no tensor can be stored as '__metadata__'"),
        PackedWriter(tmp_path / "out", MEMBER, []) as file,
    ):
        file.keep("__metadata__", "U8", (0,), np.zeros(0, np.uint8), "")
    plain = pack(half[0], MEMBER)
    twice = PackedWriter(tmp_path / "out", MEMBER, [("a", "F16", (3, 4))])
    with pytest.raises(FormatError, match="tensor 'a' comes twice: rename one"), twice as file:
        list(map(file.add, "aa", (packed, plain)))
    many = {str(number): packed for number in range(9)}
    with (
        pytest.raises(FormatError, match=r"its header has \d+ bytes, and \d+ were reserved"),
        PackedWriter(tmp_path / "out", MEMBER, []) as file,
    ):
        list(map(file.add, many, many.values()))
    assert [path.name for path in tmp_path.iterdir()] == ["in.safetensors"]


def test_long_texts_and_strange_names_fit_the_header(tmp_path):
    packed = pack(gaussian((3, 5), np.float16), MEMBER)
    names = ['"\\' * 40, "\U0001d11e" * 60, "[red]", "../../x", "\n", ""]
    expected = [(name, "F16", (3, 5)) for name in names]
    with PackedWriter(tmp_path / "out", MEMBER, expected) as file:
        for name in names:
            file.add(name, packed, origin="\U0001d11e" * 5000)
    reader = PackedReader(tmp_path / "out")
    assert list(reader.names) == names
    assert reader.origin(names[0]).endswith("...")
    with safe_open(tmp_path / "out", framework="numpy") as file:
        assert len(list(file.keys())) == 7 * len(names)


def test_unknown_and_kept_names_are_told(source_file, tmp_path):
    packed_model(source_file, tmp_path / "out")
    reader = PackedReader(tmp_path / "out")
    for ask in (reader.tensor, reader.unpack, reader.raw, reader.shape, reader.dtype):
        with pytest.raises(FormatError, match="has no tensor 'x': check the name"):
            ask("x")
    with pytest.raises(FormatError, match="'ids' is stored as it was, in I64: read it with unpack"):
        reader.tensor("ids")
    assert "half" in reader
    assert "half.low" not in reader


@pytest.fixture(scope="module")
def packed_bytes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    write_weights(folder / "in", {name: tensors()[name] for name in ("half", "far", "ids", "norm")})
    packed_model(folder / "in", folder / "out")
    packed_model(folder / "in", folder / "int4", int4=Int4Options(4))
    return [(folder / name).read_bytes() for name in ("out", "int4")], folder


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damage_to_a_packed_file_decodes_or_is_told(packed_bytes, data):
    content, folder = bytearray(data.draw(st.sampled_from(packed_bytes[0]))), packed_bytes[1]
    used = len(content.rstrip(b" "))
    place = st.integers(0, used - 1) | st.integers(0, min(used, 3000) - 1)
    if data.draw(st.booleans()):
        content[data.draw(place)] = data.draw(st.integers(0, 255))
    else:
        del content[data.draw(place) :]
    (folder / "damaged").write_bytes(bytes(content))
    with contextlib.suppress(FormatError):
        reader = PackedReader(folder / "damaged")
        for name in (*reader.names, *reader.kept):
            assert reader.unpack(name).shape == reader.shape(name)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_to_a_source_leaves_all_or_nothing(packed_bytes, data):
    folder = packed_bytes[1]
    content = bytearray((folder / "in").read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    (folder / "broken").write_bytes(bytes(content))
    target = folder / "target"
    target.mkdir(exist_ok=True)
    try:
        source, reports = packed_model(folder / "broken", target / "out")
    except FormatError:
        assert list(target.iterdir()) == []
        return
    verify_model(source, target / "out", reports)
    (target / "out").unlink()
    assert list(target.iterdir()) == []


# Memory -----------------------------------------------------------------------------------------

MEASURE = """
import sys
from pathlib import Path
from speq.formats import family
from speq.formats.int4_model import Int4Options
from speq.formats.model import Options, pack_model, verify_model
from speq.formats.sources import open_source
source, out = open_source(Path(sys.argv[1])), Path(sys.argv[2])
int4 = Int4Options(128) if "int4" in sys.argv else None
reports = pack_model(source, out, family("fitted-4"), Options(int4=int4))
verify_model(source, out, reports)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM:"):
        print(int(line.split()[1]) * 1024)
"""


def peak_of(path, out, *words):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), str(out), *words],
        capture_output=True, text=True, check=True, env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from Linux's /proc")
def test_peak_memory_follows_the_largest_tensor(tmp_path):
    side, number = 1024, 12
    tensor = gaussian((side, side), np.float16)
    for name, count in (("one", 1), ("many", number)):
        write_weights(tmp_path / name, {f"{index}": tensor for index in range(count)})
    write_weights(tmp_path / "none", {})
    peaks = {name: peak_of(tmp_path / name, tmp_path / "out") for name in ("none", "one", "many")}
    # 24 MiB of model: eleven more tensors cost less than one more would.
    assert peaks["many"] - peaks["one"] < tensor.nbytes
    assert peaks["one"] - peaks["none"] < 10 * tensor.nbytes


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from Linux's /proc")
def test_peak_memory_of_int4_follows_the_largest_tensor(tmp_path):
    tensor = gaussian((1024, 512), np.float16)
    for name, count in (("none", 0), ("many", 12)):
        write_weights(tmp_path / name, {f"{index}": tensor for index in range(count)})
    none, many = (peak_of(tmp_path / name, tmp_path / "out", "int4") for name in ("none", "many"))
    # The tensor, its nibbles and 2**17 weights at a time in a few arrays, of 12 MiB of model.
    assert many - none < 8 << 20


# Exponents --------------------------------------------------------------------------------------


def test_exponents_are_counted_before_and_after():
    weights = np.array([[1.0, -0.25, 0, 3.5], [2.0**-24, 0.5, 1.5, 1]], np.float16)
    packed = pack(weights, family("truncate"))
    found = Exponents()
    found.add(packed, family("truncate"))
    counts = found.as_dict()
    assert counts["before"] == {"-9": 1, "13": 1, "14": 1, "15": 3, "16": 1}
    assert counts["zeros"] == 1
    assert sum(counts["after"].values()) == 7
    assert max(int(exponent) for exponent in counts["after"]) <= 15


def test_exponents_of_the_farthest_rows_are_counted():
    for power in (-62, 64):
        weights = np.full((2, 3), 2.0**power, np.float32).astype(BF16)
        found = Exponents()
        found.add(pack(weights, MEMBER), MEMBER)
        assert found.before.sum() == found.after.sum() == 6


def test_the_picture_is_drawn(tmp_path):
    some = Exponents()
    some.add(pack(gaussian((20, 30), np.float16), MEMBER), MEMBER)
    for name, counts in (("some", some), ("none", Exponents())):
        path = plot_exponents(counts, "a model", tmp_path / f"{name}.png")
        assert path.read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 2
