"""Fields and streams of the accelerator: commands, and what each block needs of them.

Vocabulary, beside that of :mod:`speq.parameters`:

* a *job* is one matrix times M activation vectors: a command that was found legal;
* a *plane* is a contiguous region of memory; an *AXI beat* is W*16 bits of it;
* a *group* is the C*4 inputs of one tile of 4-bit weights, and of the two MIDDLE or four VERIFY
  tiles over the same inputs (C inputs and one tile in an FP16-only design);
* an *output tile* is R outputs of the job.
"""

from collections.abc import Mapping

from amaranth.hdl import Cat, Const, Value, unsigned
from amaranth.lib import data, enum, stream
from amaranth.utils import bits_for

from speq.layouts import COLUMN_SHIFT_BITS, Mode, token_shape
from speq.parameters import DRAFTS_PER_WORD, MAX_PRODUCTS, WORD_BITS, Parameters

__all__ = [
    "INPUT_BITS",
    "OUTPUT_TILE_BITS",
    "ActivationFault",
    "Plane",
    "RowRecord",
    "activation_beats",
    "at_last",
    "beat_count_bits",
    "fetch_job",
    "group_bits",
    "group_tiles",
    "job",
    "load_job",
    "packet_stream",
    "planes",
    "play_job",
    "result_beats",
    "result_job",
    "shift_stream",
    "tile_job",
]

OUTPUT_TILE_BITS = 20
"""Output tiles of a job: 1 to 2**20 - 1."""

INPUT_BITS = bits_for(MAX_PRODUCTS)
"""Inputs K of a job: 1 to 65,536."""


class Plane(enum.Enum, shape=2):
    """Regions of a packed tensor. Others have but the first: words (plain) or INT4 weights."""

    DRAFT = 0
    MIDDLE = 1
    LOW = 2


class RowRecord(data.Struct):
    """Header of one output row in the draft plane: 16 bits."""

    exponent: 7
    """t + r[n], two's complement."""
    reserved: 1
    table: 3
    """Number of its code table."""
    unused: 5


class ActivationFault(enum.Enum, shape=2):
    """What is wrong with a packet of activations."""

    NONE = 0
    SHORT = 1
    """TLAST before the job's last beat."""
    LONG = 2
    """No TLAST on the job's last beat."""


def planes(parameters: Parameters) -> int:
    """Planes that a design reads: 3, or 1 if it is FP16-only."""
    return len(Plane) if parameters.packs else 1


