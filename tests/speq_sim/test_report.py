import copy

import pytest
from matplotlib import image

from speq.parameters import PRESETS
from speq_sim.area_plot import area_by_part, plot_area
from speq_sim.report import write_report

DESIGN = PRESETS["tiny"]


def count(transistors):
    return {
        "transistors": transistors,
        "combinational_transistors": transistors - 240,
        "flip_flop_transistors": 240,
        "flip_flops": 10,
    }


def area(design, parts, library="toy"):
    top = f"speq_{design.name}"
    modules = {f"{top}_{name}" if name else top: number for name, number in parts.items()}
    return {
        "design": design.as_dict(),
        "module": top,
        **count(sum(parts.values()) - 100),
        "transistors_per_flip_flop": 24,
        "transistors_per_enable": 12,
        "area": 1234.5 if library else None,
        "area_library": library,
        "switches": {"flatten": True, "booth": False},
        "yosys": "0.70",
        "parts": [
            {"module": module, "instances": 2, "own_cells_of_all_instances": count(number)}
            for module, number in modules.items()
        ],
    }


@pytest.fixture
def synthesis():
    figures = area(DESIGN, {"pe": 60_000, "row": 40_000, "loader": 9_000, "": 1_000})
    figures["against"] = area(DESIGN.verify_only(), {"pe": 45_000, "row": 36_000, "": 900})
    figures["ratio"] = {
        "transistors": 1.3441,
        "area": None,
        "combinational_transistors": 1.345,
        "flip_flops": 1.0,
    }
    return figures


@pytest.fixture
def simulation():
    run = {
        "bit_exact": True,
        "tiles": 12,
        "results": 3456,
        "macs": 123456,
        "cycles": 2000,
        "macs_per_cycle": 61.728,
        "peak_macs_per_cycle": 64.0,
    }
    return {
        "bit_exact": True,
        "error": None,
        "simulator": "icarus 11.0",
        "tile": {"rows": 16, "columns": 576, "tokens": 4},
        "runs": {"draft": run, "changing": run},
    }


def cells(markdown, start):
    (line,) = [line for line in markdown.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_report_shows_design_simulation_and_area(tmp_path, synthesis, simulation):
    written = write_report(
        tmp_path / "new", DESIGN.as_dict(), simulation, synthesis, notes=["Weights: a model."]
    )
    text = written.markdown.read_text()
    assert text.startswith("# Design `tiny`\n\nWeights: a model.\n")
    assert cells(text, "array")[1] == "4 rows x 4 columns"
    assert cells(text, "DRAFT") == [
        *("DRAFT", "yes", "12", "3,456", "123,456", "2,000", "61.728", "64.0"),
    ]
    assert cells(text, "mode changing on every tile")[1] == "yes"
    assert cells(text, "transistors") == ["transistors", "109,900", "81,800", "1.344"]
    assert cells(text, "area in toy")[-1] == "-"
    assert cells(text, "`pe`") == ["`pe`", "60,000", "54.5%", "45,000", "54.9%"]
    assert cells(text, "`loader`")[3:] == ["-", "-"]
    assert cells(text, "all")[1::2] == ["110,000", "81,900"]
    assert f"]({written.plot.name})" in text
    assert {path.name for path in written.markdown.parent.iterdir()} == {
        "report.md",
        "area_by_part.png",
    }


def test_a_difference_is_not_hidden(tmp_path, simulation):
    simulation |= {"bit_exact": False, "error": "row 3 differs"}
    simulation["runs"] = {"draft": {"bit_exact": False}}
    text = write_report(tmp_path, DESIGN.as_dict(), simulation).markdown.read_text()
    assert "**Results differ from the golden model:** row 3 differs" in text
    assert cells(text, "DRAFT")[1:3] == ["**no**", "-"]
    assert "has the bits" not in text


def test_a_report_may_be_of_one_design_without_a_library(tmp_path):
    figures = area(DESIGN.verify_only(), {"pe": 10_000, "": 500}, library=None)
    written = write_report(tmp_path, DESIGN.verify_only().as_dict(), None, figures)
    text = written.markdown.read_text()
    assert "ratio" not in text
    assert "area in" not in text
    assert cells(text, "draft lanes per PE")[1] == "none"
    assert written.plot.is_file()


def test_without_figures_there_is_no_plot(tmp_path):
    written = write_report(tmp_path, DESIGN.as_dict())
    assert written.plot is None
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_parts_are_named_without_the_design(synthesis):
    assert area_by_part(synthesis) == {"pe": 60_000, "row": 40_000, "loader": 9_000, "top": 1_000}


def test_the_plot_depends_on_the_figures(tmp_path, synthesis):
    first = plot_area(synthesis, tmp_path / "a.png").read_bytes()
    assert plot_area(synthesis, tmp_path / "b.png").read_bytes() == first
    changed = copy.deepcopy(synthesis)
    changed["parts"][0]["own_cells_of_all_instances"]["transistors"] = 30_000
    assert plot_area(changed, tmp_path / "c.png").read_bytes() != first
    height, width, _ = image.imread(tmp_path / "a.png").shape
    assert width > height > 300


def test_bars_have_the_lengths_of_the_figures(tmp_path, synthesis, monkeypatch):
    from matplotlib.axes import Axes

    drawn = {}
    barh = Axes.barh

    def record(self, position, width, **options):
        drawn.setdefault(position, []).append((options["left"], width))
        return barh(self, position, width, **options)

    monkeypatch.setattr(Axes, "barh", record)
    plot_area(synthesis, tmp_path / "a.png")
    assert drawn[0] == [(0, 60_000), (60_000, 40_000), (100_000, 9_000), (109_000, 1_000)]
    assert drawn[1] == [(0, 45_000), (45_000, 36_000), (81_000, 0), (81_000, 900)]


def test_a_failing_write_leaves_nothing_behind(tmp_path, monkeypatch):
    from pathlib import Path

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(tmp_path, DESIGN.as_dict())
    assert not list(tmp_path.iterdir())
