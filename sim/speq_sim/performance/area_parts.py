"""The parts that an array is composed of: how many there are, and what the size of each depends on.

A part is one module of the hierarchy without the modules inside it. Its *key* names everything
about a design point that changes its circuit but the four sizes of the shape (rows R, columns C,
port words W, tokens M); in the shape it is linear in its *terms*. docs/area.md has the flow.
"""

import dataclasses
from collections.abc import Callable

from speq.baselines.parameters import BaselineParameters
from speq.parameters import Parameters

__all__ = [
    "BASELINE_PARTS",
    "IN_ROW",
    "PARTS",
    "Part",
    "Shape",
    "pipelined",
    "shape_of",
    "variant_of",
]

Shape = dict[str, float]
"""Terms of a shape by name; those of one letter are sizes, which have a measured range."""

IN_ROW: tuple[str, ...] = ("pe", "multiplier", "reduce", "accumulate", "round")
"""Parts inside a row."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of an array.

    Parameters
    ----------
    name : str
        Its name: the module's, ``array`` for the top.
    count : callable
        Instances in a design point; 0 where there is none.
    key : callable
        Text of a design point (not of its shape) that tells apart circuits of this part.
    terms : tuple of str
        Names in a :data:`Shape` in which its figures are linear.
    """

    name: str
    count: Callable[..., int]
    key: Callable[..., str]
    terms: tuple[str, ...] = ("1",)

    @property
    def sizes(self) -> tuple[str, ...]:
        """Sizes of the shape that matter, in the order of the alphabet."""
        letters = {term.removeprefix("log2 ").removesuffix(" > 1") for term in self.terms} - {"1"}
        return tuple(sorted(letters))


def shape_of(design: Parameters | BaselineParameters) -> Shape:
    """The terms of a design point: 1, the sizes, how many bits number so many things, M > 1 or not.

    G is the number of transfers that load a tile, ``R*C/W``. Baselines have R and C alone.
    """
    sizes = {"R": design.rows, "C": design.columns}
    if isinstance(design, Parameters):
        sizes |= {"W": design.port_words, "M": design.tokens, "G": design.load_cycles}
    bits = {f"log2 {name}": (size - 1).bit_length() for name, size in sizes.items()}
    return {"1": 1, "M > 1": int(sizes.get("M", 0) > 1)} | sizes | bits


def variant_of(design: Parameters) -> str:
    """Modes, with weights of 4 bits the lanes and the format of draft activations, and depth."""
    return pipelined(_modes_of(design), design)


def pipelined(key: str, design: Parameters) -> str:
    """A key of something whose registers depend on the depth of the pipeline."""
    return f"{key} pipeline={design.pipeline}" if design.pipeline > 1 else key


def _modes_of(design: Parameters) -> str:
    """The variant of what is the same at every depth."""
    modes = "+".join(design.modes)
    if not design.has_nibbles:
        return modes
    return f"{modes} L{design.draft_lanes} {design.activation_format}"


def _of_pe(design: Parameters) -> str:
    """Draft magnitudes come from the family's codes."""
    return f"{variant_of(design)} {design.family}" if design.drafts else variant_of(design)


def _of_unpacker(design: Parameters) -> str:
    return f"{_modes_of(design)} tables={design.tables}"


def _of_round(design: Parameters) -> str:
    return f"{variant_of(design)} {design.result_format}"


def _of_accumulate(design: Parameters) -> str:
    """One accumulator is a register, several are a memory."""
    return pipelined("several" if design.tokens > 1 else "one", design)


def _family(design: Parameters) -> str:
    return design.family


def _any(design: Parameters) -> str:
    return pipelined("any", design)


def _pes(design: Parameters | BaselineParameters) -> int:
    return design.multipliers


def _rows(design: Parameters) -> int:
    return design.rows


def _one(design: Parameters | BaselineParameters) -> int:
    return 1


PARTS: tuple[Part, ...] = (
    Part("pe", _pes, _of_pe),
    Part("multiplier", _pes, variant_of),
    # Carry-save rows, C - 2 of them; an adder and a count of signs, each log2 C bits wider.
    Part("reduce", _rows, _any, ("1", "C", "log2 C")),
    Part("accumulate", _rows, _of_accumulate, ("1", "M", "log2 C")),
    Part("round", _rows, _of_round),
    Part("column", lambda design: design.columns, variant_of),
    Part("decoder", lambda design: design.port_words if design.packs else 0, _family),
    Part("middle_decoder", lambda design: design.port_words if design.middles else 0, _family),
    # Words to buses, and a choice of the row's table.
    Part(
        "unpacker", lambda design: int(design.has_low_bits), _of_unpacker, ("1", "W", "R", "log2 G")
    ),
    # Enables of G groups and their counter, and a header with R row exponents.
    Part("loader", _one, _modes_of, ("1", "G", "R", "log2 G", "log2 M")),
    # With one token, nothing counts them.
    Part("sequencer", _one, _modes_of, ("1", "R", "log2 M", "M > 1")),
    Part("stages", _one, variant_of, ("1", "R", "log2 M")),
    Part("array", _one, variant_of, ("1", "C", "R")),
)
"""Parts of our array. The row itself is wires."""


def _of_baseline(design: BaselineParameters) -> str:
    shared = " shared" if design.shared_shifter else ""
    return f"{design.kind} {design.bits}{shared} sum={design.accumulator_bits}"


BASELINE_PARTS: tuple[Part, ...] = (
    Part("pe", _pes, _of_baseline),
    Part("border", lambda design: design.rows + design.columns, _of_baseline),
    Part("sequencer", _one, _of_baseline, ("1", "log2 R")),
    Part("stage", _one, _of_baseline),
    Part("array", _one, _of_baseline),
)
"""Parts of a baseline array; a border has its decoder in it, a PE its multiplier."""
