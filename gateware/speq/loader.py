"""Loader: fills the PEs' waiting words from the memory port, one tile ahead of the work."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from speq.arithmetic import select
from speq.block import Block, place
from speq.decode import Decoder
from speq.layouts import (
    Mode,
    load_enables,
    loaded_layout,
    tile_stream,
    weight_stream,
    word_buses,
)
from speq.parameters import DRAFTS_PER_WORD, WORD_BITS, Parameters

__all__ = ["Loader"]

DRAFT_BITS = WORD_BITS // DRAFTS_PER_WORD


class Loader(Block):
    """Takes a tile's header and its R*C words, W per cycle, and offers the loaded tile.

    A group is W consecutive PEs, a block as many neighbouring groups as there are word buses; each
    listens to its own. A VERIFY transfer fills one group after the other. A DRAFT transfer brings
    one nibble for each PE of a block; after all blocks comes the next nibble. So the waiting words
    themselves turn the order of draft weights in memory into words, and no buffer has to.

    While a loaded tile waits, the port stalls; in the very cycle it is taken, the next tile's first
    words go in, so that tiles of R*C/W cycles follow each other without a gap.

    Members
    -------
    tiles, weights : streams
        A header leaves its stream with the tile's last words.
    loaded : stream
        Header of the tile that waits in the PEs (:func:`speq.layouts.loaded_layout`). Its transfer
        is the moment to swap.
    words : B*W words of 16 bits
        Words of this cycle, on B buses (:func:`speq.layouts.word_buses`): PE p, in the order
        row * C + column, listens to word p modulo B*W. VERIFY: the W decoded words on every bus.
        DRAFT: word i is draft weight i, in all four nibbles.
    load : R*C/W groups of bits
        Which parts of its words each group takes (:func:`speq.layouts.load_enables`).
    """

    stem = "loader"

    def __init__(self, parameters: Parameters) -> None:
        words = word_buses(parameters) * parameters.port_words
        ports = {
            "tiles": In(tile_stream(parameters)),
            "weights": In(weight_stream(parameters)),
            "loaded": Out(stream.Signature(loaded_layout(parameters))),
            "words": Out(data.ArrayLayout(WORD_BITS, words)),
            "load": Out(parameters.load_cycles * load_enables(parameters)),
        }
        parts = (Decoder(parameters),) if parameters.drafts else ()
        super().__init__(parameters, ports, *parts)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        take = Signal()
        m.d.comb += [
            self.weights.ready.eq(self.tiles.valid & (~self.loaded.valid | self.loaded.ready)),
            take.eq(self.weights.valid & self.weights.ready),
        ]
        with m.If(self.loaded.ready):
            m.d.sync += self.loaded.valid.eq(0)
        if self.parameters.drafts:
            self._load_quarters(m, take)
        else:
            self._load_groups(m, take)

        header = Signal(loaded_layout(self.parameters), reset_less=True)
        m.d.comb += self.loaded.payload.eq(header)
        with m.If(self.tiles.ready):
            m.d.sync += self.loaded.valid.eq(1)
            m.d.sync += [
                header[name].eq(self.tiles.payload[name])
                for name, _ in loaded_layout(self.parameters)
            ]
        return m

    def _load_groups(self, m: Module, take: Value) -> None:
        """Without DRAFT: one group after the other."""
        groups = self.parameters.load_cycles
        group = Signal(range(groups))
        m.d.comb += [
            self.tiles.ready.eq(take & (group == groups - 1)),
            self.load.eq(Cat(take & (group == number) for number in range(groups))),
            self.words.eq(self.weights.payload.words),
        ]
        with m.If(take):
            m.d.sync += group.eq(group + 1)
        with m.If(self.tiles.ready):
            m.d.sync += group.eq(0)

    def _load_quarters(self, m: Module, take: Value) -> None:
        """One group after the other, or one nibble of a block of groups.

        `part` is the group in its block (VERIFY) or the nibble (DRAFT). VERIFY counts parts, then
        blocks, DRAFT the other way round; both end with the last of both, and at zero.
        """
        blocks = self.parameters.load_cycles // DRAFTS_PER_WORD
        block = Signal(range(blocks))
        part = Signal(range(DRAFTS_PER_WORD))
        draft = self.tiles.payload.mode == Mode.DRAFT
        last_block, last_part = block == blocks - 1, part == DRAFTS_PER_WORD - 1
        with m.If(take & (last_part | draft)):
            m.d.sync += block.eq(Mux(last_block, 0, block + 1))
        with m.If(take & (last_block | ~draft)):
            m.d.sync += part.eq(part + 1)
        self._decode(m, draft, Cat(part, block))

        parts = [part == number for number in range(DRAFTS_PER_WORD)]
        groups, nibbles = [[p & mode for p in parts] for mode in (~draft, draft)]
        m.d.comb += [
            self.tiles.ready.eq(take & last_block & last_part),
            self.load.eq(
                Cat(
                    take & (block == number) & (group | nibble)
                    for number in range(blocks)
                    for group in groups
                    for nibble in nibbles
                )
            ),
        ]

    def _decode(self, m: Module, draft: Value, group: Value) -> None:
        """Offer the decoded words, on every bus, or the draft weights."""
        (decoder,) = self.parts
        header, words = self.tiles.payload, self.weights.payload.words
        tables = self._tables(m, group) if self.parameters.tables > 1 else []
        units = []
        for number in range(self.parameters.port_words):
            unit = place(m, f"decoder_{number}", decoder)
            m.d.comb += [
                unit.word.eq(words[number]),
                unit.packed.eq(~draft & ~header.plain),
                unit.plain.eq(~draft & header.plain),
            ]
            if tables:
                m.d.comb += unit.table.eq(tables[number // self.parameters.columns])
            units.append(unit)
        # A signal: Amaranth writes an expression out again for each of its slices.
        drafts = Signal(self.parameters.port_bits)
        m.d.comb += drafts.eq(words.as_value() & draft.replicate(self.parameters.port_bits))
        offered = []
        for index in range(len(self.words)):
            nibble = drafts.word_select(index, DRAFT_BITS)
            verified = units[index % len(units)].decoded
            offered.append(verified | nibble.replicate(DRAFTS_PER_WORD))
        m.d.comb += self.words.eq(Cat(offered))

    def _tables(self, m: Module, group: Value) -> list[Value]:
        """Code table of each row that this group of words belongs to."""
        of_row = self.tiles.payload.row_table
        words, columns = self.parameters.port_words, self.parameters.columns
        tables = []
        for offset in range(max(1, words // columns)):
            table = Signal(of_row.shape().elem_shape, name=f"table_{offset}")
            rows = [g * words // columns + offset for g in range(self.parameters.load_cycles)]
            m.d.comb += table.eq(select([of_row[row] for row in rows], group))
            tables.append(table)
        return tables
