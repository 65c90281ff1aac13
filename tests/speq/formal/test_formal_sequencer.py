"""The sequencer: each tile gives exactly its beats, and takes its words with the first of them.

Proved for runs of any length, for producers that keep the rules of streams.
"""

import types
from pathlib import Path

import pytest
from amaranth.hdl import Assume, Cat, Module, Mux, Signal
from amaranth.lib.wiring import In

from speq import sequencer
from speq.block import place
from speq.layouts import Mode, loaded_layout
from speq.parameters import MODES, Parameters
from speq.proof import Harness, Verdict, held, prove
from speq_sim.proofs.mutation import mutated_module

BASE = Parameters(name="proof", rows=4, columns=1, port_words=1)
DESIGNS = {
    "lanes_4": BASE.replace(draft_lanes=4, tokens=4),
    "lanes_2": BASE.replace(draft_lanes=2, tokens=3),
    "lanes_1": BASE.replace(draft_lanes=1, tokens=5),
    "one_token": BASE.replace(draft_lanes=1, tokens=1),
    "all_4": BASE.replace(modes=MODES, tokens=3),
    "all_2": BASE.replace(modes=MODES, draft_lanes=2, tokens=2),
    "all_1": BASE.replace(modes=MODES, draft_lanes=1, tokens=2),
    "middle": BASE.replace(modes=("verify", "middle"), tokens=3),
    "qspec": BASE.replace(modes=("verify", "qdraft", "qverify"), tokens=2),
    "verify_only": BASE.replace(modes=("verify",), tokens=3),
}

BEATS = {
    4: {"verify": 1, "draft": 1, "middle": 2, "qdraft": 1, "qverify": 2},
    2: {"verify": 1, "draft": 2, "middle": 2, "qdraft": 2, "qverify": 2},
    1: {"verify": 1, "draft": 4, "middle": 2, "qdraft": 4, "qverify": 4},
}
"""Beats of a token by draft lanes and mode."""

FLAGS = {
    "block": ("draft", "qdraft"),
    "integer": ("qdraft", "qverify"),
    "middle": ("middle",),
}
"""Modes that set each member of a beat's kind."""


