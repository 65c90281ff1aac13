"""Random tiles for baseline arrays, as payloads of their streams, with the golden results."""

import dataclasses
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from speq.baselines.parameters import PRESETS, BaselineParameters
from speq_sim.benches.payload import Design
from speq_sim.golden.baselines import olive, tender

DESIGNS: dict[str, BaselineParameters] = {
    design.name: design
    for design in (
        PRESETS["olive4"].replace(name="olive4_2x3", rows=2, columns=3),
        PRESETS["olive8"].replace(name="olive8_3x2", rows=3, columns=2),
        PRESETS["olive8_shared"].replace(name="olive8_shared_2x2", rows=2, columns=2),
        PRESETS["olive4"].replace(name="olive4_narrow", rows=4, columns=1, accumulator_bits=16),
        PRESETS["tender4"].replace(name="tender4_3x2", rows=3, columns=2),
        PRESETS["tender8"].replace(name="tender8_2x3", rows=2, columns=3),
        PRESETS["tender8"].replace(name="tender8_narrow", rows=1, columns=2, accumulator_bits=16),
        PRESETS["tender4"].replace(name="tender4_single", rows=1, columns=1, accumulator_bits=19),
    )
}
"""Arrays that are not square, of one row, one column, one PE, with accumulators that overflow."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """One output tile: slots of R activation vectors and C weight vectors, beats of its groups."""

    weights: NDArray[np.int64]
    activations: NDArray[np.int64]
    beats: Sequence[int]


def random_of(*labels: object) -> np.random.Generator:
    """A source of random numbers that depends on the labels alone."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, labels)).encode()))


def random_slots(
    random: np.random.Generator, parameters: BaselineParameters, vectors: int, depth: int
) -> NDArray[np.int64]:
    """Any slots; with OliVe a quarter of them identifiers, with Tender a quarter of them least."""
    slots = random.integers(0, 1 << parameters.bits, (vectors, depth))
    return np.where(random.random(slots.shape) < 0.25, 1 << (parameters.bits - 1), slots)


def random_tile(
    random: np.random.Generator, parameters: BaselineParameters, beats: Sequence[int]
) -> Tile:
    """A tile whose groups have these beats."""
    depth = sum(beats) * parameters.inputs_per_beat
    return Tile(
        random_slots(random, parameters, parameters.columns, depth),
        random_slots(random, parameters, parameters.rows, depth),
        beats,
    )


def random_tiles(
    random: np.random.Generator, parameters: BaselineParameters, count: int
) -> list[Tile]:
    """Tiles of one to five groups, some of them empty."""
    return [
        random_tile(
            random, parameters, [int(n) for n in random.integers(0, 9, random.integers(1, 6))]
        )
        for _ in range(count)
    ]


def golden(parameters: BaselineParameters, tile: Tile) -> NDArray[np.int64]:
    """The tile's accumulators, R x C."""
    bits, width = parameters.bits, parameters.accumulator_bits
    if parameters.kind == "olive":
        return olive.matmul(tile.weights, tile.activations, bits, width)
    half = 1 << (bits - 1)
    weights, activations = ((slots ^ half) - half for slots in (tile.weights, tile.activations))
    return tender.matmul(weights, activations, tile.beats, width)


def payloads(
    design: Design, parameters: BaselineParameters, tiles: Sequence[Tile]
) -> dict[str, NDArray[np.uint8]]:
    """Payloads of all streams, the expected results included."""
    beats = [n for tile in tiles for n in tile.beats]
    first = [int(n == 0) for tile in tiles for n in range(len(tile.beats))]
    last = [int(n == len(tile.beats) - 1) for tile in tiles for n in range(len(tile.beats))]
    each = parameters.inputs_per_beat

    def slots(vectors: NDArray[np.int64]) -> NDArray[np.int64]:
        beats = vectors.shape[1] // each
        by_beat = vectors.reshape(len(vectors), beats, each).transpose(1, 0, 2)
        return by_beat.reshape(beats, len(vectors) * each)

    streams = design.streams
    row_last = [int(row == parameters.rows - 1) for _ in tiles for row in range(parameters.rows)]
    return {
        "tiles": streams["tiles"].pack({"beats": beats, "first": first, "last": last}),
        "weights": streams["weights"].pack(
            {"slots": np.concatenate([slots(tile.weights) for tile in tiles])}
        ),
        "activations": streams["activations"].pack(
            {"slots": np.concatenate([slots(tile.activations) for tile in tiles])}
        ),
        "results": streams["results"].pack(
            {
                "values": np.concatenate([golden(parameters, tile) for tile in tiles]),
                "last": row_last,
            }
        ),
    }
