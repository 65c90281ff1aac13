"""The loader: every group of words goes in once, in order, and never over a tile that waits.

Proved for runs of any length, for producers that keep the rules of streams.
"""

import types
from pathlib import Path

import pytest
from amaranth.hdl import Assume, Module, Signal
from amaranth.lib.wiring import In

from speq import loader
from speq.block import place
from speq.layouts import Mode, loaded_layout, payload_shape, tile_stream, weight_stream
from speq.parameters import Parameters
from speq.proof import Harness, Verdict, held, prove
from speq_sim.proofs.mutation import mutated_module

DESIGNS = {
    "word_by_word": Parameters(rows=2, columns=2, port_words=1, tokens=2, family="fitted-4"),
    "half_a_tile": Parameters(rows=4, columns=2, port_words=4, tokens=3, family="fitted-4"),
    "whole_tile": Parameters(rows=2, columns=1, port_words=2, tokens=2, family="fitted-4"),
    "three_groups": Parameters(rows=3, columns=1, port_words=1, tokens=1, family="bsfp"),
    "four_groups": Parameters(rows=2, columns=2, port_words=1, tokens=2, family="bsfp"),
    "verify_only": Parameters(rows=3, columns=2, port_words=2, tokens=2, modes=("verify",)),
}


class Surroundings(Harness):
    """Producers of tiles and words, a consumer of loaded tiles, and a count of groups."""

    def __init__(self, parameters: Parameters, module: types.ModuleType = loader) -> None:
        self.parameters = parameters
        self.block = module.Loader(parameters)
        super().__init__(
            {
                "tile_offered": In(1),
                "tile": In(payload_shape(tile_stream(parameters)).size),
                "words_offered": In(1),
                "words": In(payload_shape(weight_stream(parameters)).size),
                "wanted": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        dut = place(m, "loader", self.block)
        tiles, weights, loaded = dut.tiles, dut.weights, dut.loaded
        groups = self.parameters.load_cycles
        m.d.comb += [
            tiles.valid.eq(self.tile_offered),
            tiles.payload.eq(self.tile),
            weights.valid.eq(self.words_offered),
            weights.payload.eq(self.words),
            loaded.ready.eq(self.wanted),
            Assume(held(m, tiles.valid, tiles.ready, tiles.payload)),
            Assume(held(m, weights.valid, weights.ready, weights.payload)),
        ]
        group = Signal(range(groups), name="group_count")
        waits = Signal()
        header = Signal(loaded_layout(self.parameters))
        take, complete, free = Signal(), Signal(), Signal()
        m.d.comb += [
            take.eq(weights.valid & weights.ready),
            complete.eq(take & (group == groups - 1)),
            free.eq(~waits | loaded.ready),
        ]
        with m.If(loaded.ready):
            m.d.sync += waits.eq(0)
        with m.If(take):
            m.d.sync += group.eq((group + 1) % groups)
        with m.If(complete):
            m.d.sync += waits.eq(1)
            for name, _ in loaded_layout(self.parameters):
                m.d.sync += header[name].eq(tiles.payload[name])
        for number in range(groups):
            self.check(m, live, dut.load[number] == (take & (group == number)))
        self.check(
            m,
            live,
            # Words go in only with a header, and only where they overwrite nothing; then at once.
            weights.ready == (tiles.valid & free),
            (tiles.valid & tiles.ready) == complete,
            # As `waits` is a register, valid cannot follow ready within a cycle.
            loaded.valid == waits,
            ~loaded.valid | (loaded.payload.as_value() == header.as_value()),
            held(m, loaded.valid, loaded.ready, loaded.payload),
            group < groups,
        )
        self._check_words(m, live, dut, group)
        return m

    def _check_words(self, m: Module, live: Signal, dut: object, group: Signal) -> None:
        """Each word is decoded with the table of the row that it belongs to."""
        parameters = self.parameters
        words, header = dut.weights.payload.words, dut.tiles.payload
        for number in range(parameters.port_words):
            if not parameters.drafts:
                self.check(m, live, dut.words[number] == words[number])
                continue
            reference = place(m, f"reference_{number}", self.block.parts[0])
            m.d.comb += [
                reference.word.eq(words[number]),
                reference.packed.eq((header.mode == Mode.VERIFY) & ~header.plain),
            ]
            if parameters.tables > 1:
                row = Signal(range(parameters.rows), name=f"row_{number}")
                first = group * parameters.port_words + number
                m.d.comb += row.eq(first // parameters.columns)
                m.d.comb += reference.table.eq(header.row_table[row])
            self.check(m, live, dut.words[number] == reference.decoded)


def _prove(surroundings: Surroundings, folder: Path) -> Verdict:
    equal = []
    if surroundings.parameters.load_cycles > 1:
        equal = [("group_count", "loader.group")]
    return prove(surroundings, folder, [surroundings.block], equal=equal)


@pytest.mark.parametrize("name", DESIGNS)
def test_loader(name: str, tmp_path: Path) -> None:
    assert _prove(Surroundings(DESIGNS[name].replace(name="proof")), tmp_path).proved


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("four_groups", "(~self.loaded.valid | self.loaded.ready)", "1"),
        ("four_groups", "(~self.loaded.valid | self.loaded.ready)", "~self.loaded.valid"),
        ("four_groups", "self.tiles.valid & (", "1 & ("),
        ("four_groups", "take & (group == groups - 1)", "take & (group == groups - 2)"),
        ("four_groups", "Cat(take & (group == number)", "Cat((group == number)"),
        ("four_groups", "with m.If(self.loaded.ready):", "with m.If(0):"),
        (
            "four_groups",
            "[group.eq(0), self.loaded.valid.eq(1)]",
            "[group.eq(1), self.loaded.valid.eq(1)]",
        ),
        ("four_groups", "group.eq(group + 1)", "group.eq(group + 2)"),
        ("four_groups", "header[name].eq(self.tiles.payload[name])", "header[name].eq(0)"),
        ("four_groups", "& ~header.plain", ""),
        ("word_by_word", "g * words // columns + offset", "0 * g * words // columns + offset"),
    ],
)
def test_the_proof_refutes_faults(name: str, old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.loader", old, new)
    parameters = DESIGNS[name].replace(name="proof")
    assert _prove(Surroundings(parameters, faulty), tmp_path).refuted
