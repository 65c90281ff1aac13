"""The host's side of the line: its errors. What works is tested on a simulated board."""

import sys
import types
from collections import deque

import pytest
from amaranth.lib.crc.catalog import CRC16_IBM_3740

from speq.boards.protocol import MAX_PAYLOAD, RESPONSE_SYNC, VERSION, Command, Status
from speq_sim.host.uart_channel import SerialChannel
from speq_sim.host.uart_errors import LinkError
from speq_sim.host.uart_link import UartLink, frame

IDENTITY = bytes([VERSION, 4]) + (4096).to_bytes(4, "little")


class Scripted:
    """A line whose answers are made by a function of each request, or bytes as they are."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self._bytes = deque()

    def write(self, data):
        self.requests.append(data)
        answer = self.answer(len(self.requests) - 1, data)
        self._bytes.extend(answer)

    def read(self, count, timeout):
        assert timeout > 0
        return bytes(self._bytes.popleft() for _ in range(min(count, len(self._bytes))))


def _right(status=Status.OK, payload=IDENTITY):
    return lambda number, request: frame(RESPONSE_SYNC, request[1], status, payload)


def test_frame_has_the_crc_of_the_catalogue():
    crc = CRC16_IBM_3740()
    assert crc.compute(b"123456789") == 0x29B1  # the check value of reveng's catalogue
    made = frame(0xA5, 0x31, 0x32, b"456789")
    assert made[:4] == b"\xa5\x31\x32\x06"
    assert int.from_bytes(made[-2:], "big") == crc.compute(made[1:-2])


def test_no_answer():
    line = Scripted(lambda number, request: b"")
    with pytest.raises(LinkError, match="no board answers IDENTIFY after 3 attempts: check"):
        UartLink(line, attempts=3)
    assert len(line.requests) == 3
    assert len(set(line.requests)) == 1


def test_only_broken_answers():
    def answer(number, request):
        good = bytearray(_right()(number, request))
        good[5] ^= 1
        return good

    with pytest.raises(LinkError, match="no answer to IDENTIFY came whole in 2 attempts"):
        UartLink(Scripted(answer), attempts=2)


@pytest.mark.parametrize("payload", [b"", bytes([VERSION + 1]) + IDENTITY[1:], IDENTITY[:-1]])
def test_another_version(payload):
    with pytest.raises(LinkError, match=r"speaks version .* this library 1"):
        UartLink(Scripted(_right(payload=payload)))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (Status.UNKNOWN, "does not know this command"),
        (Status.LENGTH, "wrong length"),
        (Status.BUS, "answered with an error"),
        (Status.RANGE, "beyond its memory"),
        (99, "status 99"),
    ],
)
def test_refused(status, text):
    line = Scripted(_right())
    link = UartLink(line)
    line.answer = _right(status, b"")
    with pytest.raises(LinkError, match=f"the board refused READ: .*{text}"):
        link.read(0)


def test_answers_to_others_and_garbage_are_passed_over():
    def answer(number, request):
        wrong = frame(RESPONSE_SYNC, request[1] ^ 1, Status.OK, b"\x01\x02\x03\x04")
        return b"garbage" + wrong + _right()(number, request)

    link = UartLink(Scripted(answer))
    assert link.identity.memory_bytes == 4096
    assert link.counts.repeated == 0


def test_a_lost_answer_is_asked_for_again_with_the_same_number():
    def answer(number, request):
        return b"" if number == 1 else _right(payload=b"\x78\x56\x34\x12")(number, request)

    line = Scripted(_right())
    link = UartLink(line)
    line.answer = answer
    assert link.read(0x10) == 0x12345678
    assert line.requests[1] == line.requests[2]
    assert line.requests[1][1] != line.requests[0][1]
    assert link.counts.requests == 2
    assert link.counts.repeated == 1


def test_stored_in_pieces():
    line = Scripted(_right())
    link = UartLink(line)
    line.answer = _right(payload=b"")
    link.write_memory(100, bytes(range(250)) * 2)
    stores = [request for request in line.requests if request[2] == Command.STORE]
    assert [len(request) for request in stores] == [6 + MAX_PAYLOAD, 6 + 4 + 249]
    assert [int.from_bytes(request[4:8], "little") for request in stores] == [100, 351]


def test_packets_are_whole_beats():
    link = UartLink(Scripted(_right()))
    for packet in (b"", bytes(6)):
        with pytest.raises(ValueError, match="is not whole beats of 4"):
            link.send(packet)


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"attempts": 0}, {"polls": 0}])
def test_settings(wrong):
    with pytest.raises(ValueError, match="must be above 0"):
        UartLink(Scripted(_right()), **wrong)


def test_without_pyserial(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LinkError, match=r"pyserial is not installed: install it with .*fpga"):
        SerialChannel("/dev/null", 9600)


class _SerialError(OSError):
    pass


@pytest.fixture
def serial(monkeypatch):
    """A stand-in for pyserial, whose port echoes until it is pulled out."""

    class Port:
        def __init__(self, name, baud, exclusive):
            if name == "nowhere":
                raise _SerialError("no such port")
            self.bytes, self.gone, self.timeout = bytearray(), False, None

        def reset_input_buffer(self):
            self.bytes.clear()

        def write(self, data):
            if self.gone:
                raise _SerialError("device disconnected")
            self.bytes += data

        def read(self, count):
            if self.gone:
                raise _SerialError("device disconnected")
            found = bytes(self.bytes[:count])
            del self.bytes[:count]
            return found

        def close(self):
            self.gone = True

    module = types.SimpleNamespace(SerialException=_SerialError, Serial=Port)
    monkeypatch.setitem(sys.modules, "serial", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: module)
    return module


def test_serial_port(serial):
    channel = SerialChannel("somewhere", 1_000_000)
    channel.write(b"abc")
    assert channel.read(2, 0.1) == b"ab"
    assert channel.read(2, 0.1) == b"c"
    channel.close()
    for use in (lambda: channel.write(b"x"), lambda: channel.read(1, 0.1)):
        with pytest.raises(LinkError, match="port somewhere is gone: device disconnected"):
            use()


def test_no_such_port(serial):
    with pytest.raises(LinkError, match="port nowhere cannot be opened: no such port"):
        SerialChannel("nowhere", 9600)
