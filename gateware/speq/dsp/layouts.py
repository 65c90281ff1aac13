"""Packed fields between the units for FPGAs."""

from amaranth.lib import data

from speq.parameters import Parameters

__all__ = [
    "DSP_BITS",
    "PACKED_PLACE",
    "SIGNIFICAND_BITS",
    "dsp_blocks",
    "dsp_factors",
    "packs_products",
]

SIGNIFICAND_BITS = 11
DSP_BITS = 18
"""Width of a DSP block's unsigned operands, at most (ECP5 and Cyclone V; one operand of a Xilinx
DSP48 has 17 bits without a sign, so that Yosys takes two of those)."""

PACKED_PLACE = 12
"""Place of the upper of two magnitudes of 6 bits in one operand."""


def dsp_blocks(parameters: Parameters) -> int:
    """DSP blocks of a PE: one, or two with several lanes."""
    return min(parameters.lanes, 2)


def packs_products(parameters: Parameters) -> bool:
    """Whether a DSP block adds two products of 4-bit weights."""
    return parameters.lanes == 4


def dsp_factors(parameters: Parameters) -> data.StructLayout:
    """What a column gives to each DSP block of its PEs.

    Members (one struct ``dsp_<j>`` per block)
    ------------------------------------------
    low : 12 bits (four lanes, or two), 11 (one)
        VERIFY and MIDDLE: the significand, for the first block. Two lanes: a magnitude. QVERIFY: a
        magnitude of 12 bits. DRAFT and QDRAFT with four lanes: b, the magnitude of lane j + 2.
    top : 6 bits
        DRAFT and QDRAFT: a, the magnitude of lane j; else 0. This and the following with four lanes
        only.
    top_zero, low_any : 1 bit
        Of two magnitudes, a is 0; b is not.
    """
    if packs_products(parameters):
        fields = {
            "low": PACKED_PLACE,
            "top": DSP_BITS - PACKED_PLACE,
            "top_zero": 1,
            "low_any": 1,
        }
    else:
        fields = {"low": SIGNIFICAND_BITS if parameters.lanes == 1 else parameters.draft_bits}
    block = data.StructLayout(fields)
    return data.StructLayout({f"dsp_{j}": block for j in range(dsp_blocks(parameters))})
