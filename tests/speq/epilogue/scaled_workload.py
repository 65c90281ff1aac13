"""Design points of the scaled array, whole layers for them, and what must come out."""

import dataclasses
import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from speq.formats import quantise_int4
from speq.modes import INTEGER_MODES
from speq.parameters import MODES, Parameters
from speq_sim.benches.payload import Design, integers
from speq_sim.benches.stimuli import random_job
from speq_sim.golden import quantise_activations, scale_results
from speq_sim.jobs import Job, expected
from speq_sim.tiling import Schedule

Float32 = NDArray[np.float32]
Groups = list[Job]

QSPEC = ("verify", "qdraft", "qverify")


@dataclasses.dataclass(frozen=True)
class Point:
    """A scaled array: its parameters and the choices of :class:`speq.scaled_array.ScaledArray`."""

    parameters: Parameters
    lanes: int
    groups: bool
    queue: int | None = None

    @property
    def parts(self) -> int:
        """P = R/E."""
        return self.parameters.rows // self.lanes


def _point(
    name: str, shape: tuple[int, int, int], lanes: int, groups: bool, **options: object
) -> Point:
    """`shape` is R, C and W."""
    rows, columns, words = shape
    queue = options.pop("queue", None)
    options = {"modes": MODES, "result_format": "fp16"} | options
    parameters = Parameters(name=name, rows=rows, columns=columns, port_words=words, **options)
    return Point(parameters, lanes, groups, queue)


DESIGNS = {
    point.parameters.name: point
    for point in (
        _point("one_lane", (4, 2, 2), 1, False, tokens=6),
        _point("two_lanes", (4, 3, 3), 2, True, tokens=4, draft_lanes=2, queue=0),
        _point("whole_rows", (4, 2, 1), 4, True, tokens=1, modes=QSPEC, result_format="fp32"),
        _point("three_of_six", (6, 2, 1), 3, True, tokens=4, draft_lanes=1, result_format="fp32"),
        _point("one_lane_groups", (4, 2, 1), 1, True, tokens=2, draft_activations="bfp12"),
        _point("only_verify", (3, 2, 2), 3, False, tokens=2, modes=("verify",)),
    )
}
"""E of 1, 2, R and between, with and without groups and a queue, every L, one token, all modes,
QSpec's, and FP16-only."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """A job of the epilogue: what its token scales serve.

    Parameters
    ----------
    tiles : list of lists of Job
        For each output tile, R rows in each group of inputs.
    row_scales : list of NDArray
        For each output tile, R x G.
    token_scales : NDArray
        m of them.
    """

    tiles: list[Groups]
    row_scales: list[Float32]
    token_scales: Float32


def random_of(*labels: object) -> np.random.Generator:
    """A source of random numbers that depends on the labels alone."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, labels)).encode()))


def layer(
    random: np.random.Generator,
    point: Point,
    mode: str,
    *,
    tokens: int | None = None,
    tiles: int | None = None,
    depth: int | None = None,
) -> Layer:
    """A random layer of one mode; what is not given is drawn.

    INT4 layers are quantised from real-valued weights and activations, per token in QDRAFT. The
    others have no token scales, and DRAFT alone has a scale of rows, alpha.
    """
    parameters = point.parameters
    tokens = tokens or int(random.integers(1, parameters.tokens + 1))
    outputs = parameters.rows * (tiles or int(random.integers(1, 4)))
    depth = depth or int(random.integers(1, 3 * parameters.tile_depth(mode)))
    if mode in INTEGER_MODES:
        return _integer_layer(random, point, mode, (tokens, outputs, depth))
    job = random_job(random, parameters, mode, tokens=tokens, outputs=outputs, depth=depth)
    ones = np.ones(tokens, np.float32)
    alpha = random.uniform(0.5, 2, (outputs, 1)) if mode == "draft" else np.ones((outputs, 1))
    return _layer(point, [job], alpha.astype(np.float32), ones)


def mixed_layer(random: np.random.Generator, point: Point, count: int) -> Layer:
    """A job of `count` output tiles in one tile of the array each, in a mode unlike the last."""
    parameters, modes = point.parameters, point.parameters.modes
    tokens = int(random.integers(1, parameters.tokens + 1))
    parts = [
        layer(
            random,
            point,
            mode,
            tokens=tokens,
            tiles=1,
            depth=int(random.integers(1, parameters.tile_depth(mode) + 1)),
        )
        for mode in (modes[index % len(modes)] for index in range(count))
    ]
    scales = random.normal(size=tokens).astype(np.float32)
    return Layer([p.tiles[0] for p in parts], [p.row_scales[0] for p in parts], scales)


