"""speq_sim.performance.reproduction: bands, what is needed, machines, tables."""

import ast
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.engine import Product
from speq_sim.performance.methods import Plain, Setting
from speq_sim.performance.models import MODELS
from speq_sim.performance.reproduction import (
    published,
    speq_headline,
    tables,
)
from speq_sim.performance.reproduction.bands import Band, Point, sweep
from speq_sim.performance.reproduction.copies import COPY, CopyBeside
from speq_sim.performance.reproduction.machines import (
    ALL_MODES,
    SERVER,
    PlacedPlanes,
    fed_units,
    on_memory,
)
from speq_sim.performance.reproduction.solving import needed
from speq_sim.performance.unit_engine import UnitEngine

PACKAGE = Path(speq_headline.__file__).parent
RESULTS = Path(__file__).parents[3] / "docs/results"


# Bands and solving


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True),
)
def test_a_band_holds_its_points_and_names_its_ends(first, second):
    band = sweep({"a": first, "b": second}, lambda a, b: a - 2.5 * b)
    assert len(band.points) == len(first) * len(second)
    assert all(point.value in band for point in band.points)
    assert band.low.value == min(first) - 2.5 * max(second)
    assert band.high.assumptions == {"a": max(first), "b": min(second)}
    assert band.low.value - 1 not in band
    for name, values in band.by_assumption().items():
        for value, (low, high) in values.items():
            part = band.where(**{name: int(value)})
            assert (low, high) == (part.low.value, part.high.value)


def test_a_band_beside_a_reported_figure():
    band = Band(tuple(Point({"x": x}, float(x)) for x in (1, 2, 4)))
    beside = band.beside(2.2)
    assert beside["within"]
    assert beside["nearest"] == {"value": 2.0, "assumptions": {"x": 2}}
    assert beside["share_of_points_at_or_above"] == pytest.approx(1 / 3)
    assert not band.beside(4.5)["within"]


def test_an_empty_band_is_refused():
    with pytest.raises(ModelError, match="no points: give each assumption a value"):
        sweep({"a": []}, lambda a: a)


@given(st.floats(-3, 3), st.floats(0.1, 5), st.booleans())
def test_needed_solves_its_equation(wanted, slope, falling):
    def line(x):
        return (-slope if falling else slope) * x

    found = needed(line, wanted, -1, 1)
    if abs(wanted) > slope * (1 + 1e-12):
        assert found is None
    elif found is not None:
        assert line(found) == pytest.approx(wanted, abs=1e-9)


# What computes bands knows no headline


def test_headlines_are_read_where_records_are_put_together_and_nowhere_else():
    readers = set()
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", [])]
            module = getattr(node, "module", None)
            if "published" in names or (module or "").endswith(".published"):
                readers.add(path.name)
    assert readers == {"parts.py"}


def test_no_module_but_published_writes_a_headline_down():
    values = {
        each.value for each in vars(published).values() if isinstance(each, published.Headline)
    }
    # 1.2 and 1.8 are times of a tree; as bare numbers they may mean anything.
    values -= {1.2, 1.8}
    for path in PACKAGE.glob("*.py"):
        if path.name == "published.py":
            continue
        numbers = {
            node.value for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, float)
        }  # fmt: skip
        assert not numbers & values, path.name


# Machines


def test_units_are_those_that_the_memory_feeds():
    dram = find_dram("hbm2e")
    units = fed_units(SERVER, dram)
    port = UnitEngine(SERVER).port_bytes_per_second
    assert (units - 1) * port < dram.bytes_per_second <= units * port
    assert on_memory(SERVER, dram).engine.units == units
    assert SERVER.modes == ALL_MODES


def test_placed_planes_save_conflicts_and_nothing_else():
    engine = UnitEngine(SERVER, 2)
    placed = PlacedPlanes(engine)
    product = Product(256, 512, "verify", 2)
    assert engine.product(product).streams == 3
    work = placed.product(product)
    assert work.streams == 1
    assert work.read_bytes == engine.product(product).read_bytes
    assert (placed.name, placed.clock_hz) == (engine.name, engine.clock_hz)
    assert placed.vector_lanes == engine.vector_lanes
    setting = Setting(MODELS["smollm2-135m"], 64)
    slow, fast = (on_memory(SERVER, find_dram("hbm2e"), placed=each) for each in (False, True))
    verify = Plain("packed", "verify")
    assert verify.cost(setting, fast).seconds < verify.cost(setting, slow).seconds
    assert Plain("FP16", "fp16").cost(setting, fast).seconds == pytest.approx(
        Plain("FP16", "fp16").cost(setting, slow).seconds
    )


def test_a_copy_reads_its_scales_too():
    engine = UnitEngine(SERVER, 1)
    beside = CopyBeside(engine)
    four_bits = engine.product(Product(256, 512, "qdraft", 1))
    copy = beside.product(Product(256, 512, COPY, 1))
    assert copy.read_bytes - four_bits.read_bytes == 2 * 256 * 4
    assert copy.cycles > four_bits.cycles
    plain = Product(256, 512, "fp16", 1)
    assert beside.product(plain) == engine.product(plain)
    attention = Setting(MODELS["smollm2-135m"], 64).spec("fp16").attention
    assert beside.attention(attention) == engine.attention(attention)
    assert beside.clock_hz == engine.clock_hz
    assert beside.vector_lanes == engine.vector_lanes
    assert "copy" in beside.name


# Tables


def test_tables_are_filled_between_their_markers_and_nothing_else_changes():
    figures = {
        "qspec": {
            "needed_kernels": [
                {"gpu": "l20", "batch": 4, "speedup_of_ideal_kernels": 0.9,
                 "needed_w4a16_efficiency": None},
            ],
        },
    }  # fmt: skip
    page = "a\n\n<!-- table qspec -->\nold\n<!-- end -->\n\nb\n"
    filled = tables.fill(page, figures)
    assert "| l20 | 4 | 0.90 | none |" in filled
    assert "old" not in filled
    assert filled.startswith("a\n\n<!-- table qspec -->\n")
    assert filled.endswith("<!-- end -->\n\nb\n")
    assert tables.fill(filled, figures) == filled


def test_a_table_that_is_none_is_refused():
    with pytest.raises(ModelError, match="table 'x' does not exist: use one of headlines"):
        tables.fill("<!-- table x -->\n<!-- end -->", {})


def test_the_pages_are_those_of_the_record():
    figures = json.loads((RESULTS / "reproduction.json").read_text())
    named = set()
    for name in ("reproduction.md", "scale.md"):
        page = (RESULTS.parent / name).read_text()
        assert tables.fill(page, figures) == page
        named |= {each for each in tables.TABLES if f"<!-- table {each} -->" in page}
    assert named == set(tables.TABLES)


def test_needed_values_are_called_so_and_bands_have_ends_with_assumptions():
    figures = json.loads((RESULTS / "reproduction.json").read_text())
    solved = itertools.chain(
        figures["speq"]["needed_at_the_centre"],
        (key for row in figures["hierspec"]["needed"] for key in row if key != "compute_share"),
    )
    assert all(key.startswith("needed_") for key in solved)
    band = figures["speq"]["band"]
    assert band["low"]["assumptions"].keys() == band["by_assumption"].keys()
    assert band["low"]["value"] <= band["nearest"]["value"] <= band["high"]["value"]
