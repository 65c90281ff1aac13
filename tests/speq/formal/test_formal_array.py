"""The control of a whole array: everything stays together, and results keep the rules.

The rules of the results stream are proved for runs of any length. That tiles, words, activations,
row exponents and results stay together is proved for all runs of :data:`BOUNDS` cycles from reset,
with every possible stall; columns and rows are replaced by ones that carry tags, not numbers,
through the same registers. (How words get to their places is proved of the loader.)
"""

import types
from pathlib import Path

import pytest
from amaranth.hdl import Assume, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In

from speq import array
from speq.array import Array
from speq.block import place
from speq.column import Column
from speq.emission import design_rtlil
from speq.layouts import load_enables, payload_shape, tile_stream
from speq.parameters import WORD_BITS, Parameters
from speq.proof import Harness, Verdict, held, prove
from speq.row import Row
from speq.yosys import YosysError, run_yosys
from speq_sim.proofs.mutation import mutated_module

TAG_BITS = 3

TAG_PLACES = (0, 5, 15)
"""Bits of a word that carry a tag: each in another nibble, at another place in it, and where
decoders leave it alone."""

DESIGN = Parameters(name="proof", rows=2, columns=2, port_words=1, tokens=2, family="bsfp")

VERIFY_ONLY = DESIGN.verify_only().replace(name="proof")

CONTROLS = {
    "both_modes": (DESIGN, 19),
    "verify_only": (VERIFY_ONLY.replace(port_words=2), 15),
    "verify_only_at_once": (VERIFY_ONLY.replace(port_words=4), 13),
    "pipelined": (VERIFY_ONLY.replace(port_words=4, pipeline=2), 15),
    "activations_ahead": (VERIFY_ONLY.replace(port_words=4, pipeline=3), 18),
}
"""Designs, and the cycles looked at, one of them of reset: enough for up to five results, and for
every stage to fill up. The designs load a tile in four, two and one cycles."""


