"""Payloads of an emitted design, read from its JSON side-car and never from a circuit.

A payload is the packed vector on a stream's ``<stream>__payload`` port. The side-car says where
each field lies in it. Many payloads are held as one array of bytes, little endian, one row each, so
that NumPy packs and unpacks a whole job at once.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Design", "Field", "PayloadError", "Stream", "integers"]

SCHEMA = "speq-design/1"


class PayloadError(ValueError):
    """A side-car that cannot be read, or values that do not fit a payload."""


@dataclasses.dataclass(frozen=True)
class Field:
    """Place of one field in a payload; element i of an array is at ``offset + i * width``."""

    offset: int
    width: int
    count: int
    signed: bool

    @property
    def storage(self) -> str:
        """Least little-endian integer type that holds an element's bits."""
        return f"<u{next(size for size in (1, 2, 4, 8) if self.width <= 8 * size)}"

    @property
    def lowest(self) -> int:
        """Smallest value an element can hold."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """Largest value an element can hold."""
        return (1 << (self.width - self.signed)) - 1


@dataclasses.dataclass(frozen=True)
class Stream:
    """One ready/valid stream: `bits` of payload and the fields in it."""

    name: str
    direction: str
    bits: int
    fields: Mapping[str, Field]

    @property
    def size(self) -> int:
        """Bytes that one payload takes in an array."""
        return (self.bits + 7) // 8

    def pack(self, values: Mapping[str, ArrayLike]) -> NDArray[np.uint8]:
        """Payloads of N transfers.

        Parameters
        ----------
        values : mapping of str to array_like of int
            For each field of the stream, and no other: shape ``(N,)`` or ``(N, count)``.

        Returns
        -------
        ndarray of uint8, shape (N, size)

        Raises
        ------
        PayloadError
            If a field is missing or unknown, or a value does not fit.
        """
        if set(values) != set(self.fields):
            raise PayloadError(
                f"stream {self.name} has the fields {sorted(self.fields)}, but was given "
                f"{sorted(values)}: give exactly its fields"
            )
        transfers = {len(np.asarray(value)) for value in values.values()}
        if len(transfers) != 1:
            raise PayloadError(
                f"the fields of stream {self.name} have {sorted(transfers)} rows: give one row "
                f"per transfer in each"
            )
        bits = np.zeros((transfers.pop(), self.size * 8), np.uint8)
        for name, field in self.fields.items():
            array = self._checked(name, field, values[name])
            stop = field.offset + field.count * field.width
            little_endian = np.ascontiguousarray(array.astype(field.storage)).view(np.uint8)
            planes = np.unpackbits(little_endian, axis=1, bitorder="little")
            planes = planes.reshape(*array.shape, -1)[:, :, : field.width]
            bits[:, field.offset : stop] = planes.reshape(len(array), -1)
        return np.packbits(bits, axis=1, bitorder="little")

    def unpack(self, payloads: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]]:
        """Fields of N payloads, each of shape ``(N, count)``: the inverse of :meth:`pack`."""
        bits = np.unpackbits(np.asarray(payloads, np.uint8), axis=1, bitorder="little")
        return {name: self._field(bits, field) for name, field in self.fields.items()}

    def _checked(self, name: str, field: Field, values: ArrayLike) -> NDArray[np.int64]:
        array = np.asarray(values, np.int64)
        if array.size != len(array) * field.count:
            raise PayloadError(
                f"field {name} of stream {self.name} has {field.count} elements, but was given an "
                f"array of shape {array.shape}: give (transfers, {field.count})"
            )
        array = array.reshape(len(array), field.count)
        if array.size and not field.lowest <= array.min() <= array.max() <= field.highest:
            raise PayloadError(
                f"field {name} of stream {self.name} holds {field.lowest}..{field.highest}, but "
                f"was given {array.min()}..{array.max()}: give values that fit"
            )
        return array

    @staticmethod
    def _field(bits: NDArray[np.uint8], field: Field) -> NDArray[np.int64]:
        stop = field.offset + field.count * field.width
        planes = bits[:, field.offset : stop].reshape(len(bits), field.count, field.width)
        padding = 8 * np.dtype(field.storage).itemsize - field.width
        padded = np.pad(planes, ((0, 0), (0, 0), (0, padding)))
        packed = np.packbits(padded, axis=2, bitorder="little")
        array = packed.reshape(len(bits), -1).view(field.storage).astype(np.int64)
        return np.where(array > field.highest, array - (1 << field.width), array)


@dataclasses.dataclass(frozen=True)
class Design:
    """What a bench knows of an emitted design: the content of its side-car."""

    top: str
    parameters: Mapping[str, Any]
    latency: Mapping[str, Any]
    streams: Mapping[str, Stream]

    @classmethod
    def load(cls, path: Path) -> "Design":
        """Read ``<top>.json``.

        Raises
        ------
        PayloadError
            If the file is missing or is not a side-car of the schema this version reads.
        """
        try:
            side_car = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise PayloadError(
                f"side-car {path} cannot be read ({error}): emit the design anew"
            ) from None
        if side_car.get("schema") != SCHEMA:
            raise PayloadError(
                f"side-car {path} has schema {side_car.get('schema')!r}, but this version reads "
                f"{SCHEMA!r}: emit the design anew"
            )
        streams = {
            name: Stream(
                name,
                stream["direction"],
                stream["bits"],
                {key: _field(entry) for key, entry in stream["fields"].items()},
            )
            for name, stream in side_car["streams"].items()
        }
        return cls(side_car["top"], side_car["parameters"], side_car["latency"], streams)


def integers(payloads: NDArray[np.uint8]) -> list[int]:
    """Payloads as Python integers, as a simulator's port takes them."""
    return [int.from_bytes(row.tobytes(), "little") for row in payloads]


def _field(entry: Mapping[str, Any]) -> Field:
    return Field(entry["offset"], entry["width"], entry["count"], entry["signed"])
