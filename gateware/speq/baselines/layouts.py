"""Fields and streams of the baseline arrays."""

import dataclasses

from amaranth.hdl import signed
from amaranth.lib import data, enum, stream
from amaranth.utils import bits_for

from speq.baselines.parameters import MAX_BEATS, BaselineParameters

__all__ = [
    "Abfloat",
    "Step",
    "abfloat_of",
    "activation_stream",
    "header_stream",
    "operand_layout",
    "result_stream",
    "slots_layout",
    "step_layout",
    "weight_stream",
]


class Step(enum.Enum, shape=2):
    """What all PEs do in a cycle."""

    CLEAR = 0
    """Accumulators become zero."""
    NEXT_GROUP = 1
    """Tender: accumulators are doubled. OliVe: nothing."""
    MULTIPLY = 2
    """The product of the registered operands is added."""
    DRAIN = 3
    """Row 0 leaves; every other row moves up by one."""


@dataclasses.dataclass(frozen=True)
class Abfloat:
    """OliVe's adaptive biased float: sign, exponent and mantissa in a slot, and a bias.

    A slot is ``sign * (2**mantissa_bits + mantissa) * 2**(exponent + bias)``, but zero if exponent
    and mantissa are.

    Parameters
    ----------
    exponent_bits, mantissa_bits : int
        Widths of the fields, the mantissa's in the low bits.
    bias : int
        Added to every exponent.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int

    @property
    def largest_exponent(self) -> int:
        """Largest ``exponent + bias``: 5 or 19."""
        return (1 << self.exponent_bits) - 1 + self.bias


_ABFLOATS = {4: Abfloat(2, 1, 2), 8: Abfloat(4, 3, 4)}
"""E2M1 with bias 2 (values 12 to 96) and E4M3 with bias 4 (144 to ``15 * 2**19``).

E2M1 with bias 2 and E4M3 are the paper's. That a zero magnitude code is zero follows from the
published range (12 and not 8 is the least) and from the identifier, which would be a negative zero.
The bias of E4M3 is our choice: the least that puts every outlier above int8.
"""


def abfloat_of(parameters: BaselineParameters) -> Abfloat:
    """The outliers' format."""
    return _ABFLOATS[parameters.bits]


def slots_layout(parameters: BaselineParameters) -> data.ArrayLayout:
    """What one row or column gets in a beat: a pair of slots (OliVe) or one operand (Tender)."""
    return data.ArrayLayout(parameters.bits, parameters.inputs_per_beat)


def operand_layout(parameters: BaselineParameters) -> data.StructLayout:
    """One operand inside the array.

    Members
    -------
    integer : signed, `bits` bits
        Its integer.
    exponent : unsigned
        It is worth ``integer * 2**exponent``. Only OliVe: 3 bits for slots of 4, 5 bits for 8.
    """
    fields: dict[str, object] = {"integer": signed(parameters.bits)}
    if parameters.kind == "olive":
        fields["exponent"] = bits_for(abfloat_of(parameters).largest_exponent)
    return data.StructLayout(fields)


def step_layout(parameters: BaselineParameters) -> data.StructLayout:
    """What goes with one cycle's work through the array.

    Members
    -------
    step : Step
    last : 1 bit
        DRAIN: the tile's last row.
    """
    return data.StructLayout({"step": Step, "last": 1})


def header_stream(parameters: BaselineParameters) -> stream.Signature:
    """Headers of groups, in the order of their beats.

    Members of the payload
    ----------------------
    beats : 16 bits
        Transfers of the activations and of the weights; may be zero.
    first : 1 bit
        The tile's first group: accumulators start from zero. Otherwise they are kept, and Tender's
        are doubled.
    last : 1 bit
        The tile's last group: results leave.
    """
    return stream.Signature(
        data.StructLayout({"beats": bits_for(MAX_BEATS), "first": 1, "last": 1})
    )


def activation_stream(parameters: BaselineParameters) -> stream.Signature:
    """One beat of activations: for each of R rows its slots, the even one in the low bits."""
    slots = data.ArrayLayout(parameters.bits, parameters.rows * parameters.inputs_per_beat)
    return stream.Signature(data.StructLayout({"slots": slots}))


def weight_stream(parameters: BaselineParameters) -> stream.Signature:
    """One beat of weights: for each of C columns its slots, the even one in the low bits."""
    slots = data.ArrayLayout(parameters.bits, parameters.columns * parameters.inputs_per_beat)
    return stream.Signature(data.StructLayout({"slots": slots}))


def result_stream(parameters: BaselineParameters) -> stream.Signature:
    """Accumulators of one row (token), C signed numbers; R transfers per tile, row 0 first.

    Members of the payload
    ----------------------
    values : C signed numbers
    last : 1 bit
        The tile's last row.
    """
    values = data.ArrayLayout(signed(parameters.accumulator_bits), parameters.columns)
    return stream.Signature(data.StructLayout({"values": values, "last": 1}))