class TagColumn(Column):
    """In place of a column: registers the first activation's low bits."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        before: Value = self.values.as_value()[:TAG_BITS]
        for enable in self.enable:
            tag = Signal(TAG_BITS)
            with m.If(enable):
                m.d.sync += tag.eq(before)
            before = tag
        m.d.comb += self.operand.eq(before)
        return m


class TagRow(Row):
    """In place of a row: as many registers, which carry a tag of words and an activation's tag.

    The first bit of the words' tag is held by the first PE, the others by the last, each in a
    nibble of its own. The result joins both tags with the row exponent that came at rounding.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting, working = Signal(TAG_BITS), Signal(TAG_BITS)
        enables = load_enables(self.parameters)
        last = self.parameters.columns - 1
        for index, (column, bit) in enumerate(zip((0, last, last), TAG_PLACES, strict=True)):
            group = column // min(self.parameters.port_words, self.parameters.columns)
            with m.If(self.load.word_select(group, enables)[bit * enables // WORD_BITS]):
                word = self.words[column % len(self.words)]
                m.d.sync += waiting[index].eq(word[bit])
        with m.If(self.swap):
            m.d.sync += working.eq(waiting)
        before: Value = Cat(working, self.operands[:TAG_BITS])
        for enable in Cat(self.multiply, self.reduce, self.accumulate):
            stage = Signal(2 * TAG_BITS)
            with m.If(enable):
                m.d.sync += stage.eq(before)
            before = stage
        exponent = self.row_exponent[:TAG_BITS] if self.parameters.drafts else Const(0, 1)
        before = Cat(before, exponent)
        for enable in self.round:
            value = Signal(3 * TAG_BITS)
            with m.If(enable):
                m.d.sync += value.eq(before)
            before = value
        m.d.comb += self.value.eq(before)
        return m


class Surroundings(Harness):
    """Producers that number tiles, words and beats, and a consumer that knows what must come."""

    def __init__(self, block: Array) -> None:
        self.block = block
        self.parameters = block.parameters
        super().__init__(
            {
                "offered": In(3),
                "tile": In(payload_shape(tile_stream(self.parameters)).size),
                "wanted": In(1),
                # What does not change during a run: tokens of every tile less one, and whether two
                # tiles make a row of tiles.
                "two_tokens": In(1),
                "in_pairs": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        dut = place(m, "array", self.block)
        started, run = Signal(reset_less=True), Signal(2, reset_less=True)
        settings = Cat(self.two_tokens, self.in_pairs)
        m.d.sync += [started.eq(1), run.eq(settings)]
        m.d.comb += Assume(~started | (run == settings))
        self._produce(m, dut)

        results = dut.results
        tile, token = Signal(TAG_BITS), Signal()
        last_of_tile = token == self.two_tokens
        with m.If(results.valid & results.ready):
            m.d.sync += token.eq(Mux(last_of_tile, 0, 1))
            with m.If(last_of_tile):
                m.d.sync += tile.eq(tile + 1)
        number = Signal(TAG_BITS)
        m.d.comb += number.eq(Mux(self.in_pairs, (tile << 1) + 1, tile))
        beat = Mux(self.two_tokens, (number << 1) + token, number)[:TAG_BITS]
        due = Cat(number, beat, number if self.parameters.drafts else Const(0, 1))
        m.d.comb += results.ready.eq(self.wanted)
        self.check(
            m,
            live,
            held(m, results.valid, results.ready, results.payload),
            ~results.valid | (results.payload.token == token),
            ~results.valid | (results.payload.last == last_of_tile),
            *(~results.valid | (results.payload.values[row] == due) for row in range(2)),
        )
        return m

    def _produce(self, m: Module, dut: object) -> None:
        tiles, weights, activations = dut.tiles, dut.weights, dut.activations
        counts = []
        for index, stream in enumerate((tiles, weights, activations)):
            count = Signal(TAG_BITS + 2, name=f"count_{index}")
            counts.append(count)
            m.d.comb += [
                stream.valid.eq(self.offered[index]),
                Assume(held(m, stream.valid, stream.ready, stream.payload)),
            ]
            with m.If(stream.valid & stream.ready):
                m.d.sync += count.eq(count + 1)
        tile, transfer, beat = counts
        header = tiles.payload
        m.d.comb += [
            header.eq(self.tile),
            Assume(header.last_token == self.two_tokens),
            Assume(header.last == (~self.in_pairs | tile[0])),
        ]
        # Every nibble has the tag's bits where the rows look for them.
        words = weights.payload.words
        of_tile = transfer // self.parameters.load_cycles
        nibble = Signal(4)
        m.d.comb += [nibble[bit % 4].eq(of_tile[i]) for i, bit in enumerate(TAG_PLACES)]
        m.d.comb += [words[i].eq(nibble.replicate(4)) for i in range(len(words))]
        values = activations.payload.values
        m.d.comb += [values[i].as_value().eq(beat[:TAG_BITS]) for i in range(len(values))]
        for row in range(self.parameters.rows if self.parameters.drafts else 0):
            m.d.comb += Assume(header.row_exponent[row][:TAG_BITS] == tile[:TAG_BITS])


class Rules(Harness):
    """Anything at the inputs; the rules at the output."""

    def __init__(self, block: Array) -> None:
        self.block = block
        inputs = ("tiles", "weights", "activations")
        self.payloads = {
            name: payload_shape(block.signature.members[name].signature).size for name in inputs
        }
        super().__init__(
            {
                **{name: In(size) for name, size in self.payloads.items()},
                "offered": In(len(inputs)),
                "wanted": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        dut = place(m, "array", self.block)
        for index, name in enumerate(self.payloads):
            stream = getattr(dut, name)
            m.d.comb += [
                stream.valid.eq(self.offered[index]),
                stream.payload.eq(getattr(self, name)),
            ]
        results = dut.results
        m.d.comb += results.ready.eq(self.wanted)
        self.check(m, live, held(m, results.valid, results.ready, results.payload))
        return m


def _valid_ignores_ready(module: types.ModuleType, folder: Path) -> None:
    """Fail (in Yosys) if there is a path through logic from the results' ready to their valid."""
    (folder / "array.il").write_text(design_rtlil(module.Array(DESIGN)), encoding="utf-8")
    commands = [
        "read_rtlil array.il",
        "hierarchy -top speq_proof",
        "proc",
        "flatten",
        "cd speq_proof",
        "select -assert-count 1 results__ready",
        "select -assert-min 2 results__valid %ci*:-$dff",
        "select -assert-none results__valid %ci*:-$dff results__ready %i",
    ]
    run_yosys(commands, directory=folder)


def _control(module: types.ModuleType, folder: Path, name: str) -> Verdict:
    """Prove an array of tag columns and rows, built by `module` (``speq.array`` or a mutant)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Column", TagColumn)
        patch.setattr(module, "Row", TagRow)
        parameters, bound = CONTROLS[name]
        block = module.Array(parameters)
    return prove(Surroundings(block), folder, [block], bound=bound)


@pytest.mark.parametrize("name", CONTROLS)
def test_everything_stays_together(name: str, tmp_path: Path) -> None:
    assert _control(array, tmp_path, name).proved


@pytest.mark.parametrize("parameters", [DESIGN, VERIFY_ONLY], ids=["both_modes", "verify_only"])
def test_results_keep_the_rules(parameters: Parameters, tmp_path: Path) -> None:
    block = Array(parameters)
    assert prove(Rules(block), tmp_path, [block]).proved


def test_valid_never_waits_for_ready(tmp_path: Path) -> None:
    _valid_ignores_ready(array, tmp_path)
    faulty = mutated_module(
        "speq.array",
        "self.results.valid.eq(stage.o.valid)",
        "self.results.valid.eq(stage.o.valid & self.results.ready)",
    )
    with pytest.raises(YosysError, match="Assertion failed"):
        _valid_ignores_ready(faulty, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("for stage in stages[name])", 'for stage in stages["accumulate"])'),
        ("for stage in stages[name])", 'for stage in stages["columns"])'),
        ("rounds.ready | ~sums.payload.emit", "1"),
        ("sums.valid & sums.payload.emit", "sums.valid"),
        ("sums.valid & sums.payload.emit", "sums.payload.emit"),
        ("sequencer.active.row_exponent", "sequencer.loaded.payload.row_exponent"),
        ("taken.eq(meets.take)", "taken.eq(meets.i.ready)"),
        ("m.d.comb += row.swap.eq", "m.d.sync += row.swap.eq"),
        ("m.d.comb += payload.token.eq", "m.d.sync += payload.token.eq"),
        ("payload.last.eq(stage.o.payload.last)", "payload.last.eq(1)"),
    ],
)
def test_the_proof_refutes_faults(old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.array", old, new)
    assert _control(faulty, tmp_path, "both_modes").refuted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("entered.o.valid, entered.o.ready", "entered.i.valid, entered.o.ready"),
        ("taken.eq(meets.take)", "taken.eq(meets.i.ready)"),
    ],
)
def test_the_proof_refutes_faults_where_activations_enter_ahead(
    old: str, new: str, tmp_path: Path
) -> None:
    faulty = mutated_module("speq.array", old, new)
    assert _control(faulty, tmp_path, "activations_ahead").refuted
