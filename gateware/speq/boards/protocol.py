"""The byte protocol between a host and an accelerator on a board.

Pure Python: the circuit (:mod:`speq.boards.link`) and the host library take their numbers here.

The host asks, the board answers, one request at a time; the board never speaks unasked. Both are
frames of bytes on an asynchronous serial line (8 data bits, no parity, 1 stop bit, lowest bit
first), so any channel that carries bytes will do. Numbers of several bytes are little-endian, but
for the CRC.

====== ====================================== ======================================
byte   request                                answer
====== ====================================== ======================================
0      0xA5                                   0x5A
1      sequence number                        the request's
2      command                                status (:class:`Status`)
3      length n of the payload, 0..255        the same
4..    payload                                payload
4+n    CRC, high byte                         the same
5+n    CRC, low byte                          the same
====== ====================================== ======================================

The CRC is CRC-16/IBM-3740 (polynomial 0x1021, initial value 0xFFFF, nothing reflected) of bytes
1 to 3+n.

=========== ===== ======================================= =====================================
command     code  payload                                 answer's payload, if the status is OK
=========== ===== ======================================= =====================================
IDENTIFY    1     none                                    version, bytes per beat, bytes of
                                                          memory (4)
RESET       2     none                                    none
READ        3     offset (2)                              value (4)
WRITE       4     offset (2), value (4)                   none
STORE       5     address (4), 0..251 bytes               none
LOAD        6     count (1), address (4)                  `count` bytes
SEND        7     flags (1), whole beats                  beats taken (1), 1 if the last of them
                                                          still waits at the accelerator (1)
RECEIVE     8     none                                    flags (1), whole beats
=========== ===== ======================================= =====================================

* **READ, WRITE**: a register of the accelerator, 32 bits. `offset` is in bytes.
* **STORE, LOAD**: bytes of the memory that the accelerator reads weights from, at any address.
* **SEND**: beats of a packet of activations. Bit 0 of the flags: the last beat ends the packet. A
  beat that the accelerator does not take within 256 cycles of the one before ends the command: the
  answer says how many beats were taken, the first ones, and the host sends the others again, with
  the same flags. Without beats the command asks only whether one waits.
* **RECEIVE**: beats of results that wait, none if none do; they end with the first that ends a
  packet, or where one more would not fit. Bit 0 of the flags: the last beat ends the packet; bit 1:
  the packet is void. Results that are not asked for wait in the accelerator, which stops working
  when it has no room for more: none is lost.
* **RESET**: resets the accelerator and its memory port. The memory keeps its contents.

**Errors.** A status other than OK comes without payload. UNKNOWN: no such command. LENGTH: the
payload does not fit the command. BUS: the accelerator answered with an error. RANGE: an address
beyond the memory; bytes up to its end were stored.

**Broken frames.** The board takes a frame as a whole: of a frame with a wrong CRC, a byte without
stop bit, or a gap between two bytes that is longer than the board's idle time, nothing is done and
nothing answered. Within a frame 0xA5 is a byte like any other. So after a gap of the idle time the
board takes 0xA5 as a frame's first byte, whatever came before. What arrives between a request and
the end of its answer is ignored.

**Asking again.** A host that gets no answer, or a broken one, waits for the idle time and asks
again with the *same* sequence number: a request with the sequence number of the one before is not
carried out again, but answered again. A new request has another number than the one before.
IDENTIFY is carried out always, as the first request of a host that does not know the last number.
"""

import enum

__all__ = [
    "CRC_INITIAL",
    "CRC_POLYNOMIAL",
    "FLAG_LAST",
    "FLAG_VOID",
    "HEADER_BYTES",
    "MAX_PAYLOAD",
    "REQUEST_SYNC",
    "RESPONSE_SYNC",
    "VERSION",
    "Command",
    "Status",
]

VERSION = 1

REQUEST_SYNC, RESPONSE_SYNC = 0xA5, 0x5A

CRC_POLYNOMIAL, CRC_INITIAL = 0x1021, 0xFFFF

HEADER_BYTES = 4
"""Bytes before the payload."""

MAX_PAYLOAD = 255

FLAG_LAST, FLAG_VOID = 1, 2


class Command(enum.IntEnum):
    """What a request asks for."""

    IDENTIFY = 1
    RESET = 2
    READ = 3
    WRITE = 4
    STORE = 5
    LOAD = 6
    SEND = 7
    RECEIVE = 8

    @property
    def argument_bytes(self) -> int:
        """Bytes at the start of the payload that are no data."""
        return {"READ": 2, "WRITE": 6, "STORE": 4, "LOAD": 5, "SEND": 1}.get(self.name, 0)

    @property
    def takes_data(self) -> bool:
        """Whether more bytes may follow them."""
        return self in (Command.STORE, Command.SEND)


class Status(enum.IntEnum):
    """How a request went."""

    OK = 0
    UNKNOWN = 1
    LENGTH = 2
    BUS = 3
    RANGE = 4
