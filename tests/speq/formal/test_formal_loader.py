"""The loader: every word or nibble goes in once, in order, and never over a tile that waits.

Proved for runs of any length, for producers that keep the rules of streams.
"""

import types
from pathlib import Path

import pytest
from amaranth.hdl import Assume, Module, Mux, Signal, Value
from amaranth.lib.wiring import In

from speq import loader
from speq.block import place
from speq.layouts import Mode, loaded_layout, payload_shape, tile_stream, weight_stream
from speq.parameters import Parameters
from speq.proof import Harness, Verdict, held, prove
from speq_sim.proofs.mutation import mutated_module

DESIGNS = {
    "word_by_word": Parameters(rows=2, columns=2, port_words=1, tokens=2, family="fitted-4"),
    "half_a_row": Parameters(rows=4, columns=4, port_words=2, tokens=2, family="bsfp"),
    "two_rows": Parameters(rows=8, columns=2, port_words=4, tokens=3, family="fitted-4"),
    "three_blocks": Parameters(rows=3, columns=4, port_words=1, tokens=1, family="fitted-4"),
    "one_block": Parameters(rows=2, columns=2, port_words=1, tokens=2, family="bsfp"),
    "two_blocks": Parameters(rows=4, columns=2, port_words=1, tokens=2, family="bsfp"),
    "whole_tile": Parameters(rows=2, columns=1, port_words=2, tokens=2, modes=("verify",)),
    "verify_only": Parameters(rows=3, columns=2, port_words=2, tokens=2, modes=("verify",)),
}


