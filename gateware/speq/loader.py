"""Loader: fills the PEs' waiting words from the memory port, one tile ahead of the work."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from speq.arithmetic import select
from speq.block import Block, place
from speq.decode import Decoder
from speq.layouts import Mode, loaded_layout, tile_stream, weight_stream
from speq.parameters import WORD_BITS, Parameters

__all__ = ["Loader"]


class Loader(Block):
    """Takes a tile's header and its R*C words, W per cycle, and offers the loaded tile.

    While a loaded tile waits, the port stalls; in the very cycle it is taken, the next tile's first
    words go in, so that tiles of R*C/W cycles follow each other without a gap.

    Members
    -------
    tiles, weights : streams
        A header leaves its stream with the tile's last words.
    loaded : stream
        Header of the tile that waits in the PEs (:func:`speq.layouts.loaded_layout`). Its transfer
        is the moment to swap.
    words : W words of 16 bits
        Decoded words of this cycle.
    load : R*C/W bits
        Which group of W words they are.
    """

    stem = "loader"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "tiles": In(tile_stream(parameters)),
            "weights": In(weight_stream(parameters)),
            "loaded": Out(stream.Signature(loaded_layout(parameters))),
            "words": Out(data.ArrayLayout(WORD_BITS, parameters.port_words)),
            "load": Out(parameters.load_cycles),
        }
        parts = (Decoder(parameters),) if parameters.drafts else ()
        super().__init__(parameters, ports, *parts)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        groups = self.parameters.load_cycles
        group = Signal(range(groups))
        take = Signal()
        m.d.comb += [
            self.weights.ready.eq(self.tiles.valid & (~self.loaded.valid | self.loaded.ready)),
            take.eq(self.weights.valid & self.weights.ready),
            self.tiles.ready.eq(take & (group == groups - 1)),
            self.load.eq(Cat(take & (group == number) for number in range(groups))),
        ]
        self._decode(m, group)

        header = Signal(loaded_layout(self.parameters), reset_less=True)
        m.d.comb += self.loaded.payload.eq(header)
        with m.If(self.loaded.ready):
            m.d.sync += self.loaded.valid.eq(0)
        with m.If(take):
            m.d.sync += group.eq(group + 1)
        with m.If(self.tiles.ready):
            m.d.sync += [group.eq(0), self.loaded.valid.eq(1)]
            m.d.sync += [
                header[name].eq(self.tiles.payload[name])
                for name, _ in loaded_layout(self.parameters)
            ]
        return m

    def _decode(self, m: Module, group: Value) -> None:
        if not self.parameters.drafts:
            m.d.comb += self.words.eq(self.weights.payload.words)
            return
        (decoder,) = self.parts
        header = self.tiles.payload
        tables = self._tables(m, group) if self.parameters.tables > 1 else []
        for number in range(self.parameters.port_words):
            unit = place(m, f"decoder_{number}", decoder)
            m.d.comb += [
                unit.word.eq(self.weights.payload.words[number]),
                unit.packed.eq((header.mode == Mode.VERIFY) & ~header.plain),
                self.words[number].eq(unit.decoded),
            ]
            if tables:
                m.d.comb += unit.table.eq(tables[number // self.parameters.columns])

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
