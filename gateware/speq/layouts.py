"""Packed fields and streams: what travels between the blocks of an array."""

from amaranth.hdl import Cat, Value, signed, unsigned
from amaranth.lib import data, enum, stream
from amaranth.utils import bits_for

from speq.dsp.layouts import SIGNIFICAND_BITS, dsp_factors
from speq.parameters import DRAFTS_PER_WORD, WORD_BITS, Parameters

__all__ = [
    "BRICKS",
    "BRICK_LANES",
    "COLUMN_SHIFT_BITS",
    "LOW_BITS",
    "PAIR_BITS",
    "PRODUCT_BITS",
    "ROW_EXPONENT_BITS",
    "SHIFT_BITS",
    "SIGNIFICAND_BITS",
    "DraftWeight",
    "Fp16",
    "MiddleWeight",
    "Mode",
    "PackedWord",
    "Specials",
    "activation_stream",
    "beat_layout",
    "brick_bits",
    "draft_word",
    "kind_layout",
    "load_enables",
    "loaded_layout",
    "of_nibbles",
    "operand_layout",
    "payload_shape",
    "product_layout",
    "result_stream",
    "stage_layout",
    "tile_stream",
    "token_shape",
    "weight_stream",
    "word_buses",
]

LOW_BITS = 6
"""Low part of a significand that is cut in two for the bricks."""
BRICKS = 4
"""Parts of a multiplier of more than one lane."""
BRICK_LANES = (0, 2, 1, 3)
"""Lane of each brick with four lanes. QVERIFY gives a lane two bricks, the first two or the last:
so either brick of such a pair takes its weight from one of two nibbles."""
PRODUCT_BITS = 2 * SIGNIFICAND_BITS + 1
PAIR_BITS = 2 * LOW_BITS
"""Magnitude of an activation of QVERIFY with more than one lane, in blocks of two."""
SHIFT_BITS = 6
"""Left shift of a product into the fixed-point field: 0..58."""
COLUMN_SHIFT_BITS = 4
ROW_EXPONENT_BITS = 7


class Mode(enum.Enum, shape=3):
    """Mode of a tile; the encoding is the order of :data:`speq.modes.MODES`."""

    VERIFY = 0
    DRAFT = 1
    MIDDLE = 2
    QDRAFT = 3
    QVERIFY = 4


class Fp16(data.Struct):
    """IEEE 754 binary16."""

    fraction: 10
    exponent: 5
    sign: 1


class PackedWord(data.Struct):
    """All planes of one packed weight (docs/format.md)."""

    low: 8
    slot: 4
    code: 3
    sign: 1


class MiddleWeight(data.Struct):
    """Draft and middle plane of one weight: the high byte of a packed word."""

    slot: 4
    code: 3
    sign: 1


class DraftWeight(data.Struct):
    """The draft plane of one weight, or an INT4 weight: a nibble.

    As INT4, `code` is the magnitude, and a negative zero stands for -8.
    """

    code: 3
    sign: 1


draft_word = data.ArrayLayout(DraftWeight, DRAFTS_PER_WORD)
"""Four draft weights as one word of the array, the first in the low nibble."""


class Specials(data.Struct):
    """What a product or a sum is beside its finite value."""

    nan: 1
    positive_infinity: 1
    negative_infinity: 1


