import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from power_library import TEXT, write_power_library

from speq.synthesis.liberty import LibertyError
from speq.synthesis.liberty_power import Table, read_power

GRID = Table(np.array([1.0, 3.0]), np.array([10.0, 20.0, 40.0]), np.array([[1, 2, 3], [5, 6, 9.0]]))


def test_a_library_and_its_units(tmp_path):
    library = read_power([write_power_library(tmp_path)], ["INV", "DFF"])
    assert (library.name, library.volts) == ("powered", 2.0)
    assert (library.farads, library.seconds) == pytest.approx((1e-12, 1e-9))
    assert set(library.cells) == {"INV", "DFF"}
    inverter, register = library.cells["INV"], library.cells["DFF"]
    assert inverter.capacitances == pytest.approx({"A": 1e-14})
    assert (inverter.outputs, inverter.clock, register.clock) == (("Y",), None, "CK")
    assert inverter.arcs[0].inverting
    assert register.arcs[-1].inverting is None


def test_axes_may_be_in_either_order(tmp_path):
    path = write_power_library(tmp_path)
    swapped = tmp_path / "swapped.lib"
    axes = "variable_1 : input_transition_time; variable_2 : total_output_net_capacitance"
    assert axes in TEXT
    swapped.write_text(
        path.read_text().replace(
            axes, "variable_1 : total_output_net_capacitance; variable_2 : input_transition_time"
        )
    )
    one, other = (read_power([p], ["INV"]).cells["INV"].arcs[0].rise for p in (path, swapped))
    # The numbers stay where they are, so rows become columns and the axes change places.
    assert (one.values == other.values.T).all()
    assert (one.slews == other.loads).all()


def test_the_ground_is_not_counted(tmp_path):
    arcs = read_power([write_power_library(tmp_path)], ["NAND"]).cells["NAND"].arcs
    assert [(arc.pin, arc.related) for arc in arcs] == [("B", None), ("Y", "A"), ("Y", "B")]
    assert max(float(arc.rise.values.max()) for arc in arcs) == 0.03


def test_a_cell_that_is_missing_is_named(tmp_path):
    with pytest.raises(LibertyError, match=r"cell XOR is in none of powered\.lib"):
        read_power([write_power_library(tmp_path)], ["XOR"])


def test_a_library_without_internal_power_is_refused(tmp_path):
    path = tmp_path / "dry.lib"
    path.write_text(TEXT.replace("internal_power", "hidden_power"))
    with pytest.raises(LibertyError, match="states no internal power of INV"):
        read_power([path], ["INV"])


def test_a_library_without_units_is_refused(tmp_path):
    path = tmp_path / "unitless.lib"
    path.write_text(TEXT.replace("nom_voltage", "some_voltage"))
    with pytest.raises(LibertyError, match=r"unitless\.lib lacks a unit"):
        read_power([path], ["INV"])


@given(st.sampled_from([1.0, 3.0]), st.sampled_from([10.0, 20.0, 40.0]))
def test_a_table_has_its_points(slew, load):
    row, column = GRID.slews.tolist().index(slew), GRID.loads.tolist().index(load)
    assert GRID(slew, load) == GRID.values[row, column]


@given(st.floats(-5, 10), st.floats(0, 100))
def test_between_its_points_a_table_is_between_its_values(slew, load):
    value = GRID(slew, load)
    assert GRID.values.min() <= value <= GRID.values.max()
    assert value == GRID(np.clip(slew, 1, 3), np.clip(load, 10, 40))


def test_a_table_by_hand():
    assert GRID(2.0, 30.0) == pytest.approx((2 + 3 + 6 + 9) / 4)
