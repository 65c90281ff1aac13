"""scripts/synth_area.py --depths: one unit at every pipeline depth."""

import json
from pathlib import Path

import pytest

import synth_area
from _depths import depth_figures, depth_tables, depths
from speq.parameters import PRESETS, ParameterError
from speq.synthesis import Area, Switches
from speq.synthesis.area import LibraryArea
from speq.synthesis.transistors import Count, count_cells
from speq_sim.depth_plot import plot_depths

TOY = Path(__file__).parents[1] / "data/toy.lib"


def area_of(depth: int, delay: float | None) -> Area:
    count: Count = count_cells({"$_NOT_": 10 + depth, "$_DFF_P_": depth})
    library = LibraryArea("toy", 100.0 + depth, 10.0, {}, delay, None)
    return Area("speq_x", Switches(), count, (library,))


def figures_of(delays: dict[int, float | None]) -> dict:
    designs = depths(PRESETS["tiny"])
    return depth_figures(designs, {depth: area_of(depth, delays[depth]) for depth in designs})


def test_ratios_are_to_depth_one(tmp_path):
    figures = figures_of({1: 1000.0, 2: 600.0, 3: 400.0, 4: 300.0})
    assert [entry["latency"] for entry in figures.values()] == [5, 7, 11, 13]
    assert [entry["flip_flops"] for entry in figures.values()] == [1, 2, 3, 4]
    toy = [entry["libraries"]["toy"] for entry in figures.values()]
    assert [each["delay_ratio"] for each in toy] == [1.0, 0.6, 0.4, 0.3]
    assert toy[3]["area_ratio"] == round(104 / 101, 4)
    assert [table.row_count for table in depth_tables(figures).values()] == [4, 4]
    plot_depths(tmp_path / "new" / "depths.png", "row", figures)
    assert (tmp_path / "new" / "depths.png").read_bytes().startswith(b"\x89PNG")


def test_without_delays_there_is_nothing_to_draw(tmp_path):
    figures = figures_of(dict.fromkeys((1, 2, 3, 4)))
    assert "-" in list(depth_tables(figures)["toy"].columns[4].cells)
    with pytest.raises(ValueError, match="there are no delays to draw"):
        plot_depths(tmp_path / "depths.png", "row", figures)


def test_by_command(monkeypatch, tmp_path, capsys):
    record = tmp_path / "depths.json"
    words = ["tiny", "--depths", "--unit", "round", "--liberty", str(TOY), "--json", str(record)]
    monkeypatch.setattr("sys.argv", ["synth_area.py", *words])
    synth_area.run()
    figures = json.loads(record.read_text())
    assert figures["unit"] == "round"
    flip_flops = [entry["flip_flops"] for entry in figures["depths"].values()]
    assert flip_flops[0] == 32
    assert flip_flops[0] < flip_flops[1] < flip_flops[2] < flip_flops[3]
    assert "pipeline" in capsys.readouterr().out


def test_it_is_no_comparison(monkeypatch):
    monkeypatch.setattr("sys.argv", ["synth_area.py", "tiny", "--depths", "--against", "small"])
    with pytest.raises(ParameterError, match="--depths measures one unit against itself"):
        synth_area.run()
