"""Switching activity of a mapped netlist that works on a real tile, in one mode.

Up to 64 blocks of the tile run side by side, each with outputs and tokens of its own, on netlists
that start from reset. Weights and activations are offered in every cycle and results are taken in
every cycle; each run's results are compared with the golden model, so what is counted is the
netlist doing its work.

A run has three products: a short one, the one that is counted, and a short one again. Counting is
from the first beat of the middle one to the first beat of the last: in it the results of the
product before leave and the weights of the product behind are loaded, as in steady state.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from speq.modes import INTEGER_MODES
from speq.parameters import Parameters
from speq.synthesis.gates import Gates
from speq_sim.benches.cases import INPUTS, STREAMS
from speq_sim.benches.gate_level import LANES, GateSimulator
from speq_sim.benches.packed_tile import PackedTile
from speq_sim.benches.payload import Design
from speq_sim.benches.stimuli import job_payloads
from speq_sim.jobs import Job

__all__ = ["Activity", "ActivityError", "Run", "measure_activity", "runs_of"]

PATIENCE = 200
"""Cycles without a transfer after which a run is given up."""


class ActivityError(RuntimeError):
    """The netlist stopped, or its results are wrong: its activity means nothing."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What one of the runs does: a product before, the one that is counted, and one behind."""

    before: Job
    counted: Job
    behind: Job


@dataclasses.dataclass(frozen=True)
class Activity:
    """What was counted, of all runs together.

    Parameters
    ----------
    mode : str
        The mode.
    tokens : int
        M, tokens of a tile.
    cycles : int
        Cycles counted.
    macs : int
        Multiply-accumulates begun in them.
    words : int
        16-bit weight words loaded in them.
    results : int
        Results of one row that left in them.
    toggles, ones : ndarray of int, shape (nets,)
        How often each net changed from one cycle to the next, and in how many cycles it was 1.
    """

    mode: str
    tokens: int
    cycles: int
    macs: int
    words: int
    results: int
    toggles: NDArray[np.int64]
    ones: NDArray[np.int64]

    @property
    def activity(self) -> NDArray[np.float64]:
        """Changes per cycle of each net."""
        return self.toggles / self.cycles

    @property
    def duty(self) -> NDArray[np.float64]:
        """Part of the cycles in which each net is 1."""
        return self.ones / self.cycles


def runs_of(
    parameters: Parameters, tile: PackedTile, mode: str, tokens: int, *, limit: int = LANES
) -> list[Run]:
    """Runs on different outputs and tokens of a tile.

    Parameters
    ----------
    parameters : Parameters
        The design.
    tile : PackedTile
        Real weights and activations.
    mode : str
        A mode of the design.
    tokens : int
        M, tokens that share a tile.
    limit : int
        Most runs, 64 or fewer.

    Raises
    ------
    ValueError
        If the tile has not the outputs, inputs or tokens of one run.
    """
    outputs, inputs = tile.words.shape
    depth = inputs // parameters.tile_depth(mode) * parameters.tile_depth(mode)
    blocks = [
        (slice(row, row + parameters.rows), slice(token, token + tokens))
        for token in range(0, len(tile.activations) - tokens + 1, tokens)
        for row in range(0, outputs - parameters.rows + 1, parameters.rows)
    ]
    if not 1 <= tokens <= parameters.tokens or not blocks or not depth:
        raise ValueError(
            f"a tile of {outputs} x {inputs} weights and {len(tile.activations)} tokens does not "
            f"fill a run of {parameters.rows} x {parameters.tile_depth(mode)} with {tokens} of at "
            f"most {parameters.tokens} tokens: take a larger tile or fewer tokens"
        )
    short = slice(parameters.tile_depth(mode))
    return [
        Run(*(_job(parameters, tile, mode, rows, chosen, part) for part in (short, whole, short)))
        for rows, chosen in blocks[:limit]
        for whole in [slice(depth)]
    ]


def measure_activity(
    gates: Gates,
    design: Design,
    parameters: Parameters,
    runs: Sequence[Run],
    *,
    progress: Callable[[int], None] | None = None,
) -> Activity:
    """Simulate and count.

    Parameters
    ----------
    gates : Gates
        The netlist.
    design : Design
        Side-car of the design that was mapped.
    parameters : Parameters
        Its parameters.
    runs : sequence of Run
        At most 64, all of the same mode and shape.
    progress : callable, optional
        Called with the number of cycles done, now and then.

    Raises
    ------
    ActivityError
        If the netlist stops, a run falls out of step with the others, or a result differs from the
        golden model's.
    """
    player = _Player(GateSimulator(gates), design, parameters, runs)
    first = runs[0]
    before, counted = (_beats(parameters, job) for job in (first.before, first.counted))
    toggles, ones = np.zeros(gates.nets, np.int64), np.zeros(gates.nets, np.int64)
    mask = np.uint64(2 ** len(runs) - 1)
    counts = {name: 0 for name in STREAMS}
    cycles = 0
    previous = None
    while not player.done():
        moved = player.cycle()
        sent = player.sent["activations"]
        values = player.simulator.values[: gates.nets] & mask
        # `sent` is after this cycle's transfer: the counted product's first beat is before + 1.
        if before < sent <= before + counted:
            cycles += 1
            toggles += np.bitwise_count(values ^ previous)
            ones += np.bitwise_count(values)
            for name in STREAMS:
                counts[name] += moved[name]
        previous = values
        player.advance()
        if progress is not None and player.cycles % 16 == 0:
            progress(player.cycles)
    lanes = len(runs)
    job = first.counted
    return Activity(
        mode=job.mode,
        tokens=job.tokens,
        cycles=cycles * lanes,
        macs=job.tokens * job.outputs * job.depth * lanes,
        words=counts["weights"] * parameters.port_words * lanes,
        results=counts["results"] * parameters.rows * lanes,
        toggles=toggles,
        ones=ones,
    )


