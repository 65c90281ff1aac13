"""A board's system through its two pins, on lines of every quality."""

import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from speq.boards.protocol import REQUEST_SYNC, Command, Status
from speq.boards.settings import BoardSettings
from speq.formats.packing import PackedTensor
from speq.parameters import Parameters
from speq_sim.benches.boards.compiled_board import CompiledBoard, build_board
from speq_sim.host import Device
from speq_sim.host.uart_errors import LinkError
from speq_sim.host.uart_link import UartLink, frame
from speq_sim.host.unit_jobs import unit_job
from speq_sim.jobs import expected

DESIGN = Parameters(
    name="pins",
    rows=2,
    columns=2,
    port_words=2,
    modes=("verify",),
    tokens=2,
    address_bits=16,
    burst_beats=16,
    outstanding=2,
    activation_values=64,
    queue_depth=2,
)
SETTINGS = BoardSettings(clock_mhz=80.0, baud=10_000_000, memory_bytes=4096, idle_us=20.0)
IDLE_CYCLES = SETTINGS.idle_cycles


class Lossy:
    """A line that changes, loses and invents bytes, both ways, from time to time."""

    def __init__(self, board, seed, rate):
        self._board = board
        self._random = random.Random(seed)
        self._rate = rate
        self._waiting = bytearray()

    def write(self, data):
        self._board.write(self._broken(data))

    def read(self, count, timeout):
        while len(self._waiting) < count:
            data = self._board.read(count - len(self._waiting), timeout)
            if not data:
                break
            self._waiting += self._broken(data)
        found = bytes(self._waiting[:count])
        del self._waiting[:count]
        return found

    def _broken(self, data):
        found = bytearray()
        for byte in data:
            chance = self._random.random() / self._rate
            if chance < 1 / 3:
                found.append(byte ^ 1 << self._random.randrange(8))
            elif chance < 2 / 3:
                found += bytes([byte, self._random.randrange(256)])
            elif chance >= 1:
                found.append(byte)
        return bytes(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("board")


@pytest.fixture(scope="module")
def library(folder):
    return build_board(DESIGN, SETTINGS, folder, folder / "build", "-O0")


@pytest.fixture(scope="module")
def side_car(library, folder):
    record = json.loads((folder / "speq_pins_system.json").read_text(encoding="utf-8"))
    return record["accelerator"]


@pytest.fixture
def board(library):
    return CompiledBoard(library, SETTINGS)


def _case(seed=1):
    """A plain matrix of two output tiles, and activations of two tokens."""
    rng = np.random.default_rng(seed)
    weights, activations = (rng.normal(size=(n, 7)).astype(np.float16) for n in (3, 2))
    bits = weights.view(np.uint16)
    return PackedTensor(DESIGN.family, bits.shape, plain=bits, reason="test"), activations


def _wanted(tensor, activations):
    return expected(unit_job(tensor, "verify", activations), DESIGN).view(np.uint32)


def _check_a_job(link, side_car, seed=1):
    tensor, activations = _case(seed)
    device = Device(link, side_car)
    device.submit(device.load(tensor), "verify", activations)
    found = device.collect().raw.view(np.uint32)
    assert np.array_equal(found, _wanted(tensor, activations))


@pytest.mark.parametrize("drift", [-0.03, 0.0, 0.03])
def test_a_job_with_clocks_that_differ(library, drift, side_car):
    board = CompiledBoard(library, SETTINGS, drift=drift)
    link = UartLink(board, timeout=board.patience)
    _check_a_job(link, side_car)
    assert link.counts.repeated == 0
    assert not board.dropped


def test_identity(board):
    link = UartLink(board, timeout=board.patience)
    assert link.identity.beat_bytes == 4
    assert link.identity.memory_bytes == 4096


@given(garbage=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=3))
@hypothesis_settings(max_examples=6, deadline=None)
def test_no_garbage_hangs_the_board(library, garbage, side_car):
    board = CompiledBoard(library, SETTINGS)
    for data in garbage:
        board.write(data)
        board.read(300, 1e-6)
    board.run(11 * SETTINGS.divisor + IDLE_CYCLES)
    link = UartLink(board, timeout=board.patience)
    assert link.counts.repeated == 0
    _check_a_job(link, side_car)


@given(kept=st.integers(1, 12))
@hypothesis_settings(max_examples=5, deadline=None)
def test_after_half_a_request_the_next_one_is_heard(library, kept):
    board = CompiledBoard(library, SETTINGS)
    board.write(frame(REQUEST_SYNC, 9, Command.STORE, bytes(8))[:kept])
    board.run(kept * 10 * SETTINGS.divisor + IDLE_CYCLES + 100)
    link = UartLink(board, timeout=board.patience)
    assert link.counts.repeated == 0
    assert board.dropped


@pytest.mark.parametrize("seed", range(3))
def test_jobs_over_a_lossy_line(library, seed, side_car):
    """Whatever is lost is asked for again, and nothing is done twice."""
    board = CompiledBoard(library, SETTINGS)
    link = UartLink(Lossy(board, seed, rate=0.01), timeout=board.patience, attempts=100)
    for case in range(3):
        _check_a_job(link, side_car, case)
    assert link.counts.repeated > 0


