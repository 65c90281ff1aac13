"""The multiplier and the product stage, compiled, with ports named by what they mean."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speq.block import Block, module_name
from speq.emission import design_rtlil
from speq.layouts import brick_bits, kind_layout
from speq.multiply import PRODUCT_BITS, Multiplier
from speq.parameters import MODES, Parameters
from speq.product_stage import ProductStage
from speq.yosys import verilog_from_rtlil
from speq_sim.proofs.bit_parallel import LANES, Circuit
from speq_sim.proofs.products import ProductCheck

BASE = Parameters(name="multiply", rows=4, columns=1, port_words=1)
ALL = BASE.replace(modes=MODES)
QSPEC = BASE.replace(modes=("verify", "qdraft", "qverify"))

DESIGNS = {
    "4": BASE,
    "2": BASE.replace(draft_lanes=2),
    "1": BASE.replace(draft_lanes=1),
    "verify_only": BASE.replace(modes=("verify",)),
    "all_4": ALL,
    "all_2": ALL.replace(draft_lanes=2),
    "all_1": ALL.replace(draft_lanes=1),
    "bfp8": ALL.replace(draft_activations="bfp8"),
    "bfp12": ALL.replace(draft_activations="bfp12"),
    "qspec_4": QSPEC,
    "qspec_1": QSPEC.replace(draft_lanes=1),
    "split_4": ALL.replace(pipeline=4),
    "split_1": ALL.replace(draft_lanes=1, pipeline=3),
    "middle": BASE.replace(modes=("verify", "middle")),
    **{
        f"dsp_{lanes}": ALL.replace(draft_lanes=lanes, pipeline=4, target="fpga")
        for lanes in (4, 2, 1)
    },
    "ice40_4": BASE.replace(pipeline=2, target="ice40"),
    "ice40_1": ALL.replace(draft_lanes=1, pipeline=2, target="ice40"),
    "ice40_split_1": ALL.replace(draft_lanes=1, pipeline=3, target="ice40"),
}
"""PEs by draft lanes and modes, with wider draft activations, and of DSP blocks."""

LOW_BITS = 6

FLAGS = {
    "verify": (),
    "draft": ("block",),
    "middle": ("middle",),
    "qdraft": ("block", "integer"),
    "qverify": ("integer",),
}
"""What each mode sets of the port ``kind``."""

Numbers = NDArray[np.int64]


def kind_of(parameters: Parameters, mode: str) -> int:
    """Value of the port ``kind`` in a mode."""
    names = [name for name, _ in kind_layout(parameters)]
    return sum(1 << names.index(flag) for flag in FLAGS[mode])


def place_of(parameters: Parameters) -> int:
    """Bit 0 of a sum of products of 4-bit weights (docs of :mod:`speq.multiply`)."""
    short = parameters.lanes == 4 and parameters.draft_bits < 12
    return LOW_BITS if short and parameters.target != "fpga" else 0


def _verilog(block: Block) -> tuple[str, str]:
    return verilog_from_rtlil(design_rtlil(block)), module_name(block)


def product_check(parameters: Parameters, folder: Path) -> ProductCheck:
    """The product stage and its check against the CPU's floating point."""
    return ProductCheck(*_verilog(ProductStage(parameters)), folder)


class Bricks:
    """A multiplier, fed brick by brick."""

    def __init__(self, parameters: Parameters, folder: Path) -> None:
        self.parameters = parameters
        self._circuit = Circuit(*_verilog(Multiplier(parameters)), folder)

    def products(
        self,
        weights: Sequence[Numbers],
        activations: Sequence[Numbers],
        negative: Sequence[Numbers],
        mode: str,
    ) -> Numbers:
        """Outputs for one weight part, activation part and sign per brick."""
        widths = brick_bits(self.parameters)
        triples = [
            activation | 3 * activation << bits
            for activation, (_, bits) in zip(activations, widths, strict=True)
        ]
        ports = {
            "weights": _packed(weights, [bits for bits, _ in widths]),
            "factors": _packed(triples, [2 * bits + 2 for _, bits in widths]),
            "negative": _packed(negative, [1] * len(widths)),
        }
        if len(brick_bits(self.parameters)) > 1:
            ports["kind"] = np.full(len(weights[0]), kind_of(self.parameters, mode))
        result = self._circuit.evaluate(**ports)["product"].astype(np.int64)
        return result - ((result >> (PRODUCT_BITS - 1)) << PRODUCT_BITS)


class Stage:
    """A product stage that takes another word and other activations in every cycle."""

    def __init__(self, parameters: Parameters, folder: Path) -> None:
        self.parameters = parameters
        # The last two stages of columns on FPGAs are on the way to the rows, and in them.
        columns = parameters.stages["columns"] - 2 * parameters.in_dsp
        self.latency = max(2, columns) + parameters.stages["multiply"]
        """Cycles from a word, by way of waiting and working, to its product."""
        self.word_wait, self.wait = max(0, columns - 2), max(0, 2 - columns)
        """Cycles that a word, or its activations, come later than the others."""
        self._circuit = Circuit(*_verilog(ProductStage(parameters)), folder, clocked=True)

    def products(
        self, words: Numbers, values: NDArray[np.uint16], shifts: Numbers, mode: str
    ) -> dict[str, Numbers]:
        """Product registers: ``value`` (signed), ``shift`` and ``specials``.

        Parameters
        ----------
        words : N words
        values : N x L patterns
        shifts : N x L column shifts
        """
        count = len(words)
        total = (-(-count // LANES) + self.latency) * LANES
        lanes = np.arange(self.parameters.lanes)
        ports = {
            "word": _delayed(words, self.word_wait, total),
            # A word waits for a cycle before it works; its activations reach the PE when it does.
            "values": _delayed(_joined(values, 16 * lanes), self.wait, total),
            "load": np.ones(total, np.int64),
            "swap": np.ones(total, np.int64),
            "rst": np.zeros(total, np.int64),
        }
        if self.parameters.has_low_bits:
            ports["kind"] = np.full(total, kind_of(self.parameters, mode))
        if self.parameters.packs:
            ports["shifts"] = _delayed(_joined(shifts, 4 * lanes), self.wait, total)
        found = {
            name: of_port[self.latency * LANES :][:count].astype(np.int64)
            for name, of_port in self._circuit.evaluate(**ports).items()
        }
        found["value"] -= (found["value"] >> (PRODUCT_BITS - 1)) << PRODUCT_BITS
        return found


def _packed(fields: Sequence[Numbers], widths: Sequence[int]) -> NDArray[np.uint64]:
    """Fields side by side, the first lowest, in as many words of 64 bits as they take."""
    words = np.zeros((len(fields[0]), -(-sum(widths) // 64)), np.uint64)
    place = 0
    for field, width in zip(fields, widths, strict=True):
        word, bit = divmod(place, 64)
        words[:, word] |= field.astype(np.uint64) << np.uint64(bit)
        if bit + width > 64:
            words[:, word + 1] |= field.astype(np.uint64) >> np.uint64(64 - bit)
        place += width
    return words


def _joined(elements: NDArray[np.integer], places: Numbers) -> NDArray[np.uint64]:
    shifted = elements.astype(np.uint64) << places.astype(np.uint64)
    return np.bitwise_or.reduce(shifted, axis=1)


def _delayed(numbers: NDArray[np.integer], cycles: int, total: int) -> NDArray[np.integer]:
    delayed = np.zeros(total, numbers.dtype)
    delayed[cycles * LANES :][: len(numbers)] = numbers
    return delayed
