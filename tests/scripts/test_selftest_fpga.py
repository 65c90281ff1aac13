"""scripts/selftest_fpga.py: a small accelerator, tested through the pins of its simulated board."""

import json

import numpy as np
import pytest

import selftest_fpga
from speq_sim.host.uart_channel import SerialChannel
from speq_sim.host.uart_errors import LinkError

SMALL = """
name = "small_board"
rows = 4
columns = 2
port_words = 2
tokens = 2
address_bits = 16
activation_values = 512
burst_beats = 16
pipeline = 4
target = "fpga"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("selftest")
    (folder / "small_board.toml").write_text(SMALL, encoding="utf-8")
    return folder


def _run(monkeypatch, folder, *words):
    record = folder / "figures.json"
    design = str(folder / "small_board.toml")
    options = ["--design", design, "--build", str(folder), "--json", str(record)]
    monkeypatch.setattr("sys.argv", ["selftest_fpga.py", "icebreaker", *words, *options])
    status = selftest_fpga.run()
    return status, json.loads(record.read_text(encoding="utf-8"))


def test_every_mode_through_the_pins(monkeypatch, folder, capsys):
    status, figures = _run(monkeypatch, folder, "--simulate")
    assert status == 0
    assert figures["passed"]
    assert figures["simulated"]
    assert [check["name"] for check in figures["checks"]] == [
        "memory",
        "verify",
        "draft",
        "verify, plain",
        "jobs in a row",
        "stop and resume",
    ]
    compared = [check["compared"] for check in figures["checks"]]
    assert compared == [1024, 14, 14, 14, 4 * 14, 14]  # two tokens, seven outputs
    assert figures["repeated_requests"] == 0
    assert "draft" in capsys.readouterr().out


def test_the_first_wrong_result_is_named(monkeypatch, folder, capsys):
    """The model is changed in one bit of its third result: later checks are left out."""
    right = selftest_fpga.uart_selftest.expected

    def wrong(job, parameters):
        results = np.array(right(job, parameters))
        results.view(np.uint32).ravel()[2] ^= 1
        return results

    monkeypatch.setattr(selftest_fpga.uart_selftest, "expected", wrong)
    status, figures = _run(monkeypatch, folder, "--simulate")
    assert status == 1
    assert not figures["passed"]
    assert [check["wrong"] for check in figures["checks"]] == [0, 1]
    printed = capsys.readouterr().out
    assert "verify is wrong: value 2 is" in printed
    assert "later checks were left out" in printed


def test_no_port(monkeypatch, folder):
    def refused(self, port, baud):
        raise LinkError(f"port {port} cannot be opened: none at {baud}")

    monkeypatch.setattr(SerialChannel, "__init__", refused)
    with pytest.raises(LinkError, match="port COM9 cannot be opened: none at 500000"):
        _run(monkeypatch, folder, "--port", "COM9", "--baud", "500000")


def test_port_or_simulation(monkeypatch, folder, capsys):
    with pytest.raises(SystemExit):
        _run(monkeypatch, folder)
    assert "one of the arguments --port --simulate is required" in capsys.readouterr().err
