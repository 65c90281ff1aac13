"""Unpacker: the words of one transfer of the memory port, as the PEs are to load them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from speq.arithmetic import select
from speq.block import Block, place
from speq.decode import Decoder, MiddleDecoder
from speq.layouts import word_buses
from speq.parameters import DRAFTS_PER_WORD, WORD_BITS, Parameters

__all__ = ["Unpacker"]

NIBBLE_BITS = WORD_BITS // DRAFTS_PER_WORD
BYTE_BITS = WORD_BITS // 2


class Unpacker(Block):
    """Decodes the weights of a transfer and offers them on the word buses, combinational.

    Members
    -------
    transfer : W words of 16 bits
        As fetched (:func:`speq.layouts.weight_stream`).
    verify, middle, nibbles : 1 bit
        What the words hold: one weight, two (only with MIDDLE), four (only with a mode of 4-bit
        weights).
    plain : 1 bit
        With `verify`: the words are FP16 patterns. Only with packed words, as the next two.
    row_table : R table numbers
        Code table of each row; only with more than one.
    group : unsigned
        Which W consecutive PEs the transfer is for; with `middle` the first of two.
    words : B*W words of 16 bits
        On B buses. Verify: the W decoded words on every bus. Middle: a decoded byte, twice; the
        first group's on even buses, the second's on odd ones. Nibbles: word i is weight i, in all
        four nibbles.
    """

    stem = "unpacker"
    clocked = False

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "transfer": In(data.ArrayLayout(WORD_BITS, parameters.port_words)),
            "verify": In(1),
            "words": Out(
                data.ArrayLayout(WORD_BITS, word_buses(parameters) * parameters.port_words)
            ),
        }
        parts: list[Block] = []
        if parameters.has_nibbles:
            ports["nibbles"] = In(1)
        if parameters.packs:
            ports |= {"plain": In(1), "group": In(range(parameters.load_cycles))}
            parts.append(Decoder(parameters))
        if parameters.tables > 1:
            shape = bits_for(parameters.tables - 1)
            ports["row_table"] = In(data.ArrayLayout(shape, parameters.rows))
        if parameters.middles:
            ports["middle"] = In(1)
            parts.append(MiddleDecoder(parameters))
        super().__init__(parameters, ports, *parts)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        words = self.parameters.port_words
        decoded = self._decode(m)
        halves = self._decode_halves(m) if self.parameters.middles else []
        nibbles = self._nibbles(m) if self.parameters.has_nibbles else None
        offered = []
        for index in range(len(self.words)):
            bus, number = divmod(index, words)
            word: Value = decoded[number]
            if halves:
                byte = word[BYTE_BITS:] if bus % 2 else halves[number]
                word = Mux(self.middle, Cat(byte, byte), word)
            if nibbles is not None:
                nibble = nibbles.word_select(index, NIBBLE_BITS)
                word = word | nibble.replicate(DRAFTS_PER_WORD)
            offered.append(word)
        m.d.comb += self.words.eq(Cat(offered))
        return m

    def _decode(self, m: Module) -> list[Value]:
        """Words as FP16 patterns, and with MIDDLE the second group's; zero for nibbles."""
        if not self.parameters.packs:
            return [word & self.verify.replicate(WORD_BITS) for word in self.transfer]
        middle = self.middle if self.parameters.middles else Const(0, 1)
        tables = self._tables(m, "word", self.group | middle)
        found = []
        for number, word in enumerate(self.transfer):
            unit = place(m, f"decoder_{number}", self.parts[0])
            m.d.comb += [
                unit.word.eq(word),
                unit.packed.eq(self.verify & ~self.plain | middle),
                unit.plain.eq(self.verify & self.plain),
            ]
            if tables:
                m.d.comb += unit.table.eq(tables[number // self.parameters.columns])
            found.append(unit.decoded)
        return found

    def _decode_halves(self, m: Module) -> list[Value]:
        """The first group's weights of 8 bits, decoded."""
        tables = self._tables(m, "half", self.group)
        found = []
        for number, word in enumerate(self.transfer):
            unit = place(m, f"middle_decoder_{number}", self.parts[1])
            m.d.comb += unit.weight.eq(word[:BYTE_BITS])
            if tables:
                m.d.comb += unit.table.eq(tables[number // self.parameters.columns])
            found.append(unit.decoded)
        return found

    def _nibbles(self, m: Module) -> Signal:
        # A signal: Amaranth writes an expression out again for each of its slices.
        nibbles = Signal(self.parameters.port_bits)
        mask = self.nibbles.replicate(self.parameters.port_bits)
        m.d.comb += nibbles.eq(self.transfer.as_value() & mask)
        return nibbles

    def _tables(self, m: Module, name: str, group: Value) -> list[Value]:
        """Code table of each row that a group of words belongs to."""
        if self.parameters.tables < 2:
            return []
        words, columns = self.parameters.port_words, self.parameters.columns
        tables = []
        for offset in range(max(1, words // columns)):
            table = Signal(self.row_table.shape().elem_shape, name=f"{name}_table_{offset}")
            rows = [g * words // columns + offset for g in range(self.parameters.load_cycles)]
            m.d.comb += table.eq(select([self.row_table[row] for row in rows], group))
            tables.append(table)
        return tables
