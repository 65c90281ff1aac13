"""Transport over a serial line: the host's side of :mod:`speq.boards.protocol`."""

import dataclasses
from binascii import crc_hqx
from collections import deque

from speq.boards.protocol import (
    CRC_INITIAL,
    FLAG_LAST,
    FLAG_VOID,
    HEADER_BYTES,
    MAX_PAYLOAD,
    REQUEST_SYNC,
    RESPONSE_SYNC,
    VERSION,
    Command,
    Status,
)
from speq_sim.host.transport import Packet
from speq_sim.host.uart_channel import Channel
from speq_sim.host.uart_errors import LinkError

__all__ = ["BoardIdentity", "UartLink", "frame"]

_CRC_BYTES = 2


def frame(sync: int, sequence: int, code: int, payload: bytes = b"") -> bytes:
    """Bytes of a request or an answer."""
    body = bytes([sequence, code, len(payload)]) + payload
    return bytes([sync]) + body + crc_hqx(body, CRC_INITIAL).to_bytes(_CRC_BYTES, "big")


@dataclasses.dataclass(frozen=True)
class BoardIdentity:
    """What a board says of itself.

    Attributes
    ----------
    beat_bytes : int
        Bytes per beat of the accelerator's streams, and of its memory port.
    memory_bytes : int
        Of its memory.
    """

    beat_bytes: int
    memory_bytes: int


@dataclasses.dataclass
class LinkCounts:
    """What happened on a line so far.

    Attributes
    ----------
    requests : int
        Requests, each counted once.
    repeated : int
        Times that one was sent again.
    """

    requests: int = 0
    repeated: int = 0


