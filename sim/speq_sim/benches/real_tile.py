"""A real weight tile through an emitted design: DRAFT, VERIFY, and the mode changing on every tile.

The weights are packed as a user would pack them; activations are real too. Results are compared bit
for bit with the golden model, cycles are counted by the monitors in simulation.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from speq.formats import Family, decode, family, from_planes
from speq.formats.codec import draft_codes
from speq.formats.packing import pack
from speq.parameters import Parameters
from speq_sim.benches.cases import STREAMS, Case
from speq_sim.benches.finding import find_simulator
from speq_sim.benches.payload import Design
from speq_sim.benches.running import SEED, Playback, play
from speq_sim.benches.simulators import SimulationError
from speq_sim.benches.stimuli import case_of
from speq_sim.jobs import Job

__all__ = ["PackedTile", "cut", "read", "simulate"]

ROWS = 16
"""Rows of a real tile that are simulated, unless the array has more: seconds, not minutes."""

CHANGES = 48
"""Tiles of each mode in the run that changes mode on every tile."""


@dataclasses.dataclass(frozen=True)
class PackedTile:
    """Packed weights and activations for them.

    Parameters
    ----------
    family : Family
        Code tables of the words.
    words : ndarray of uint16, N x K
        Packed weights.
    values : ndarray of float16, N x K
        The stored values that the words stand for.
    row_tables, row_exponents : ndarray of int, N
        Table and `t + r[n]` of each row.
    shifts : ndarray of int, K
        `-c[k]` of each column.
    activations : ndarray of float16, M x K
        One row per token.
    """

    family: Family
    words: NDArray[np.uint16]
    values: NDArray[np.float16]
    row_tables: NDArray[np.integer]
    row_exponents: NDArray[np.integer]
    shifts: NDArray[np.integer]
    activations: NDArray[np.float16]

    @classmethod
    def pack(
        cls, weights: NDArray[np.float16], activations: NDArray[np.float16], tables: Family
    ) -> "PackedTile":
        """Pack FP16 weights N x K for activations M x K.

        Raises
        ------
        ValueError
            If the weights can only be stored plain.
        """
        packed = pack(weights, tables)
        if packed.is_plain:
            raise ValueError(
                f"the tile cannot be drafted ({packed.reason}): take another tile or family"
            )
        words = from_planes(packed.planes)
        return cls(
            family=tables,
            words=words,
            values=decode(words, tables, packed.tables).view(np.float16),
            row_tables=packed.tables.astype(np.int64),
            row_exponents=packed.scale.row_exponents,
            shifts=-packed.scale.columns.astype(np.int64),
            activations=activations,
        )

    def job(self, mode: str, rows: slice = slice(None), depth: slice = slice(None)) -> Job:
        """The product of some rows and inputs in a mode."""
        rest = (
            self.activations[:, depth],
            self.family,
            self.row_tables[rows],
            self.shifts[depth],
            self.row_exponents[rows],
        )
        if mode == "draft":
            return Job.draft(draft_codes(self.words[rows, depth]), *rest)
        return Job.packed(self.values[rows, depth], *rest)

    def plain_job(self, rows: slice = slice(None), depth: slice = slice(None)) -> Job:
        """The same product for a design without a decoder, of unpacked weights."""
        power = self.row_exponents[rows, None].astype(int) - self.shifts[None, depth]
        weights = np.ldexp(self.values[rows, depth].astype(np.float64), -power)
        return Job.plain(weights.astype(np.float16), self.activations[:, depth])


def simulate(
    parameters: Parameters,
    verilog: Path,
    side_car: Path,
    tile: PackedTile,
    folder: Path,
    *,
    modes: Sequence[str] | None = None,
    simulator: str | None = None,
    seed: int = SEED,
    waves: bool = False,
) -> dict[str, Any]:
    """Simulate an emitted design on a real tile.

    Parameters
    ----------
    parameters : Parameters
        The design point that was emitted.
    verilog, side_car : Path
        The emitted design.
    tile : PackedTile
        Weights and activations; :func:`read` cuts one that takes seconds.
    folder : Path
        Where everything of the simulation is written.
    modes : sequence of str, optional
        Runs to make: ``"draft"``, ``"verify"``, ``"changing"`` (with its control ``"grouped"``: the
        same tiles, all of DRAFT first); by default all that the design has.
    simulator, seed, waves
        See :func:`speq_sim.benches.running.play`.

    Returns
    -------
    dict
        ``bit_exact`` (of all runs), ``error`` (None, or what differed first), ``simulator``,
        ``waveform``, ``tile`` (rows, columns and tokens) and ``runs``: per run ``bit_exact``,
        ``tiles``, ``results``, ``macs``, ``cycles`` (from the first beat to the last),
        ``macs_per_cycle``, ``peak_macs_per_cycle``, ``activation_port_busy`` (fraction of those
        cycles) and ``total_cycles`` (from the first transfer to the last result). Of
        ``"changing"`` also ``cycles_lost_to_mode_changes``: how much longer it took than
        ``"grouped"``.

    Raises
    ------
    SimulatorError
        If there is no simulator.
    """
    design = Design.load(side_car)
    runs = _runs(parameters, tile, modes)
    cases = [case_of(name, design, parameters, jobs) for name, jobs in runs.items()]
    chosen = find_simulator(simulator)
    result = {
        "bit_exact": True,
        "error": None,
        "simulator": f"{chosen.name} {chosen.version}",
        "waveform": None,
        "tile": {
            "rows": tile.words.shape[0],
            "columns": tile.words.shape[1],
            "tokens": tile.activations.shape[0],
        },
    }
    options = {"simulator": simulator, "seed": seed, "waves": waves}
    try:
        played = play(verilog, side_car, cases, folder, **options)
    except SimulationError as failure:
        failed = {name.partition("=")[2]: text for name, text in failure.failures}
        if not failed:
            raise
        figures = {name: {"bit_exact": name not in failed} for name in runs}
        error = "; ".join(f"{name}: {text}" for name, text in failed.items())
        return result | {"bit_exact": False, "error": error, "runs": figures}
    figures = {case.name: _figures(parameters, case, runs[case.name], played) for case in cases}
    if "changing" in figures:
        lost = figures["changing"]["cycles"] - figures["grouped"]["cycles"]
        figures["changing"]["cycles_lost_to_mode_changes"] = lost
    waveform = str(played.run.waveform) if played.run.waveform else None
    return result | {"waveform": waveform, "runs": figures}


def read(path: Path, parameters: Parameters) -> PackedTile:
    """Read a tile, pack it whole for a design, and cut out what is simulated.

    Parameters
    ----------
    path : Path
        A safetensors file with ``weight`` [N, K] and ``activations`` [M, K], both FP16, such as
        those of ``tests/data``.
    parameters : Parameters
        Names the family, and how many rows and tokens are taken: the first :data:`ROWS` or R rows,
        and as many tokens as the design serves at once.

    Raises
    ------
    ValueError
        If the file is not such a tile, or can only be stored plain.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from None
    missing = sorted({"weight", "activations"} - set(tensors))
    if missing:
        raise ValueError(f"{path} holds no tensor {missing[0]!r}: take a tile of tests/data")
    whole = PackedTile.pack(tensors["weight"], tensors["activations"], family(parameters.family))
    return cut(whole, max(ROWS, parameters.rows), parameters.tokens)


