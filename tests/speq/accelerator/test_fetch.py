"""Fetch: every plane's beats in order, whatever the bus does; faults and stops; a busy port."""

import random
from collections.abc import Callable

import pytest
from fetch_bench import BOUNDARY, Bench, Job

from speq.accelerator.fetch import Fetch
from speq.bus import Response
from speq.emission import design_rtlil
from speq.parameters import Parameters
from speq.yosys import run_yosys, verilog_from_rtlil
from speq_sim.benches.simulators import lint

SMALL = Parameters(
    name="small",
    rows=4,
    columns=4,
    port_words=4,
    burst_beats=8,
    outstanding=3,
    address_bits=20,
)
"""8 bytes per beat, 512 beats between multiples of 4,096 bytes."""

DESIGNS = {
    "three_planes": SMALL,
    "verify_only": SMALL.verify_only(),
    "single_beats": SMALL.replace(burst_beats=1, outstanding=1),
    "whole_pages": SMALL.replace(port_words=4, burst_beats=256, outstanding=2),
    "widest": Parameters(
        rows=64, columns=64, port_words=64, modes=("verify",), outstanding=64, address_bits=64
    ),
}


def random_job(parameters: Parameters, generator: random.Random, planes: int) -> Job:
    """Regions anywhere near a multiple of 4,096 bytes, short and long, some of them empty."""
    size = parameters.bus_bytes
    job = []
    for plane in range(planes):
        page = (2 + plane * 4 + generator.randrange(3)) * BOUNDARY
        beats = generator.choice((0, 1, 2, 3, generator.randrange(1, 120)))
        job.append((page + generator.randrange(-20, 20) * size, beats))
    return job


def beats_of(jobs: list[Job]) -> int:
    return sum(beats for job in jobs for _, beats in job)


def received(bench: Bench) -> int:
    return sum(map(len, bench.received.values()))


def sometimes(seed: int, probability: float) -> Callable[[int], bool]:
    generator = random.Random(seed)
    return lambda cycle: generator.random() < probability


def check_all(bench: Bench, jobs: list[Job]) -> None:
    for name in bench.names:
        assert bench.received[name] == bench.expected(name, jobs)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", DESIGNS)
def test_planes_in_order_whatever_the_bus_does(name: str, seed: int) -> None:
    generator = random.Random(f"{name} {seed}")
    rates = (1.0, 0.8, 0.3)
    bench = Bench(
        DESIGNS[name],
        seed=seed,
        asked=generator.choice(rates),
        answered=generator.choice(rates),
        latency=generator.choice(((1, 1), (1, 30), (20, 40))),
    )
    for plane in bench.names:
        bench.appetite[plane] = sometimes(generator.random(), generator.choice(rates))
    jobs = [random_job(DESIGNS[name], generator, len(bench.names)) for _ in range(5)]
    bench.jobs.extend(jobs)

    async def script(bench: Bench) -> None:
        await bench.until(lambda: not bench.jobs and received(bench) == beats_of(jobs))
        await bench.step(50)

    bench.play(script)
    check_all(bench, jobs)
    assert not bench.faults


