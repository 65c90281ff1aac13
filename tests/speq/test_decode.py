"""The decoder is the inverse of the codec: proved for every pattern, table and named family.

The codec's own answers, one for each of the 32,768 patterns below 2, each table and each code that
the pattern's cell has, are folded into a decision diagram; the circuit that it makes feeds the
decoder, and what comes out must be the pattern.
"""

import types
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Assume, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In
from numpy.typing import NDArray

from speq import decode
from speq.block import place
from speq.formats import CodeTable, Family, encode, family
from speq.parameters import TABLE_NAMES, WORD_BITS, Parameters
from speq.proof import Harness, Verdict, prove
from speq_sim.proofs.mutation import mutated_module

PATTERNS = np.arange(1 << 16, dtype=np.uint16)[np.arange(1 << 16) & 0x4000 == 0]
"""All patterns below 2; bit 14 is clear."""


def diagram(m: Module, values: NDArray[np.bool_], index: Value) -> Value:
    """``values[index]`` by equal parts of the table, each built once."""
    level: list[Value] = [Const(0, 1), Const(1, 1)]
    numbers = values.astype(np.intp)
    for bit in index:
        zeros, ones = numbers[0::2], numbers[1::2]
        pairs, numbers = np.unique(zeros * len(level) + ones, return_inverse=True)
        merged = []
        for pair in pairs:
            zero, one = divmod(int(pair), len(level))
            node = Signal()
            m.d.comb += node.eq(level[zero] if zero == one else Mux(bit, level[one], level[zero]))
            merged.append(node)
        level = merged
    return level[numbers.item()]


def _codes(table: CodeTable) -> list[tuple[int, ...]]:
    """Codes of each cell, the own one first."""
    return [(own, *others) for own, others in zip(table.codes, table.spare, strict=True)]


def _ways(members: Family) -> int:
    """Most codes of a cell."""
    return max(len(codes) for table in members.tables for codes in _codes(table))


def _words(members: Family, table: int, way: int) -> NDArray[np.uint16]:
    """Words of all patterns, by one of their cells' codes: counted round, so that each has one."""
    codes = [codes[way % len(codes)] for codes in _codes(members.tables[table])]
    chosen = np.array(codes, np.uint8)[PATTERNS >> 8 & 63]
    return encode(PATTERNS[None], members, np.array([table]), chosen[None])[0]


def test_the_words_that_are_proved_are_all_that_a_weight_may_have() -> None:
    """Of the family with spare codes: 512 words for each code that a cell has."""
    members = family("spare-1")
    ways = _ways(members)
    assert ways > 1
    words = np.unique([_words(members, 0, way) for way in range(ways)])
    assert len(words) == 512 * sum(map(len, members.tables[0].cells))


class RoundTrip(Harness):
    """Encodes any pattern by any table and code, decodes it; or lets plain or draft words in."""

    def __init__(self, name: str, block: decode.Decoder, word: str) -> None:
        self.family = family(name)
        self.block = block
        self.word = word
        table_bits = (len(self.family.tables) - 1).bit_length()
        self.ways = _ways(self.family)
        way_bits = (self.ways - 1).bit_length()
        ports = {"table": In(max(1, table_bits)), "way": In(max(1, way_bits))}
        super().__init__({"pattern": In(WORD_BITS), **ports})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        dut = place(m, "decoder", self.block)
        m.d.comb += [dut.packed.eq(self.word == "packed"), dut.plain.eq(self.word == "plain")]
        if len(self.family.tables) > 1:
            m.d.comb += dut.table.eq(self.table)
        m.d.comb += dut.word.eq(self._encoded(m) if self.word == "packed" else self.pattern)
        self.check(m, live, dut.decoded == (0 if self.word == "draft" else self.pattern))
        return m

    def _encoded(self, m: Module) -> Value:
        tables = len(self.family.tables)
        padded = 1 << (tables - 1).bit_length()
        padded_ways = 1 << (self.ways - 1).bit_length()
        words = np.stack(
            [
                _words(self.family, table % tables, way)
                for way in range(padded_ways)
                for table in range(padded)
            ]
        )
        m.d.comb += [Assume(~self.pattern[14]), Assume(self.table < tables)]
        index = Cat(self.pattern[:14], self.pattern[15])
        if tables > 1:
            index = Cat(index, self.table)
        if self.ways > 1:
            index = Cat(index, self.way)
        bits = [
            diagram(m, (words.reshape(-1) >> bit & 1).astype(bool), index)
            for bit in range(WORD_BITS)
        ]
        return Cat(*bits)


