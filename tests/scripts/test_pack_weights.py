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
    assert figures["tensors_stored"] == {"packed": 2, "plain": 0, "as it is": 0}
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "error: give IN and OUT, or --benchmark"),
        (("none.safetensors", "out"), "error: none.safetensors does not exist: check the path"),
        (("a", "b", "--benchmark"), "error: --benchmark packs no file: leave out IN and OUT"),
        ((TILE, "out", "--design", "huge"), "error: design 'huge' is neither a preset"),
    ],
)
def test_wrong_input_is_one_line(words, message):
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