def brick_bits(parameters: Parameters) -> tuple[tuple[int, int], ...]:
    """Bricks of the significand multiplier: (weight bits, activation bits) of each.

    One lane needs one 11x11 multiplier. With more, both significands are cut into a low part of 6
    and a high part of 5 bits, and the bricks low*low, low*high, high*low, high*high are as wide as
    what weights of 4 bits give them: a draft magnitude of 6 bits, and the activation magnitude of a
    lane (four lanes) or half of one, of 12 bits (two lanes).
    """
    match parameters.lanes:
        case 1:
            return ((SIGNIFICAND_BITS, SIGNIFICAND_BITS),)
        case 2:
            return ((LOW_BITS, parameters.draft_bits // 2),) * BRICKS
        case _:
            return ((LOW_BITS, parameters.draft_bits),) * BRICKS


def kind_layout(parameters: Parameters) -> data.StructLayout:
    """What sets a beat apart from VERIFY; all are 0 there, and in a design without the mode absent.

    Members
    -------
    block : 1 bit
        All lanes multiply weights of 4 bits with blocks of L activations: DRAFT and QDRAFT.
    integer : 1 bit
        The weights are INT4: QDRAFT and QVERIFY.
    middle : 1 bit
        MIDDLE.
    """
    fields = {"block": parameters.has_nibbles, "integer": parameters.integers}
    fields |= {"middle": parameters.middles}
    return data.StructLayout({name: 1 for name, present in fields.items() if present})


def of_nibbles(kind: data.View) -> Value:
    """Whether a beat's weights are of 4 bits."""
    present = [kind[name] for name, _ in kind.shape() if name in ("block", "integer")]
    return Cat(*present).any()


def operand_layout(parameters: Parameters) -> data.StructLayout:
    """One column's activations as they are broadcast to its PEs.

    Members
    -------
    factors : one struct per brick
        ``one``, the activation's magnitude bits for that brick, and ``three``, three times that; or
        one struct per DSP block (:func:`speq.dsp.layouts.dsp_factors`).
    signs, nans, infinities : L bits
        Of the activation in each lane (VERIFY and MIDDLE: of the only one, in every lane; QVERIFY
        with four lanes: of the pair's, twice).
    zero : 1 bit
        VERIFY: the activation is zero.
    exponent : 6 bits
        Effective exponent of the activation or its block, less 2, modulo 64.
    """
    lanes = parameters.lanes
    return data.StructLayout(
        {
            "factors": dsp_factors(parameters) if parameters.in_dsp else _bricks(parameters),
            "signs": lanes,
            "nans": lanes,
            "infinities": lanes,
            "zero": 1,
            "exponent": SHIFT_BITS,
        }
    )


def _bricks(parameters: Parameters) -> data.StructLayout:
    return data.StructLayout(
        {
            f"brick_{index}": data.StructLayout({"one": bits, "three": bits + 2})
            for index, (_, bits) in enumerate(brick_bits(parameters))
        }
    )


def product_layout(parameters: Parameters) -> data.StructLayout:
    """What a PE hands to its row: a signed product, where it belongs, and its special values."""
    return data.StructLayout(
        {
            "value": signed(PRODUCT_BITS),
            "shift": SHIFT_BITS,
            "specials": Specials,
        }
    )


def tile_stream(parameters: Parameters) -> stream.Signature:
    """Headers of tiles, one transfer per tile.

    Members of the payload
    ----------------------
    mode : Mode
        Absent in FP16-only designs.
    plain : 1 bit
        VERIFY words are FP16 patterns, not packed words. Absent, as are the next two, without
        packed words.
    row_table : R table numbers
        The code table of each row; absent with one table.
    row_exponent : R signed numbers of 7 bits
        ``t + r[n]``, undone at rounding.
    first, last : 1 bit
        First and last tile of a row of tiles: clear the accumulators, emit the results.
    last_token : unsigned
        Tokens that stream past the tile, less one; absent when there can be one only.
    """
    fields: dict[str, object] = {}
    rows = parameters.rows
    if parameters.has_low_bits:
        fields["mode"] = Mode
    if parameters.packs:
        fields["plain"] = 1
        if parameters.tables > 1:
            fields["row_table"] = data.ArrayLayout(bits_for(parameters.tables - 1), rows)
        fields["row_exponent"] = data.ArrayLayout(signed(ROW_EXPONENT_BITS), rows)
    fields |= {"first": 1, "last": 1}
    if parameters.tokens > 1:
        fields["last_token"] = token_shape(parameters)
    return stream.Signature(data.StructLayout(fields))


def payload_shape(signature: stream.Signature) -> data.StructLayout:
    """Layout of a stream's payload."""
    return signature.members["payload"].shape


def token_shape(parameters: Parameters) -> object:
    """Shape of a token's number."""
    return unsigned(bits_for(parameters.tokens - 1))


def loaded_layout(parameters: Parameters) -> data.StructLayout:
    """What is left of a tile's header once its words are decoded."""
    header = payload_shape(tile_stream(parameters))
    return data.StructLayout(
        {name: field.shape for name, field in header if name not in ("plain", "row_table")}
    )


def word_buses(parameters: Parameters) -> int:
    """Word buses from the loader to the PEs.

    A group is W consecutive PEs. A VERIFY transfer fills one group, a MIDDLE transfer a byte in
    each of two neighbouring ones, any other a nibble in each of four, which therefore listen to
    different buses.
    """
    return DRAFTS_PER_WORD if parameters.has_low_bits else 1


def load_enables(parameters: Parameters) -> int:
    """Parts of a PE's waiting word that load apart: nibbles, or in FP16-only designs the whole."""
    return DRAFTS_PER_WORD if parameters.has_low_bits else 1


def beat_layout(parameters: Parameters) -> data.StructLayout:
    """What travels with one beat through the stages of the array.

    Members
    -------
    clear : 1 bit
        The accumulator starts from zero.
    emit : 1 bit
        The accumulator is complete: round it and send it out.
    last : 1 bit
        The tile's last token.
    token : unsigned
        The token's number; absent when there can be one only.
    kind : struct
        What the mode of the tile asks of the stages (:func:`kind_layout`); not in FP16-only
        designs.
    part : unsigned
        Which of the token's beats; only where a mode has more than one.
    """
    fields: dict[str, object] = {"clear": 1, "emit": 1, "last": 1}
    if parameters.tokens > 1:
        fields["token"] = token_shape(parameters)
    if parameters.has_low_bits:
        fields["kind"] = kind_layout(parameters)
    if parameters.word_beats > 1:
        fields["part"] = range(parameters.word_beats)
    return data.StructLayout(fields)


def stage_layout(parameters: Parameters) -> data.StructLayout:
    """A beat beyond the columns: with the exponents of its tile's rows."""
    beat = beat_layout(parameters)
    if not parameters.packs:
        return beat
    fields = {name: field.shape for name, field in beat}
    exponents = data.ArrayLayout(signed(ROW_EXPONENT_BITS), parameters.rows)
    return data.StructLayout(fields | {"row_exponent": exponents})


def weight_stream(parameters: Parameters) -> stream.Signature:
    """Weights of a tile, 16*W bits in each of G = R*C/W transfers.

    VERIFY brings R*C words in the order row * C + column, W per transfer. DRAFT, QDRAFT and QVERIFY
    bring 4*R*C weights of 4 bits (:class:`DraftWeight`) in the order (quarter, row, column), 4*W
    per transfer, the first in the lowest bits: quarter q holds nibble q of all words. MIDDLE brings
    2*R*C weights of 8 bits (:class:`MiddleWeight`), 2*W per transfer, first all low bytes of the
    words, then all high ones: the low byte of word i is for PE i of one group of W, the high byte
    for PE i of the next.
    """
    return stream.Signature(
        data.StructLayout({"words": data.ArrayLayout(WORD_BITS, parameters.port_words)})
    )


def activation_stream(parameters: Parameters) -> stream.Signature:
    """One beat of one token: C*L FP16 activations and, with packed words, their column shifts.

    VERIFY and MIDDLE use the first C, QVERIFY the first min(L, 2) of each L, the others all.
    """
    count = parameters.activations_per_beat
    fields = {"values": data.ArrayLayout(Fp16, count)}
    if parameters.packs:
        fields["shifts"] = data.ArrayLayout(COLUMN_SHIFT_BITS, count)
    return stream.Signature(data.StructLayout(fields))


def result_stream(parameters: Parameters) -> stream.Signature:
    """Results of one token: one output element per row.

    Members of the payload
    ----------------------
    values : R elements in the result format
    token : unsigned
        The token's number in its tile; absent when there can be one only.
    last : 1 bit
        The tile's last token.
    """
    fields: dict[str, object] = {
        "values": data.ArrayLayout(parameters.result_bits, parameters.rows)
    }
    if parameters.tokens > 1:
        fields["token"] = token_shape(parameters)
    return stream.Signature(data.StructLayout(fields | {"last": 1}))
