"""The command check gives the verdict, and the job, of a model written from docs/accelerator.md."""

import dataclasses
import functools

import pytest
from amaranth.sim import Simulator
from control_bench import job_fields
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speq.accelerator.commands import CommandCheck
from speq.accelerator.registers import Rejection
from speq.layouts import Mode
from speq.parameters import MODES, PRESETS, check_accelerator

TINY = PRESETS["tiny"]

DESIGNS = {
    "tiny": TINY,
    "small": PRESETS["small"],
    "server": PRESETS["server"],
    "verify_only": TINY.verify_only(),
    "lanes_1": TINY.replace(draft_lanes=1),
    "all_modes": TINY.replace(modes=MODES),
    "middle_alone": TINY.replace(modes=("verify", "middle"), address_bits=16),
    "integers": TINY.replace(modes=("verify", "draft", "qdraft", "qverify"), draft_lanes=2),
    "odd_columns": TINY.replace(columns=12, draft_lanes=2, address_bits=24),
    "one_token": TINY.replace(tokens=1, address_bits=16),
    "all_addresses": TINY.replace(rows=6, columns=40, port_words=2, address_bits=64, tokens=64),
    "odd_verify_only": TINY.verify_only().replace(columns=28, address_bits=20),
}


@dataclasses.dataclass(frozen=True)
class Command:
    """What software writes, and the state of the unit at the time."""

    mode: int = 0
    plain: int = 0
    keep: int = 0
    tokens: int = 1
    inputs: int = 1
    output_tiles: int = 1
    bases: tuple[int, int, int] = (0, 0, 0)
    running: bool = True
    room: bool = True


# The model --------------------------------------------------------------------------------------


