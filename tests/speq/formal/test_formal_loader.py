"""The loader: each weight goes once to where it belongs, in order, and never over a waiting tile.

Proved for runs of any length, for producers that keep the rules of streams.
"""

import dataclasses
import types
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Assume, Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In

from speq import loader
from speq.block import place
from speq.layouts import Mode, loaded_layout, payload_shape, tile_stream, weight_stream
from speq.parameters import MODES, Parameters
from speq.proof import Harness, Verdict, held, prove
from speq_sim.proofs.mutation import mutated_module

ALL = {"modes": MODES, "family": "bsfp", "tokens": 2}
QSPEC = {"modes": ("verify", "qdraft", "qverify"), "tokens": 2}

DESIGNS = {
    "word_by_word": Parameters(rows=2, columns=2, port_words=1, tokens=2, family="fitted-4"),
    "half_a_row": Parameters(rows=4, columns=4, port_words=2, tokens=2, family="bsfp"),
    "two_rows": Parameters(rows=8, columns=2, port_words=4, tokens=3, family="fitted-4"),
    "three_blocks": Parameters(rows=3, columns=4, port_words=1, tokens=1, family="fitted-4"),
    "one_block": Parameters(rows=2, columns=2, port_words=1, tokens=2, family="bsfp"),
    "two_blocks": Parameters(rows=4, columns=2, port_words=1, tokens=2, family="bsfp"),
    "all_one_block": Parameters(rows=4, columns=2, port_words=2, **ALL),
    "all_two_blocks": Parameters(rows=4, columns=2, port_words=1, **ALL),
    "all_three_blocks": Parameters(rows=3, columns=4, port_words=1, **ALL),
    "all_two_rows": Parameters(rows=8, columns=2, port_words=4, **ALL | {"family": "fitted-4"}),
    "all_word_by_word": Parameters(
        rows=4, columns=1, port_words=1, draft_lanes=1, **ALL | {"family": "fitted-4"}
    ),
    "middle": Parameters(
        rows=4, columns=2, port_words=2, tokens=2, modes=("verify", "middle"), family="fitted-4"
    ),
    "qspec": Parameters(rows=4, columns=2, port_words=1, **QSPEC),
    "whole_tile": Parameters(rows=2, columns=1, port_words=2, tokens=2, modes=("verify",)),
    "verify_only": Parameters(rows=3, columns=2, port_words=2, tokens=2, modes=("verify",)),
}

LARGE = ("all_three_blocks", "all_two_rows")


@dataclasses.dataclass(frozen=True)
class Order:
    """Where a transfer of one mode goes.

    Attributes
    ----------
    at_work : Value
        The tile is of this mode.
    weights : int
        Weights in a word, as many as there are groups that a transfer is for.
    group, nibble : Value
        The first of those groups, and the first nibble that it writes in each word.
    part, block : Value
        What the loader's counters must be. Needed for the induction alone.
    """

    at_work: Value
    weights: int
    group: Value
    nibble: Value
    part: Value
    block: Value


def destination(weights: int, groups: int, number: Any) -> tuple[Any, Any]:
    """First group and first nibble that a transfer is for, by numbers or by signals.

    A transfer brings 1, 2 or 4 weights for each word of a group: so it serves as many groups, with
    one weight each, and comes round as often.
    """
    rounds = groups // weights
    return number % rounds * weights, number // rounds * (4 // weights)


