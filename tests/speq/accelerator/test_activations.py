"""The activation buffer gives every job's beats in the order of the definition, without a gap."""

from collections.abc import Sequence

import numpy as np
import pytest
from activation_jobs import (
    PlayedJob,
    beats,
    loads,
    packet,
    packets,
    plays,
    random_played,
    shifts,
)
from stream_bench import Packer, Sink, Source, StreamBench

from speq.accelerator.activations import ActivationBuffer
from speq.accelerator.layouts import ActivationFault
from speq.layouts import activation_stream, payload_shape
from speq.parameters import MODES, Parameters
from speq_sim.benches.stimuli import random_job
from speq_sim.tiling import Schedule

BASE = Parameters(
    name="buffer", rows=8, columns=4, port_words=2, tokens=3, activation_values=16 * 5
)
DESIGNS = {
    "lanes_4": BASE,
    "lanes_2": BASE.replace(draft_lanes=2),
    "lanes_1": BASE.replace(draft_lanes=1),
    "verify_only": BASE.replace(modes=("verify",)),
    "one_token": BASE.replace(tokens=1, draft_lanes=2),
    "one_token_verify_only": BASE.replace(tokens=1, modes=("verify",)),
    "whole_rows": BASE.replace(port_words=4, draft_lanes=1, tokens=5),
    "odd": BASE.replace(columns=6, tokens=4, draft_lanes=2, activation_values=24 * 7 + 13),
    "one_line": BASE.replace(activation_values=16),
    "all_modes": BASE.replace(modes=MODES),
    "all_modes_lanes_2": BASE.replace(modes=MODES, draft_lanes=2, tokens=4),
    "all_modes_lanes_1": BASE.replace(modes=MODES, draft_lanes=1, tokens=1),
    "middle_alone": BASE.replace(modes=("verify", "middle"), tokens=2),
}


class Buffer(StreamBench):
    """The buffer and its jobs; `stalls` are probabilities of each stream, or of all."""

    def __init__(
        self,
        parameters: Parameters,
        jobs: Sequence[PlayedJob],
        stalls: float | dict[str, float] = 0,
        seed: int = 0,
    ) -> None:
        self.parameters, self.jobs = parameters, jobs
        random = np.random.default_rng(seed)
        dut = ActivationBuffer(parameters)
        queued = {
            "loads": loads(parameters, jobs),
            "plays": plays(parameters, jobs),
            "packets": packets(random, parameters, jobs),
        }
        if parameters.packs:
            queued["shifts"] = shifts(parameters, jobs)

        def stall(name: str) -> float:
            return stalls.get(name, 0) if isinstance(stalls, dict) else stalls

        ends = {name: Source(getattr(dut, name), q, stall(name)) for name, q in queued.items()}
        ends["beats"] = self.sink = Sink(dut.beats, stall("beats"))
        super().__init__(dut, ends, seed, [dut.finished, dut.fault.as_value()])

    def source(self, name: str) -> Source:
        return self.ends[name]

    def wanted(self) -> list[tuple[list[int], list[int]]]:
        return [beat for job in self.jobs for beat in beats(self.parameters, job)]

    def run_all(self, cycles: int = 20_000) -> int:
        count = len(self.wanted())
        return self.run(cycles, lambda: len(self.sink.payloads) == count)

    def given(self, wanted: Sequence[tuple[list[int], list[int]]]) -> list:
        """The beats that were given, cut to the values that are wanted."""
        assert len(self.sink.payloads) == len(wanted)
        return [
            tuple(
                [
                    None if value is None else each
                    for each, value in zip(found, values, strict=False)
                ]
                for found in self.unpack(number)
            )
            for number, (values, _) in zip(self.sink.payloads, wanted, strict=True)
        ]

    def unpack(self, payload: int) -> tuple[list[int], list[int]]:
        """Values and shifts of a beat; no shifts in an FP16-only design."""
        packer = Packer(payload_shape(activation_stream(self.parameters)))
        found = [packer.unpack(payload, name) for name in packer.fields]
        return (*found, []) if len(found) == 1 else tuple(found)

    def check(self) -> None:
        wanted = self.wanted()
        if not self.parameters.packs:
            wanted = [(values, []) for values, _ in wanted]
        assert self.given(wanted) == wanted
        last = np.cumsum([sum(1 for _ in beats(self.parameters, job)) for job in self.jobs])
        finished = [cycle for cycle, (pulse, _) in enumerate(self.samples) if pulse]
        assert finished == [self.sink.cycles[number - 1] for number in last]
        assert all(fault == 0 for _, fault in self.samples)


