"""Energy of a small array mapped to our own cells, with tables and slews made up for it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from speq.formats import family
from speq.synthesis.gates import read_gates
from speq.synthesis.liberty_power import Arc, CellPower, LibraryPower, Table
from speq.synthesis.netlist import map_netlist
from speq.synthesis.opensta import GROUPS, Analysis, Power, TimingPath
from speq.synthesis.sdc import Sdc
from speq_sim.benches.mapped import UNITS, Mapped, unit_of
from speq_sim.benches.packed_tile import PackedTile
from speq_sim.benches.payload import Design
from speq_sim.benches.power import default_figures, figures_of, read_tile
from speq_sim.power_plot import plot_power

sys.path.append(str(Path(__file__).parents[2] / "speq/synthesis"))
from netlist_design import DESIGN, emitted, library

CAPACITANCE, VOLTS, INTERNAL = 2e-15, 1.0, 3.0


def _flat(energy: float) -> Table:
    return Table(np.zeros(1), np.zeros(1), np.full((1, 1), energy))


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    """Every input pin is 2 fF, every transition of an output takes 3 fJ inside, leakage is 1 pW."""
    folder = tmp_path_factory.mktemp("power")
    emission = emitted(folder)
    netlist = map_netlist(emission.verilog, emission.top, library(), folder)
    gates = read_gates(netlist, folder)
    cells = {
        kind: CellPower(
            name=kind,
            capacitances=dict.fromkeys(cell.inputs, CAPACITANCE),
            outputs=cell.outputs,
            clock=cell.clock,
            leakages=(("", 1e-12),),
            arcs=tuple(
                Arc(pin, cell.inputs[0], "", None, _flat(INTERNAL), _flat(INTERNAL))
                for pin in cell.outputs
            ),
        )
        for kind, cell in gates.cells.items()
    }
    tables = LibraryPower("flat", VOLTS, 1e-15, 1e-9, cells)
    register = next(kind for kind, cell in gates.cells.items() if cell.state)
    power = dict.fromkeys(GROUPS, Power(1e-3, 2e-3, 3e-3))
    path = TimingPath(f"{register}_0", "results__valid", 1.5, -0.5, 9)
    return Mapped(
        parameters=DESIGN,
        design=Design.load(emission.side_car),
        gates=gates,
        library=tables,
        sdc=Sdc(folder / "none.sdc", "clk", "clk", 2.0),
        analysis=Analysis("2.0.17", (path,), np.zeros((0, 2)), power),
        slews=np.zeros((gates.nets, 2)),
    )


@pytest.fixture(scope="module")
def figures(mapped) -> dict:
    random = np.random.default_rng(3)
    weights = random.normal(0, 0.05, (4, 8)).astype(np.float16)
    activations = random.normal(0, 1, (2, 8)).astype(np.float16)
    tile = PackedTile.pack(weights, activations, family("fitted-1"))
    return figures_of(mapped, tile, "verify", 1)


def test_parts_and_units_add_up(figures):
    assert sum(figures["parts"].values()) == pytest.approx(figures["pj_per_mac"], rel=1e-3)
    assert sum(figures["by_unit"].values()) == pytest.approx(figures["pj_per_mac"], rel=1e-3)
    assert set(figures["by_unit"]) == {*UNITS, "control"}


def test_rates_are_those_of_the_port(figures):
    # One word a cycle, each multiplied once.
    assert figures["runs"] == 8
    assert figures["macs_per_cycle"] == figures["words_per_cycle"] == 1
    assert figures["pj_per_word"] == figures["pj_per_mac"]


def test_the_clock_is_every_flip_flop_in_every_cycle(mapped, figures):
    gates = mapped.gates
    count = sum(gates.count(kind) for kind, cell in gates.cells.items() if cell.state)
    assert figures["parts"]["clock"] == pytest.approx(
        1e12 * count * CAPACITANCE * VOLTS**2, rel=1e-3
    )


def test_leakage_stands_apart(mapped, figures):
    assert mapped.period == pytest.approx(2e-9)
    cells = sum(mapped.gates.count(kind) for kind in mapped.gates.pins)
    assert figures["leakage_mw"] == pytest.approx(1e3 * cells * 1e-12, rel=1e-3)
    assert figures["leakage_pj_per_mac"] == pytest.approx(1e12 * cells * 1e-12 * 2e-9, rel=1e-3)
    dynamic = figures["pj_per_mac"] * 1e-12 * figures["macs_per_cycle"] / 2e-9
    assert figures["mw"] == pytest.approx(1e3 * dynamic + figures["leakage_mw"], rel=1e-3)


def test_a_told_activity_by_hand(mapped):
    gates, found = mapped.gates, default_figures(mapped)
    outputs = sum(
        int((gates.pins[kind][pin] >= 0).sum()) for kind, cell in gates.cells.items()
        for pin in cell.outputs
    )  # fmt: skip
    assert found["internal_mw"] == pytest.approx(
        1e3 * 0.1 * outputs * INTERNAL * 1e-15 / 2e-9, rel=1e-3
    )
    assert found["opensta_mw"] == 6
    assert found["opensta_switching_mw"] == 2


def test_paths_have_names_of_the_design(mapped):
    (path,) = mapped.paths()
    assert path["to"] == "results__valid"
    assert path["slack"] == -0.5
    assert "DFF" not in path["from"]


@pytest.mark.parametrize(
    ("instance", "unit"),
    [
        ("row_0.pe_3.multiplier", "multiply"),
        ("row_0.pe_3", "pe"),
        ("row_12.accumulate$62", "accumulate"),
        ("row_12.round$63", "round"),
        ("loader.unpacker.middle_decoder_0", "load"),
        ("column_7", "column"),
        ("stage_accumulate_1", "control"),
        ("sequencer", "control"),
        ("", "control"),
    ],
)
def test_a_cell_belongs_to_a_unit(instance, unit):
    assert unit_of(instance) == unit


def test_a_tile_is_cut_along_its_inputs(tmp_path):
    path = Path(__file__).parents[2] / "data/stories15m-wq.safetensors"
    tile = read_tile(path, DESIGN, 32)
    assert tile.words.shape == (288, 32)
    assert tile.activations.shape == (16, 32)
    assert len(tile.shifts) == 32
    with pytest.raises(ValueError, match="is no tile"):
        read_tile(tmp_path / "none.safetensors", DESIGN)


def test_a_plot_is_drawn(tmp_path, figures):
    path = tmp_path / "deep" / "power.png"
    more = figures | {"tokens": 8}
    plot_power(path, "flat", {"one": {"runs": [figures, more]}, "other": {"runs": [figures]}})
    assert path.read_bytes().startswith(b"\x89PNG")