class UartLink:
    """A :class:`speq_sim.host.Transport` to an accelerator on a board.

    Parameters
    ----------
    channel : Channel
        The line.
    timeout : float
        Seconds that an answer may take, longer than the board's idle time.
    attempts : int
        Times that a request is sent before the line is given up.
    polls : int
        Times that :meth:`receive` asks in vain before it gives up.

    Attributes
    ----------
    identity : BoardIdentity
    counts : LinkCounts

    Raises
    ------
    LinkError
        If no board answers, or one that speaks another version of the protocol. All other calls
        raise it if the line fails or the board refuses the request.
    """

    def __init__(
        self, channel: Channel, *, timeout: float = 0.2, attempts: int = 5, polls: int = 3
    ) -> None:
        if timeout <= 0 or attempts < 1 or polls < 1:
            raise ValueError(
                f"timeout is {timeout}, attempts {attempts}, polls {polls}: all must be above 0"
            )
        self._channel = channel
        self._timeout, self._attempts, self._polls = timeout, attempts, polls
        self._sequence = 0
        self._unsent: deque[bytes] = deque()
        self._partial = bytearray()
        self._packets: deque[Packet] = deque()
        self.counts = LinkCounts()
        answer = self._ask(Command.IDENTIFY)
        if len(answer) != 6 or answer[0] != VERSION:
            raise LinkError(
                f"the board speaks version {answer[0] if answer else 'none'} of the protocol, this "
                f"library {VERSION}: use the library that the board was built with"
            )
        self.identity = BoardIdentity(answer[1], int.from_bytes(answer[2:], "little"))

    def reset(self) -> None:
        """Reset the accelerator; packets under way are lost, memory is not."""
        self._ask(Command.RESET)
        self._unsent.clear()
        self._partial.clear()
        self._packets.clear()

    def read(self, offset: int) -> int:
        """Value of the 32-bit register at a byte offset."""
        self._pump()
        return int.from_bytes(self._ask(Command.READ, _number(offset, 2)), "little")

    def write(self, offset: int, value: int) -> None:
        """Set the 32-bit register at a byte offset."""
        self._ask(Command.WRITE, _number(offset, 2) + _number(value, 4))

    def write_memory(self, address: int, data: bytes) -> None:
        """Put bytes into the memory of the board."""
        self._check_memory(address, len(data))
        step = MAX_PAYLOAD - Command.STORE.argument_bytes
        for start in range(0, len(data), step):
            self._ask(Command.STORE, _number(address + start, 4) + data[start : start + step])

    def read_memory(self, address: int, count: int) -> bytes:
        """Bytes of the memory of the board."""
        self._check_memory(address, count)
        found = bytearray()
        while len(found) < count:
            step = min(count - len(found), MAX_PAYLOAD)
            found += self._ask(Command.LOAD, _number(step, 1) + _number(address + len(found), 4))
        return bytes(found)

    def send(self, packet: bytes) -> None:
        """Queue one packet of activations, whole beats; it leaves as the accelerator takes it."""
        if not packet or len(packet) % self.identity.beat_bytes:
            raise ValueError(
                f"a packet of {len(packet)} bytes is not whole beats of {self.identity.beat_bytes}"
            )
        self._unsent.append(packet)
        self._pump()

    def flush(self) -> None:
        """Wait until every packet sent was taken."""
        while self._pump():
            # An accelerator whose results wait takes no activations.
            self._take_results()

    def receive(self) -> Packet | None:
        """The next packet of results, or None if no beat came when asked for some times."""
        polls = 0
        while not self._packets and polls < self._polls:
            self._pump()
            polls = 0 if self._take_results() else polls + 1
        return self._packets.popleft() if self._packets else None

    def _pump(self) -> bool:
        """Send activations as far as they are taken; returns whether some are left."""
        beat = self.identity.beat_bytes
        step = (MAX_PAYLOAD - Command.SEND.argument_bytes) // beat * beat
        waits = False
        while self._unsent:
            packet = self._unsent[0]
            part = packet[:step]
            flags = FLAG_LAST if len(part) == len(packet) else 0
            taken, waits = self._ask(Command.SEND, _number(flags, 1) + part)
            rest = packet[taken * beat :]
            if rest:
                self._unsent[0] = rest
            else:
                self._unsent.popleft()
            if taken * beat < len(part):
                return True
        return bool(waits)

    def _take_results(self) -> bool:
        """Ask for results once; returns whether some came."""
        answer = self._ask(Command.RECEIVE)
        flags, beats = answer[0], answer[1:]
        self._partial += beats
        if flags & FLAG_LAST:
            self._packets.append(Packet(bytes(self._partial), bool(flags & FLAG_VOID)))
            self._partial.clear()
        return bool(beats)

    def _check_memory(self, address: int, count: int) -> None:
        size = self.identity.memory_bytes
        if address < 0 or address + count > size:
            raise LinkError(
                f"{count} bytes at address {address} do not fit the board's memory of {size} "
                f"bytes: load less, or build the board with more memory_bytes"
            )

    def _ask(self, command: Command, payload: bytes = b"") -> bytes:
        """Payload of the answer to a request, which is repeated until there is one."""
        self._sequence = (self._sequence + 1) % 256
        request = frame(REQUEST_SYNC, self._sequence, command, payload)
        self.counts.requests += 1
        broken = 0
        for attempt in range(self._attempts):
            self.counts.repeated += attempt > 0
            self._channel.write(request)
            answer, heard = self._answer()
            broken += heard
            if answer is None:
                continue
            status, found = answer
            if status != Status.OK:
                raise LinkError(f"the board refused {command.name}: {_describe(status)}")
            return found
        if broken:
            raise LinkError(
                f"no answer to {command.name} came whole in {self._attempts} attempts: the line "
                f"breaks frames, or the baud rate is not the board's"
            )
        raise LinkError(
            f"no board answers {command.name} after {self._attempts} attempts: check the port, the "
            f"baud rate and that the board is programmed"
        )

    def _answer(self) -> tuple[tuple[int, bytes] | None, bool]:
        """Status and payload of the answer, None without one; and whether any byte came.

        After an answer that is broken, or belongs to another request, bytes are read until the
        line has been silent for the whole time: the board then takes the next byte as a new frame.
        """
        heard = False
        while True:
            sync = self._channel.read(1, self._timeout)
            if not sync:
                return None, heard
            heard = True
            if sync[0] != RESPONSE_SYNC:
                continue
            header = self._channel.read(HEADER_BYTES - 1, self._timeout)
            if len(header) < HEADER_BYTES - 1:
                return None, heard
            sequence, status, length = header
            rest = self._channel.read(length + _CRC_BYTES, self._timeout)
            if len(rest) < length + _CRC_BYTES:
                return None, heard
            if not crc_hqx(header + rest, CRC_INITIAL) and sequence == self._sequence:
                return (status, rest[:length]), heard


def _describe(status: int) -> str:
    try:
        return {
            Status.UNKNOWN: "it does not know this command",
            Status.LENGTH: "its payload has a wrong length",
            Status.BUS: "the accelerator answered with an error",
            Status.RANGE: "an address lies beyond its memory",
        }[Status(status)]
    except (KeyError, ValueError):
        return f"status {status}"


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")