def _prove(
    name: str, folder: Path, word: str = "packed", module: types.ModuleType = decode
) -> Verdict:
    parameters = Parameters(name="proof", rows=4, columns=1, port_words=1, family=name)
    block = module.Decoder(parameters)
    return prove(RoundTrip(name, block, word), folder, [block])


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_decoding_undoes_encoding(name: str, tmp_path: Path) -> None:
    assert _prove(name, tmp_path).proved


@pytest.mark.parametrize("name", TABLE_NAMES)
@pytest.mark.parametrize("word", ["plain", "draft"])
def test_plain_words_pass_and_draft_weights_leave_room(
    word: str, name: str, tmp_path: Path
) -> None:
    """All 65,536 of them: themselves, or zero."""
    assert _prove(name, tmp_path, word).proved


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("fitted-4", "Cat(slot, code, table)", "Cat(slot, code, Const(0, len(table)))"),
        ("bsfp", "Cat(slot, code) if", "Cat(code, slot) if"),
        ("bsfp", "Const(0, 1), word.sign", "word.sign, Const(0, 1)"),
        ("bsfp", "Cat(word.low, cell", "Cat(word.low[:7], word.low[6], cell"),
        ("bsfp", "0 if cell is None else cell", "0 if cell is None else cell ^ (cell == 63)"),
        ("bsfp", "0 if cell is None else cell", "0 if cell is None else cell ^ (cell == 0)"),
        ("bsfp", "pattern & self.packed.", "self.word & self.packed."),
    ],
)
def test_the_proof_refutes_faults(name: str, old: str, new: str, tmp_path: Path) -> None:
    assert _prove(name, tmp_path, module=mutated_module("speq.decode", old, new)).refuted


@pytest.mark.parametrize(
    ("word", "old", "new"),
    [
        ("plain", "self.word & self.plain.", "pattern & self.plain."),
        ("draft", "self.plain.replicate(WORD_BITS)", "1"),
        ("draft", "self.packed.replicate(WORD_BITS)", "(1 << 15)"),
    ],
)
def test_the_proofs_of_other_words_refute_faults(
    word: str, old: str, new: str, tmp_path: Path
) -> None:
    assert _prove("bsfp", tmp_path, word, mutated_module("speq.decode", old, new)).refuted


class HighBytes(Harness):
    """A middle decoder and a decoder of whole words beside it, on any weight of 8 bits."""

    def __init__(self, parameters: Parameters, module: types.ModuleType = decode) -> None:
        self.block = module.MiddleDecoder(parameters)
        self.whole = decode.Decoder(parameters)
        table_bits = max(1, (parameters.tables - 1).bit_length())
        super().__init__({"weight": In(8), "low": In(8), "table": In(table_bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        live = self.begin(m)
        dut, whole = place(m, "middle_decoder", self.block), place(m, "decoder", self.whole)
        m.d.comb += [
            dut.weight.eq(self.weight),
            whole.word.eq(Cat(self.low, self.weight)),
            whole.packed.eq(1),
        ]
        if self.block.parameters.tables > 1:
            m.d.comb += [dut.table.eq(self.table), whole.table.eq(self.table)]
        self.check(m, live, dut.decoded == whole.decoded[8:])
        return m


def _prove_high_bytes(name: str, folder: Path, module: types.ModuleType = decode) -> Verdict:
    modes = ("verify", "middle")
    parameters = Parameters(name="proof", rows=4, columns=1, port_words=1, family=name, modes=modes)
    harness = HighBytes(parameters, module)
    return prove(harness, folder, [harness.block, harness.whole])


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_a_middle_weight_is_the_high_byte_of_its_word(name: str, tmp_path: Path) -> None:
    """Whatever the low byte: all 256 weights under every table, those of no cell too."""
    assert _prove_high_bytes(name, tmp_path).proved


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Cat(cell, Const(0, 1), self.weight.sign)", "Cat(cell, self.weight.sign, Const(0, 1))"),
        ("Cat(cell, Const(0, 1), self.weight.sign)", "Cat(cell, Const(0, 2))"),
        ("self.weight.slot, self.weight.code", "self.weight.slot ^ 1, self.weight.code"),
        ("Cat(slot, code, table)", "Cat(slot, code, Const(0, len(table)))"),
    ],
)
def test_the_proof_of_middle_weights_refutes_faults(old: str, new: str, tmp_path: Path) -> None:
    faulty = mutated_module("speq.decode", old, new)
    assert _prove_high_bytes("fitted-4", tmp_path, faulty).refuted
