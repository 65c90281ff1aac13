"""Measure a small set of areas and cycles anew, and compare with baselines/*.json.

More than 2 % more transistors or flip-flops of a unit, or a single cycle more of a job, is a
regression: the exit status is 1, and a Markdown table says what changed. See docs/regression.md.

  python scripts/check_baselines.py
  python scripts/check_baselines.py --only cycles --markdown summary.md
  python scripts/check_baselines.py --refresh
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import _cli
from _baselines import MEASURES
from speq_sim.benches.accelerator.compiled_unit import UnitError
from speq_sim.benches.finding import SimulatorError
from speq_sim.cplusplus import CompilerError
from speq_sim.host import DeviceError
from speq_sim.regression import REFRESH, Comparison, compare

BASELINES = Path(__file__).resolve().parent.parent / "baselines"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument(
        "--only",
        choices=tuple(MEASURES),
        action="append",
        help="check this record alone; may be repeated (default: all)",
    )
    parser.add_argument(
        "--refresh", action="store_true", help="write what was measured as the new record"
    )
    parser.add_argument(
        "--markdown", metavar="FILE", type=Path, help="also append the diff to FILE"
    )
    return parser.parse_args()


def run() -> int:
    """Measure, compare, show; 1 if something regressed and is not recorded anew."""
    options = arguments()
    compared: dict[str, Comparison] = {}
    for name in dict.fromkeys(options.only or MEASURES):
        path = BASELINES / f"{name}.json"
        record = None if options.refresh and not path.exists() else read(path)
        current = MEASURES[name]()
        if record is not None:
            compared[name] = compare(record, current, name)
        if options.refresh:
            write(path, current)
    show(compared, options.markdown)
    passes = all(comparison.passes for comparison in compared.values())
    _cli.write_json(options.json, as_figures(compared, passes))
    if options.refresh:
        _cli.console.print("Recorded. Look at the difference, and commit it: git diff baselines")
        return 0
    return int(not passes)


def read(path: Path) -> dict[str, Any]:
    """A record.

    Raises
    ------
    ValueError
        If it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"baselines/{path.name} does not exist: write it with {REFRESH}") from None
    except ValueError as error:
        raise ValueError(
            f"baselines/{path.name} is no JSON ({error}): write it with {REFRESH}"
        ) from None


def write(path: Path, record: dict[str, Any]) -> None:
    """Write a record: always under the one command that makes all of them, an entry a line."""
    text = json.dumps({"command": REFRESH, **record}, indent=2)
    for name, figures in record["figures"].items():
        broken = json.dumps({name: figures}, indent=2)[2:-2].replace("\n", "\n  ")
        text = text.replace(f"  {broken}", f"    {json.dumps(name)}: {json.dumps(figures)}")
    _cli.write_text(path, text + "\n")


def show(compared: dict[str, Comparison], markdown: Path | None) -> None:
    """Print the diffs as Markdown, and append them to a file."""
    text = "\n".join(comparison.markdown() for comparison in compared.values())
    # As it is: neither wrapped nor taken for markup, so that it can be pasted.
    print(text)
    if markdown is not None:
        markdown.parent.mkdir(parents=True, exist_ok=True)
        with markdown.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def as_figures(compared: dict[str, Comparison], passes: bool) -> dict[str, Any]:
    """The comparison as JSON values."""
    return {
        "passes": passes,
        "compared": {name: dataclasses.asdict(each) for name, each in compared.items()},
    }


if __name__ == "__main__":
    _cli.main(run, expected=(SimulatorError, CompilerError, UnitError, DeviceError))