def expected_bursts(parameters: Parameters, base: int, beats: int) -> list[tuple[int, int]]:
    size = parameters.bus_bytes
    bursts = []
    while beats:
        length = min(beats, parameters.longest_burst, (BOUNDARY - base % BOUNDARY) // size)
        bursts.append((base, length))
        base, beats = base + length * size, beats - length
    return bursts


@pytest.mark.parametrize("name", ["three_planes", "verify_only", "single_beats"])
def test_bursts_are_as_long_as_can_be(name: str) -> None:
    """Every length up to 2 B + 1 from every offset within B + 1 of a multiple of 4,096 bytes."""
    parameters = DESIGNS[name]
    size, longest = parameters.bus_bytes, parameters.longest_burst
    bench = Bench(parameters)
    rest = [(0, 0)] * (len(bench.names) - 1)
    regions = [
        (BOUNDARY * 3 + offset * size, beats)
        for offset in range(-longest - 1, longest + 2)
        for beats in range(2 * longest + 2)
    ]
    jobs = [[region, *rest] for region in regions]
    bench.jobs.extend(jobs)

    async def script(bench: Bench) -> None:
        await bench.until(lambda: not bench.jobs and received(bench) == beats_of(jobs))

    bench.play(script)
    check_all(bench, jobs)
    assert bench.bursts == [
        burst for base, beats in regions for burst in expected_bursts(parameters, base, beats)
    ]


def test_a_region_may_end_where_the_address_space_does() -> None:
    bench = Bench(SMALL)
    last = 1 << SMALL.address_bits
    jobs = [[(last - 8 * 21, 21), (0, 3), (last - 8, 1)]]
    bench.jobs.extend(jobs)

    async def script(bench: Bench) -> None:
        await bench.until(lambda: received(bench) == beats_of(jobs))

    bench.play(script)
    check_all(bench, jobs)


def test_a_plane_that_waits_does_not_hold_up_the_others() -> None:
    """Nobody takes the middle plane: the two others come whole."""
    bench = Bench(SMALL, appetite={"middle": lambda cycle: False})
    jobs = [[(0x1000, 100), (0x2000, 100), (0x3000, 200)]]
    bench.jobs.extend(jobs)

    async def script(bench: Bench) -> None:
        await bench.until(lambda: received(bench) == 300)
        await bench.step(50)
        bench.appetite["middle"] = lambda cycle: True
        await bench.until(lambda: received(bench) == 400)

    bench.play(script)
    check_all(bench, jobs)


def test_the_next_job_is_taken_before_the_data_of_the_last_have_come() -> None:
    bench = Bench(SMALL, latency=(500, 500))
    bench.jobs.extend([[(0x1000, 8), (0x2000, 0), (0x3000, 0)]] * 2)

    async def script(bench: Bench) -> None:
        await bench.until(lambda: len(bench.bursts) == 2)
        assert not bench.beats

    bench.play(script)


# Faults and stops -----------------------------------------------------------------------------

STOP_JOB = [(0xFE0, 20), (0x2000, 20), (0x3000, 40)]
NEXT_JOB = [(0x5008, 9), (0x6000, 5), (0x7FF8, 11)]


async def stop_and_go_on(bench: Bench, hold: int) -> dict[str, list[int]]:
    """Stop until drained, and `hold` cycles longer; play another job; returns what came before."""
    bench.stop = True
    bench.jobs.clear()
    await bench.step(3)
    before = {name: list(beats) for name, beats in bench.received.items()}
    bursts = len(bench.bursts)
    await bench.until(lambda: bench.drained)
    assert len(bench.bursts) - bursts <= 1
    await bench.step(hold)
    for beats in bench.received.values():
        beats.clear()
    bench.stop = False
    await bench.step(hold)
    bench.jobs.append(NEXT_JOB)
    await bench.until(lambda: received(bench) == beats_of([NEXT_JOB]))
    await bench.step(30)
    check_all(bench, [NEXT_JOB])
    return before


def check_prefixes(bench: Bench, before: dict[str, list[int]], job: Job) -> None:
    for name, beats in before.items():
        assert beats == bench.expected(name, [job])[: len(beats)]


@pytest.mark.parametrize(
    ("latency", "moments"),
    [
        ((1, 1), range(0, 110, 3)),
        ((1, 25), range(0, 110, 7)),
        pytest.param((1, 1), range(110), marks=pytest.mark.slow),
        pytest.param((1, 25), range(160), marks=pytest.mark.slow),
    ],
)
def test_stop_at_any_moment(latency: tuple[int, int], moments: range) -> None:
    """The job takes some 100 cycles; it is stopped in the midst, and the next one is right.

    In each cycle of all, in the slow suite.
    """
    for moment in moments:
        bench = Bench(SMALL, seed=moment, asked=0.7, answered=0.8, latency=latency)
        bench.jobs.append(STOP_JOB)

        async def script(bench: Bench, moment: int = moment) -> None:
            await bench.step(moment)
            check_prefixes(bench, await stop_and_go_on(bench, moment % 3), STOP_JOB)

        bench.play(script)
        assert not bench.faults


def test_nothing_happens_after_a_stop_that_was_too_short() -> None:
    bench = Bench(SMALL, latency=(40, 40))
    bench.jobs.append(STOP_JOB)

    async def script(bench: Bench) -> None:
        await bench.until(lambda: len(bench.bursts) == 2)
        bench.stop = True
        await bench.step()
        bench.stop = False
        bench.jobs.append(NEXT_JOB)
        await bench.step(200)
        assert bench.outstanding == 0
        assert len(bench.jobs) == 1
        assert not received(bench)
        await stop_and_go_on(bench, 1)

    bench.play(script)


@pytest.mark.parametrize("response", [Response.SLVERR, Response.DECERR])
@pytest.mark.parametrize("beat", [0, 1, 7, 8, 15, 16, 33, 64, 79])
def test_nothing_from_a_faulty_beat_on_gets_through(beat: int, response: Response) -> None:
    """Beats of the first, second and last bursts: the first, one in the middle, the last."""
    bench = Bench(SMALL, seed=beat, answered=0.7, latency=(1, 20))
    bench.jobs.append(STOP_JOB)
    # Later faults, which are not told.
    bench.responses = {beat: response, beat + 1: Response.DECERR, beat + 3: Response.SLVERR}

    async def script(bench: Bench) -> None:
        await bench.until(lambda: bool(bench.faults))
        bursts = len(bench.bursts)
        await bench.step(60)
        assert bench.outstanding == 0
        # One that was on offer, or was chosen in the cycle of the fault.
        assert len(bench.bursts) <= bursts + 1
        assert received(bench) == beat
        assert not bench.jobs
        bench.jobs.append(NEXT_JOB)
        await bench.step(20)
        assert len(bench.jobs) == 1
        bench.responses.clear()
        check_prefixes(bench, await stop_and_go_on(bench, beat % 2), STOP_JOB)

    bench.play(script)
    assert bench.faults == [(beat, response)]


def test_exclusive_okay_is_no_fault_and_faults_while_stopped_are_not_told() -> None:
    bench = Bench(SMALL, latency=(10, 10))
    bench.responses = {0: Response.EXOKAY} | dict.fromkeys(range(10, 100), Response.SLVERR)
    bench.jobs.append(STOP_JOB)

    async def script(bench: Bench) -> None:
        await bench.until(lambda: len(bench.beats) == 9)
        bench.stop = True
        await bench.until(lambda: bench.drained)
        assert len(bench.beats) > 11
        bench.responses.clear()
        await stop_and_go_on(bench, 1)

    bench.play(script)
    assert not bench.faults


# The port is busy -----------------------------------------------------------------------------

WIDE = Parameters(name="wide", rows=16, columns=16, port_words=16)
BEATS = 2400
DRAFT_JOB = [(0x100000, BEATS), (0, 0), (0, 0)]
VERIFY_JOB = [(0x100000, BEATS // 2), (0x200000, BEATS // 2), (0x300000, BEATS)]
EVERY_CYCLE = {"draft": lambda cycle: True}
QUARTERS = {
    "draft": lambda cycle: cycle % 4 == 0,
    "middle": lambda cycle: cycle % 4 == 0,
    "low": lambda cycle: cycle % 2 == 0,
}


def busy(parameters: Parameters, job: Job, appetite: dict, latency: tuple[int, int]) -> float:
    """Part of the cycles from the first to the last beat in which a beat is transferred."""
    bench = Bench(parameters, seed=1, latency=latency, appetite=appetite)
    bench.jobs.append(job)

    async def script(bench: Bench) -> None:
        await bench.until(lambda: len(bench.beats) == beats_of([job]))

    bench.play(script)
    return len(bench.beats) / (bench.beats[-1] - bench.beats[0] + 1)


@pytest.mark.parametrize(
    ("job", "appetite"), [(DRAFT_JOB, EVERY_CYCLE), (VERIFY_JOB, QUARTERS)], ids=["draft", "verify"]
)
@pytest.mark.parametrize(
    ("burst", "latency", "least"),
    [
        (64, (1, 1), 0.998),
        (64, (20, 200), 0.985),
        pytest.param(4, (1, 1), 0.995, marks=pytest.mark.slow),
    ],
)
def test_the_port_is_busy(
    job: Job, appetite: dict, burst: int, latency: tuple[int, int], least: float
) -> None:
    parameters = WIDE.replace(burst_beats=burst)
    assert busy(parameters, job, appetite, latency) >= least


def test_jobs_follow_each_other_without_a_gap() -> None:
    bench = Bench(WIDE, latency=(100, 100))
    bench.jobs.extend([[(0x100000, 300), (0, 0), (0, 0)]] * 6)

    async def script(bench: Bench) -> None:
        await bench.until(lambda: len(bench.beats) == 1800)

    bench.play(script)
    assert bench.beats[-1] - bench.beats[0] + 1 <= 1800 / 0.99


# Text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DESIGNS)
def test_tools_accept_the_verilog_and_see_memories(name: str, tmp_path) -> None:
    block = Fetch(DESIGNS[name].replace(name="text"))
    path = tmp_path / "fetch.v"
    path.write_text(verilog_from_rtlil(design_rtlil(block)), encoding="utf-8")
    assert "initial" not in path.read_text(encoding="utf-8")
    assert lint(path, "speq_text_fetch") == []
    run_yosys(
        [
            f"read_verilog {path}",
            "hierarchy -check -top speq_text_fetch",
            "proc",
            "check -assert",
            "opt",
            "memory -nomap",
            "flatten",
            f"select -assert-count {len(block.planes)} t:$mem_v2",
            # Read ports that are clocked: synchronous memories.
            f"select -assert-count {len(block.planes)} t:$mem_v2 r:RD_CLK_ENABLE>0 %i",
        ]
    )