def beats_of(p, command):
    """AXI beats of the planes, by the table "Memory layout"."""
    r, c, w = p.rows, p.columns, p.port_words
    g = r * c // w
    if not p.packs:
        kg = -(-command.inputs // c)
        return [command.output_tiles * kg * g]
    kg = -(-command.inputs // (4 * c))
    nt = command.output_tiles
    if command.plain:
        return [nt * kg * 4 * g, 0, 0]
    draft = kg * c // w + nt * (-(-r // w) + kg * g)
    middle, low = nt * kg * g, nt * kg * 2 * g
    match MODES[command.mode]:
        case "verify":
            return [draft, middle, low]
        case "middle":
            return [draft, middle, 0]
        case _:
            return [draft, 0, 0]


def judge(p, command, before):
    """The verdict, by the tables "Jobs" and "Faults"."""
    if not p.packs:
        command = dataclasses.replace(command, plain=0)
    if not command.running:
        return Rejection.STOPPED
    if command.mode >= len(MODES) or MODES[command.mode] not in p.modes:
        return Rejection.MODE
    if command.mode != 0 and command.plain:
        return Rejection.PLAIN
    if not 1 <= command.tokens <= p.tokens:
        return Rejection.TOKENS
    if not 1 <= command.inputs <= 65536:
        return Rejection.INPUTS
    if not 1 <= command.output_tiles < 2**20:
        return Rejection.OUTPUT_TILES
    depth = 4 * p.columns if p.packs else p.columns
    if command.tokens * -(-command.inputs // depth) * depth > p.activation_values:
        return Rejection.BUFFER
    if command.keep and before != (command.tokens, command.inputs):
        return Rejection.KEEP
    beat = 2 * p.port_words
    regions = [
        (a, n * beat) for a, n in zip(command.bases, beats_of(p, command), strict=False) if n
    ]
    if any(base % beat for base, _ in regions):
        return Rejection.MISALIGNED
    if any(base + size > 2**p.address_bits for base, size in regions):
        return Rejection.ADDRESS
    return Rejection.NONE if command.room else Rejection.QUEUE_FULL


def job_of(p, command):
    """Fields of the job, as a mapping of flat names."""
    depth = 4 * p.columns if p.packs else p.columns
    groups = -(-command.inputs // depth)
    common = {
        "groups": groups,
        "output_tiles": command.output_tiles,
        **({"mode": command.mode, "plain": command.plain} if p.packs else {}),
    }
    token = {"last_token": command.tokens - 1} if p.tokens > 1 else {}
    joins = {"join": Mode(command.mode) is Mode.VERIFY and not command.plain} if p.packs else {}
    if p.middles:
        joins["pair"] = Mode(command.mode) is Mode.MIDDLE
    beats = beats_of(p, command)
    fetch = {f"beats_{number}": count for number, count in enumerate(beats)}
    fetch |= {
        f"bases_{number}": base
        for number, base in enumerate(command.bases[: len(beats)])
        if beats[number]
    }
    return {
        "fetch": fetch,
        "load": {"keep": command.keep, "inputs": command.inputs, "groups": groups} | token,
        "play": {"keep": command.keep} | common | token,
        "tiles": common | token | joins,
        "results": {"output_tiles": command.output_tiles} | token,
    }


# The circuit ------------------------------------------------------------------------------------


class Checker:
    """One compiled circuit, run again for each list of commands."""

    def __init__(self, parameters):
        self.dut = CommandCheck(parameters)
        self.parameters = parameters
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(1e-6)
        self.simulator.add_testbench(self._play)
        self.used = False

    def run(self, commands):
        self.commands, self.verdicts = commands, []
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()
        return self.verdicts

    async def _play(self, ctx):
        dut = self.dut
        for command in self.commands:
            values = dataclasses.asdict(command)
            for name in ("mode", "keep", "tokens", "inputs", "output_tiles"):
                ctx.set(dut.command[name], values[name])
            if self.parameters.packs:
                ctx.set(dut.command.plain, command.plain)
            for number in range(len(dut.command.bases)):
                ctx.set(dut.command.bases[number], command.bases[number])
            ctx.set(dut.running, command.running)
            ctx.set(dut.room, command.room)
            ctx.set(dut.jobs.ready, command.room)
            ctx.set(dut.push, 1)
            await ctx.tick()
            ctx.set(dut.push, 0)
            self.verdicts.append(await self._verdict(ctx))

    async def _verdict(self, ctx):
        dut = self.dut
        for _ in range(40):
            assert ctx.get(dut.busy)
            verdict = None
            if ctx.get(dut.rejected):
                verdict = Rejection(ctx.get(dut.rejection))
                assert verdict is not Rejection.NONE
            elif ctx.get(dut.jobs.valid):
                verdict = job_fields(ctx.get(dut.jobs.payload))
            await ctx.tick()
            if verdict is not None:
                assert not ctx.get(dut.busy)
                return verdict
        raise AssertionError("no verdict")


@functools.cache
def checker(name):
    check_accelerator(DESIGNS[name])
    return Checker(DESIGNS[name])


def compare(name, commands):
    """The verdicts, which are those of the model."""
    p, before, wanted = DESIGNS[name], None, []
    for command in commands:
        verdict = judge(p, command, before)
        if not command.running:
            before = None
        if verdict is Rejection.NONE:
            before = (command.tokens, command.inputs)
            verdict = job_of(p, command)
        wanted.append(verdict)
    assert checker(name).run(commands) == wanted
    return wanted


# Random commands --------------------------------------------------------------------------------


def commands(p):
    """Mostly legal commands, at their limits, too; any field of some is wrong."""
    depth, most, beat, top = p.group_inputs, p.activation_values, p.bus_bytes, 2**p.address_bits
    tokens = st.one_of(st.just(1), st.just(p.tokens), st.integers(1, p.tokens))
    inputs = st.one_of(
        st.integers(1, 3 * depth),
        st.integers(1, 65536),
        st.builds(
            lambda n, off: min(max(n + off, 1), 65536),
            st.sampled_from([depth, 2 * depth, most, most // p.tokens, 65536]),
            st.integers(-1, 1),
        ),
    )
    tiles = st.one_of(st.integers(1, 8), st.integers(1, 2**20 - 1), st.just(2**20 - 1))
    address = st.one_of(
        st.integers(0, top // beat // 2).map(lambda n: n * beat),
        st.integers(1, 2**16).map(lambda n: max(top - n * beat, 0)),
    )
    legal = st.builds(
        Command,
        mode=st.sampled_from([MODES.index(mode) for mode in p.modes]),
        keep=st.sampled_from([0, 0, 0, 1]),
        tokens=tokens,
        inputs=inputs,
        output_tiles=tiles,
        bases=st.tuples(address, address, address),
    )
    # A field of its own range, whatever that means for the others.
    changed = st.one_of(
        st.just({}),
        st.just({"plain": 1}),
        st.just({"plain": 1, "mode": 0}),
        st.fixed_dictionaries({"mode": st.integers(0, 15)}),
        st.fixed_dictionaries({"tokens": st.integers(0, 255)}),
        st.fixed_dictionaries({"inputs": st.integers(0, 2**32 - 1)}),
        st.fixed_dictionaries({"output_tiles": st.integers(0, 2**32 - 1)}),
        st.fixed_dictionaries({"bases": st.tuples(*[st.integers(0, 2**64 - 1)] * 3)}),
        st.just({"running": False}),
        st.just({"room": False}),
    )
    return st.builds(lambda command, some: dataclasses.replace(command, **some), legal, changed)


@pytest.mark.parametrize("name", DESIGNS)
def test_random_commands(name):
    @settings(
        max_examples=50,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(commands(DESIGNS[name]), min_size=1, max_size=12))
    def run(some):
        compare(name, some)

    run()


# Directed ---------------------------------------------------------------------------------------

GOOD = Command(tokens=1, inputs=5, output_tiles=2, bases=(64, 1024, 4096))


def change(**changes):
    return dataclasses.replace(GOOD, **changes)


CASES = {
    Rejection.STOPPED: [change(running=False), change(running=False, mode=9, tokens=0)],
    Rejection.MODE: [change(mode=2), change(mode=15, plain=1)],
    Rejection.PLAIN: [change(mode=1, plain=1)],
    Rejection.TOKENS: [change(tokens=0), change(tokens=5), change(tokens=255)],
    Rejection.INPUTS: [change(inputs=n) for n in (0, 65537, 2**17 + 1, 2**32 - 1)],
    Rejection.OUTPUT_TILES: [change(output_tiles=n) for n in (0, 2**20, 2**31, 2**32 - 1)],
    Rejection.BUFFER: [change(tokens=4, inputs=4097), change(inputs=16385)],
    Rejection.KEEP: [change(keep=1)],
    Rejection.MISALIGNED: [
        change(bases=(4, 0, 0)),
        change(bases=(0, 1, 0)),
        change(bases=(0, 0, 10)),
        change(plain=1, bases=(2, 0, 0)),
        change(mode=1, bases=(2, 0, 0)),
    ],
    Rejection.ADDRESS: [
        change(bases=(2**40 - 8, 0, 0)),
        change(bases=(0, 2**40 - 8, 0)),
        change(bases=(0, 0, 2**40 - 8)),
        change(bases=(2**40, 0, 0)),
        change(bases=(0, 2**63, 0)),
    ],
    Rejection.QUEUE_FULL: [change(room=False)],
}


def test_every_reason_has_its_case():
    assert set(CASES) == set(Rejection) - {Rejection.NONE}


@pytest.mark.parametrize("reason", CASES)
def test_a_command_is_rejected_for_each_reason(reason):
    for command in CASES[reason]:
        assert compare("tiny", [command]) == [reason]


def test_the_largest_commands_are_legal():
    p = TINY
    largest = [
        change(tokens=4, inputs=4096),
        change(tokens=1, inputs=16384),
        change(output_tiles=2**20 - 1, inputs=16384, bases=(0, 0, 0)),
    ]
    assert all(isinstance(verdict, dict) for verdict in compare("tiny", largest))
    size = [n * p.bus_bytes for n in beats_of(p, GOOD)]
    last = tuple(2**p.address_bits - bytes_ for bytes_ in size)
    (verdict,) = compare("tiny", [change(bases=last)])
    assert isinstance(verdict, dict)
    for plane in range(3):
        one_more = tuple(a + p.bus_bytes * (n == plane) for n, a in enumerate(last))
        assert compare("tiny", [change(bases=one_more)]) == [Rejection.ADDRESS]


@pytest.mark.parametrize("mode", MODES)
def test_plain_words_are_for_verify_alone(mode):
    (verdict,) = compare("all_modes", [change(mode=MODES.index(mode), plain=1)])
    assert isinstance(verdict, dict) if mode == "verify" else verdict is Rejection.PLAIN


def test_the_middle_plane_is_checked_where_it_is_read():
    for name in ("all_modes", "middle_alone"):
        middle = change(mode=MODES.index("middle"), bases=(64, 1024, 2**64 - 1))
        (verdict,) = compare(name, [middle])
        assert isinstance(verdict, dict)
        for base, reason in ((1025, Rejection.MISALIGNED), (2**63, Rejection.ADDRESS)):
            wrong = dataclasses.replace(middle, bases=(64, base, 0))
            assert compare(name, [wrong]) == [reason]


def test_planes_that_are_not_read_are_not_checked():
    odd = (64, 3, 2**64 - 1)
    for command in (change(mode=1, bases=odd), change(plain=1, bases=odd)):
        (verdict,) = compare("tiny", [command])
        assert isinstance(verdict, dict)


def test_keep_needs_the_same_tokens_and_inputs_as_the_job_before():
    keep = change(keep=1)
    verdicts = compare(
        "tiny",
        [
            keep,
            GOOD,
            keep,
            change(keep=1, mode=1, output_tiles=7),
            change(keep=1, tokens=2),
            change(keep=1, inputs=6),
            change(inputs=6, mode=3),  # Rejected: leaves no trace.
            keep,
            change(inputs=6),
            keep,
            change(running=False),
            change(keep=1, inputs=6),
        ],
    )
    rejected = [verdict for verdict in verdicts if not isinstance(verdict, dict)]
    assert [isinstance(verdict, dict) for verdict in verdicts] == [
        bool(int(bit)) for bit in "011100011000"
    ]
    assert rejected.count(Rejection.KEEP) == 5


@pytest.mark.parametrize("name", ["odd_columns", "odd_verify_only", "all_addresses"])
def test_groups_are_exact_where_their_size_is_no_power_of_two(name):
    depth = DESIGNS[name].group_inputs
    most = DESIGNS[name].activation_values
    inputs = {
        n for g in (1, 2, 7, most // depth) for n in (g * depth - 1, g * depth, g * depth + 1)
    }
    verdicts = compare(name, [Command(inputs=n) for n in sorted(inputs)])
    assert any(isinstance(verdict, dict) for verdict in verdicts)
