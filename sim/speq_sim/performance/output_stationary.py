"""OliVe's and Tender's arrays as engines: output stationary, integers on both sides.

The arrays are the reconstructions of docs/baselines.md; cycles are their closed formula
(:meth:`speq.baselines.parameters.BaselineParameters.tile_cycles`), which simulation of the emitted
Verilog confirms. What no source says, and we chose:

- every matrix is quantised, the LM head too;
- keys and values stay FP16 in memory (or what the machine's ``kv_bits`` say), come through the port
  as such, and are made integers behind it, so that attention runs on the array as any product;
- Tender has eight groups of channels (for attention one);
- quantising activations and applying scales take no time;
- more tokens than R read the weights anew from memory.

All but the last, which no batch of up to R sequences meets, is to the baselines' advantage, as are
the operand registers that their PEs do not have.
"""

import dataclasses
import math
from collections.abc import Callable

from speq.baselines.parameters import BITS, KINDS, MAX_DIMENSION, BaselineParameters, Kind
from speq.parameters import WORD_BITS, Parameters
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.checks import check_choice, check_count, check_number
from speq_sim.performance.engine import Attention, Product, Work, check_form

__all__ = ["OutputStationaryEngine", "as_published", "iso_area", "iso_bandwidth"]

_SCALE_BYTES = 2

_PUBLISHED_SIDE = {4: 64, 8: 32}
"""Tender's paper: 64 x 64 PEs of 4 bits, four of which make one of 8 bits."""