class Surroundings(Harness):
    """Producers of tiles and words, a consumer of loaded tiles, and a count of transfers."""

    def __init__(self, parameters: Parameters, module: types.ModuleType = loader) -> None:
        self.parameters = parameters
        self.block = module.Loader(parameters)
        self.references = 0
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
        if not self.parameters.has_low_bits:
            for group in range(transfers):
                self.check(m, live, dut.load[group] == (take & (transfer == group)))
            self.check(m, live, dut.words.as_value() == weights.payload.words.as_value())
            return m
        orders = self._orders(tiles.payload.mode, transfer)
        m.d.comb += Assume(Cat(order.at_work for order in orders).any())
        self._tie_counters(m, orders)
        self._check_enables(m, live, dut, take, orders)
        self._check_words(m, live, dut, orders)
        return m

    def _orders(self, mode: Value, transfer: Signal) -> list[Order]:
        groups = self.parameters.load_cycles
        quarter, half = groups // 4, groups // 2
        orders = []
        for name in self.parameters.modes:
            weights = self.parameters.weights_per_word(name)
            match weights:
                case 1:
                    part, block = transfer % 4, transfer // 4
                case 2:
                    pair = transfer % half
                    part, block = Cat(transfer >= half, pair[0]), pair // 2
                case _:
                    part, block = transfer // quarter, transfer % quarter
            group, nibble = destination(weights, groups, transfer)
            at_work = mode == Mode[name.upper()]
            orders.append(Order(at_work, weights, group, nibble, part, block))
        return orders

    def _tie_counters(self, m: Module, orders: list[Order]) -> None:
        quarter = self.parameters.load_cycles // 4
        part = Signal(2, name="part_due", attrs={"keep": True})
        block = Signal(range(quarter), name="block_due", attrs={"keep": True})
        for order in orders:
            with m.If(order.at_work):
                m.d.comb += [part.eq(order.part), block.eq(order.block)]

    def _check_enables(
        self, m: Module, live: Signal, dut: object, take: Value, orders: list[Order]
    ) -> None:
        """Each nibble of each group is written by the one transfer that is for it."""
        for group, nibble in product(range(self.parameters.load_cycles), range(4)):
            enable = dut.load[4 * group + nibble]
            for order in orders:
                of_group = order.group == group // order.weights * order.weights
                nibbles = 4 // order.weights
                of_nibble = order.nibble == nibble // nibbles * nibbles
                due = take & of_group & of_nibble
                self.check(m, live, ~order.at_work | (enable == due))

    def _check_words(self, m: Module, live: Signal, dut: object, orders: list[Order]) -> None:
        """What stands on the buses; a group listens to the bus of its number modulo four.

        VERIFY: the transfer's words, decoded with the tables of their rows. MIDDLE: a byte of each,
        as the FP16 pattern's high byte, in both bytes: the low one for the first group of a pair,
        the high one for the second. Else nibble i of the transfer for PE i of the four groups, in
        all four nibbles.
        """
        parameters, words = self.parameters, dut.weights.payload.words
        for order, number in product(orders, range(parameters.port_words)):
            word = words[number]
            if order.weights == 1:
                due = [self._decoded(m, dut, word, number, order.group)] * 4
            elif order.weights == 2:
                patterns = [
                    self._decoded(m, dut, Cat(Const(0x5A, 8), byte), number, order.group + half)
                    for half, byte in enumerate((word[:8], word[8:]))
                ]
                due = [pattern[8:].replicate(2) for pattern in patterns * 2]
            else:
                places = range(number, 4 * parameters.port_words, parameters.port_words)
                due = [words.as_value().word_select(place, 4).replicate(4) for place in places]
            for bus, of_bus in enumerate(due):
                found = dut.words[bus * parameters.port_words + number]
                self.check(m, live, ~order.at_work | (found == of_bus))

    def _decoded(self, m: Module, dut: object, word: Value, number: int, group: Value) -> Value:
        """A word as an FP16 pattern, for one PE of a group."""
        parameters, header = self.parameters, dut.tiles.payload
        if not parameters.packs:
            return word
        (unpacker,) = self.block.parts
        self.references += 1
        reference = place(m, f"reference_{self.references}", unpacker.parts[0])
        plain = header.plain & (header.mode == Mode.VERIFY)
        m.d.comb += [
            reference.word.eq(word),
            reference.packed.eq(~plain),
            reference.plain.eq(plain),
        ]
        if parameters.tables > 1:
            row = Signal(range(parameters.rows), name=f"row_{self.references}")
            m.d.comb += row.eq((group * parameters.port_words + number) // parameters.columns)
            m.d.comb += reference.table.eq(header.row_table[row])
        return reference.decoded


def _prove(surroundings: Surroundings, folder: Path) -> Verdict:
    parameters = surroundings.parameters
    ties = {"transfer": ("group", parameters.load_cycles)}
    if parameters.has_low_bits:
        ties = {"part_due": ("part", 4), "block_due": ("block", parameters.load_cycles // 4)}
    equal = [(due, f"loader.{name}") for due, (name, count) in ties.items() if count > 1]
    return prove(surroundings, folder, [surroundings.block], equal=equal)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in DESIGNS],
)
def test_loader(name: str, tmp_path: Path) -> None:
    assert _prove(Surroundings(DESIGNS[name].replace(name="proof")), tmp_path).proved


@pytest.mark.parametrize("weights", [1, 2, 4])
@pytest.mark.parametrize("groups", [4, 8, 12, 16, 64])
def test_the_order_of_the_proof_reaches_every_nibble_once(weights: int, groups: int) -> None:
    reached = [
        (first + group, nibble + part)
        for first, nibble in (destination(weights, groups, number) for number in range(groups))
        for group, part in product(range(weights), range(4 // weights))
    ]
    assert sorted(reached) == [*product(range(groups), range(4))]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("one_block", "(~self.loaded.valid | taken)", "1"),
        ("one_block", "(~self.loaded.valid | taken)", "~self.loaded.valid"),
        ("one_block", "self.tiles.valid & (", "1 & ("),
        ("one_block", "with m.If(self.loaded.ready):", "with m.If(0):"),
        ("one_block", "self.loaded.valid.eq(1)", "self.loaded.valid.eq(~self.loaded.ready)"),
        ("one_block", "header[name].eq(self.tiles.payload[name])", "header[name].eq(0)"),
        ("one_block", "part[0] ^ (verify |", "part[0] ^ ("),
        ("two_blocks", "take & last_block & part.all()", "take & last_block"),
        ("two_blocks", "take & last_block & part.all()", "take & part.all()"),
        ("two_blocks", "take & (block == number)", "(block == number)"),
        ("two_blocks", "take & (block == number)", "take"),
        ("two_blocks", "nibbles & is_part[nibble]", "nibbles & is_part[group]"),
        ("two_blocks", "verify & is_part[group]", "verify & is_part[nibble]"),
        ("two_blocks", "verify & is_part[group]", "is_part[group]"),
        ("two_blocks", "last_block & (nibbles | part[1])", "last_block & part[1]"),
        ("three_blocks", "Mux(last_block, 0, block + 1)", "block + 1"),
        ("all_two_blocks", "part[1] ^ (middle |", "part[1] ^ ("),
        ("all_two_blocks", "is_part[group & 2 | nibble >> 1]", "is_part[nibble & 2 | group >> 1]"),
        ("all_two_blocks", "is_part[group & 2 | nibble >> 1]", "is_part[group & 2 | nibble & 1]"),
        ("all_two_blocks", "part[1] & (middle | part[0])", "part[1] & part[0]"),
        ("all_two_blocks", " | of_middle)", ")"),
        ("all_word_by_word", "part[0] & ~middle, part[1], block", "part[0], part[1], block"),
        ("all_word_by_word", "part[0] & ~middle, part[1], block", "part[1], part[0], block"),
        ("whole_tile", 'self._late(m, "transfer", self.weights.payload.words)', "0"),
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


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("one_block", "self.verify & ~self.plain | middle", "~self.plain | middle"),
        ("one_block", "self.verify & ~self.plain | middle", "self.verify | middle"),
        ("one_block", "plain.eq(self.verify & self.plain)", "plain.eq(self.plain)"),
        ("one_block", "self.transfer.as_value() & mask", "self.transfer.as_value()"),
        ("one_block", "word_select(index, NIBBLE_BITS)", "word_select(index ^ 1, NIBBLE_BITS)"),
        ("one_block", "nibble.replicate(DRAFTS_PER_WORD)", "nibble"),
        ("word_by_word", "[g * words // columns + offset", "[0 * g * words // columns + offset"),
        ("two_rows", "g * words // columns + offset", "g * words // columns"),
        ("all_two_blocks", "if bus % 2 else", "if bus // 2 else"),
        ("all_two_blocks", "word[BYTE_BITS:] if", "word[:BYTE_BITS] if"),
        ("all_two_blocks", "Cat(byte, byte)", "Cat(byte, word[BYTE_BITS:])"),
        ("all_two_blocks", "weight.eq(word[:BYTE_BITS])", "weight.eq(word[BYTE_BITS:])"),
        ("all_word_by_word", "self.group | middle", "self.group"),
        ("all_word_by_word", '"half", self.group)', '"half", self.group | 1)'),
        ("qspec", "word & self.verify.replicate(WORD_BITS)", "word"),
    ],
)
def test_the_proof_refutes_faults_of_the_unpacker(
    name: str, old: str, new: str, tmp_path: Path
) -> None:
    faulty = mutated_module("speq.unpack", old, new)
    parameters = DESIGNS[name].replace(name="proof")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "Unpacker", faulty.Unpacker)
        surroundings = Surroundings(parameters)
    assert _prove(surroundings, tmp_path).refuted
