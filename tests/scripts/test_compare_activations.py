import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import compare_activations
from speq.formats import family
from speq_sim.activation_formats import layer_noise
from speq_sim.golden import BlockFormat, block_format


@pytest.fixture
def layers(monkeypatch):
    """One made-up layer in the place of a model's."""

    def measure(model, variants):
        random = np.random.default_rng(1)
        weights = (random.standard_normal((16, 64)) / 8).astype(np.float16)
        inputs = random.standard_normal((4, 64)).astype(np.float16)
        formats = {
            label: block_format(design.activation_format, design.draft_lanes)
            for label, design in variants.items()
            if label != "verify only"
        }
        for bits in (6, 8):
            for size in (4, 8, 16, 32):
                formats[f"{bits} bits in blocks of {size}"] = BlockFormat(bits, size)
        return {model: layer_noise(weights, inputs, family("fitted-4"), formats)}

    monkeypatch.setattr(compare_activations, "measure_noise", measure)


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["compare_activations.py", *words])
    compare_activations.run()


def emit(parameters, directory):
    """A small stand-in, the larger the wider its draft activations are."""
    top = f"speq_{parameters.name}"
    directory.mkdir(parents=True)
    width = parameters.draft_lanes * parameters.draft_bits if parameters.drafts else 4
    text = f"module {top}(input [{width - 1}:0] a, b, output [{width - 1}:0] y); assign y = a ^ b;"
    (directory / "top.v").write_text(f"{text}\nendmodule\n")
    return SimpleNamespace(verilog=directory / "top.v", top=top)


def test_area_rate_and_noise_of_every_format(layers, monkeypatch, tmp_path):
    monkeypatch.setattr(compare_activations, "emit", emit)
    monkeypatch.setattr(compare_activations, "find_libraries", lambda options: [])
    record = tmp_path / "formats.json"
    call(monkeypatch, "tiny", "--json", str(record), "--plot", str(tmp_path / "f.png"))
    formats = json.loads(record.read_text())["formats"]
    assert list(formats) == [
        "verify only", "fp16 x 1", "bfp12 x 2", "bfp6 x 4", "bfp8 x 4", "bfp12 x 4",
    ]  # fmt: skip
    assert [entry.get("macs_per_cycle") for entry in formats.values()] == [None, 16, 32, 64, 64, 64]
    assert formats["verify only"]["ratio"] == 1
    sizes = [formats[f"{form} x 4"]["transistors"] for form in ("bfp6", "bfp8", "bfp12")]
    assert sizes == sorted(sizes)
    assert formats["fp16 x 1"]["activation_sqnr_db"] is None
    assert formats["bfp6 x 4"]["activation_sqnr_db"] < formats["bfp8 x 4"]["activation_sqnr_db"]
    assert (tmp_path / "f.png").is_file()


def test_area_can_be_left_out(layers, monkeypatch, tmp_path, capsys):
    record = tmp_path / "formats.json"
    call(monkeypatch, "tiny", "--no-area", "--json", str(record))
    figures = json.loads(record.read_text())
    assert "transistors" not in figures["formats"]["bfp6 x 4"]
    six = figures["own_sqnr_db_by_block"]["6 bits"]
    assert list(six.values()) == sorted(six.values(), reverse=True)
    assert six["4"] == figures["formats"]["bfp6 x 4"]["activation_sqnr_db"]
    assert "pairs of 12 bits" in capsys.readouterr().out


def test_a_missing_model_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare_activations.py", "tiny", "--model", "nowhere.gguf"])
    with pytest.raises(SystemExit):
        compare_activations._cli.main(compare_activations.run)
    assert "nowhere.gguf does not exist" in capsys.readouterr().err
