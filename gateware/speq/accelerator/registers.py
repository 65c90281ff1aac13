"""Registers of the accelerator: the one description that circuits, headers and software share.

Pure Python: nothing here imports Amaranth. :mod:`speq.accelerator.register_text` writes it out as
headers, JSON and the table in docs/registers.md.
"""

import enum
import zlib
from collections.abc import Iterator

from speq.accelerator.register_model import (
    ADDRESS_BITS,
    REGISTER_BITS,
    Access,
    Code,
    Field,
    Register,
    RegisterMap,
)
from speq.formats.tables import Family, family
from speq.parameters import MODES, WORD_BITS, Parameters

__all__ = [
    "ADDRESS_BITS",
    "COUNTER_BITS",
    "MAGIC",
    "PENDING_BITS",
    "REGISTER_BITS",
    "VERSION",
    "Fault",
    "Interrupt",
    "ModeCode",
    "Rejection",
    "register_map",
    "tables_hash",
]

MAGIC = int.from_bytes(b"SPEQ", "little")
VERSION = (2, 0)
"""Major and minor: another major one means that software written for this one does not fit."""

COUNTER_BITS = 48
"""Width of the performance counters: 2**48 cycles of 500 MHz are more than six days."""

PENDING_BITS = 8
"""Width of the number of accepted and unfinished jobs."""


class ModeCode(Code):
    """Mode of a command."""

    VERIFY = MODES.index("verify"), "all 16 bits of the weights"
    DRAFT = MODES.index("draft"), "the draft plane"
    MIDDLE = MODES.index("middle"), "the draft and the middle plane"
    QDRAFT = MODES.index("qdraft"), "INT4 weights and INT4 activations"
    QVERIFY = MODES.index("qverify"), "INT4 weights and FP16 activations"


class Fault(Code):
    """Why the unit stopped."""

    NONE = 0, "it was not stopped"
    READ_SLVERR = 1, "a read was answered with SLVERR"
    READ_DECERR = 2, "a read was answered with DECERR"
    ACTIVATION_SHORT = 3, "TLAST before the last beat of a packet of activations"
    ACTIVATION_LONG = 4, "no TLAST on the last beat of a packet of activations"
    STOPPED = 5, "`CONTROL.stop`"


class Rejection(Code):
    """Why a command was dropped: the first reason in this order that applies."""

    NONE = 0, "none was, or it was cleared"
    STOPPED = 1, "the unit is stopping or stopped"
    MODE = 2, "a mode that is not built in"
    PLAIN = 3, "plain words in another mode than VERIFY"
    TOKENS = 4, "no tokens, or more than M"
    INPUTS = 5, "no inputs, or more than 65,536"
    OUTPUT_TILES = 6, "no output tiles, or more than 2**20 - 1"
    BUFFER = 7, "more activations than a buffer holds"
    KEEP = 8, "keep with other tokens or inputs than the job before, or before any"
    MISALIGNED = 9, "an address that is no multiple of the beat"
    ADDRESS = 10, "a region beyond the address space"
    QUEUE_FULL = 11, "nothing is wrong: push again when `STATUS.room` is set"


class Interrupt(enum.IntEnum):
    """Bit numbers of IRQ_PENDING and IRQ_ENABLE."""

    DONE = 0
    FAULT = 1
    REJECTED = 2
    STOPPED = 3


def tables_hash(tables: Family) -> int:
    """What tells code tables apart: 32 bits that a packed tensor and a design have in common.

    CRC-32 (as in zlib) of the eight draft values and then each table's 64 codes, a byte each. A
    table with spare codes goes on with a byte of 255 for each cell and then its spare codes.
    """
    content = bytes(tables.draft_values)
    for table in tables.tables:
        content += bytes(table.codes)
        if table.has_spare:
            content += b"".join(bytes((255, *others)) for others in table.spare)
    return zlib.crc32(content)


