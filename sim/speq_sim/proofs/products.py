"""Every product of the multiply stage, compared with the CPU's own floating point."""

import ctypes
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speq_sim.proofs.bit_parallel import Netlist, compile_library, netlist

__all__ = ["ACTIVATIONS", "BYTES", "WEIGHTS", "ProductCheck"]

WEIGHTS = ACTIVATIONS = 1 << 16
"""Patterns of FP16."""

BYTES = 1 << 8
"""High bytes of them: the weights of MIDDLE."""

_DRIVER = Path(__file__).with_name("products.cc")


class ProductCheck:
    """A compiled product stage and its check.

    Parameters
    ----------
    verilog : str
        Verilog of a ``ProductStage`` (:mod:`speq.product_stage`).
    top : str
        Name of its module.
    build_dir : Path
        As in :func:`speq_sim.proofs.bit_parallel.compile_library`.

    Raises
    ------
    speq_sim.proofs.bit_parallel.BitParallelError
        If there is no C++ compiler, or it fails.
    """

    def __init__(self, verilog: str, top: str, build_dir: Path) -> None:
        self.netlist: Netlist = netlist(verilog, top)
        library = ctypes.CDLL(str(compile_library(self.netlist, build_dir, _DRIVER)))
        self._products = library.speq_products
        self._products.restype = ctypes.c_int64

    def wrong(self, first: int, last: int, *, middle: int = 0) -> NDArray[np.int64]:
        """Wrong products of each of the weight patterns first..last-1, with all activations.

        With `middle`, the value of the port ``kind`` that asks for MIDDLE, weights are the high
        bytes of patterns first..last-1, and each stands for the pattern with the low byte 0x80.

        A product is wrong if ``value * 2**(shift - 48)`` is not exactly the product of the two
        numbers, or if its flags are not those that IEEE 754 gives: NaN; else an infinity of that
        sign; else none. Beside a flag the value does not count, beside a NaN no other flag.
        """
        counts = np.zeros(last - first, np.int64)
        kind = ctypes.c_int32(middle)
        self._products(first, last, kind, counts.ctypes.data_as(ctypes.c_void_p))
        return counts

    def chunks(
        self, first: int, last: int, *, size: int = 512, workers: int | None = None
    ) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """:meth:`wrong` in chunks of `size` weights, on all cores, in the order they are done."""
        pool = ThreadPoolExecutor(workers or len(os.sched_getaffinity(0)))
        try:
            futures = {
                pool.submit(self.wrong, start, min(start + size, last)): start
                for start in range(first, last, size)
            }
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)
