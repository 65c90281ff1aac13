"""The noise of activation formats, on layers whose noise is known."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from speq.formats import family
from speq_sim.activation_formats import layer_noise, sqnr_db
from speq_sim.format_plot import plot_formats
from speq_sim.golden import block_format

TILES = Path(__file__).parents[1] / "data"
FORMATS = {
    "fp16 x 1": block_format("fp16", 1),
    "bfp6 x 4": block_format("bfp6", 4),
    "bfp8 x 4": block_format("bfp8", 4),
    "bfp12 x 4": block_format("bfp12", 4),
}


def test_the_ratio_of_energies() -> None:
    wanted = np.array([3.0, 4.0])
    assert sqnr_db(wanted, np.array([3.5, 4.0])) == pytest.approx(20.0)
    assert sqnr_db(wanted, wanted) == np.inf


def test_a_real_tile_loses_about_six_decibels_a_bit() -> None:
    tile = load_file(TILES / "stories15m-wq.safetensors")
    noise = layer_noise(tile["weight"][:64], tile["activations"], family("fitted-4"), FORMATS)
    own = noise.activations
    assert own["fp16 x 1"] == np.inf
    assert 10 < own["bfp8 x 4"] - own["bfp6 x 4"] < 14
    assert 21 < own["bfp12 x 4"] - own["bfp8 x 4"] < 28
    # The draft weights' noise hides what even the shortest format adds.
    assert 12 < noise.output["fp16 x 1"] < 30
    assert noise.output["fp16 x 1"] - noise.output["bfp6 x 4"] < 0.2
    assert noise.pairs > noise.fp16_accumulate + 15


def test_integers_are_the_same_in_every_format() -> None:
    random = np.random.default_rng(5)
    weights = (random.standard_normal((8, 64)) / 8).astype(np.float16)
    inputs = random.integers(-8, 9, (4, 64)).astype(np.float16)
    noise = layer_noise(weights, inputs, family("fitted-1"), FORMATS)
    assert set(noise.activations.values()) == {np.inf}
    assert noise.pairs == np.inf


def test_a_layer_that_cannot_be_drafted_is_refused() -> None:
    weights = np.full((4, 4), np.nan, dtype=np.float16)
    with pytest.raises(ValueError, match="cannot be drafted"):
        layer_noise(weights, np.ones((1, 4), dtype=np.float16), family("fitted-1"), FORMATS)


def test_formats_without_an_area_are_not_drawn(tmp_path: Path) -> None:
    entry = {"macs_per_cycle": 256, "output_sqnr_db": 19.5, "activation_sqnr_db": None}
    plot_formats(tmp_path / "sub" / "f.png", {"a": entry | {"ratio": 1.2}, "b": entry, "c": {}})
    assert (tmp_path / "sub" / "f.png").read_bytes().startswith(b"\x89PNG")