def cut(tile: PackedTile, rows: int, tokens: int) -> PackedTile:
    """The first `rows` rows and the first `tokens` tokens of a tile."""
    return dataclasses.replace(
        tile,
        words=tile.words[:rows],
        values=tile.values[:rows],
        row_tables=tile.row_tables[:rows],
        row_exponents=tile.row_exponents[:rows],
        activations=tile.activations[:tokens],
    )


def _runs(
    parameters: Parameters, tile: PackedTile, modes: Sequence[str] | None
) -> dict[str, list[Job]]:
    if not parameters.drafts:
        runs = {"verify": [tile.plain_job()]}
    else:
        runs = {mode: [tile.job(mode)] for mode in ("draft", "verify")}
        blocks = _blocks(parameters, tile)
        runs["changing"] = [job for pair in zip(*blocks, strict=True) for job in pair]
        runs["grouped"] = [job for jobs in blocks for job in jobs]
    unknown = sorted(set(modes or ()) - set(runs))
    if unknown:
        raise ValueError(
            f"run {unknown[0]!r} is not one of design {parameters.name!r}: use {', '.join(runs)}"
        )
    wanted = set(runs if modes is None else modes)
    wanted |= {"grouped"} & set(runs) if "changing" in wanted else set()
    return {name: jobs for name, jobs in runs.items() if name in wanted}


def _blocks(parameters: Parameters, tile: PackedTile) -> tuple[list[Job], list[Job]]:
    """Equally many blocks of the tile, one array tile each, in DRAFT and in VERIFY."""
    down, across = tile.words.shape
    drafts, verifies = (
        [
            tile.job(
                mode,
                slice(row, row + parameters.rows),
                slice(start, start + parameters.tile_depth(mode)),
            )
            for row in range(0, down, parameters.rows)
            for start in range(0, across, parameters.tile_depth(mode))
        ]
        for mode in ("draft", "verify")
    )
    count = min(len(drafts), len(verifies), CHANGES)
    return drafts[:count], verifies[:count]


def _figures(
    parameters: Parameters, case: Case, jobs: Sequence[Job], played: Playback
) -> dict[str, Any]:
    streams = played.cases[case.name]["streams"]
    cycles = played.span(case.name, "activations")
    # Padded rows and columns keep elements busy, but are no work.
    macs = sum(job.tokens * job.outputs * job.depth for job in jobs)
    beats = [_beats(parameters, job) for job in jobs]
    peaks = [parameters.peak_macs_per_cycle(job.mode) for job in jobs]
    first = min(streams[name]["first_cycle"] for name in STREAMS)
    return {
        "bit_exact": True,
        "tiles": streams["tiles"]["transfers"],
        "results": streams["results"]["transfers"] * parameters.rows,
        "macs": macs,
        "cycles": cycles,
        "macs_per_cycle": round(macs / cycles, 3),
        "peak_macs_per_cycle": round(float(np.average(peaks, weights=beats)), 3),
        "activation_port_busy": round(streams["activations"]["transfers"] / cycles, 4),
        "total_cycles": streams["results"]["last_cycle"] - first + 1,
    }


def _beats(parameters: Parameters, job: Job) -> int:
    down = -(-job.outputs // parameters.rows)
    across = -(-job.depth // parameters.tile_depth(job.mode))
    return down * across * parameters.compute_cycles(job.mode, job.tokens)
