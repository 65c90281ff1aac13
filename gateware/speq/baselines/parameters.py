"""The parameter object of the baseline arrays. Pure Python, like :mod:`speq.parameters`.

Vocabulary (R rows, C columns):

* a *slot* is one stored operand, 4 or 8 bits;
* a *beat* is one transfer of activations and one of weights: as many inputs k as one of R rows and
  one of C columns get at a time, two neighbours for OliVe (a pair), one for Tender;
* a *group* is a run of beats under one header: for Tender the inputs that share a scale.
"""

import dataclasses
from typing import Any, Literal

from speq.parameter_checks import ParameterError, check_choice, check_int, check_name

__all__ = ["BITS", "KINDS", "MAX_BEATS", "PRESETS", "BaselineParameters", "Kind"]

Kind = Literal["olive", "tender"]

KINDS: tuple[str, ...] = ("olive", "tender")
"""Baselines there are."""

BITS: tuple[int, ...] = (4, 8)
"""Widths of a slot."""

MAX_DIMENSION = 256
MAX_BEATS = (1 << 16) - 1
"""Most beats of one group."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineParameters:
    """One baseline array.

    Parameters
    ----------
    name : str
        Name of the design; becomes the prefix of the emitted modules (``speq_<name>``).
    kind : str
        ``"olive"`` or ``"tender"``.
    bits : int
        Width of a slot, 4 or 8. A PE multiplies one pair of operands of this width per cycle.
    rows : int
        R, activation vectors (tokens) side by side (1..256).
    columns : int
        C, output channels side by side (1..256).
    accumulator_bits : int
        Width of a PE's accumulator (16..48), which wraps. OliVe's paper has 32; Tender's is not
        known.
    shared_shifter : bool
        OliVe with 8 bits: one shifter behind the sum of the four bricks, not one in each. The
        paper's array has four whole 4-bit PEs here; this is the smaller PE of an array that never
        works with 4 bits.

    Raises
    ------
    ParameterError
        If a value is illegal.
    """

    name: str = "custom"
    kind: Kind
    bits: int
    rows: int
    columns: int
    accumulator_bits: int = 32
    shared_shifter: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        check_choice("kind", self.kind, KINDS)
        check_choice("bits", self.bits, BITS)
        check_int("rows", self.rows, 1, MAX_DIMENSION)
        check_int("columns", self.columns, 1, MAX_DIMENSION)
        check_int("accumulator_bits", self.accumulator_bits, 16, 48)
        if self.shared_shifter not in (False, True):
            raise ParameterError(
                f"shared_shifter is {self.shared_shifter!r}, but must be true or false"
            )
        if self.shared_shifter and (self.kind, self.bits) != ("olive", 8):
            raise ParameterError(
                f"shared_shifter is for OliVe with 8 bits, whose four bricks shift alike, but kind "
                f"is {self.kind!r} and bits is {self.bits}: leave it out"
            )

    @property
    def pairs(self) -> bool:
        """Whether slots come in pairs (OliVe)."""
        return self.kind == "olive"

    @property
    def inputs_per_beat(self) -> int:
        """Inputs k of one beat, which are also the cycles it takes."""
        return 2 if self.pairs else 1

    @property
    def multipliers(self) -> int:
        """Multipliers of `bits` x `bits`: one in each of the R*C PEs."""
        return self.rows * self.columns

    @property
    def bricks(self) -> int:
        """Multipliers of 4 x 4 bits in all: one per PE with 4 bits, four with 8."""
        return self.multipliers * (self.bits // 4) ** 2

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multiply-accumulates of the whole array per cycle while operands stream: R*C."""
        return self.multipliers

    def tile_cycles(self, inputs: int, groups: int = 1) -> int:
        """Cycles of one output tile of R x C elements, streams never waiting.

        One cycle begins each group (the accumulators are cleared, or Tender's shifted), each input
        takes one (an odd number of them is padded to pairs for OliVe), and R send the results out.

        Parameters
        ----------
        inputs : int
            Length K of the dot products. With several groups each has whole beats.
        groups : int
            Groups they come in.
        """
        beats = -(-inputs // self.inputs_per_beat)
        return groups + beats * self.inputs_per_beat + self.rows

    def replace(self, **changes: Any) -> "BaselineParameters":
        """A copy with some fields changed, validated anew."""
        fields = sorted(field.name for field in dataclasses.fields(self))
        unknown = sorted(set(changes) - set(fields))
        if unknown:
            raise ParameterError(
                f"{unknown[0]!r} is not a parameter of a baseline: use one of {', '.join(fields)}"
            )
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Fields as plain JSON values."""
        return dataclasses.asdict(self)


PRESETS: dict[str, BaselineParameters] = {
    preset.name: preset
    for preset in (
        BaselineParameters(name="olive4", kind="olive", bits=4, rows=8, columns=8),
        BaselineParameters(name="olive8", kind="olive", bits=8, rows=8, columns=8),
        BaselineParameters(
            name="olive8_shared", kind="olive", bits=8, rows=8, columns=8, shared_shifter=True
        ),
        BaselineParameters(name="tender4", kind="tender", bits=4, rows=8, columns=8),
        BaselineParameters(name="tender8", kind="tender", bits=8, rows=8, columns=8),
    )
}
"""Baselines with as many multipliers as the preset ``small`` of the product: 8 x 8."""
