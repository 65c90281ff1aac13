"""GPUs as rooflines: to set the ratios of GPU papers beside what peak figures allow.

A roofline is the best that a device can do: every kernel at the peak of the tensor cores or of the
memory. Real kernels are below it, and by how much is not public for those of the papers; so it is a
parameter here (`kernel_efficiency`), 1 unless a caller sweeps it.
"""

import dataclasses
from collections.abc import Mapping

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.checks import check_number
from speq_sim.performance.engine import Attention, Product, Work, check_form

__all__ = ["FORMS", "GPUS", "Gpu", "RooflineEngine", "infinite"]

FORMS: dict[str, tuple[float, str]] = {
    "fp16": (16.0, "fp16"),
    "w8a8": (8.0, "int8"),
    "int8": (8.125, "fp16"),
    "int4": (4.125, "fp16"),
    "w4a16": (4.0, "fp16"),
    "w4a8": (4.0, "int8"),
    "w4a4": (4.0, "int4"),
}
"""Forms of weights: bits of each (g128 has an FP16 scale for 128), and which peak multiplies them.
The others have a scale a row, which is counted apart."""

_ENERGY_MODES = {"fp16": "verify", "int8": "int8", "int4": "int4"}
_SCALED = ("w8a8", "w4a16", "w4a8", "w4a4")
_CLOCK = 1e9
"""Work is counted in cycles; a roofline has none of its own, so that one is a nanosecond."""


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU's data sheet, dense (no sparsity).

    Parameters
    ----------
    name : str
        Product.
    bytes_per_second : float
        Of its memory.
    macs_per_second : mapping of str to float
        Peak multiply-accumulates of the tensor cores: ``fp16``, ``int8``, ``int4``.
    """

    name: str
    bytes_per_second: float
    macs_per_second: Mapping[str, float]


def _gpu(name: str, gigabytes: float, fp16: float, int8: float, int4: float) -> Gpu:
    """From GB/s and tera-operations per second, two of which are a MAC."""
    peaks = {"fp16": fp16, "int8": int8, "int4": int4}
    return Gpu(name, gigabytes * 1e9, {kind: tera * 1e12 / 2 for kind, tera in peaks.items()})


GPUS: dict[str, Gpu] = {
    "a100-40gb": _gpu("A100-40GB", 1555, 312, 624, 1248),
    "a100-80gb": _gpu("A100-80GB", 2039, 312, 624, 1248),
    "l20": _gpu("L20", 864, 119.5, 239, 478),
    "rtx-3090": _gpu("RTX 3090", 936, 142, 284, 568),
}
"""Dense peaks: GB/s, and tera-operations of FP16, INT8 and INT4. The A100's are those of public
tables that cite NVIDIA's data sheet; the L20's FP16 and INT8, and the RTX 3090's FP16, of public
tables that cite none. Assumed: INT8 and INT4 of the RTX 3090, in the ratio 1:2:4 of the A40's data
sheet, which is the same chip; INT4 of the L20, twice INT8, as the RTX 4090's. Sums of FP16 products
are FP16 on the RTX 3090; in FP32 its peak is half as high (71), which kernels that sum so get."""


@dataclasses.dataclass(frozen=True)
class RooflineEngine:
    """Peaks and nothing else: no ports, no padding, tokens of any number share the weights.

    Parameters
    ----------
    name : str
        For reports.
    fp16, int8, int4 : float
        Multiply-accumulates per second.
    overhead_seconds : float
        Of every product: launching a kernel.
    kernel_efficiency : tuple of (str, float)
        Share of the peak that the kernels of a form get, of computing and of reading; 1 by default.
    """

    name: str
    fp16: float
    int8: float
    int4: float
    overhead_seconds: float = 0.0
    kernel_efficiency: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for kind in ("fp16", "int8", "int4"):
            check_number(f"{kind} MACs per second", getattr(self, kind), 1.0)
        check_number("overhead in seconds", self.overhead_seconds, 0.0)
        for form, share in self.kernel_efficiency:
            check_form(form, tuple(FORMS), self.name)
            if not 0 < share <= 1:
                raise ModelError(
                    f"kernel efficiency of {form} is {share}, but must be a share above 0, up to 1"
                )

    @classmethod
    def of(
        cls, gpu: Gpu, kernel_efficiency: Mapping[str, float] | None = None, **options: float
    ) -> "RooflineEngine":
        """The engine of a GPU."""
        shares = tuple(sorted((kernel_efficiency or {}).items()))
        return cls(gpu.name, **gpu.macs_per_second, kernel_efficiency=shares, **options)

    @property
    def clock_hz(self) -> float:
        """Nanoseconds are its cycles."""
        return _CLOCK

    @property
    def vector_lanes(self) -> int:
        """Elementwise operations are taken to hide behind all else."""
        return 1 << 40

    def product(self, product: Product) -> Work:
        """Every weight once, every multiply-accumulate at its peak."""
        check_form(product.form, tuple(FORMS), self.name)
        bits, peak = FORMS[product.form]
        efficiency = dict(self.kernel_efficiency).get(product.form, 1.0)
        macs = product.outputs * product.inputs * product.tokens
        nbytes = round(product.outputs * product.inputs * bits / 8)
        nbytes += 2 * product.outputs if product.form in _SCALED else 0
        return Work(
            mode=_ENERGY_MODES[peak],
            macs=macs,
            # A kernel that reads at half the memory's rate takes as long as twice the bytes.
            read_bytes=round(nbytes / efficiency),
            cycles=macs / getattr(self, peak) / efficiency * _CLOCK,
            bound="compute",
            fixed=self.overhead_seconds * _CLOCK,
        )

    def attention(self, attention: Attention) -> Work:
        """Keys and values once, FP16 multiply-accumulates."""
        kv = attention
        nbytes = 2 * kv.positions * kv.kv_heads * kv.head_dim * kv.kv_bits // 8
        return Work(
            mode="verify",
            macs=kv.macs,
            read_bytes=nbytes,
            cycles=kv.macs / self.fp16 * _CLOCK,
            bound="compute",
        )


def infinite() -> RooflineEngine:
    """An engine that takes no time: what memory alone allows."""
    return RooflineEngine("infinite", 1e30, 1e30, 1e30)