@dataclasses.dataclass(frozen=True)
class OutputStationaryEngine:
    """R token rows by C output columns, which take one input each a cycle.

    Parameters
    ----------
    array : BaselineParameters
        R, C, kind and width.
    clock_hz : float
        Cycles per second.
    port_bytes_per_cycle : float, optional
        What the memory port of one array brings; by default what its columns take.
    units : int
        Arrays side by side, each with a share of the outputs.
    vector_lanes : int
        Elementwise operations per cycle.
    groups : int
        Groups of channels of Tender's; of no effect for OliVe.
    """

    array: BaselineParameters
    clock_hz: float
    port_bytes_per_cycle: float | None = None
    units: int = 1
    vector_lanes: int = 64
    groups: int = 8

    def __post_init__(self) -> None:
        check_number("clock in hertz", self.clock_hz, 1.0)
        check_count("units", self.units, 1, 1024)
        check_count("vector lanes", self.vector_lanes, 1, 1 << 20)
        check_count("groups", self.groups, 1, 1 << 16)
        if self.port_bytes_per_cycle is not None:
            check_number("bytes of the port per cycle", self.port_bytes_per_cycle, 1e-3)

    @property
    def name(self) -> str:
        """The array, and how many."""
        array = self.array
        text = f"{array.kind}{array.bits} {array.rows}x{array.columns}"
        return text if self.units == 1 else f"{self.units} x {text}"

    def product(self, product: Product) -> Work:
        """Tiles of R tokens by C outputs over all inputs; weights anew for every R tokens."""
        array = self.array
        check_form(product.form, (f"{array.kind}{array.bits}",), self.name)
        groups = self.groups if array.kind == "tender" else 1
        down = math.ceil(product.tokens / array.rows)
        share = math.ceil(product.outputs / self.units)
        weights = math.ceil(product.outputs * product.inputs * array.bits / 8)
        nbytes = down * (weights + product.outputs * _SCALE_BYTES)
        macs = product.outputs * product.inputs * product.tokens
        return self._work(down, share, product.inputs, groups, nbytes, macs)

    def attention(self, attention: Attention) -> Work:
        """Scores and weighted values, head of keys by head of keys, as products of integers."""
        kv = attention
        queries = kv.tokens * (kv.heads // kv.kv_heads)
        down = math.ceil(queries / self.array.rows)
        scales = 2 * 2 * kv.positions * kv.kv_heads if kv.kv_bits < WORD_BITS else 0
        nbytes = 2 * kv.positions * kv.kv_heads * kv.head_dim * kv.kv_bits // 8 + scales
        heads = math.ceil(kv.kv_heads / self.units)
        parts = [
            self._work(down * heads, outputs, inputs, 1, nbytes, kv.macs)
            for outputs, inputs in ((kv.positions, kv.head_dim), (kv.head_dim, kv.positions))
        ]
        computed = sum(part.cycles for part in parts)
        loaded = nbytes / self.units / self._port
        return dataclasses.replace(
            parts[0],
            cycles=max(computed, loaded),
            bound="port" if loaded >= computed else parts[0].bound,
            regions=2 * kv.kv_heads,
        )

    @property
    def _port(self) -> float:
        """Bytes per cycle that the memory port of one array brings."""
        if self.port_bytes_per_cycle is not None:
            return self.port_bytes_per_cycle
        return self._taken

    @property
    def _taken(self) -> float:
        """Bytes per cycle that the columns of one array take."""
        return self.array.columns * self.array.bits / 8

    def _work(
        self, down: int, outputs: int, inputs: int, groups: int, nbytes: int, macs: int
    ) -> Work:
        array = self.array
        tiles = down * math.ceil(outputs / array.columns)
        computed = array.tile_cycles(inputs, groups)
        loaded = inputs * self._taken / self._port
        return Work(
            mode=f"int{array.bits}",
            macs=macs,
            read_bytes=nbytes,
            cycles=tiles * max(computed, loaded),
            # Columns that the port just feeds wait for no row: more rows would not help.
            bound="port" if down == 1 and loaded >= inputs else "compute",
            regions=self.units,
            sram_bits=2 * 8 * nbytes + array.bits * macs / array.columns,
        )


def as_published(kind: Kind, bits: int, clock_hz: float, units: int = 1) -> OutputStationaryEngine:
    """4,096 PEs of 4 bits in a square, as Tender's paper has them; OliVe gets the same number."""
    _check(kind, bits)
    side = _PUBLISHED_SIDE[bits]
    array = BaselineParameters(name=f"{kind}{bits}", kind=kind, bits=bits, rows=side, columns=side)
    return OutputStationaryEngine(array, clock_hz, units=units, vector_lanes=64 * units)


def iso_bandwidth(
    kind: Kind, bits: int, design: Parameters, units: int = 1, lanes: int | None = None
) -> OutputStationaryEngine:
    """The array whose columns take what the weight port of one of our designs brings.

    As many token rows as published; clock and elementwise lanes of the design. A port that is
    wider than what 256 columns take feeds several arrays.

    Raises
    ------
    ModelError
        If the kind or width does not exist.
    """
    _check(kind, bits)
    port = WORD_BITS * design.port_words
    arrays = math.ceil(port / bits / MAX_DIMENSION)
    array = BaselineParameters(
        name=f"{kind}{bits}",
        kind=kind,
        bits=bits,
        rows=_PUBLISHED_SIDE[bits],
        columns=max(1, port // bits // arrays),
    )
    return OutputStationaryEngine(
        array,
        design.clock_mhz * 1e6,
        port / 8 / arrays,
        units * arrays,
        lanes or units * design.columns,
    )


def iso_area(
    kind: Kind,
    bits: int,
    design: Parameters,
    budget: float,
    area_of: Callable[[BaselineParameters], float],
    units: int = 1,
) -> OutputStationaryEngine:
    """The largest array within an area: columns up to what the port brings, then token rows.

    No more rows than published: with one token all but one idle, and sending results takes longer.

    Parameters
    ----------
    kind, bits, design, units
        As :func:`iso_bandwidth`.
    budget : float
        Area of one array, in the unit of `area_of`, such as that of our array.
    area_of : callable
        Area of an array.

    Raises
    ------
    ModelError
        If the kind or width does not exist, or not even one PE fits.
    """
    engine = iso_bandwidth(kind, bits, design, units)
    columns = engine.array.columns
    while columns > 1 and area_of(engine.array.replace(rows=1, columns=columns)) > budget:
        columns //= 2
    array = engine.array.replace(rows=1, columns=columns)
    if area_of(array) > budget:
        raise ModelError(f"no PE of {kind}{bits} fits an area of {budget:g}: give more")
    rows = 1
    while rows < engine.array.rows and area_of(array.replace(rows=rows + 1)) <= budget:
        rows += 1
    return dataclasses.replace(engine, array=array.replace(rows=rows))


def _check(kind: str, bits: int) -> None:
    check_choice("kind of baseline", kind, KINDS)
    check_choice("bits of an operand", bits, BITS)
