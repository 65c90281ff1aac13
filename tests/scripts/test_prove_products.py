import json
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments], capture_output=True, text=True
    )


def test_part_of_the_weights(tmp_path: Path) -> None:
    record = tmp_path / "products.json"
    done = _run(
        "prove_products.py",
        *("--pe", "1", "--weights", "0x3c00:0x3c08", "--workers", "1"),
        *("--build", str(tmp_path), "--json", str(record)),
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(record.read_text(encoding="utf-8"))
    assert figures["wrong"] == 0
    assert figures["pe"]["1"]["products"] == 8 * 65536
    assert figures["pe"]["1"]["weights"] == [0x3C00, 0x3C08]


def test_ranges_that_are_none() -> None:
    for text in ("5", "7:3", "0:70000", "a:b"):
        done = _run("prove_products.py", "--weights", text)
        assert done.returncode == 2
        assert "give A:B with 0 <= A < B <= 65536" in " ".join(done.stderr.split())


def test_faults_are_listed() -> None:
    done = _run("mutation_check.py", "--list", "--only", "ties_away")
    assert done.returncode == 0
    assert done.stdout == (
        "ties_away: round.py: magnitude[0] & (below | magnitude[1]) -> magnitude[0]\n"
    )


def test_an_unknown_fault_is_an_error() -> None:
    done = _run("mutation_check.py", "--only", "nothing")
    assert done.returncode == 2
    assert done.stderr == "error: there is no fault 'nothing': --list shows them all\n"
