"""Design points of the epilogue, random jobs for them, and what must come out."""

import dataclasses
import random
from collections.abc import Iterable

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data, stream
from numpy.typing import NDArray

from speq.epilogue.epilogue import Epilogue
from speq.epilogue.layouts import result_stream, scale_stream, token_stream, value_stream
from speq.parameters import Parameters
from speq_sim.golden.epilogue import scale_results

Float32 = NDArray[np.float32]


def _point(rows: int, tokens: int) -> Parameters:
    return Parameters(
        name="scaling", rows=rows, columns=4, port_words=4, tokens=tokens, modes=("verify",)
    )


DESIGNS = {
    "one_lane": (_point(2, 3), 1, False, "fp16"),
    "whole_rows": (_point(2, 4), 2, False, "fp32"),
    "one_number": (_point(1, 1), 1, False, "fp32"),
    "groups": (_point(4, 3), 2, True, "fp16"),
    "groups_of_threes": (_point(3, 3), 1, True, "fp32"),
    "groups_one_number": (_point(2, 1), 2, True, "fp32"),
}
"""Parameters, lanes, groups and result format."""


def epilogue(name: str) -> Epilogue:
    """The block of a design point."""
    return Epilogue(*DESIGNS[name])


@dataclasses.dataclass(frozen=True)
class Job:
    """Values (T x G x m x R: tiles, groups, tokens, rows) and scales of one job.

    `tokens` are the numbers of its tokens, `orders` the order in which each tile and group has
    them.
    """

    values: Float32
    row_scales: Float32
    token_scales: Float32
    tokens: list[int]
    orders: list[list[list[int]]]


def numbers(generator: np.random.Generator, shape: tuple[int, ...], spread: int) -> Float32:
    """Mostly numbers around one, sometimes any pattern at all."""
    near = generator.integers(127 - spread, 127 + spread, shape, dtype=np.uint32) << 23
    near |= generator.integers(0, 1 << 23, shape, dtype=np.uint32)
    near |= generator.integers(0, 2, shape, dtype=np.uint32) << 31
    other = generator.integers(0, 1 << 32, shape, dtype=np.uint32)
    return np.where(generator.random(shape) < 0.85, near, other).view(np.float32)


def random_job(name: str, seed: int, *, smooth: bool = False) -> Job:
    """A job of up to four tiles and five groups, if it has groups.

    It has any number of tokens, in another order in each tile and group; a smooth one has all of
    them, in the same order.
    """
    parameters, _, has_groups, _ = DESIGNS[name]
    generator, order = np.random.default_rng(seed), random.Random(seed)
    tiles = order.randint(1, 4)
    groups = order.randint(1, 5) if has_groups else 1
    used = parameters.tokens if smooth else order.randint(1, parameters.tokens)
    chosen = order.sample(range(parameters.tokens), used)

    def one_order() -> list[int]:
        return list(range(used)) if smooth else order.sample(range(used), used)

    return Job(
        values=numbers(generator, (tiles, groups, used, parameters.rows), 8),
        row_scales=numbers(generator, (tiles, groups, parameters.rows), 4),
        token_scales=numbers(generator, (used,), 20),
        tokens=chosen,
        orders=[[one_order() for _ in range(groups)] for _ in range(tiles)],
    )


def transfers(name: str, jobs: Iterable[Job]) -> dict[str, list[int]]:
    """Payloads of the three input streams, and of the results."""
    queues: dict[str, list[int]] = {"values": [], "scales": [], "tokens": [], "results": []}
    for job in jobs:
        _tokens(name, job, queues)
        for tile in range(len(job.values)):
            _tile(name, job, tile, queues)
    return queues


def _tokens(name: str, job: Job, queues: dict[str, list[int]]) -> None:
    signature = token_stream(DESIGNS[name][0])
    for number, (token, scale) in enumerate(zip(job.tokens, job.token_scales, strict=True)):
        last = number == len(job.tokens) - 1
        queues["tokens"].append(_packed(signature, token=token, value=_bits(scale), last=last))


def _tile(name: str, job: Job, tile: int, queues: dict[str, list[int]]) -> None:
    parameters, lanes, has_groups, result_format = DESIGNS[name]
    parameters = parameters.replace(result_format=result_format)
    parts = [slice(row, row + lanes) for row in range(0, parameters.rows, lanes)]
    groups = len(job.orders[tile])
    results = scale_results(
        job.values[tile], job.row_scales[tile].T.copy(), job.token_scales, result_format
    )
    for group, order in enumerate(job.orders[tile]):
        for part in parts:
            scales = _bits(job.row_scales[tile, group, part])
            queues["scales"].append(_packed(scale_stream(lanes), values=scales))
        for place, index in enumerate(order):
            common = {"token": job.tokens[index], "last": place == len(order) - 1}
            last_group = group == groups - 1
            flags = common | {
                # Without `last`, and but in the last group, it must not matter.
                "end": tile == len(job.orders) - 1 if last_group and common["last"] else index % 2,
                "first_group": group == 0,
                "last_group": last_group,
            }
            for part in parts:
                values = _bits(job.values[tile, group, index, part])
                signature = value_stream(parameters, lanes, has_groups)
                queues["values"].append(_packed(signature, values=values, **flags))
                if last_group:
                    values = _bits(results[index, part])
                    signature = result_stream(parameters, lanes)
                    queues["results"].append(_packed(signature, values=values, **common))


def _bits(values: NDArray[np.floating]) -> object:
    patterns = np.asarray(values)
    return patterns.view(np.dtype(f"u{patterns.itemsize}")).tolist()


def _packed(signature: stream.Signature, **values: object) -> int:
    """A payload as a number; fields that the stream lacks are left out."""
    number = 0
    for name, field in signature.members["payload"].shape:
        if isinstance(field.shape, data.ArrayLayout):
            width = Shape.cast(field.shape.elem_shape).width
            packed = sum(value << place * width for place, value in enumerate(values[name]))
        else:
            packed = int(values[name])
        number |= packed << field.offset
    return number
