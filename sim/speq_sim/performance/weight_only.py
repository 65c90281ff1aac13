"""Weight-only quantisation as an engine: INT8 or INT4 weights, FP16 activations, our geometry."""

import dataclasses
import math

from speq.parameters import WORD_BITS, Parameters
from speq_sim.performance.checks import check_choice, check_count
from speq_sim.performance.engine import Attention, Product, Work, check_form
from speq_sim.performance.unit_engine import UnitEngine

__all__ = ["WeightOnlyEngine"]

_SCALE_BYTES = 2


@dataclasses.dataclass(frozen=True)
class WeightOnlyEngine:
    """R x C FP16 multipliers behind a port that turns integers into FP16 words.

    What an FP16-only array would be that reads quantised weights, at its best: a word of the port
    brings two weights of 8 bits or four of 4, and every PE does one multiply-accumulate a cycle
    with weights of any width. Scales (FP16, one for each group of inputs of a row) are read, and
    applied in no time. No such design was built here; attention is that of :class:`UnitEngine`.

    Parameters
    ----------
    design : Parameters
        R, C, W, tokens and clock.
    bits : int
        8 or 4.
    group : int
        Inputs that share a scale.
    units : int
        Side by side, as in :class:`UnitEngine`.
    lanes : int, optional
        Elementwise operations per cycle.
    """

    design: Parameters
    bits: int
    group: int = 128
    units: int = 1
    lanes: int | None = None

    def __post_init__(self) -> None:
        check_choice("bits of a weight", self.bits, (8, 4))
        check_count("group", self.group, 1, 1 << 20)
        check_count("units", self.units, 1, 1024)

    @property
    def name(self) -> str:
        """Width and geometry."""
        return f"INT{self.bits} g{self.group} on {self._ours.name}"

    @property
    def clock_hz(self) -> float:
        """Clock of the design."""
        return self._ours.clock_hz

    @property
    def vector_lanes(self) -> int:
        """As ours."""
        return self._ours.vector_lanes

    @property
    def _ours(self) -> UnitEngine:
        return UnitEngine(self.design, self.units, self.lanes)

    def product(self, product: Product) -> Work:
        """Tiles of R x C weights, each loaded once for up to `tokens` tokens; FP16 ones as ours."""
        integers = f"int{self.bits}"
        check_form(product.form, (integers, "fp16"), self.name)
        if product.form == "fp16":
            return self._ours.product(product)
        design = self.design
        jobs = math.ceil(product.tokens / design.tokens)
        served = math.ceil(product.tokens / jobs)
        share = math.ceil(product.outputs / self.units)
        tiles = math.ceil(share / design.rows) * math.ceil(product.inputs / design.columns)
        # Scales come through the port, too.
        load = design.load_cycles * (self.bits / WORD_BITS + 1 / self.group)
        scales = product.outputs * math.ceil(product.inputs / self.group) * _SCALE_BYTES
        nbytes = jobs * (math.ceil(product.outputs * product.inputs * self.bits / 8) + scales)
        macs = product.outputs * product.inputs * product.tokens
        # Activations come through a stream as wide as the port, as ours do.
        fixed = (
            0 if product.keep else product.tokens * math.ceil(product.inputs / design.port_words)
        )
        return Work(
            mode="verify",
            macs=macs,
            read_bytes=nbytes,
            cycles=jobs * tiles * max(load, served),
            bound="port" if load >= served else "compute",
            fixed=fixed,
            regions=jobs * self.units,
            sram_bits=2 * 8 * nbytes + WORD_BITS * macs / design.rows,
        )

    def attention(self, attention: Attention) -> Work:
        """As ours."""
        return self._ours.attention(attention)