def job(
    parameters: Parameters,
    mode: str = "verify",
    *,
    tokens: int = 1,
    groups: int = 1,
    tiles: int = 1,
    plain: bool = False,
    seed: int = 0,
) -> PlayedJob:
    """A job of whole groups."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 1 << 16, (tokens, groups * parameters.group_inputs))
    none = plain or not parameters.packs
    offsets = None if none else random.integers(0, 16, values.shape[1])
    return PlayedJob(mode, values, offsets, tiles)


# The order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stall", [0, 0.5])
@pytest.mark.parametrize("name", DESIGNS)
def test_random_jobs_give_the_beats_of_the_definition(name, stall):
    seed = len(name) + int(10 * stall)
    jobs = random_played(np.random.default_rng(seed), DESIGNS[name], 14)
    buffer = Buffer(DESIGNS[name], jobs, stall, seed)
    buffer.run_all()
    buffer.check()


@pytest.mark.parametrize("slow", ["loads", "plays", "packets", "shifts", "beats"])
@pytest.mark.parametrize("keeps", [0.2, 0.8])
def test_banks_are_not_written_while_they_are_needed(slow, keeps):
    """Long sequences of jobs that keep activations, with one stream far behind the others."""
    seed = sum(map(ord, slow)) + int(10 * keeps)
    parameters = BASE.replace(activation_values=16 * 3)
    jobs = random_played(np.random.default_rng(seed), parameters, 40, keeps)
    buffer = Buffer(parameters, jobs, {slow: 0.85}, seed)
    buffer.run_all()
    buffer.check()


@pytest.mark.parametrize("inputs", [*range(1, 20), 31, 32])
def test_every_number_of_inputs(inputs):
    random = np.random.default_rng(inputs)
    jobs = [
        PlayedJob(mode, random.integers(0, 1 << 16, (2, inputs)), offsets, 1)
        for mode in MODES
        for offsets in [random.integers(0, 16, inputs)]
    ]
    buffer = Buffer(DESIGNS["all_modes"], jobs)
    buffer.run_all()
    buffer.check()


@pytest.mark.parametrize("mode", ["draft", "qdraft", "qverify"])
@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_beats_of_4_bit_weights_are_those_of_the_schedule(lanes, mode):
    """The order of k is that of the streams of an array (``speq_sim.tiling``)."""
    parameters = BASE.replace(draft_lanes=lanes, modes=MODES)
    random = np.random.default_rng(lanes)
    matrix = random_job(random, parameters, mode, tokens=2, outputs=20, depth=27)
    wanted = Schedule(parameters, [matrix]).activations()
    values = matrix.activations.view(np.uint16).astype(int)
    buffer = Buffer(parameters, [PlayedJob(mode, values, matrix.shifts, 3)])
    buffer.run_all()
    found = [buffer.unpack(number) for number in buffer.sink.payloads]
    used = np.arange(parameters.columns * lanes) % lanes < parameters.mode_lanes(mode)
    for part, stream in enumerate(("values", "shifts")):
        given = np.array([beat[part] for beat in found])
        np.testing.assert_array_equal(given[:, used], wanted[stream][:, used])


@pytest.mark.parametrize("name", DESIGNS)
def test_a_full_buffer(name):
    parameters = DESIGNS[name]
    room = parameters.activation_values // parameters.group_inputs
    tokens = min(parameters.tokens, room)
    shape = {"tokens": tokens, "groups": room // tokens}
    jobs = [job(parameters, mode, seed=n, **shape) for n in (1, 2) for mode in parameters.modes]
    buffer = Buffer(parameters, jobs)
    buffer.run_all()
    buffer.check()


# Time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DESIGNS)
def test_no_cycle_is_lost_inside_a_job_or_between_jobs(name):
    """Jobs that keep activations, in all modes, the shifts of the next coming meanwhile."""
    parameters = DESIGNS[name]
    random = np.random.default_rng(5)
    room = parameters.activation_values // parameters.group_inputs
    tokens = min(parameters.tokens, room)
    first = job(parameters, parameters.modes[-1], tokens=tokens, groups=room // tokens, tiles=7)
    jobs = [first]
    for number in range(5):
        mode = parameters.modes[number % len(parameters.modes)]
        offsets = first.shifts if mode != "verify" else None
        tiles = int(random.integers(2, 5)) * (4 if offsets is not None else 1)
        jobs.append(PlayedJob(mode, first.values, offsets, tiles, keep=True))
    buffer = Buffer(parameters, jobs)
    buffer.run_all()
    buffer.check()
    cycles = buffer.sink.cycles
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))


@pytest.mark.parametrize("name", ["lanes_4", "lanes_1", "verify_only", "one_token", "all_modes"])
def test_the_next_packet_is_taken_while_a_job_plays(name):
    """Packets and shifts of each job take fewer cycles than the job before."""
    parameters = DESIGNS[name]
    jobs = [job(parameters, mode, tiles=12, seed=n) for n in (1, 2) for mode in parameters.modes]
    buffer = Buffer(parameters, jobs)
    buffer.run_all()
    buffer.check()
    cycles = buffer.sink.cycles
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))


def test_the_first_beat_comes_two_cycles_after_the_last_of_the_packet():
    parameters = DESIGNS["lanes_4"]
    only = job(parameters, "draft")
    buffer = Buffer(parameters, [only])
    buffer.run_all()
    # 16 values, two per cycle, in cycles 0 to 7; a register each for the memory and the beat.
    assert buffer.sink.cycles == [7 + 3]


def test_two_packets_are_taken_before_any_job_plays():
    parameters = DESIGNS["lanes_2"]
    jobs = [job(parameters, seed=n) for n in range(3)]
    buffer = Buffer(parameters, jobs)
    buffer.source("plays").queue.clear()
    buffer.run(100)
    each = len(packet(np.random.default_rng(), parameters, jobs[0]))
    assert buffer.source("packets").taken == 2 * each
    assert buffer.source("loads").taken == 2
    assert buffer.source("shifts").taken == 2 * 2


def test_no_job_starts_before_its_packet_and_shifts_are_complete():
    parameters = DESIGNS["lanes_2"]
    for missing in ("packets", "shifts"):
        buffer = Buffer(parameters, [job(parameters, tiles=2)])
        buffer.source(missing).queue.pop()
        buffer.run(100)
        assert buffer.sink.payloads == []
        assert not buffer.source(missing).queue


# Faults ---------------------------------------------------------------------------------------


def with_last(payload: int, parameters: Parameters, last: bool) -> int:
    bit = 1 << parameters.port_bits
    return payload | bit if last else payload & ~bit


@pytest.mark.parametrize("name", ["lanes_4", "verify_only"])
@pytest.mark.parametrize("where", [0, 3, 9, -2])
def test_a_short_packet(name, where):
    _check_fault(DESIGNS[name], where, ActivationFault.SHORT)


@pytest.mark.parametrize("name", ["lanes_4", "verify_only"])
def test_a_long_packet(name):
    _check_fault(DESIGNS[name], -1, ActivationFault.LONG)


def _check_fault(parameters: Parameters, where: int, fault: ActivationFault) -> None:
    """Of three jobs the second has a fault in one transfer of its packet."""
    random = np.random.default_rng(3)
    groups = 32 // parameters.group_inputs
    jobs = [job(parameters, tokens=2, groups=groups, tiles=5, seed=n) for n in range(3)]
    jobs[1].values = jobs[1].values[:, :-3]
    buffer = Buffer(parameters, jobs)
    sent = [packet(random, parameters, one) for one in jobs]
    where %= len(sent[1])
    sent[1][where] = with_last(sent[1][where], parameters, fault == ActivationFault.SHORT)
    buffer.source("packets").queue.clear()
    for transfers in sent:
        buffer.source("packets").queue.extend(transfers)
    buffer.run(300)
    wanted = list(beats(parameters, jobs[0]))
    assert [values for values, _ in buffer.given(wanted)] == [values for values, _ in wanted]
    assert buffer.source("packets").taken == len(sent[0]) + where + 1
    assert buffer.source("loads").taken == 1
    assert buffer.source("plays").taken == 1
    faults = [found for _, found in buffer.samples]
    assert faults == sorted(faults)
    assert set(faults) == {0, fault.value}
    assert sum(pulse for pulse, _ in buffer.samples) == 1


def test_padding_is_zero_whatever_the_bank_held():
    parameters = DESIGNS["lanes_4"]
    full = [job(parameters, tokens=2, groups=2, plain=True, seed=n) for n in range(2)]
    short = [PlayedJob("draft", one.values[:, :17], np.zeros(17, int), 1) for one in full]
    buffer = Buffer(parameters, full + short)
    buffer.run_all()
    buffer.check()
    values, _ = buffer.unpack(buffer.sink.payloads[-1])
    assert values[1:] == [0] * 15
