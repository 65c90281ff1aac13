"""scripts/reproduce.py, one part at a time."""

import json
import re

import pytest

import reproduce


@pytest.fixture
def reproduced(monkeypatch, tmp_path):
    def run(*words):
        record = tmp_path / "new" / "record.json"
        plots = tmp_path / "plots"
        monkeypatch.setattr(
            "sys.argv", ["reproduce.py", *words, "--json", str(record), "--plots", str(plots)]
        )
        reproduce.run()
        return json.loads(record.read_text()), plots

    return run


def test_one_part_is_written_and_shown(reproduced, capsys):
    record, plots = reproduced("--only", "qspec")
    assert set(record) == {"command", "versions", "qspec"}
    assert record["qspec"]["gpu"]["low"]["assumptions"]["gpu"] in ("l20", "a100-40gb")
    assert not plots.exists()
    out = capsys.readouterr().out
    assert "QSpec over W4A16" in out
    assert re.search(r"1\.64", out)


def test_scale_draws_its_pictures(reproduced, capsys):
    record, plots = reproduced("--only", "scale")
    assert set(record["scale"]) == {"acceptance", "batching", "stops_paying_at", "tensor"}
    for name in ("scale-batch.png", "scale-devices.png"):
        assert (plots / name).read_bytes().startswith(b"\x89PNG")
        assert (plots / name).stat().st_size < 150_000
    assert "speculation stops paying at" in capsys.readouterr().out


def test_pictures_are_drawn(reproduced):
    record, plots = reproduced("--only", "pictures")
    names = {"speedups.png", "draft-lengths.png", "bytes-per-token.png", "roofline.png"}
    assert {path.name for path in plots.iterdir()} == names
    assert all(path.stat().st_size < 150_000 for path in plots.iterdir())
    assert record["pictures"]["roofline"]["passes"]


def test_pages_need_all_parts(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["reproduce.py", "--only", "qspec", "--docs", str(tmp_path)])
    with pytest.raises(SystemExit):
        reproduce.arguments()
    assert "--docs needs all parts: leave --only out" in capsys.readouterr().err


def test_floats_are_rounded_and_nothing_else():
    figures = {"a": [1.23456789, 2, "x", None, True], "b": {"c": (0.1, 1e-9 / 3)}}
    assert reproduce.rounded(figures) == {
        "a": [1.23457, 2, "x", None, True],
        "b": {"c": [0.1, 3.33333e-10]},
    }