def group_bits(parameters: Parameters) -> int:
    """Width of a number of groups."""
    return bits_for(-(-MAX_PRODUCTS // parameters.group_inputs))


def beat_count_bits(parameters: Parameters) -> int:
    """Width of the number of AXI beats of a plane: no region is longer than the memory."""
    return parameters.address_bits - bits_for(parameters.bus_bytes - 1) + 1


def activation_beats(parameters: Parameters, inputs: int) -> int:
    """AXI4-Stream beats of one token's activations: ceil(K / W)."""
    return -(-inputs // parameters.port_words)


def result_beats(parameters: Parameters) -> int:
    """AXI4-Stream beats of one token's R results: ceil(R * bits / (W * 16))."""
    return -(-parameters.rows * parameters.result_bits // parameters.port_bits)


def job(parameters: Parameters) -> data.StructLayout:
    """A legal command, as it waits in the queue.

    Members
    -------
    fetch, load, play, tiles, results : structs
        What each block needs of it; the functions of this module name them.
    """
    return data.StructLayout(
        {
            "fetch": fetch_job(parameters),
            "load": load_job(parameters),
            "play": play_job(parameters),
            "tiles": tile_job(parameters),
            "results": result_job(parameters),
        }
    )


def fetch_job(parameters: Parameters) -> data.StructLayout:
    """What to read: base address (bytes, aligned to the beat) and AXI beats of each plane.

    Planes of 0 beats are not read.
    """
    count = planes(parameters)
    return data.StructLayout(
        {
            "bases": data.ArrayLayout(parameters.address_bits, count),
            "beats": data.ArrayLayout(beat_count_bits(parameters), count),
        }
    )


def load_job(parameters: Parameters) -> data.StructLayout:
    """Activations to take in.

    Members
    -------
    keep : 1 bit
        Take none: the job works on those of the job before.
    last_token : unsigned
        Tokens less one; absent when there can be one only.
    inputs : unsigned
        K; the values of the last beats beyond it are ignored.
    groups : unsigned
        Groups, ceil(K / group_inputs).
    """
    fields: dict[str, object] = {"keep": 1}
    return data.StructLayout(
        fields
        | _tokens(parameters)
        | {"inputs": INPUT_BITS, "groups": unsigned(group_bits(parameters))}
    )


def play_job(parameters: Parameters) -> data.StructLayout:
    """Activations to give to the array.

    Members
    -------
    keep, last_token, groups
        As in :func:`load_job`.
    mode : Mode
        Not in FP16-only designs, as is the next.
    plain : 1 bit
        All column shifts are zero, and none come from memory.
    output_tiles : unsigned
        How often all activations are given.
    """
    fields: dict[str, object] = {"keep": 1}
    return data.StructLayout(fields | _tokens(parameters) | _work(parameters))


def tile_job(parameters: Parameters) -> data.StructLayout:
    """Tiles to give to the array.

    Members
    -------
    mode, plain, last_token, groups, output_tiles
        As in :func:`play_job`.
    join : 1 bit
        Words come from all three planes: VERIFY of packed weights. Not in FP16-only designs.
    pair : 1 bit
        They come from the draft and the middle plane: MIDDLE. Only with that mode.
    """
    joins: dict[str, object] = {"join": 1} if parameters.packs else {}
    if parameters.middles:
        joins["pair"] = 1
    return data.StructLayout(_tokens(parameters) | _work(parameters) | joins)


def result_job(parameters: Parameters) -> data.StructLayout:
    """Results to send: ``last_token`` and ``output_tiles``."""
    return data.StructLayout(_tokens(parameters) | {"output_tiles": unsigned(OUTPUT_TILE_BITS)})


def packet_stream(parameters: Parameters) -> stream.Signature:
    """Data of AXI4-Stream packets inside the unit: ``data`` (W*16 bits) and ``last``."""
    return stream.Signature(data.StructLayout({"data": parameters.port_bits, "last": 1}))


def shift_stream(parameters: Parameters) -> stream.Signature:
    """Column shifts of a job: 4*W of consecutive inputs per transfer, C/W transfers per group.

    ``last`` marks the job's last transfer.
    """
    count = DRAFTS_PER_WORD * parameters.port_words
    assert COLUMN_SHIFT_BITS * count == WORD_BITS * parameters.port_words
    return stream.Signature(
        data.StructLayout({"shifts": data.ArrayLayout(COLUMN_SHIFT_BITS, count), "last": 1})
    )


def group_tiles(parameters: Parameters) -> dict[str, int]:
    """Tiles of a group in each mode: VERIFY 4, MIDDLE 2, the others 1 (FP16-only designs: 1)."""
    return {
        mode: parameters.group_inputs // parameters.tile_depth(mode) for mode in parameters.modes
    }


def at_last(counter: Value, mode: Value, counts: Mapping[str, int]) -> Value:
    """Whether a counter of ``counts[mode]`` steps is at its last.

    Parameters
    ----------
    counter : Value
    mode : Value
        A :class:`speq.layouts.Mode`; not looked at if all counts are 1.
    counts : mapping of str to int
        Steps in each mode that is built in.
    """
    if all(count == 1 for count in counts.values()):
        return Const(1, 1)
    return Cat(
        (mode == Mode[name.upper()]) & (counter == count - 1) for name, count in counts.items()
    ).any()


def _tokens(parameters: Parameters) -> dict[str, object]:
    return {"last_token": token_shape(parameters)} if parameters.tokens > 1 else {}


def _work(parameters: Parameters) -> dict[str, object]:
    fields: dict[str, object] = {"mode": Mode, "plain": 1} if parameters.packs else {}
    return fields | {
        "groups": unsigned(group_bits(parameters)),
        "output_tiles": unsigned(OUTPUT_TILE_BITS),
    }