class Surroundings(Harness):
    """A producer of loaded tiles, activations, a consumer of beats, and a count of beats."""

    def __init__(self, parameters: Parameters, module: types.ModuleType = sequencer) -> None:
        self.parameters = parameters
        self.block = module.Sequencer(parameters)
        header = loaded_layout(parameters)
        super().__init__(
            {"offered": In(1), "header": In(header.size), "activations": In(1), "wanted": In(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        parameters = self.parameters
        dut = place(m, "sequencer", self.block)
        loaded, beat = dut.loaded, dut.beat
        m.d.comb += [
            loaded.valid.eq(self.offered),
            loaded.payload.eq(self.header),
            dut.activations_valid.eq(self.activations),
            beat.ready.eq(self.wanted),
            Assume(held(m, loaded.valid, loaded.ready, loaded.payload)),
            Assume(held(m, dut.activations_valid, beat.valid & beat.ready, self.activations)),
        ]
        beats = {mode: BEATS[parameters.draft_lanes][mode] for mode in parameters.modes}
        parts = max(beats.values())
        done = Signal(range(parameters.tokens * parts), name="beats_done")
        running, active = Signal(name="under_way"), Signal(loaded_layout(parameters))
        header = Signal.like(active)
        m.d.comb += [
            running.eq(done != 0),
            header.eq(Mux(running, active, loaded.payload)),
        ]
        last_token = header.last_token if parameters.tokens > 1 else 0
        m.d.comb += Assume(last_token < parameters.tokens)
        of_token = Signal(range(parts + 1), name="beats_of_token", init=1)
        token = Signal(range(parameters.tokens), name="token_due")
        part = Signal(range(parts), name="part_due")
        m.d.comb += token.eq(done)
        if parameters.has_low_bits:
            at_work = {mode: header.mode == Mode[mode.upper()] for mode in beats}
            m.d.comb += Assume(Cat(at_work.values()).any())
            for mode, count in beats.items():
                with m.If(at_work[mode]):
                    m.d.comb += [
                        of_token.eq(count),
                        token.eq(done // count),
                        part.eq(done % count),
                    ]
        take, final = Signal(), Signal()
        m.d.comb += [
            take.eq(beat.valid & beat.ready),
            final.eq(done + 1 == (last_token + 1) * of_token),
        ]
        with m.If(take):
            m.d.sync += done.eq(Mux(final, 0, done + 1))
            with m.If(~running):
                m.d.sync += active.eq(loaded.payload)
        issued = beat.payload
        self.check(
            m,
            live,
            held(m, beat.valid, beat.ready, issued),
            # The right side has no ready in it.
            beat.valid == (dut.activations_valid & (running | loaded.valid)),
            dut.swap == (take & ~running),
            (loaded.valid & loaded.ready) == dut.swap,
            ~loaded.ready | take,
            ~running | (dut.active.as_value() == active.as_value()),
            ~running | (done < (last_token + 1) * of_token),
            ~beat.valid | (issued.clear == (header.first & (part == 0))),
            ~beat.valid | (issued.emit == (header.last & (part == of_token - 1))),
            ~beat.valid | (issued.last == (token == last_token)),
        )
        if parameters.tokens > 1:
            self.check(m, live, ~beat.valid | (issued.token == token))
        if parameters.has_low_bits:
            for flag, _ in issued.kind.shape():
                setting = [at_work[mode] for mode in FLAGS[flag] if mode in at_work]
                self.check(m, live, ~beat.valid | (issued.kind[flag] == Cat(setting).any()))
        if parts > 1:
            self.check(m, live, ~beat.valid | (issued.part == part))
        return m


def _prove(surroundings: Surroundings, folder: Path) -> Verdict:
    parameters = surroundings.parameters
    equal = [("under_way", "sequencer.running")]
    if parameters.tokens > 1:
        equal.append(("token_due", "sequencer.token"))
    if parameters.word_beats > 1:
        equal.append(("part_due", "sequencer.part"))
    return prove(surroundings, folder, [surroundings.block], equal=equal)


@pytest.mark.parametrize("name", DESIGNS)
def test_sequencer(name: str, tmp_path: Path) -> None:
    assert _prove(Surroundings(DESIGNS[name]), tmp_path).proved


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.swap.eq(take & ~running)", "self.swap.eq(take & running)"),
        ("self.swap.eq(take & ~running)", "self.swap.eq(self.beat.valid & ~running)"),
        ("self.loaded.ready.eq(self.swap)", "self.loaded.ready.eq(~running)"),
        ("header.eq(Mux(running, active, self.loaded.payload))", "header.eq(self.loaded.payload)"),
        ("(running | self.loaded.valid)", "running"),
        ("self.activations_valid & (", "1 & ("),
        ("token == header.last_token", "token + 1 == header.last_token"),
        ("header.first & (part == 0)", "header.first"),
        ("header.last & last_part", "header.last"),
        ("[part.eq(0), token.eq(token + 1)]", "[token.eq(token + 1)]"),
        ("[token.eq(0), running.eq(0)]", "[token.eq(0)]"),
        ("[token.eq(0), running.eq(0)]", "[running.eq(0)]"),
        ("(header.mode == Mode[mode.upper()]) & (part == end)", "part == end"),
        ("(mode) - 1 for mode", "(mode) // 2 for mode"),
        ('"block": ("draft", "qdraft")', '"block": ("draft",)'),
        ('"integer": ("qdraft", "qverify")', '"integer": ("qdraft",)'),
        ('"middle": ("middle",)', '"middle": ("verify",)'),
    ],
)
def test_the_proof_refutes_faults(old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.sequencer", old, new)
    assert _prove(Surroundings(DESIGNS["all_1"], faulty), tmp_path).refuted
