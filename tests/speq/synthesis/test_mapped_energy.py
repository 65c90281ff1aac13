import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from power_library import write_power_library
from small_netlist import small_gates

from speq.synthesis.energy import energies, probability
from speq.synthesis.liberty_power import read_power

PICO = 1e-12


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("energy")
    gates = small_gates(folder)
    return gates, read_power([write_power_library(folder)], gates.cells)


def nets_of(gates):
    return {name: int(nets[0]) for name, (_, nets) in gates.ports.items()} | {
        "inverted": int(gates.pins["INV"]["Y"][0])
    }


def measured(parts, activity=None, duty=None, slew=0.1e-9, load=0.0):
    gates, library = parts
    changes, ones = np.zeros(gates.nets), np.full(gates.nets, 0.5)
    for name, net in nets_of(gates).items():
        changes[net] = (activity or {}).get(name, 0.0)
        ones[net] = (duty or {}).get(name, 0.5)
    return energies(gates, library, np.full((gates.nets, 2), slew), changes, ones, load=load)


def test_an_inverter_by_hand(parts):
    # It drives input A of the NAND: 0.01 pF at 2 V. Slew 0.3 ns lies in the middle of its tables,
    # 0.01 pF at their edge: rising (0.02 + 0.06) / 2, falling (0.01 + 0.03) / 2 pJ.
    found = measured(parts, {"inverted": 0.25}, slew=0.3e-9)["INV"]
    assert found.switching[0] == pytest.approx(0.25 * 0.5 * 0.01 * 2**2 * PICO)
    assert found.internal[0] == pytest.approx(0.25 * (0.04 + 0.02) / 2 * PICO)
    assert found.leakage[0] == pytest.approx(3e-9)


def test_slews_of_both_edges_meet_the_right_table(parts):
    gates, library = parts
    slews = np.full((gates.nets, 2), [0.1e-9, 0.5e-9])
    changes = np.zeros(gates.nets)
    changes[nets_of(gates)["inverted"]] = 1.0
    found = energies(gates, library, slews, changes, np.full(gates.nets, 0.5))["INV"]
    # An inverter's output rises when its input falls, slowly here: 0.06; and falls fast: 0.01.
    assert found.internal[0] == pytest.approx((0.06 + 0.01) / 2 * PICO)


def test_a_nand_is_weighted_by_what_moves_it(parts):
    # Table A says 0.01 pJ and B 0.03; the ground's table, of 5 pJ, must not count.
    both = {"y": 1.0, "inverted": 0.3, "q": 0.1}
    found = measured(parts, both, {"inverted": 0.75})["NAND"].internal[0]
    inside = 0.1 * 0.25 * 0.004
    assert found == pytest.approx(((0.3 * 0.01 + 0.1 * 0.03) / 0.4 + inside) * PICO)


def test_leakage_follows_the_state(parts):
    found = measured(parts, duty={"inverted": 0.5, "q": 0.2})["NAND"].leakage[0]
    both = 0.5 * 0.2
    # "!A + !B" is what is left of "A * B".
    assert found == pytest.approx((8 * both + 4 * (1 - both)) * 1e-9)


def test_the_clock_takes_its_energy_in_every_cycle(parts):
    found = measured(parts)["DFF"]
    assert found.clock[0] == pytest.approx((0.03 * 2**2 + 0.1 + 0.3) * PICO)
    assert found.internal[0] == found.switching[0] == 0


def test_a_flip_flop_pays_for_input_and_output(parts):
    found = measured(parts, {"y": 0.5, "q": 0.25})["DFF"]
    assert found.internal[0] == pytest.approx((0.5 * 0.005 + 0.25 * 0.2) * PICO)
    assert found.switching[0] == pytest.approx(0.25 * 0.5 * 0.02 * 2**2 * PICO)


def test_ports_have_a_load_behind_them(parts):
    without = measured(parts, {"y": 1.0})["NAND"].switching[0]
    added = measured(parts, {"y": 1.0}, load=1e-12)["NAND"].switching[0] - without
    assert added == pytest.approx(0.5 * 1e-12 * 2**2)


@given(st.floats(0, 2), st.floats(0.1, 10))
def test_energy_grows_with_activity(parts, activity, factor):
    names = ("inverted", "y", "q", "a")
    once = measured(parts, dict.fromkeys(names, activity))
    more = measured(parts, dict.fromkeys(names, activity * factor))
    for kind, found in once.items():
        for part in ("switching", "internal"):
            expected = factor * getattr(found, part)
            assert getattr(more[kind], part) == pytest.approx(expected, abs=1e-24)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_conditions_of_independent_pins(a, b, c):
    ones = {"A": a, "B": b, "C": c}
    for text, wanted in {
        "": 1.0,
        "A": a,
        "!A": 1 - a,
        "A'": 1 - a,
        "A * !B": a * (1 - b),
        "A & B & C": a * b * c,
        "A B": a * b,
        "(A + B) * C": (a + b - a * b) * c,
        "A | B * C": a + b * c - a * b * c,
        "!(A ^ B)": 1 - (a + b - 2 * a * b),
        "A * 1": a,
        "A * 0": 0.0,
    }.items():
        assert probability(text, ones) == pytest.approx(wanted, abs=1e-12), text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("A ? B", "not understood"), ("(A", "not closed"), ("A)", "behind its end"), ("Z", "no pin")],
)
def test_a_condition_that_is_none_is_named(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        probability(text, {"A": 0.5, "B": 0.5})
