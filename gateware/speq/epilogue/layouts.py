"""Streams of the epilogue."""

from amaranth.lib import data, stream

from speq.layouts import token_shape
from speq.parameters import Parameters

__all__ = [
    "control_layout",
    "output_stream",
    "result_stream",
    "scale_stream",
    "token_stream",
    "value_stream",
]

FP32_BITS = 32


def value_stream(parameters: Parameters, lanes: int, groups: bool) -> stream.Signature:
    """Results of the array, E rows of a token per transfer.

    Members of the payload
    ----------------------
    values : E FP32 patterns
        The lowest row first.
    token : unsigned
        The token's number; absent when there can be one only.
    last : 1 bit
        The last token of this output tile (and group).
    end : 1 bit
        With `last`: the job ends here, and what follows has token scales of its own. Ignored
        without `last`; with groups only in the last one.
    first_group, last_group : 1 bit
        Only with groups: the first and the last group of this output tile.
    """
    fields: dict[str, object] = {"values": data.ArrayLayout(FP32_BITS, lanes)}
    if parameters.tokens > 1:
        fields["token"] = token_shape(parameters)
    fields |= {"last": 1, "end": 1}
    if groups:
        fields |= {"first_group": 1, "last_group": 1}
    return stream.Signature(data.StructLayout(fields))


def output_stream(groups: bool) -> stream.Signature:
    """What the array does not know of its results: one transfer for each output tile and group.

    Members of the payload
    ----------------------
    first_group, last_group : 1 bit
        Only with groups: the first and the last group of this output tile.
    end : 1 bit
        The job ends with this output tile. With groups it counts in the last one only.
    """
    names = ("first_group", "last_group", "end") if groups else ("end",)
    return stream.Signature(data.StructLayout(dict.fromkeys(names, 1)))


def scale_stream(lanes: int) -> stream.Signature:
    """Row scales, E per transfer, the lowest row first: R/E transfers are a set."""
    return stream.Signature(data.StructLayout({"values": data.ArrayLayout(FP32_BITS, lanes)}))


def token_stream(parameters: Parameters) -> stream.Signature:
    """Token scales, one per transfer.

    Members of the payload
    ----------------------
    token : unsigned
        The token's number; absent when there can be one only.
    value : FP32 pattern
    last : 1 bit
        The job's set is complete.
    """
    fields: dict[str, object] = {"token": token_shape(parameters)} if parameters.tokens > 1 else {}
    return stream.Signature(data.StructLayout(fields | {"value": FP32_BITS, "last": 1}))


def result_stream(parameters: Parameters, lanes: int) -> stream.Signature:
    """Scaled results, E rows of a token per transfer.

    Members of the payload
    ----------------------
    values : E patterns of the result format
        The lowest row first.
    token : unsigned
        The token's number; absent when there can be one only.
    last : 1 bit
        The last token of this output tile.
    """
    fields: dict[str, object] = {"values": data.ArrayLayout(parameters.result_bits, lanes)}
    if parameters.tokens > 1:
        fields["token"] = token_shape(parameters)
    return stream.Signature(data.StructLayout(fields | {"last": 1}))


def control_layout(parameters: Parameters, parts: int, groups: bool) -> data.StructLayout:
    """What goes with a transfer through the stages.

    Members
    -------
    token : unsigned
        Absent when there can be one only.
    last : 1 bit
    closes : 1 bit
        The job's last transfer: the set of token scales is done with.
    part : unsigned
        Only with groups: which E of the token's R rows.
    first_group, last_group : 1 bit
        Only with groups.
    """
    fields: dict[str, object] = {"last": 1, "closes": 1}
    if parameters.tokens > 1:
        fields["token"] = token_shape(parameters)
    if groups:
        fields |= {"part": range(parts), "first_group": 1, "last_group": 1}
    return data.StructLayout(fields)
