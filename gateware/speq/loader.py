"""Loader: fills the PEs' waiting words from the memory port, one tile ahead of the work."""

from itertools import product

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from speq.block import Block, place
from speq.layouts import (
    Mode,
    load_enables,
    loaded_layout,
    tile_stream,
    weight_stream,
    word_buses,
)
from speq.parameters import DRAFTS_PER_WORD, WORD_BITS, Parameters
from speq.unpack import Unpacker

__all__ = ["Loader"]


class Loader(Block):
    """Takes a tile's header and its R*C words, W per cycle, and offers the loaded tile.

    A group is W consecutive PEs, a block as many neighbouring groups as there are word buses; each
    listens to its own. A VERIFY transfer fills one group after the other. A MIDDLE transfer brings
    one byte for each PE of two groups, any other one nibble for each PE of a block; after all
    groups comes the next byte or nibble. So the waiting words themselves turn the order of weights
    in memory into words, and no buffer has to.

    While a loaded tile waits, the port stalls; in the very cycle it is taken, the next tile's first
    words go in, so that tiles of R*C/W cycles follow each other without a gap. On FPGAs the next
    tile's words go in at once only if `idle` has told that the loaded one will be taken, and else a
    cycle later; and words, decoded a cycle after their transfer, leave with their enables then.

    Members
    -------
    tiles, weights : streams
        A header leaves its stream with the tile's last words.
    loaded : stream
        Header of the tile that waits in the PEs (:func:`speq.layouts.loaded_layout`). Its transfer
        is the moment to swap.
    idle : 1 bit
        As in :class:`speq.sequencer.Sequencer`. On FPGAs only.
    words : B*W words of 16 bits
        Words of this cycle, on B buses (:func:`speq.layouts.word_buses`): PE p, in the order
        row * C + column, listens to word p modulo B*W (:class:`speq.unpack.Unpacker`).
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
        if parameters.in_dsp:
            ports["idle"] = In(1)
        parts = (Unpacker(parameters),) if parameters.has_low_bits else ()
        super().__init__(parameters, ports, *parts)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        take = Signal()
        taken = self.idle if self.parameters.in_dsp else self.loaded.ready
        m.d.comb += [
            self.weights.ready.eq(self.tiles.valid & (~self.loaded.valid | taken)),
            take.eq(self.weights.valid & self.weights.ready),
        ]
        with m.If(self.loaded.ready):
            m.d.sync += self.loaded.valid.eq(0)
        if self.parameters.has_low_bits:
            self._load_parts(m, take)
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
        """FP16-only: one group after the other."""
        groups = self.parameters.load_cycles
        group = Signal(range(groups))
        m.d.comb += [
            self.tiles.ready.eq(take & (group == groups - 1)),
            self.load.eq(
                self._late(m, "load", Cat(take & (group == number) for number in range(groups)))
            ),
            self.words.eq(self._late(m, "transfer", self.weights.payload.words)),
        ]
        with m.If(take):
            m.d.sync += group.eq(group + 1)
        with m.If(self.tiles.ready):
            m.d.sync += group.eq(0)

    def _load_parts(self, m: Module, take: Value) -> None:
        """One group after the other, or a byte of two groups, or a nibble of a block of groups.

        Three counters, the two bits of `part` and `block`, carry into each other in the order of
        the mode, and all end at zero. VERIFY: `part`, the group in its block, then blocks. MIDDLE:
        the high bit, the pair of groups, then blocks, then the low bit, the byte. Else: blocks,
        then `part`, the nibble.
        """
        verify, middle, nibbles = self._contents()
        blocks = self.parameters.load_cycles // DRAFTS_PER_WORD
        block = Signal(range(blocks))
        part = Signal(range(DRAFTS_PER_WORD))
        last_block = block == blocks - 1
        with m.If(take):
            m.d.sync += [
                part[0].eq(part[0] ^ (verify | last_block & (nibbles | part[1]))),
                part[1].eq(part[1] ^ (middle | part[0] & (verify | last_block))),
            ]
            with m.If(nibbles | part[1] & (middle | part[0])):
                m.d.sync += block.eq(Mux(last_block, 0, block + 1))
        m.d.comb += self.tiles.ready.eq(take & last_block & part.all())

        is_part = [part == number for number in range(DRAFTS_PER_WORD)]
        enables = []
        for group, nibble in product(range(DRAFTS_PER_WORD), repeat=2):
            # MIDDLE: the pair that the group is of, the byte that the nibble is of.
            of_middle = middle & is_part[group & 2 | nibble >> 1]
            enables.append(verify & is_part[group] | nibbles & is_part[nibble] | of_middle)
        now = [take & (block == number) for number in range(blocks)]
        loads = Cat(at & enable for at in now for enable in enables)
        m.d.comb += self.load.eq(self._late(m, "load", loads))
        self._unpack(m, Cat(part[0] & ~middle, part[1], block))

    def _contents(self) -> tuple[Value, Value, Value]:
        """Whether the port's words hold one weight, two, or four."""
        mode = self.tiles.payload.mode
        verify = mode == Mode.VERIFY
        middle = mode == Mode.MIDDLE if self.parameters.middles else Const(0, 1)
        return verify, middle, ~verify & ~middle if self.parameters.has_nibbles else Const(0, 1)

    def _unpack(self, m: Module, group: Value) -> None:
        """Decode the transfer for the buses."""
        (part,) = self.parts
        unpacker = place(m, "unpacker", part)
        header = self.tiles.payload
        contents = dict(zip(("verify", "middle", "nibbles"), self._contents(), strict=True))
        inputs = contents | {"transfer": self.weights.payload.words, "group": group}
        for name in ("plain", "row_table"):
            if name in {field for field, _ in header.shape()}:
                inputs[name] = header[name]
        m.d.comb += [
            getattr(unpacker, name).eq(self._late(m, name, value))
            for name, value in inputs.items()
            if name in part.signature.members
        ]
        m.d.comb += self.words.eq(unpacker.words)

    def _late(self, m: Module, name: str, value: ValueLike) -> Value:
        """The value a cycle later on FPGAs, else itself."""
        value = Value.cast(value)
        if not self.parameters.in_dsp:
            return value
        held = Signal(len(value), name=f"{name}_late", reset_less=name != "load")
        m.d.sync += held.eq(value)
        return held