class Surroundings(Harness):
    """Producers of tiles and words, a consumer of loaded tiles, and a count of transfers."""

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
        transfers = self.parameters.load_cycles
        m.d.comb += [
            tiles.valid.eq(self.tile_offered),
            tiles.payload.eq(self.tile),
            weights.valid.eq(self.words_offered),
            weights.payload.eq(self.words),
            loaded.ready.eq(self.wanted),
            Assume(held(m, tiles.valid, tiles.ready, tiles.payload)),
            Assume(held(m, weights.valid, weights.ready, weights.payload)),
        ]
        transfer = Signal(range(transfers), name="transfer")
        waits = Signal()
        header = Signal(loaded_layout(self.parameters))
        take, complete, free = Signal(), Signal(), Signal()
        m.d.comb += [
            take.eq(weights.valid & weights.ready),
            complete.eq(take & (transfer == transfers - 1)),
            free.eq(~waits | loaded.ready),
        ]
        with m.If(loaded.ready):
            m.d.sync += waits.eq(0)
        with m.If(take):
            m.d.sync += transfer.eq((transfer + 1) % transfers)
        with m.If(complete):
            m.d.sync += waits.eq(1)
            for name, _ in loaded_layout(self.parameters):
                m.d.sync += header[name].eq(tiles.payload[name])
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
            transfer < transfers,
            # A header stays until its tile's last words.
            (transfer == 0) | tiles.valid,
        )
        if not self.parameters.drafts:
            for group in range(transfers):
                self.check(m, live, dut.load[group] == (take & (transfer == group)))
            self.check(m, live, dut.words.as_value() == weights.payload.words.as_value())
            return m
        self._tie_counters(m, tiles.payload.mode == Mode.DRAFT, transfer)
        self._check_enables(m, live, dut, take, transfer)
        self._check_words(m, live, dut, transfer)
        return m

    def _tie_counters(self, m: Module, draft: Value, transfer: Signal) -> None:
        """What the loader's counters must be, for the induction; nothing else reads it."""
        quarter = self.parameters.load_cycles // 4
        part = Signal(2, name="part_due", attrs={"keep": True})
        block = Signal(range(quarter), name="block_due", attrs={"keep": True})
        m.d.comb += [
            part.eq(Mux(draft, transfer // quarter, transfer % 4)),
            block.eq(Mux(draft, transfer % quarter, transfer // 4)),
        ]

    def _check_enables(
        self, m: Module, live: Signal, dut: object, take: Value, transfer: Signal
    ) -> None:
        """Each group is written whole by its own transfer, or nibble by nibble in its quarters.

        Transfers are counted through, so every nibble of every word is written once per tile.
        """
        groups = self.parameters.load_cycles
        draft = dut.tiles.payload.mode == Mode.DRAFT
        for group in range(groups):
            for nibble in range(4):
                due = Mux(draft, nibble * (groups // 4) + group // 4, group)
                enable = dut.load[4 * group + nibble]
                self.check(m, live, enable == (take & (transfer == due)))

    def _check_words(self, m: Module, live: Signal, dut: object, transfer: Signal) -> None:
        """VERIFY words are decoded with the table of their row; draft weights fill their words.

        Draft weight i of a transfer is for word i of the four groups that the transfer writes.
        """
        parameters = self.parameters
        words, header = dut.weights.payload.words, dut.tiles.payload
        for number in range(parameters.port_words):
            reference = place(m, f"reference_{number}", self.block.parts[0])
            m.d.comb += [
                reference.word.eq(words[number]),
                reference.packed.eq(~header.plain),
                reference.plain.eq(header.plain),
            ]
            if parameters.tables > 1:
                row = Signal(range(parameters.rows), name=f"row_{number}")
                first = transfer * parameters.port_words + number
                m.d.comb += row.eq(first // parameters.columns)
                m.d.comb += reference.table.eq(header.row_table[row])
            for bus in range(4):
                index = bus * parameters.port_words + number
                weight = words.as_value()[4 * index : 4 * index + 4]
                due = Mux(header.mode == Mode.DRAFT, weight.replicate(4), reference.decoded)
                self.check(m, live, dut.words[index] == due)


def _prove(surroundings: Surroundings, folder: Path) -> Verdict:
    parameters = surroundings.parameters
    ties = {"transfer": "group"}
    if parameters.drafts:
        ties = {"part_due": "part", "block_due": "block"}
    widths = {"transfer": parameters.load_cycles, "block_due": parameters.load_cycles // 4}
    equal = [(due, f"loader.{name}") for due, name in ties.items() if widths.get(due, 4) > 1]
    return prove(surroundings, folder, [surroundings.block], equal=equal)


@pytest.mark.parametrize("name", DESIGNS)
def test_loader(name: str, tmp_path: Path) -> None:
    assert _prove(Surroundings(DESIGNS[name].replace(name="proof")), tmp_path).proved


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("one_block", "(~self.loaded.valid | self.loaded.ready)", "1"),
        ("one_block", "(~self.loaded.valid | self.loaded.ready)", "~self.loaded.valid"),
        ("one_block", "self.tiles.valid & (", "1 & ("),
        ("one_block", "with m.If(self.loaded.ready):", "with m.If(0):"),
        ("one_block", "self.loaded.valid.eq(1)", "self.loaded.valid.eq(~self.loaded.ready)"),
        ("one_block", "header[name].eq(self.tiles.payload[name])", "header[name].eq(0)"),
        ("one_block", "~draft & ~header.plain", "~draft"),
        ("one_block", "~draft & header.plain", "header.plain"),
        ("one_block", "& draft.replicate(self.parameters.port_bits)", ""),
        ("one_block", "drafts.word_select(index,", "drafts.word_select(index ^ 1,"),
        ("two_rows", "units[index % len(units)]", "units[index // 4 % len(units)]"),
        ("one_block", "part.eq(part + 1)", "part.eq(part + 2)"),
        ("two_blocks", "take & last_block & last_part", "take & last_block"),
        ("two_blocks", "take & (last_part | draft)", "take & last_part"),
        ("two_blocks", "take & (last_block | ~draft)", "take & last_block"),
        ("two_blocks", "take & (block == number)", "(block == number)"),
        ("two_blocks", "take & (block == number)", "take"),
        ("two_blocks", "(group | nibble)", "group"),
        ("two_blocks", "(group | nibble)", "nibble"),
        ("two_blocks", "for mode in (~draft, draft)", "for mode in (1, draft)"),
        ("two_blocks", "for mode in (~draft, draft)", "for mode in (~draft, 1)"),
        ("two_blocks", "(group | nibble)\n", "(group | nibbles[0])\n"),
        ("three_blocks", "Mux(last_block, 0, block + 1)", "block + 1"),
        ("word_by_word", "g * words // columns + offset", "0 * g * words // columns + offset"),
        ("two_rows", "g * words // columns + offset", "g * words // columns"),
        ("whole_tile", "self.words.eq(self.weights.payload.words)", "self.words.eq(0)"),
        ("verify_only", "take & (group == groups - 1)", "take & (group == groups - 2)"),
        ("verify_only", "Cat(take & (group == number)", "Cat((group == number)"),
        ("verify_only", "group.eq(group + 1)", "group.eq(group + 2)"),
        ("verify_only", "m.d.sync += group.eq(0)", "m.d.sync += group.eq(1)"),
    ],
)
def test_the_proof_refutes_faults(name: str, old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.loader", old, new)
    parameters = DESIGNS[name].replace(name="proof")
    assert _prove(Surroundings(parameters, faulty), tmp_path).refuted