def test_memory(board):
    link = UartLink(board, timeout=board.patience)
    data = random.Random(1).randbytes(700)
    link.write_memory(3, data)
    link.write_memory(10, b"within")
    wanted = bytes(3) + data[:7] + b"within" + data[13:]
    assert link.read_memory(3, 700) == wanted[3:]
    link.write_memory(4090, b"at end")
    assert link.read_memory(4090, 6) == b"at end"
    with pytest.raises(LinkError, match="7 bytes at address 4090 do not fit"):
        link.write_memory(4090, b"too far")


def test_results_wait_for_the_host(board, side_car):
    """A queue full of jobs, and nobody asks for what comes of them."""
    link = UartLink(board, timeout=board.patience)
    device = Device(link, side_car)
    cases = [_case(seed) for seed in range(4)]
    matrices = [device.load(tensor) for tensor, _ in cases]
    for (_, activations), matrix in zip(cases[:3], matrices[:3], strict=True):
        device.submit(matrix, "verify", activations)
    board.run(20_000)
    for number, (tensor, activations) in enumerate(cases):
        if number == 1:
            device.submit(matrices[3], "verify", cases[3][1])
        found = device.collect().raw.view(np.uint32)
        assert np.array_equal(found, _wanted(tensor, activations)), f"job {number}"


def test_activations_wait_for_the_accelerator(board, side_car):
    """Packets that nothing takes yet stay with the host."""
    link = UartLink(board, timeout=board.patience)
    device = Device(link, side_car)
    cases = [_case(seed) for seed in range(4)]
    matrices = [device.load(tensor) for tensor, _ in cases]
    for _, activations in cases:
        device.send(activations)
    for (tensor, activations), matrix in zip(cases, matrices, strict=True):
        device.command(matrix, "verify", len(activations), keep=False)
        found = device.receive(matrix, len(activations)).view(np.uint32)
        assert np.array_equal(found, _wanted(tensor, activations))
    link.flush()


def test_a_reset_ends_what_was_begun(board, side_car):
    link = UartLink(board, timeout=board.patience)
    device = Device(link, side_car)
    matrix = device.load(_case()[0])
    device.command(matrix, "verify", 2, keep=False)
    link.send(bytes(4))  # a quarter of a token
    link.reset()
    _check_a_job(link, side_car)


def test_a_stopped_unit_gives_a_void_packet(board, side_car):
    link = UartLink(board, timeout=board.patience)
    device = Device(link, side_car)
    tensor, activations = _case()
    matrix = device.load(tensor)
    device.submit(matrix, "verify", activations)
    board.run(5_000)  # the first results are on the bus
    device.stop()
    packet = link.receive()
    assert packet.void
    device.resume()
    _check_a_job(link, side_car)


def test_a_second_host_takes_over(board, side_car):
    _check_a_job(UartLink(board, timeout=board.patience), side_car, 1)
    _check_a_job(UartLink(board, timeout=board.patience), side_car, 2)


def test_the_reset_button(board, side_car):
    link = UartLink(board, timeout=board.patience)
    board.write(b"\xa5\x01")
    board.run(100)
    board.reset()
    _check_a_job(link, side_car)


@pytest.mark.parametrize(
    ("code", "payload", "status"),
    [
        (0, b"", Status.UNKNOWN),
        (9, b"", Status.UNKNOWN),
        (Command.IDENTIFY, b"x", Status.LENGTH),
        (Command.READ, b"", Status.LENGTH),
        (Command.READ, bytes(3), Status.LENGTH),
        (Command.WRITE, bytes(5), Status.LENGTH),
        (Command.STORE, bytes(3), Status.LENGTH),
        (Command.SEND, b"", Status.LENGTH),
        (Command.SEND, bytes(4), Status.LENGTH),
        (Command.RECEIVE, b"x", Status.LENGTH),
        (Command.READ, (0xFFC).to_bytes(2, "little"), Status.BUS),
        (Command.WRITE, (0xFFC).to_bytes(2, "little") + bytes(4), Status.BUS),
        (Command.STORE, (4096).to_bytes(4, "little") + b"x", Status.RANGE),
        (Command.STORE, (1 << 31).to_bytes(4, "little") + b"x", Status.RANGE),
        (Command.LOAD, b"\x02" + (4095).to_bytes(4, "little"), Status.RANGE),
    ],
)
def test_refused_requests(board, code, payload, status, side_car):
    board.write(frame(REQUEST_SYNC, 77, code, payload))
    answer = board.read(260, board.patience)
    assert answer == frame(0x5A, 77, status)
    _check_a_job(UartLink(board, timeout=board.patience), side_car)


def test_asking_again_does_nothing_twice(board, side_car):
    """The same sequence number gets the same answer, though the beats are gone."""
    link = UartLink(board, timeout=board.patience)
    device = Device(link, side_car)
    tensor, activations = _case()
    device.submit(device.load(tensor), "verify", activations)
    board.run(5_000)
    request = frame(REQUEST_SYNC, 200, Command.RECEIVE)
    answers = []
    for _ in range(3):
        board.write(request)
        answers.append(board.read(260, board.patience))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][3] == 1 + 4 * 8  # flags, and a word for each row of two tiles and two tokens
    values = np.frombuffer(answers[0][5:-2], np.uint32).reshape(2, 2, 2)
    found = values.swapaxes(0, 1).reshape(2, 4)[:, :3]
    assert np.array_equal(found, _wanted(tensor, activations))
