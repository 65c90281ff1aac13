"""Jobs of the activation buffer, and a model of the beats that they must give.

The model is written from docs/accelerator.md and docs/numerics.md, in whole matrices.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from stream_bench import Packer

from speq.accelerator.layouts import load_job, packet_stream, play_job, shift_stream
from speq.layouts import Mode, payload_shape
from speq.parameters import Parameters


@dataclasses.dataclass
class PlayedJob:
    """One job.

    Attributes
    ----------
    mode : str
    values : NDArray
        M x K patterns; of the job before if it keeps them.
    shifts : NDArray or None
        K numbers; None for a plain job.
    """

    mode: str
    values: NDArray[np.int64]
    shifts: NDArray[np.int64] | None
    output_tiles: int
    keep: bool = False

    @property
    def tokens(self) -> int:
        return self.values.shape[0]

    @property
    def inputs(self) -> int:
        return self.values.shape[1]

    def groups(self, parameters: Parameters) -> int:
        return -(-self.inputs // parameters.group_inputs)


def random_played(
    random: np.random.Generator, parameters: Parameters, count: int, keeps: float = 0.3
) -> list[PlayedJob]:
    """Jobs of random shapes; some keep the activations of the job before."""
    jobs: list[PlayedJob] = []
    room = parameters.activation_values // parameters.group_inputs
    for _ in range(count):
        mode = str(random.choice(parameters.modes))
        keep = bool(jobs) and random.random() < keeps
        if keep:
            values = jobs[-1].values
        else:
            tokens = int(random.integers(1, min(parameters.tokens, room) + 1))
            inputs = int(random.integers(1, room // tokens * parameters.group_inputs + 1))
            values = random.integers(0, 1 << 16, (tokens, inputs))
        plain = not parameters.packs or (mode == "verify" and random.random() < 0.4)
        shifts = None if plain else random.integers(0, 16, values.shape[1])
        jobs.append(PlayedJob(mode, values, shifts, int(random.integers(1, 4)), keep))
    return jobs


def loads(parameters: Parameters, jobs: list[PlayedJob]) -> Iterator[int]:
    packer = Packer(load_job(parameters))
    for job in jobs:
        yield packer.pack(
            keep=job.keep,
            last_token=job.tokens - 1,
            inputs=job.inputs,
            groups=job.groups(parameters),
        )


def plays(parameters: Parameters, jobs: list[PlayedJob]) -> Iterator[int]:
    packer = Packer(play_job(parameters))
    for job in jobs:
        yield packer.pack(
            keep=job.keep,
            last_token=job.tokens - 1,
            groups=job.groups(parameters),
            mode=Mode[job.mode.upper()].value,
            plain=parameters.packs and job.shifts is None,
            output_tiles=job.output_tiles,
        )


def packet(random: np.random.Generator, parameters: Parameters, job: PlayedJob) -> list[int]:
    """Transfers of a job's packet; what fills the last of each token is random."""
    words = parameters.port_words
    beats = -(-job.inputs // words)
    filled = random.integers(0, 1 << 16, (job.tokens, beats * words))
    filled[:, : job.inputs] = job.values
    packer = Packer(payload_shape(packet_stream(parameters)))
    transfers = [joined(row, 16) for row in filled.reshape(-1, words)]
    last = len(transfers) - 1
    return [packer.pack(data=data, last=n == last) for n, data in enumerate(transfers)]


def packets(
    random: np.random.Generator, parameters: Parameters, jobs: list[PlayedJob]
) -> Iterator[int]:
    for job in jobs:
        if not job.keep:
            yield from packet(random, parameters, job)


def shifts(parameters: Parameters, jobs: list[PlayedJob]) -> Iterator[int]:
    packer = Packer(payload_shape(shift_stream(parameters)))
    for job in jobs:
        if job.shifts is None:
            continue
        rows = padded(job.shifts, parameters).reshape(-1, 4 * parameters.port_words)
        for number, row in enumerate(rows.tolist()):
            yield packer.pack(shifts=row, last=number == len(rows) - 1)


UNUSED = -1
"""Input of a place of a beat that the array does not look at."""


def beats(
    parameters: Parameters, job: PlayedJob
) -> Iterator[tuple[list[int | None], list[int | None]]]:
    """Values and shifts of each beat, up to the last place that is used; None where one is not."""
    values = padded(job.values, parameters)
    offsets = np.zeros(job.inputs, int) if job.shifts is None else job.shifts
    offsets = padded(offsets, parameters)
    for _ in range(job.output_tiles):
        for group in range(job.groups(parameters)):
            first = group * parameters.group_inputs
            for tile in tiles(parameters, job.mode):
                for token in range(job.tokens):
                    for places in tile:
                        yield (
                            [
                                None if k == UNUSED else int(values[token, first + k])
                                for k in places
                            ],
                            [None if k == UNUSED else int(offsets[first + k]) for k in places],
                        )


def tiles(parameters: Parameters, mode: str) -> list[list[list[int]]]:
    """For each tile of a group, for each beat of a token: the input of each place."""
    columns, lanes = parameters.columns, parameters.lanes
    row = columns * lanes
    quarters = [
        [quarter // lanes * row + column * lanes + quarter % lanes for column in range(columns)]
        for quarter in range(parameters.group_tiles)
    ]
    rows = [list(range(first, first + row)) for first in range(0, parameters.group_inputs, row)]
    if mode == "verify":
        return [[quarter] for quarter in quarters]
    if mode == "middle":
        return [quarters[:2], quarters[2:]]
    if mode == "qverify" and lanes == 4:
        return [[_pairs(columns, half) for half in range(2)]]
    return [rows]


def _pairs(columns: int, half: int) -> list[int]:
    """The first or the second two of each column's four inputs, in the first two of its places."""
    places = [[4 * column + 2 * half, 4 * column + 2 * half + 1] for column in range(columns)]
    return [k for pair in places for k in (*pair, UNUSED, UNUSED)]


def padded(values: NDArray[np.int64], parameters: Parameters) -> NDArray[np.int64]:
    """With zeros up to whole groups along the last axis."""
    extra = -values.shape[-1] % parameters.group_inputs
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, extra)])


def joined(values: NDArray[np.int64], bits: int) -> int:
    return sum(int(value) << bits * place for place, value in enumerate(values))