def register_map(parameters: Parameters) -> RegisterMap:
    """Registers of a design point. What a design has not built in leaves a gap, and moves none."""
    return RegisterMap(
        (
            *_identity(parameters),
            *_state(),
            *_command(parameters),
            *_counters(),
        )
    )


def _constant(name: str, bits: int, value: int, doc: str, offset: int = 0) -> Field:
    return Field(name, bits, Access.READ_ONLY, doc, offset, value=value)


def _read(
    name: str, bits: int, doc: str, offset: int = 0, codes: type[Code] | None = None
) -> Field:
    return Field(name, bits, Access.READ_ONLY, doc, offset, codes)


def _write(
    name: str, bits: int, doc: str, offset: int = 0, codes: type[Code] | None = None
) -> Field:
    return Field(name, bits, Access.READ_WRITE, doc, offset, codes)


def _pulse(name: str, doc: str, offset: int = 0) -> Field:
    return Field(name, 1, Access.PULSE, doc, offset)


def _identity(parameters: Parameters) -> Iterator[Register]:
    p = parameters
    modes = sum(1 << MODES.index(mode) for mode in p.modes)
    bits = p.draft_bits if p.has_nibbles else 0
    number = tables_hash(family(p.family)) if p.packs else 0
    yield Register(
        "ID", 0x000, (_constant("magic", 32, MAGIC, 'the bytes "SPEQ"'),), "what this block is"
    )
    yield Register(
        "VERSION",
        0x004,
        (
            _constant("minor", 16, VERSION[1], "counts additions"),
            _constant("major", 16, VERSION[0], "counts incompatible changes", 16),
        ),
        "version of this register map",
    )
    yield Register(
        "SHAPE",
        0x008,
        (
            _constant("rows", 16, p.rows, "R"),
            _constant("columns", 16, p.columns, "C", 16),
        ),
        "shape of the array",
    )
    yield Register(
        "FEATURES",
        0x00C,
        (
            _constant("port_words", 8, p.port_words, "W; a beat has 2*W bytes"),
            _constant("tokens", 8, p.tokens, "M, most tokens of a job", 8),
            _constant("draft_lanes", 4, p.lanes, "L, 1 without modes of 4-bit weights", 16),
            _constant("group_tiles", 4, p.group_tiles, "VERIFY tiles per group, 4 or 1", 20),
            _constant("modes", 8, modes, "bit n: mode n is built in", 24),
        ),
        "what is built in",
    )
    yield Register(
        "LIMITS",
        0x010,
        (
            _constant("queue_depth", 8, p.queue_depth, "jobs that wait behind the one at work"),
            _constant("address_bits", 8, p.address_bits, "width of memory addresses", 8),
            _constant("tables", 8, p.tables, "code tables, 0 if FP16-only", 16),
            _constant("result_words", 4, p.result_bits // WORD_BITS, "16-bit words per result", 24),
            _constant("draft_bits", 4, bits, "magnitude bits in DRAFT and QDRAFT", 28),
        ),
        "further parameters",
    )
    yield Register(
        "ACTIVATION_VALUES",
        0x014,
        (_constant("values", 28, p.activation_values, "FP16 values of each activation buffer"),),
        "size of a buffer",
    )
    yield Register(
        "TABLES_HASH",
        0x018,
        (_constant("crc", 32, number, "CRC-32 of draft values and codes; 0 if FP16-only"),),
        "which code tables are wired in",
    )


def _state() -> Iterator[Register]:
    yield Register(
        "CONTROL",
        0x020,
        (
            _pulse("stop", "stop the unit; ignored unless it runs"),
            _pulse("resume", "run again; ignored unless STATUS.stopped", 1),
            _pulse("clear_counters", "set CYCLES, BEATS and WORDS to 0", 2),
        ),
        "requests",
    )
    yield Register(
        "STATUS",
        0x024,
        (
            _read("stopped", 1, "nothing is under way; commands are rejected until resume"),
            _read("stopping", 1, "what is under way drains; commands are rejected", 1),
            _read("busy", 1, "jobs are pending", 2),
            _read("room", 1, "the queue takes another job", 3),
            _read("pending", PENDING_BITS, "jobs accepted and not completed", 8),
        ),
        "state",
    )
    yield Register(
        "FAULT",
        0x028,
        (Field("code", 4, Access.READ_ONLY, "the first cause, until resume", codes=Fault),),
        "why the unit stopped",
    )
    yield Register(
        "REJECTION",
        0x02C,
        (Field("code", 4, Access.CLEAR, "of the last rejected command", codes=Rejection),),
        "why a command was dropped",
    )
    yield Register(
        "REJECTIONS",
        0x030,
        (_read("count", 32, "since reset, modulo 2**32"),),
        "rejected commands",
    )
    yield Register(
        "JOBS_COMPLETED",
        0x034,
        (_read("count", 32, "since reset, modulo 2**32"),),
        "jobs whose last result was taken",
    )
    events = (
        ("done", "a job was completed"),
        ("fault", "a read or an activation fault stopped the unit"),
        ("rejected", "a command was rejected"),
        ("stopped", "STATUS.stopped was set"),
    )
    assert [name for name, _ in events] == [member.name.lower() for member in Interrupt]
    for name, offset, access, doc in (
        ("IRQ_PENDING", 0x038, Access.CLEAR, "events since they were last cleared"),
        ("IRQ_ENABLE", 0x03C, Access.READ_WRITE, "events that raise irq while pending"),
    ):
        yield Register(
            name,
            offset,
            tuple(Field(event, 1, access, text, bit) for bit, (event, text) in enumerate(events)),
            doc,
        )


def _command(parameters: Parameters) -> Iterator[Register]:
    packs = parameters.packs
    fields = [Field("mode", 4, Access.READ_WRITE, "what to compute", codes=ModeCode)]
    if packs:
        fields.append(_write("plain", 1, "words are FP16 patterns (VERIFY only)", 4))
    fields += [
        _write("keep", 1, "use the activations of the job before", 5),
        _write("tokens", 8, "1..M", 8),
    ]
    yield Register("COMMAND", 0x040, tuple(fields), "command: how")
    yield Register("INPUTS", 0x044, (_write("count", 32, "K, 1..65,536"),), "command: K")
    yield Register(
        "OUTPUT_TILES",
        0x048,
        (_write("count", 32, "NT, 1..2**20 - 1"),),
        "command: output tiles",
    )
    yield Register(
        "PUSH",
        0x04C,
        (Field("any", 32, Access.TRIGGER, "any value"),),
        "make the command a job; answered once it is accepted or rejected",
    )
    for plane, offset in (("DRAFT", 0x050), ("MIDDLE", 0x058), ("LOW", 0x060))[: 3 if packs else 1]:
        what = f"the {plane.lower()} plane"
        if plane == "DRAFT":
            what = "plain words or the draft plane"
        if not packs:
            what = "words"
        yield Register(
            f"{plane}_BASE",
            offset,
            (_write("address", 32, "bits 0..31, in bytes; a multiple of 2*W"),),
            f"command: address of {what}",
        )
        yield Register(
            f"{plane}_BASE_HIGH",
            offset + 4,
            (_write("address", 32, "bits 32..63"),),
            f"command: address of {what}",
        )


def _counters() -> Iterator[Register]:
    for name, offset, doc in (
        ("CYCLES", 0x080, "cycles with a job pending"),
        ("BEATS", 0x088, "beats of weights received"),
        ("WORDS", 0x090, "transfers of weights into the array"),
    ):
        yield Register(
            name,
            offset,
            (_read("count", 32, "bits 0..31; reading it captures the rest"),),
            doc,
            captures=f"{name}_HIGH",
        )
        yield Register(
            f"{name}_HIGH",
            offset + 4,
            (
                _read(
                    "count",
                    COUNTER_BITS - REGISTER_BITS,
                    f"bits 32..{COUNTER_BITS - 1} as of the last read of {name}",
                ),
            ),
            doc,
        )