def _integer_layer(
    random: np.random.Generator, point: Point, mode: str, shape: tuple[int, int, int]
) -> Layer:
    tokens, outputs, depth = shape
    # Groups of 4 inputs and more: some fill no tile, some several.
    group = 4 * int(random.integers(1, 5)) if point.groups and random.random() < 0.8 else 0
    spread = np.exp2(random.integers(-6, 7, (outputs, 1)))
    weights = (random.standard_normal((outputs, depth)) * spread).astype(np.float16)
    tensor = quantise_int4(weights, group)
    activations = random.standard_normal((tokens, depth)) * np.exp2(random.integers(-4, 5))
    activations = activations.astype(np.float16)
    scales = np.ones(tokens, np.float16)
    if mode == "qdraft":
        activations, scales = quantise_activations(activations)
    places = [slice(first, first + (group or depth)) for first in range(0, depth, group or depth)]
    jobs = [
        Job.integer(
            tensor.nibbles[:, place], activations[:, place].copy(), verify=mode == "qverify"
        )
        for place in places
    ]
    row_scales = tensor.scale.astype(np.float32).reshape(outputs, len(places))
    return _layer(point, jobs, row_scales, scales.astype(np.float32))


def _layer(point: Point, jobs: Groups, row_scales: Float32, token_scales: Float32) -> Layer:
    """Cut the matrices of all groups into output tiles."""
    step = point.parameters.rows
    tiles = [slice(row, row + step) for row in range(0, len(row_scales), step)]
    return Layer(
        [[_rows(job, rows) for job in jobs] for rows in tiles],
        [row_scales[rows] for rows in tiles],
        token_scales,
    )


def _rows(job: Job, rows: slice) -> Job:
    return dataclasses.replace(
        job,
        codes=job.codes[rows],
        values=None if job.values is None else job.values[rows],
        row_exponents=job.row_exponents[rows],
        row_tables=job.row_tables[rows],
    )


def results_of(point: Point, work: Layer) -> list[NDArray[np.floating]]:
    """What the golden models give of each output tile, m x R."""
    exact = point.parameters.replace(result_format="fp32")
    return [
        scale_results(
            np.stack([expected(job, exact) for job in jobs]),
            scales,
            work.token_scales,
            point.parameters.result_format,
        )
        for jobs, scales in zip(work.tiles, work.row_scales, strict=True)
    ]


def transfers(point: Point, design: Design, layers: Iterable[Layer]) -> dict[str, list[int]]:
    """Payloads of all seven streams for layers one after the other."""
    layers = list(layers)
    schedule = Schedule(
        point.parameters, [job for work in layers for jobs in work.tiles for job in jobs]
    )
    columns = {name: getattr(schedule, name)() for name in ("tiles", "weights", "activations")}
    columns["tokens"] = _joined(_tokens(work) for work in layers)
    columns["outputs"] = _joined(_outputs(work) for work in layers)
    columns["scales"] = {"values": np.concatenate([_scales(point, work) for work in layers])}
    columns["results"] = _joined(_results(point, work) for work in layers)
    return {
        name: integers(stream.pack({field: columns[name][field] for field in stream.fields}))
        for name, stream in design.streams.items()
    }


def _tokens(work: Layer) -> dict[str, NDArray]:
    number = np.arange(len(work.token_scales))
    last = number == len(number) - 1
    return {"token": number, "value": _bits(work.token_scales), "last": last}


def _outputs(work: Layer) -> dict[str, NDArray]:
    counts = [len(jobs) for jobs in work.tiles]
    group = np.concatenate([np.arange(count) for count in counts])
    last = np.repeat(counts, counts) - 1 == group
    end = np.repeat(np.arange(len(counts)), counts) == len(counts) - 1
    # But in the last group it must not matter.
    return {"first_group": group == 0, "last_group": last, "end": np.where(last, end, group % 2)}


def _scales(point: Point, work: Layer) -> NDArray:
    return np.concatenate([_bits(s.T.copy()).reshape(-1, point.lanes) for s in work.row_scales])


def _results(point: Point, work: Layer) -> dict[str, NDArray]:
    tokens, tiles = len(work.token_scales), len(work.tiles)
    number = np.tile(np.repeat(np.arange(tokens), point.parts), tiles)
    values = _bits(np.concatenate(results_of(point, work))).reshape(-1, point.lanes)
    return {"values": values, "token": number, "last": number == tokens - 1}


def _bits(values: NDArray[np.floating]) -> NDArray[np.int64]:
    values = np.ascontiguousarray(values)
    return values.view(f"u{values.itemsize}").astype(np.int64)


def _joined(parts: Iterable[dict[str, NDArray]]) -> dict[str, NDArray]:
    listed = list(parts)
    return {name: np.concatenate([part[name] for part in listed]) for name in listed[0]}
