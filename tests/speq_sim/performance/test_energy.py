"""Energy: units, additivity, the public figures against each other, measured records, refusals."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.dram import Dram
from speq_sim.performance.dram_presets import DRAMS
from speq_sim.performance.energy import ENERGY_MODES, PUBLIC, Energy, EnergySplit, energy_of

ROUND = Energy(
    name="round",
    mac_pj={mode: index + 1.0 for index, mode in enumerate(ENERGY_MODES)},
    sram_pj_per_bit=0.5,
    static_mw=100.0,
    source="this test",
)


def test_a_pass_by_hand():
    dram = Dram.ideal(1e9, pj_per_bit=4.0)
    macs = {"verify": 10**12, "draft": 2 * 10**12}
    split = energy_of(10**9, [(10**8, 5)], macs, 8e9, dram, ROUND, seconds=2.0)
    # 8 Gbit at 4 pJ are 32 mJ; 1 T at 1 pJ and 2 T at 3 pJ are 7 J; 100 mW for 2 s are 0.2 J.
    assert split.as_dict() == pytest.approx(
        {"dram_read": 0.032, "dram_write": 0.016, "compute": 7.0, "sram": 0.004, "static": 0.2}
    )
    assert split.joules == pytest.approx(7.252)


def test_bursts_are_paid_for_whole():
    split = energy_of([(1, 3)], 0, {}, 0, DRAMS["ddr5"], PUBLIC)
    assert split.joules == pytest.approx(3 * 64 * 8 * DRAMS["ddr5"].read_pj_per_bit * 1e-12)


@given(
    parts=st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from(ENERGY_MODES)), min_size=1),
)
def test_splits_add_up(parts):
    dram = DRAMS["hbm3"]
    splits = [energy_of(n, n, {mode: n}, n, dram, ROUND, seconds=1e-3) for n, mode in parts]
    total = sum(splits, EnergySplit())
    assert total.joules == pytest.approx(sum(split.joules for split in splits))
    assert total.scaled(1 / 4).joules == pytest.approx(total.joules / 4)


def test_public_figures_agree_where_two_sources_meet():
    # FP16 of BitMoD at 28 nm lies between Horowitz' 1.5 pJ at 45 nm and half of it.
    assert 0.75 < PUBLIC.mac_pj["verify"] < 1.5
    # INT8 over FP16: Horowitz, against engines of equal rate in Omni-LUT (7 nm): 0.46 W and 1.75 W.
    ratio = PUBLIC.mac_pj["int8"] / PUBLIC.mac_pj["verify"]
    assert ratio == pytest.approx(0.46 / 1.75, rel=1 / 3)
    assert PUBLIC.mac_pj["int4"] < PUBLIC.mac_pj["int8"] < PUBLIC.mac_pj["draft"]
    assert set(ENERGY_MODES) - {"int8"} <= set(PUBLIC.assumed)


@pytest.mark.parametrize("dram", DRAMS.values(), ids=DRAMS)
def test_a_bit_from_memory_costs_more_than_one_on_the_chip(dram):
    assert dram.read_pj_per_bit > 10 * PUBLIC.sram_pj_per_bit
    # No memory is worse than the 18.75 pJ/bit of DDR4 in BitMoD's simulator.
    assert dram.read_pj_per_bit < 18.75


def test_measured_energies_replace_public_ones(tmp_path):
    path = tmp_path / "measured.json"
    record = {"name": "ours", "source": "switching", "mac_pj": {"draft": 0.1}, "static_mw": 3.0}
    path.write_text(json.dumps({"command": "x", "energy": record}))
    energy = Energy.from_json(path)
    assert energy.mac_pj == {**PUBLIC.mac_pj, "draft": 0.1}
    assert (energy.name, energy.static_mw) == ("ours", 3.0)
    assert "draft" not in energy.assumed
    assert {"verify", "sram_pj_per_bit"} <= set(energy.assumed)


def test_a_record_reads_back(tmp_path):
    path = tmp_path / "round.json"
    path.write_text(json.dumps(ROUND.as_dict()))
    assert Energy.from_json(path) == ROUND


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "e.json is no JSON: write it anew"),
        ("[1]", "e.json holds no JSON object: use one with name, source and mac_pj"),
        ('{"name": "x"}', "e.json has no 'source': say what was measured"),
        ('{"name": "x", "source": "y", "mac": 1}', "has the unknown 'mac': use name, mac_pj"),
        ('{"name": "x", "source": "y", "mac_pj": 1}', "mac_pj of e.json is 1: use an object"),
        ('{"name": "x", "source": "y", "mac_pj": {"fp8": 1}}', "mode 'fp8' is unknown: use verify"),
        ('{"name": "x", "source": "y", "mac_pj": {"int4": -1}}', "mac_pj of int4 in x is -1"),
    ],
)
def test_bad_records_are_refused(tmp_path, text, message):
    path = tmp_path / "e.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        Energy.from_json(path)


def test_what_else_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"none.json cannot be read: give a JSON file"):
        Energy.from_json(tmp_path / "none.json")
    with pytest.raises(ModelError, match="mac_pj of round lacks 'int4': give pJ of each mode"):
        dataclasses.replace(ROUND, mac_pj={m: 1.0 for m in ENERGY_MODES if m != "int4"})
    with pytest.raises(ModelError, match="sram_pj_per_bit of round is -1"):
        dataclasses.replace(ROUND, sram_pj_per_bit=-1)
    with pytest.raises(ModelError, match="energy of mode 'plain' is unknown: use verify, middle"):
        energy_of(0, 0, {"plain": 1}, 0, DRAMS["hbm3"], PUBLIC)
    with pytest.raises(ModelError, match="multiply-accumulates of draft is -1"):
        energy_of(0, 0, {"draft": -1}, 0, DRAMS["hbm3"], PUBLIC)
    with pytest.raises(ModelError, match="factor is -1"):
        EnergySplit().scaled(-1)
