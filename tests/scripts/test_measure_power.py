import argparse
import json
import shutil

import pytest

import measure_power
from speq.parameters import PRESETS, ParameterError
from speq.synthesis.opensta import OpenStaError
from speq.synthesis.sdc import SdcError
from speq_sim.performance.energy import Energy

RUNS = [
    {"mode": "verify", "tokens": 8, "pj_per_mac": 1.5},
    {"mode": "draft", "tokens": 8, "pj_per_mac": 0.5},
    {"mode": "draft", "tokens": 1, "pj_per_mac": 4.0},
]


def options(**changes):
    return argparse.Namespace(**({"mode": None, "tokens": None} | changes))


def test_all_modes_are_measured_with_one_token_and_with_all():
    plan = measure_power.plan(PRESETS["tiny"], options())
    assert plan == [("verify", 1), ("draft", 1), ("verify", 4), ("draft", 4)]
    assert measure_power.plan(PRESETS["tiny"], options(mode=["draft"], tokens=[2])) == [
        ("draft", 2)
    ]


def test_a_twin_is_measured_in_the_modes_it_has():
    twin = PRESETS["tiny"].verify_only()
    assert measure_power.plan(twin, options(mode=["draft", "verify"])) == [
        ("verify", 1),
        ("verify", 4),
    ]
    with pytest.raises(ParameterError, match="none of the modes asked for: use verify"):
        measure_power.plan(twin, options(mode=["draft"]))


def test_the_performance_model_reads_what_is_written(tmp_path):
    library = argparse.Namespace(name="osu018_stdcells")
    record = measure_power.energy_record(PRESETS["small"], library, RUNS)
    path = tmp_path / "energy.json"
    path.write_text(json.dumps({"command": "x", "energy": record}))
    energy = Energy.from_json(path)
    assert energy.name == "osu018-small"
    assert (energy.mac_pj["verify"], energy.mac_pj["draft"]) == (1.5, 0.5)
    assert "verify" not in energy.assumed
    assert "middle" in energy.assumed


def call(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["measure_power.py", *words])
    measure_power.run()


def test_without_opensta_its_package_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(OpenStaError, match="apt-get install opensta"):
        call(monkeypatch, "tiny")


def test_a_twin_of_a_twin_is_refused(monkeypatch):
    monkeypatch.setattr(measure_power, "find_sta", lambda: "sta")
    monkeypatch.setattr(measure_power, "library_of", lambda _: None)
    with pytest.raises(ParameterError, match="leave out --against"):
        call(monkeypatch, "tiny", "--set", "modes=['verify']", "--against", "verify-only")


def test_a_library_without_limits_is_refused(monkeypatch, tmp_path):
    library = tmp_path / "other.lib"
    library.write_text("library (unheard_of) {\n}\n")
    monkeypatch.setattr(measure_power, "find_sta", lambda: "sta")
    with pytest.raises(SdcError, match="no SDC file for unheard_of: give one with --sdc"):
        call(monkeypatch, "tiny", "--liberty", str(library))
