"""Cycles of a job of the accelerator, as a closed formula.

The formula follows the unit's structure (docs/accelerator.md, docs/architecture.md), with NT output
tiles of T tiles each, G transfers of the weight port and ``tokens * beats`` beats of activations a
tile, and P the longer of both. Everything overlaps that can:

* The first tile begins when its words are loaded and the packet of activations is in the buffer.
  Words come behind the S beats of column shifts and the H of the first records; where planes are
  joined, also behind the first beat of the plane that is fetched last.
* Then a tile takes P cycles. Records take H more between output tiles, of which the two tiles that
  the array holds, one at work and one loaded, hide what loading is ahead.
* Results of an output tile leave while the next is computed, which waits if they take longer.

Memory answers without waiting, one beat per cycle; ``latency`` is that of its first beat alone.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

from speq.parameters import Parameters
from speq_sim.performance.checks import check_count
from speq_sim.performance.unit_shape import JobShape, job_shape

__all__ = ["UnitCycles", "chain_cycles", "unit_cycles"]

# The four that follow are measured in simulation, and do not depend on the design.

_FETCH_CYCLES = 8
"""From a job in the queue to the first word at the weight port, without the memory's latency and
what lies before that word: the fetch queue, preparing a burst, its address, the plane's FIFO."""

_SWAP_CYCLES = 1
"""From a tile's last words to its first beat (docs/architecture.md, Latency)."""

_BUFFER_CYCLES = 4
"""From a job in the queue to the first beat, without the packet: the load queue, from the last
write to the player, the memory's register and that of the ordered beat."""

_RESULT_CYCLES = 1
"""Of a result in its FIFO, behind the stages of the array (:attr:`Parameters.stages`)."""

_TURNS = 4
"""Of so many bursts of a VERIFY job one is of the draft plane: draft, low, middle, low. Its beats
last for as many words."""


@dataclasses.dataclass(frozen=True)
class UnitCycles:
    """What a job by itself takes, from the cycle in which it is queued to its last result.

    Attributes
    ----------
    activations : int
        Cycles in which the first tile, loaded, waits for the rest of the packet.
    headers : int
        Column shifts and row records: the memory port is busy, the weight port is not. Without
        those that computing hides.
    tiles : int
        All tiles at P cycles each, and waiting for results to leave, if any.
    fixed : int
        Fetching the first words, filling and draining the array, the last results; waiting for a
        burst of the draft plane at the end.
    bound : str
        What sets the pace of tiles: ``"load"``, ``"compute"``, or ``"results"``: sending results.
    beats : int
        AXI beats that are read, exactly.
    words : int
        Transfers of the weight port, exactly.
    packet : int
        Cycles to load the packet, 0 if activations are kept.
    start : int
        Cycle of the first beat into the array.
    lead : int
        Beats of shifts and records before the first words, S + H; they are in `headers`.
    ahead : int
        Beats that were fetched ahead of the words when the first tile begins.
    prefetch : int
        Behind another job: beats of other planes that come before the first of the draft plane,
        whose turn it was last.
    late : int
        The same: cycles that words wait for later bursts of the draft plane if they begin as soon
        as they can.
    """

    activations: int
    headers: int
    tiles: int
    fixed: int
    bound: str
    beats: int
    words: int
    packet: int
    start: int
    lead: int
    ahead: int
    prefetch: int
    late: int

    @property
    def total(self) -> int:
        """All cycles."""
        return self.activations + self.headers + self.tiles + self.fixed


