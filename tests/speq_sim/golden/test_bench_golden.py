"""The timing script, and what the golden model stands on."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "bench_golden.py"


def call(*arguments):
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_verify_is_fast_enough(tmp_path):
    target = tmp_path / "golden.json"
    done = call("--rounds", "3", "--json", str(target))
    assert done.returncode == 0, done.stderr
    figures = json.loads(target.read_text())
    assert figures["shape"] == {"tokens": 8, "outputs": 1536, "depth": 576}
    assert set(figures["median_seconds"]) == set(figures["ratio_to_float32_blas"])
    # The promise; some twenty times as much is usual.
    assert figures["mmac_per_second"]["verify"] >= 50


def test_a_shape_of_nothing_is_refused():
    done = call("--depth", "0")
    assert done.returncode == 2
    assert done.stderr == "error: --depth is 0, but must be 1 or more\n"


def test_no_circuit_is_imported():
    program = "import sys, speq_sim.tiling; sys.exit('amaranth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
