"""scripts/pack_weights.py: the whole command, and what it says of wrong input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speq.formats.container import read_packed, write_weights

ROOT = Path(__file__).parents[2]
TILE = ROOT / "tests" / "data" / "stories15m-wq.safetensors"


def run(*words):
    command = [sys.executable, str(ROOT / "scripts" / "pack_weights.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_file_is_packed_verified_and_reported(tmp_path):
    source = tmp_path / "in.safetensors"
    tensors = {
        "half": np.linspace(-3, 3, 60, dtype=np.float16).reshape(6, 10),
        "single": np.linspace(-1, 1, 16, dtype=np.float16).astype(np.float32).reshape(4, 4),
        "inexact": np.full((2, 2), 0.1, dtype=np.float32),
        "ids": np.arange(3, dtype=np.int32),
        "nan": np.array([[np.nan, 1]], dtype=np.float16),
    }
    write_weights(source, tensors)
    packed, report = tmp_path / "out.safetensors", tmp_path / "r.json"
    done = run(source, packed, "--family", "bsfp", "--verify", "--json", report)
    assert done.returncode == 0, done.stderr
    assert "verified: every tensor unpacks to the same bytes" in done.stdout
    figures = json.loads(report.read_text())
    rows = {row["name"]: row for row in figures["tensors"]}
    assert figures["family"] == "bsfp"
    assert rows["half"]["stored"] == rows["single"]["stored"] == "packed"
    assert rows["half"]["draft_sqnr_db"] > 5
    assert "FP16 cannot" in rows["inexact"]["reason"]
    assert "only F16, BF16, F32 are packed" in rows["ids"]["reason"]
    assert rows["nan"] | {"stored": "plain", "reason": "it holds Inf or NaN"} == rows["nan"]
    model = read_packed(packed)
    for name, tensor in tensors.items():
        assert model.unpack(name).dtype == tensor.dtype
        assert model.unpack(name).tobytes() == tensor.tobytes()


def test_figures_plot_and_rounding_of_a_sharded_model(tmp_path):
    random = np.random.default_rng(2)
    tensors = {
        "[red]": (random.standard_normal((40, 64)) * 0.02).astype(np.float32),
        "b": (random.standard_normal((8, 64)) * 0.02).astype(np.float16),
    }
    for shard, (name, tensor) in enumerate(tensors.items()):
        write_weights(tmp_path / f"{shard}.safetensors", {name: tensor})
    index = tmp_path / "model.safetensors.index.json"
    places = {name: f"{shard}.safetensors" for shard, name in enumerate(tensors)}
    index.write_text(json.dumps({"weight_map": places}))
    packed, report = tmp_path / "out.safetensors", tmp_path / "r.json"
    done = run(index, packed, "--verify", "--round", "--json", report, "--plot")
    assert done.returncode == 0, done.stderr
    assert "... verifying b" in done.stderr
    assert "[red]" in done.stdout
    assert "same bytes, those rounded to their rounded ones" in done.stdout
    figures = json.loads(report.read_text())
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path) not in report.read_text()
    assert figures["verified"] is True
    assert figures["tensors_stored"] == {"packed": 2, "int4": 0, "plain": 0, "as it is": 0}
    assert figures["tensors_rounded"] == 1
    assert figures["largest_tensor_bytes"] == 40 * 64 * 4
    assert figures["weights"] == figures["weights_packed"] == 48 * 64
    assert figures["output_bytes"] == packed.stat().st_size
    assert figures["input_bytes"] == index.stat().st_size + sum(
        (tmp_path / name).stat().st_size for name in places.values()
    )
    assert figures["peak_memory_bytes"] >= figures["memory_before_bytes"] > 1 << 20
    assert figures["seconds"] > 0
    assert figures["gb_per_s"] >= 0
    assert 4 < figures["draft_bits_per_weight"] < 6
    rounding = figures["tensors"][0]["rounding"]
    assert 0 < rounding["largest_relative_error"] < 0.01
    assert sum(figures["exponents"]["after"].values()) == 48 * 64


def test_a_failure_leaves_nothing(tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(TILE.read_bytes()[:-1])
    done = run(cut, tmp_path / "out.safetensors", "--verify", "--plot", "--json", tmp_path / "r")
    assert done.returncode == 2
    assert done.stderr.startswith("error: cut.safetensors is no valid safetensors file")
    assert [path.name for path in tmp_path.iterdir()] == ["cut.safetensors"]


def test_a_design_names_the_family_and_importance_is_read(tmp_path):
    importance = tmp_path / "importance.safetensors"
    write_weights(importance, {"weight": np.linspace(0.1, 5, 288, dtype=np.float32)})
    packed = tmp_path / "out.safetensors"
    done = run(TILE, packed, "--design", "tiny", "--no-columns", "--importance", importance)
    assert done.returncode == 0, done.stderr
    assert read_packed(packed).family.name.startswith("fitted-")


def test_a_model_becomes_int4(tmp_path):
    random = np.random.default_rng(3)
    shapes = {"lm_head.weight": (16, 64), "q.weight": (8, 64), "o.weight": (8, 150)}
    tensors = {name: (random.standard_normal(shapes[name]) * 0.02).astype("f4") for name in shapes}
    tensors["bad"] = np.array([[np.inf, 1]], np.float16)
    source, packed, report = tmp_path / "in", tmp_path / "out", tmp_path / "r.json"
    write_weights(source, tensors)
    words = (source, packed, "--int4", "--round", "--verify", "--json", report)
    done = run(*words, "--group", "128", "--clip", "mse")
    assert done.returncode == 0, done.stderr
    assert "... verifying o.weight" in done.stderr
    assert "INT4 is what the source quantises to" in done.stdout
    assert "2 tensors INT4, 2 plain FP16, 0 as they are, 1 rounded" in done.stdout
    assert "per 128 inputs" in done.stdout
    figures = json.loads(report.read_text())
    rows = {row["name"]: row for row in figures["tensors"]}
    assert rows["lm_head.weight"]["reason"] == "its name matches '*lm_head*', so it stays FP16"
    assert rows["bad"]["reason"] == "it cannot be INT4: it holds Inf or NaN"
    assert rows["o.weight"]["int4_sqnr_db"] > 18
    assert figures["int4"]["group"] == 128
    assert figures["int4"]["clip"] == "mse"
    assert figures["int4"]["weights"] == 8 * 64 + 8 * 150
    assert figures["int4"]["bytes"] == 8 * (32 + 2) + 8 * (75 + 4)
    ratios = [rows[name]["int4_sqnr_db"] for name in ("q.weight", "o.weight")]
    assert figures["int4"]["sqnr_db"]["least"] == min(ratios)
    assert figures["int4"]["sqnr_db"]["mean"] == pytest.approx(sum(ratios) / 2, abs=0.01)
    assert figures["tensors_stored"] == {"packed": 0, "int4": 2, "plain": 2, "as it is": 0}
    assert read_packed(packed).tensors["q.weight"].scale.shape == (8, 1)

    done = run(*words, "--fp16", "q.*", "--fp16", "o.*")
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())
    assert [row["stored"] for row in figures["tensors"]] == ["int4", "plain", "plain", "plain"]
    assert figures["int4"]["fp16_names"] == ["q.*", "o.*"]
    assert "per row" in done.stdout


def test_schemes_of_int4_are_compared(tmp_path):
    weights = np.random.default_rng(3).standard_normal((16, 256)).astype(np.float32)
    weights[:, 9] *= 4
    tensors = {"a": weights, "bad": weights * np.inf, "output.weight": weights, "n": weights[0]}
    write_weights(tmp_path / "in", {**tensors, "ids": np.arange(4).reshape(2, 2)})
    done = run(tmp_path / "in", "--int4", "--compare", "--json", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    assert "refused: bad: it holds Inf or NaN" in done.stdout
    figures = json.loads((tmp_path / "r.json").read_text())
    schemes = {(row["group"], row["clip"]): row for row in figures["schemes"]}
    assert list(schemes) == [(0, "none"), (0, "mse"), (128, "none"), (128, "mse")]
    assert (figures["matrices"], figures["weights"]) == (1, 16 * 256)
    assert schemes[0, "none"]["bits_per_weight"] == 4 + 16 / 256
    assert schemes[128, "mse"]["bits_per_weight"] == 4 + 16 / 128
    assert schemes[0, "mse"]["sqnr_db"]["mean"] > schemes[0, "none"]["sqnr_db"]["mean"] + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "r.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "error: give IN and OUT, or --benchmark"),
        (("none.safetensors", "out"), "error: none.safetensors does not exist: check the path"),
        (("a", "b", "--benchmark"), "error: --benchmark packs no file: leave out IN and OUT"),
        ((TILE, "out", "--design", "huge"), "error: design 'huge' is neither a preset"),
        (("a", "b", "--group", "128"), "error: --group is for INT4: add --int4, or leave --group"),
        (("a", "b", "--clip", "mse"), "error: --clip is for INT4: add --int4"),
        (("a", "b", "--fp16", "x"), "error: --fp16 is for INT4: add --int4"),
        (("a", "b", "--int4", "--group", "6"), "error: the group is 6, but must be 0"),
        (("a", "b", "--int4", "--plot"), "error: --plot is for packing: leave it out with --int4"),
        (("a", "b", "--int4", "--importance", "x"), "error: --importance is for packing"),
        (("a", "b", "--int4", "--no-columns"), "error: --no-columns is for packing"),
        (("a", "b", "--int4", "--compare"), "error: --compare writes no file: give --int4 and IN"),
        (("a", "--compare"), "error: --compare writes no file: give --int4 and IN alone"),
        (("a", "--int4", "--compare", "--clip", "mse"), "error: --compare tries all schemes"),
    ],
)
def test_wrong_input_is_one_line(words, message):
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
