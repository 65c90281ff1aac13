"""The run on a real tile: its figures, its choice of runs, and what it says of a wrong design."""

from pathlib import Path

import numpy as np
import pytest
from array_designs import DESIGNS, TINY, emit, random_of
from safetensors.numpy import load_file, save_file

from speq.formats import family
from speq.parameters import Parameters
from speq_sim.benches import real_tile
from speq_sim.benches.finding import SimulatorError, find_simulator
from speq_sim.benches.packed_tile import PackedTile, cut, read
from speq_sim.benches.real_tile import COMPILED, simulate
from speq_sim.benches.stimuli import case_of

FLAT = TINY.replace(pipeline=1)
"""With more stages the first beat of activations enters before its tile, which rates count."""

TILES = sorted((Path(__file__).parents[1] / "data").glob("*.safetensors"))


def _tile(parameters: Parameters, rows: int, columns: int) -> PackedTile:
    random = random_of("real tile", rows, columns)
    weights = (random.standard_t(5, (rows, columns)) * 0.1).astype(np.float16)
    activations = random.standard_normal((parameters.tokens, columns)).astype(np.float16)
    return PackedTile.pack(weights, activations, family(parameters.family))


def _simulate(parameters: Parameters, tile: PackedTile, folder: Path, **options):
    verilog, side_car = emit(parameters, folder)
    return simulate(parameters, verilog, side_car, tile, folder / "sim", **options)


@pytest.mark.parametrize("simulator", [None, COMPILED])
def test_all_runs_of_tiny(tmp_path, simulator):
    figures = _simulate(FLAT, _tile(FLAT, 8, 64), tmp_path, simulator=simulator)
    assert figures["bit_exact"]
    assert figures["tile"] == {"rows": 8, "columns": 64, "tokens": 4}
    runs = figures["runs"]
    assert list(runs) == ["draft", "verify", "changing", "grouped"]
    assert runs["draft"]["macs"] == runs["verify"]["macs"] == 8 * 64 * 4
    assert runs["draft"]["macs_per_cycle"] == runs["draft"]["peak_macs_per_cycle"] == 64
    assert runs["verify"]["macs_per_cycle"] == runs["verify"]["peak_macs_per_cycle"] == 16
    assert runs["changing"]["macs_per_cycle"] == 40
    assert runs["changing"]["cycles_lost_to_mode_changes"] == 0
    assert all(run["activation_port_busy"] == 1 for run in runs.values())


def test_all_runs_of_five_modes(tmp_path):
    parameters = DESIGNS["all_4"].replace(pipeline=1)
    figures = _simulate(parameters, _tile(parameters, 8, 64), tmp_path, simulator=COMPILED)
    assert figures["bit_exact"]
    runs = figures["runs"]
    assert sorted(runs) == sorted([*parameters.modes, "changing", "grouped"])
    rates = {mode: runs[mode]["macs_per_cycle"] for mode in parameters.modes}
    assert rates == {"verify": 16, "draft": 64, "middle": 16, "qdraft": 64, "qverify": 32}
    assert runs["changing"]["cycles_lost_to_mode_changes"] == 0
    assert all(run["activation_port_busy"] == 1 for run in runs.values())


def test_one_mode_and_a_shape_that_fills_no_tile(tmp_path):
    figures = _simulate(TINY, _tile(TINY, 7, 45), tmp_path, modes=["draft"], waves=True)
    assert list(figures["runs"]) == ["draft"]
    assert figures["runs"]["draft"]["bit_exact"]
    assert figures["runs"]["draft"]["macs_per_cycle"] < 64
    assert Path(figures["waveform"]).stat().st_size > 0


def test_the_compiled_simulation_records_no_waves(tmp_path):
    with pytest.raises(ValueError, match="records no waveform"):
        _simulate(TINY, _tile(TINY, 4, 16), tmp_path, simulator=COMPILED, waves=True)


def test_a_design_without_draft_takes_the_weights_unpacked(tmp_path):
    parameters = DESIGNS["tiny_verify_only"]
    figures = _simulate(parameters, _tile(parameters, 8, 16), tmp_path)
    assert list(figures["runs"]) == ["verify"]
    assert figures["bit_exact"]
    with pytest.raises(ValueError, match="run 'draft' is not one of design 'tiny_verify_only'"):
        _simulate(parameters, _tile(parameters, 8, 16), tmp_path, modes=["draft"])


@pytest.mark.parametrize(
    ("simulator", "message"),
    [
        ("cocotb", "verify: result 1 of 4 differs"),
        (COMPILED, "verify: 1 results differ, the first is 1"),
    ],
)
def test_a_wrong_result_is_told(tmp_path, monkeypatch, simulator, message):
    def expect_another_result(name, *arguments):
        case = case_of(name, *arguments)
        if name == "verify":
            case.payloads["results"][1, 0] ^= 1
        return case

    monkeypatch.setattr(real_tile, "case_of", expect_another_result)
    simulator = find_simulator().name if simulator == "cocotb" else simulator
    figures = _simulate(TINY, _tile(TINY, 4, 16), tmp_path, simulator=simulator)
    assert not figures["bit_exact"]
    exact = {name: run["bit_exact"] for name, run in figures["runs"].items()}
    assert exact == {"draft": True, "verify": False, "changing": True, "grouped": True}
    assert message in figures["error"]


def test_without_icarus_the_compiled_design_serves_and_says_so(tmp_path, monkeypatch):
    def missing(name=None):
        raise SimulatorError("no simulator")

    monkeypatch.setattr(real_tile, "find_simulator", missing)
    assert "CXXRTL" in real_tile.describe()
    assert "Icarus Verilog is not installed" in real_tile.describe()
    figures = _simulate(TINY, _tile(TINY, 4, 16), tmp_path, modes=["verify"])
    assert figures["bit_exact"]
    assert figures["simulator"].startswith("CXXRTL of Yosys")


def test_the_packed_words_are_what_is_simulated():
    tile = read(TILES[0], TINY)
    np.testing.assert_array_equal(tile.job("verify").codes, tile.words)
    np.testing.assert_array_equal(tile.job("draft").codes, tile.words >> 12)


def test_unpacked_weights_are_the_original_ones():
    random = random_of("unpacked")
    weights = random.standard_normal((6, 20)).astype(np.float16)
    activations = np.ones((1, 20), np.float16)
    tile = PackedTile.pack(weights, activations, family("bsfp"))
    np.testing.assert_array_equal(tile.plain_job().values, weights)
    part = cut(tile, rows=3, tokens=1)
    np.testing.assert_array_equal(part.plain_job().values, weights[:3])


@pytest.mark.parametrize("path", TILES, ids=lambda path: path.stem)
def test_shipped_tiles_are_read_as_they_are(path):
    weights = load_file(path)["weight"]
    tile = read(path, TINY)
    assert tile.activations.shape == (TINY.tokens, weights.shape[1])
    np.testing.assert_array_equal(
        tile.plain_job().values.view(np.uint16), weights[:16].view(np.uint16)
    )


def test_files_that_are_no_tile(tmp_path):
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        read(tmp_path / "missing.safetensors", TINY)
    save_file({"weight": np.zeros((2, 2), np.float16)}, tmp_path / "half.safetensors")
    with pytest.raises(ValueError, match="holds no tensor 'activations'"):
        read(tmp_path / "half.safetensors", TINY)


def test_a_tile_that_can_only_be_stored_plain():
    weights = np.full((2, 2), np.inf, np.float16)
    with pytest.raises(ValueError, match="the tile cannot be drafted"):
        PackedTile.pack(weights, weights, family("bsfp"))