class _Player:
    """Four streams of all runs, which stay in step: their handshakes do not depend on data."""

    def __init__(
        self,
        simulator: GateSimulator,
        design: Design,
        parameters: Parameters,
        runs: Sequence[Run],
    ) -> None:
        self.simulator = simulator
        self.lanes = len(runs)
        payloads = [
            job_payloads(design, parameters, [run.before, run.counted, run.behind]) for run in runs
        ]
        self._payloads = {name: np.stack([p[name] for p in payloads]) for name in STREAMS}
        self._bits = {name: design.streams[name].bits for name in STREAMS}
        self.sent = dict.fromkeys(STREAMS, 0)
        self.cycles = 0
        self._idle = 0
        self._full = np.uint64(2**self.lanes - 1)
        self._reset()

    def done(self) -> bool:
        """Whether all results are there."""
        return self.sent["results"] == self._payloads["results"].shape[1]

    def cycle(self) -> Mapping[str, bool]:
        """Settle one cycle; which streams moved."""
        put, get = self.simulator.put, self.simulator.get
        offered = {}
        for name in INPUTS:
            index = self.sent[name]
            offered[name] = index < self._payloads[name].shape[1]
            if offered[name]:
                put(f"{name}__payload", self._words(name, index))
            put(f"{name}__valid", self._full if offered[name] else np.uint64(0))
        put("results__ready", self._full)
        self.simulator.settle()
        moved = {name: offered[name] and self._agreed(f"{name}__ready") for name in INPUTS}
        moved["results"] = self._agreed("results__valid")
        if moved["results"]:
            self._compare(get("results__payload"))
        for name, transfer in moved.items():
            self.sent[name] += transfer
        self._idle = 0 if any(moved.values()) else self._idle + 1
        if self._idle > PATIENCE:
            raise ActivityError(f"the netlist stopped after {self.cycles} cycles: {self.sent}")
        return moved

    def advance(self) -> None:
        """The clock's edge."""
        self.simulator.clock()
        self.cycles += 1

    def _reset(self) -> None:
        for name in INPUTS:
            self.simulator.put(f"{name}__valid", np.uint64(0))
        self.simulator.put("rst", self._full)
        for _ in range(2):
            self.simulator.settle()
            self.simulator.clock()
        self.simulator.put("rst", np.uint64(0))

    def _agreed(self, port: str) -> bool:
        value = self.simulator.get(port)[0] & self._full
        if value not in (0, self._full):
            raise ActivityError(f"{port} differs between runs in cycle {self.cycles}")
        return bool(value)

    def _words(self, name: str, index: int) -> NDArray[np.uint64]:
        return _transposed(self._payloads[name][:, index], self._bits[name])

    def _compare(self, found: NDArray[np.uint64]) -> None:
        wanted = self._words("results", self.sent["results"])
        if ((found ^ wanted) & self._full).any():
            raise ActivityError(
                f"result {self.sent['results']} of the netlist differs from the golden model"
            )


def _transposed(payloads: NDArray[np.uint8], bits: int) -> NDArray[np.uint64]:
    """For each bit of a payload a word of what it is in every run."""
    planes = np.unpackbits(payloads, axis=1, count=bits, bitorder="little")
    padded = np.zeros((LANES, bits), np.uint8)
    padded[: len(planes)] = planes
    return np.ascontiguousarray(np.packbits(padded.T, axis=1, bitorder="little")).view(np.uint64)[
        :, 0
    ]


def _job(
    parameters: Parameters,
    tile: PackedTile,
    mode: str,
    rows: slice,
    tokens: slice,
    depth: slice,
) -> Job:
    part = dataclasses.replace(tile, activations=tile.activations[tokens])
    if mode in INTEGER_MODES:
        return part.integer_job(mode, rows, depth)
    return part.job(mode, rows, depth) if parameters.packs else part.plain_job(rows, depth)


def _beats(parameters: Parameters, job: Job) -> int:
    tiles = -(-job.depth // parameters.tile_depth(job.mode))
    return tiles * parameters.compute_cycles(job.mode, job.tokens)
