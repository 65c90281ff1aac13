"""A real weight tile, packed as a user would pack it, and jobs on it."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from speq.formats import Family, decode, family, from_planes
from speq.formats.codec import draft_codes
from speq.formats.packing import pack
from speq.parameters import Parameters
from speq_sim.golden import nibbles_of, quantise_activations
from speq_sim.jobs import Job

__all__ = ["PackedTile", "cut", "read"]

ROWS = 16
"""Rows of a real tile that are simulated, unless the array has more: seconds, not minutes."""


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
        """The product of some rows and inputs in VERIFY, DRAFT or MIDDLE."""
        rest = (
            self.activations[:, depth],
            self.family,
            self.row_tables[rows],
            self.shifts[depth],
            self.row_exponents[rows],
        )
        if mode == "draft":
            return Job.draft(draft_codes(self.words[rows, depth]), *rest)
        make = Job.middle if mode == "middle" else Job.packed
        return make(self.values[rows, depth], *rest)

    def plain_job(self, rows: slice = slice(None), depth: slice = slice(None)) -> Job:
        """The same product for a design without a decoder, of unpacked weights."""
        return Job.plain(self.weights()[rows, depth], self.activations[:, depth])

    def integer_job(self, mode: str, rows: slice = slice(None), depth: slice = slice(None)) -> Job:
        """The same product in QDRAFT or QVERIFY, less the scales.

        Weights are rounded to INT4, the largest of each row to 7. QDRAFT takes activations
        quantised per token, QVERIFY takes them as they are.
        """
        weights = self.weights().astype(np.float64)
        largest = np.abs(weights).max(axis=1, keepdims=True)
        integers = np.rint(7 * weights / np.where(largest, largest, 1)).astype(np.int8)
        verify = mode == "qverify"
        activations = self.activations if verify else quantise_activations(self.activations)[0]
        return Job.integer(nibbles_of(integers[rows, depth]), activations[:, depth], verify=verify)

    def weights(self) -> NDArray[np.float16]:
        """The weights that were packed, N x K."""
        power = self.row_exponents[:, None].astype(int) - self.shifts[None, :]
        return np.ldexp(self.values.astype(np.float64), -power).astype(np.float16)


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
