"""Our accelerator as an engine: cycles of the calibrated formula, units side by side."""

import dataclasses
import functools
import math

from speq.parameters import WORD_BITS, Parameters
from speq_sim.performance.checks import check_count
from speq_sim.performance.engine import Attention, Product, Work, check_form
from speq_sim.performance.unit_cycles import UnitCycles, unit_cycles

__all__ = ["FORMS", "UnitEngine"]

FORMS: dict[str, tuple[str, bool]] = {
    "fp16": ("verify", True),
    "verify": ("verify", False),
    "middle": ("middle", False),
    "draft": ("draft", False),
    "qverify": ("qverify", False),
    "qdraft": ("qdraft", False),
}
"""Forms of weights: mode of the array, and whether words are plain FP16 patterns."""

_ROW_BYTES = {"draft": 4, "qdraft": 2, "qverify": 2}
"""Constants of an output row that the epilogue reads: alpha in FP32, the scale of INT4 in FP16."""

_PLANES = {"verify": 3, "middle": 2}
"""Planes of packed words that a mode reads side by side; all else is one."""

_KV_WEIGHTS_PER_WORD = {16: 1, 8: 2, 4: 4}


@dataclasses.dataclass(frozen=True)
class UnitEngine:
    """`units` accelerators on one memory, each with a share of every matrix's outputs.

    Attention runs on the arrays, too: keys are a plain matrix [S, D] of each head of keys and
    values one [D, S], which meet the queries of all heads they serve and of all tokens of the pass.
    The front end of today's unit has no command for it; cycles are those of the array's tiles
    (max of loading R*C words and of one beat per query, padded to R and C). More queries than a
    tile serves load the tile again, from a buffer of one tile row, not from memory. Keys and
    values of 8 or 4 bits go through the port as words of two or four.

    Units lie on channels of their own, so that no more streams meet in a bank than a pass reads
    planes.

    Parameters
    ----------
    design : Parameters
        The design point.
    units : int
        Accelerators side by side (1..1024).
    lanes : int, optional
        Elementwise operations per cycle, all units together; C for each by default.
    """

    design: Parameters
    units: int = 1
    lanes: int | None = None

    def __post_init__(self) -> None:
        check_count("units", self.units, 1, 1024)
        if self.lanes is not None:
            check_count("vector lanes", self.lanes, 1, 1 << 20)

    @property
    def name(self) -> str:
        """The design, and how many."""
        return self.design.name if self.units == 1 else f"{self.units} x {self.design.name}"

    @property
    def clock_hz(self) -> float:
        """Clock of the design."""
        return self.design.clock_mhz * 1e6

    @property
    def vector_lanes(self) -> int:
        """Elementwise operations per cycle."""
        return self.lanes or self.units * self.design.columns

    @property
    def port_bytes_per_second(self) -> float:
        """What all weight ports take together."""
        return self.units * self.design.bus_bytes * self.clock_hz

    def units_fed_by(self, bytes_per_second: float) -> int:
        """Units whose weight ports take all that a memory gives, at least one."""
        one = self.design.bus_bytes * self.clock_hz
        return max(1, math.ceil(bytes_per_second / one))

    def product(self, product: Product) -> Work:
        """Jobs of the accelerator: :func:`speq_sim.performance.unit_cycles.unit_cycles`."""
        check_form(product.form, tuple(FORMS), f"design {self.design.name!r}")
        return _product(self.design, self.units, product)

    def attention(self, attention: Attention) -> Work:
        """Tiles of the array, as the class says."""
        design, kv = self.design, attention
        words = _KV_WEIGHTS_PER_WORD[kv.kv_bits]
        queries = kv.tokens * (kv.heads // kv.kv_heads)
        passes = math.ceil(queries / design.tokens)
        served = math.ceil(queries / passes)
        load, compute = design.load_cycles / words, served
        tiles = _tiles(design, kv.positions, kv.head_dim) + _tiles(
            design, kv.head_dim, kv.positions
        )
        shared = math.ceil(kv.kv_heads * tiles / self.units)
        scales = 2 * 2 * kv.positions * kv.kv_heads if kv.kv_bits < 16 else 0
        nbytes = 2 * kv.positions * kv.kv_heads * kv.head_dim * kv.kv_bits // 8 + scales
        return Work(
            mode="verify",
            macs=kv.macs,
            read_bytes=nbytes,
            cycles=shared * passes * max(load, compute),
            bound="port" if load >= compute else "compute",
            regions=2 * kv.kv_heads,
            sram_bits=_buffered(design, nbytes, kv.macs),
        )


def _tiles(design: Parameters, outputs: int, inputs: int) -> int:
    return math.ceil(outputs / design.rows) * math.ceil(inputs / design.columns)


@functools.lru_cache(maxsize=1 << 16)
def _product(design: Parameters, units: int, product: Product) -> Work:
    mode, plain = FORMS[product.form]
    # Units are dealt whole tiles of rows, as evenly as can be.
    tiles = math.ceil(product.outputs / design.rows)
    share = math.ceil(tiles / units)
    full, rest = divmod(tiles, share)
    padded = math.ceil(product.inputs / design.group_inputs) * design.group_inputs
    # A job takes no more tokens than tiles serve, and no more than the activation buffer holds.
    most = max(1, min(design.tokens, design.activation_values // padded))
    jobs = math.ceil(product.tokens / most)
    sizes = [product.tokens // jobs + (number < product.tokens % jobs) for number in range(jobs)]
    cycles = fixed = loads = beats = 0
    for size in sizes:
        found = _job(design, product, share, size)
        cycles += found.headers + found.tiles
        fixed += found.activations + found.fixed
        beats += full * found.beats + (_job(design, product, rest, size).beats if rest else 0)
        loads += found.tiles if found.bound == "load" else 0
    planes = 1 if plain else _PLANES.get(mode, 1)
    rows = _ROW_BYTES.get(product.form, 0) * product.outputs
    nbytes = beats * design.bus_bytes + rows
    macs = product.outputs * product.inputs * product.tokens
    return Work(
        mode=mode,
        macs=macs,
        read_bytes=nbytes,
        cycles=cycles,
        bound="port" if loads >= cycles / 2 else "compute",
        fixed=fixed,
        regions=jobs * (full + bool(rest)) * planes,
        streams=planes,
        sram_bits=_buffered(design, nbytes, macs),
    )


def _job(design: Parameters, product: Product, tiles: int, tokens: int) -> UnitCycles:
    """One job of a unit, over some tiles of rows."""
    mode, plain = FORMS[product.form]
    outputs = min(product.outputs, tiles * design.rows)
    return unit_cycles(
        design, outputs, product.inputs, mode, tokens, plain=plain, keep=product.keep
    )


def _buffered(design: Parameters, nbytes: int, macs: int) -> float:
    """Bits in and out of FIFOs, and of activations, which R rows share."""
    return 2 * 8 * nbytes + WORD_BITS * macs / design.rows