@functools.lru_cache(maxsize=1 << 16)
def unit_cycles(
    parameters: Parameters,
    outputs: int,
    inputs: int,
    mode: str,
    tokens: int,
    *,
    plain: bool = False,
    keep: bool = False,
    latency: int = 1,
) -> UnitCycles:
    """Cycles of one job by itself.

    Parameters
    ----------
    parameters : Parameters
        The design, an accelerator.
    outputs, inputs : int
        N and K of the matrix.
    mode : str
        One of the design's modes.
    tokens : int
        M, 1 to ``parameters.tokens``.
    plain : bool
        The words are FP16 patterns; VERIFY only. In an FP16-only design they always are.
    keep : bool
        The activations are in the buffer.
    latency : int
        Cycles from a burst's request to its first beat, 1 or more. Later bursts are asked for early
        enough if ``outstanding * longest_burst`` covers it.

    Raises
    ------
    ParameterError
        If the design is no accelerator, has no such mode, or its buffer does not hold the inputs.
    speq_sim.decoding.ModelError
        If a number is out of range.
    """
    check_count("latency", latency, 1, 1 << 20)
    p, shape = parameters, job_shape(parameters, outputs, inputs, mode, tokens, plain)
    groups = -(-inputs // p.group_inputs)
    packet = 0 if keep else tokens * groups * p.group_inputs // p.port_words
    lead = shape.shifts + shape.records
    first_word = max(lead, _fetched_before(p, shape))
    loaded = _FETCH_CYCLES + latency + first_word - 1 + shape.load + _SWAP_CYCLES
    # Activations enter the first of two stages of the columns before a tile is there.
    ahead = p.stages["columns"] - 1
    start = max(loaded, _BUFFER_CYCLES + packet + ahead)

    by_tiles = shape.tiles * shape.pace + shape.record_cycles
    waiting = max(0, tokens * shape.results - by_tiles)
    records = shape.records + (shape.output_tiles - 1) * shape.record_cycles
    tiles = shape.output_tiles * shape.tiles * shape.pace + (shape.output_tiles - 1) * waiting
    drain = (
        sum(p.stages.values())
        - ahead
        + _RESULT_CYCLES
        + max(shape.token_beats + tokens * shape.results, shape.compute + shape.results)
    )
    # The first tile is loaded before there is one to compute, the last has no other to load.
    fill = loaded - lead - shape.pace
    period = by_tiles + waiting
    bound = "load" if shape.load >= shape.compute else "compute"
    return UnitCycles(
        activations=start - loaded,
        headers=shape.shifts + records,
        tiles=tiles,
        fixed=fill + drain + _late_draft(p, shape, first_word + start - loaded, period),
        bound="results" if waiting and shape.output_tiles > 1 else bound,
        beats=shape.draft + shape.middle + shape.low,
        words=shape.output_tiles * shape.tiles * shape.load,
        packet=packet,
        start=start,
        lead=lead,
        ahead=first_word - lead + start - loaded,
        prefetch=_fetched_behind(p, shape),
        late=_late_draft(p, shape, lead, period),
    )


def chain_cycles(jobs: Sequence[UnitCycles]) -> int:
    """Cycles of jobs one behind the other, each queued before the one before has ended.

    Weights of the next job are fetched and its packet is loaded while the one before works, so that
    a job adds its `tiles` and `headers`. It adds more if its packet takes longer than that, for
    which one of the two buffers must be free; or if it joins planes behind a job that took every
    beat as it came, so that nothing is there ahead. Headers at a job's start are counted in full,
    though a compute-bound job before hides some of them.

    Raises
    ------
    ValueError
        If there is no job.
    """
    if not jobs:
        raise ValueError("there are no jobs: give one or more")
    first, last = jobs[0], jobs[-1]
    here, loaded = first.start, _BUFFER_CYCLES + first.packet
    starts = [here]  # of jobs with packets
    ahead = first.ahead + _gained(first)
    for before, job in itertools.pairwise(jobs):
        here += _behind_start(before) + job.lead
        if job.packet:
            freed = starts[-1] if len(starts) > 1 else 0
            loaded = max(loaded, freed) + job.packet
            ahead += max(0, loaded - here)
            here = max(here, loaded)
            starts.append(here)
        if ahead < job.prefetch:
            here += job.prefetch - ahead + (0 if job is last else job.late)
            ahead = job.prefetch
        ahead += _gained(job)
    return here + last.total - last.start


def _gained(job: UnitCycles) -> int:
    """Cycles of a job's tiles in which its weight port waits, so that fetching gets ahead."""
    return job.tiles - job.words


def _behind_start(job: UnitCycles) -> int:
    """Cycles from a job's first beat to where the next job's could be, but for its headers."""
    return job.tiles + job.headers - job.lead


def _fetched_before(p: Parameters, shape: JobShape) -> int:
    """Beats before the first of the plane that is fetched last: a burst of each of the others."""
    if not shape.middle:
        return 0
    return min(p.longest_burst, shape.draft) + min(p.longest_burst, shape.low)


def _fetched_behind(p: Parameters, shape: JobShape) -> int:
    """Beats of other planes where the draft plane is last to have its turn: low, middle, low."""
    burst = p.longest_burst
    return min(2 * burst, shape.low) + min(burst, shape.middle)


def _late_draft(p: Parameters, shape: JobShape, origin: int, output_tile_cycles: int) -> int:
    """Cycles that VERIFY waits for late bursts of the draft plane.

    Planes take turns burst by burst, the draft plane one of four, which is its share of the weights
    alone. Its headers make its bursts later and later, until the low plane's FIFO is full: then
    turns are skipped, and it falls back no more. MIDDLE's other FIFO is full from the start.

    Parameters
    ----------
    origin : int
        When the first word is taken, counted from the first beat of memory.
    output_tile_cycles : int
        What an output tile takes.
    """
    if not shape.low:
        return 0
    burst, total = p.longest_burst, shape.draft + shape.middle + shape.low
    tile_beats = shape.middle // shape.output_tiles
    last = (shape.draft - 1) // burst
    late = 0
    for number in {1, last - 1, last}:
        if not 0 < number <= last:
            continue
        beat = number * burst
        arrives = _TURNS * beat
        if number == last:  # the other planes may have ended
            arrives = min(arrives, total - (shape.draft - beat))
        output_tile, place = divmod(beat - shape.shifts, shape.records + tile_beats)
        words = _TURNS * max(0, place - shape.records)
        wanted = origin + output_tile * output_tile_cycles + words * shape.pace // shape.load
        late = max(late, arrives - wanted)
    # With `full` bursts more taken from memory than used, all places of the low FIFO are taken or
    # asked for: half of what was taken and of the bursts under way is of the low plane.
    full = 2 * (max(p.outstanding, 4) - 1) - p.outstanding
    return min(late, burst * max(full - 1, 1))
