"""Array: R rows of C processing elements between four streams.

::

    tiles ---.
    weights -+-> loader --> words waiting in the PEs
                   |
                   '-> sequencer --> beats -.
    activations ----------------------------+-> columns --> rows --> results

    rows:  multiply --> reduce --> accumulate --> round

Five register stages, or more where columns and the units of a row are pipelined. Of several stages
of columns the first takes activations alone, before a tile is there. The control of a stage is one
:class:`speq.streams.StreamRegister` for the whole array; the data registers in columns and rows
move with it. When results are not taken, the stages fill up and stop one after the other; nothing
is lost and no result depends on it. On an FPGA the stages never stop (:mod:`speq.dsp.streams`).
"""

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from speq.accumulate_segments import reads_ahead
from speq.block import Block, place
from speq.column import Column, takes_single
from speq.dsp.column import DspColumn
from speq.dsp.streams import Outlet, PingPong, Skid
from speq.layouts import (
    activation_stream,
    beat_layout,
    load_enables,
    of_nibbles,
    payload_shape,
    result_stream,
    stage_layout,
    tile_stream,
    weight_stream,
)
from speq.loader import Loader
from speq.parameters import Parameters
from speq.row import Row
from speq.sequencer import Sequencer
from speq.streams import StreamRegister

__all__ = ["Array"]

OUTLET_CYCLES = 4
"""From a result's entry into the queue to the room that it leaves being seen, for full rate."""


class Array(Block):
    """The whole design.

    Members
    -------
    tiles, weights, activations : streams, in
    results : stream, out
        See the functions of these names in :mod:`speq.layouts`.
    """

    stem = ""

    def __init__(self, parameters: Parameters) -> None:
        self.loader = Loader(parameters)
        self.sequencer = Sequencer(parameters)
        self.column = (DspColumn if parameters.in_dsp else Column)(parameters)
        self.row = Row(parameters)
        ports = {
            "tiles": In(tile_stream(parameters)),
            "weights": In(weight_stream(parameters)),
            "activations": In(activation_stream(parameters)),
            "results": Out(result_stream(parameters)),
        }
        super().__init__(parameters, ports, self.loader, self.sequencer, self.column, self.row)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        loader = place(m, "loader", self.loader)
        sequencer = place(m, "sequencer", self.sequencer)
        tiles, weights, activations = self._inputs(m)
        wiring.connect(m, tiles, loader.tiles)
        wiring.connect(m, weights, loader.weights)
        wiring.connect(m, loader.loaded, sequencer.loaded)
        if self.parameters.in_dsp:
            m.d.comb += loader.idle.eq(sequencer.idle)

        stages = self._stages(m, sequencer, activations)
        operands = self._columns(m, sequencer, stages["columns"], activations.payload)
        # On FPGAs the loader itself takes one of these cycles.
        words = _later(m, "words", loader.words, max(0, self._late - 2))
        load = _later(m, "load", loader.load, max(0, self._late - 2))
        swap = _later(m, "swap", sequencer.swap, max(0, self._late - 1))
        rows = [place(m, f"row_{number}", self.row) for number in range(self.parameters.rows)]
        for number, row in enumerate(rows):
            self._load_row(m, number, row, words, load)
            self._drive_row(m, row, stages)
            m.d.comb += row.operands.eq(operands)
            m.d.comb += row.swap.eq(swap)
            total = stages["accumulate"][-1].o.payload
            if self.parameters.has_low_bits:
                m.d.comb += row.result_kind.eq(total.kind)
            if self.parameters.packs:
                m.d.comb += row.row_exponent.eq(total.row_exponent[number])
        self._results(m, rows, sequencer, stages)
        return m

    @property
    def _late(self) -> int:
        """Cycles by which a beat comes later to the rows than two stages of columns take.

        On FPGAs each row has registers for what comes to all of them, which are one of these.
        """
        return max(0, self.parameters.stages["columns"] - 2)

    def _inputs(self, m: Module) -> list[wiring.PureInterface]:
        """The three input streams as the units take them."""
        streams = {name: getattr(self, name) for name in ("tiles", "weights", "activations")}
        if not self.parameters.in_dsp:
            return [wiring.flipped(stream) for stream in streams.values()]
        buffered = []
        for name, stream in streams.items():
            kind = PingPong if name == "weights" else Skid
            m.submodules[f"enter_{name}"] = buffer = kind(payload_shape(stream.signature))
            wiring.connect(m, wiring.flipped(stream), buffer.i)
            buffered.append(buffer.o)
        return buffered

    def _stages(
        self, m: Module, sequencer: wiring.PureInterface, activations: wiring.PureInterface
    ) -> dict[str, list[StreamRegister]]:
        """Control of the register stages of each unit, chained."""
        beat, stage = beat_layout(self.parameters), stage_layout(self.parameters)
        stages: dict[str, list[StreamRegister]] = {}
        for name, count in self.parameters.stages.items():
            shapes = [beat if name in ("columns", "round") else stage] * count
            if name == "columns" and count > 1:
                # Activations enter before a tile is there to make a beat of them.
                shapes[0] = unsigned(0)
            stages[name] = [StreamRegister(shape) for shape in shapes]
            for number, register in enumerate(stages[name]):
                suffix = f"_{number}" if count > 1 else ""
                m.submodules[f"stage_{name}{suffix}"] = register
            chained = stages[name][1:] if name == "columns" else stages[name]
            for before, after in pairwise(chained):
                wiring.connect(m, before.o, after.i)
        columns, multiply, reduce, accumulate, round_ = stages.values()

        meets = _where_beats_enter(columns)
        if not self.parameters.in_dsp:
            wiring.connect(m, sequencer.beat, meets.i)
        if len(columns) == 1:
            waiting, taken = activations.valid, activations.ready
        else:
            entered = columns[0]
            m.d.comb += [
                entered.i.valid.eq(activations.valid),
                activations.ready.eq(entered.i.ready),
            ]
            waiting, taken = entered.o.valid, entered.o.ready
        m.d.comb += [
            sequencer.activations_valid.eq(waiting),
            taken.eq(meets.take),
            multiply[0].i.valid.eq(columns[-1].o.valid),
            columns[-1].o.ready.eq(multiply[0].i.ready),
            *_copied(multiply[0].i.payload, columns[-1].o.payload),
        ]
        if self.parameters.packs:
            exponents = _later(m, "active", sequencer.active.row_exponent, self._late)
            m.d.comb += multiply[0].i.payload.row_exponent.eq(exponents)
        wiring.connect(m, multiply[-1].o, reduce[0].i)
        wiring.connect(m, reduce[-1].o, accumulate[0].i)
        # Only completed sums go on to rounding.
        sums, rounds = accumulate[-1].o, round_[0].i
        m.d.comb += [
            rounds.valid.eq(sums.valid & sums.payload.emit),
            sums.ready.eq(rounds.ready | ~sums.payload.emit),
            *_copied(rounds.payload, sums.payload),
        ]
        return stages

    def _columns(
        self,
        m: Module,
        sequencer: wiring.PureInterface,
        stages: list[StreamRegister],
        payload: data.View,
    ) -> Signal:
        """Give each column its activations; returns the operands of all, side by side."""
        operands = []
        for number in range(self.parameters.columns):
            column = place(m, f"column_{number}", self.column)
            enables = Cat(stage.take for stage in stages)
            if self.parameters.in_dsp:
                enables = Cat(enables[0], Const(-1, len(enables) - 1))
            m.d.comb += column.enable.eq(enables)
            several = None
            if self.parameters.lanes > 1:
                kind = sequencer.beat.payload.kind
                m.d.comb += column.kind.eq(kind)
                if takes_single(self.parameters):
                    m.d.comb += column.single.eq(payload.values[number])
                    if self.parameters.packs:
                        m.d.comb += column.single_shift.eq(payload.shifts[number])
                else:
                    several = of_nibbles(kind)
            self._feed(m, number, column.values, payload.values, several)
            if self.parameters.packs:
                self._feed(m, number, column.shifts, payload.shifts, several)
            operands.append(column.operand)
        joined = Signal(self.row.operands.shape(), name="operands")
        m.d.comb += joined.eq(Cat(*operands))
        # On FPGAs the way from a column to the farthest row takes two cycles.
        return _later(m, "operands", joined, 1 if self.parameters.in_dsp else 0)

    def _feed(
        self, m: Module, number: int, lanes: data.View, elements: data.View, several: Value | None
    ) -> None:
        """A beat has L neighbouring elements for each column, or one where a PE multiplies one."""
        first = number * self.parameters.lanes
        for lane in range(self.parameters.lanes):
            m.d.comb += lanes[lane].eq(elements[first + lane])
        if several is not None:
            m.d.comb += lanes[0].eq(Mux(several, elements[first], elements[number]))

    def _load_row(
        self, m: Module, number: int, row: wiring.PureInterface, words: data.View, load: Value
    ) -> None:
        """Each PE listens to a word by its place, with the enables of its group of W."""
        first = number * self.parameters.columns
        places = range(first, first + len(row.words))
        enable = first // self.parameters.port_words * load_enables(self.parameters)
        m.d.comb += [
            row.words.eq(Cat(words[place % len(self.loader.words)] for place in places)),
            row.load.eq(load[enable : enable + len(row.load)]),
        ]

    def _drive_row(
        self,
        m: Module,
        row: wiring.PureInterface,
        stages: dict[str, list[StreamRegister]],
    ) -> None:
        """The stages' enables, and what goes with their beats."""
        accumulate = stages["accumulate"]
        if self.parameters.in_dsp:
            # A cycle earlier: rows have registers of their own for it, and the stages never stop.
            accumulate = stages["reduce"][-1:]
        for name in ("multiply", "reduce", "round"):
            m.d.comb += getattr(row, name).eq(Cat(stage.take for stage in stages[name]))
        m.d.comb += row.accumulate.eq(Cat(stage.take for stage in accumulate))
        sums = [stage.i.payload for stage in accumulate]
        looked_up = sums
        if reads_ahead(self.parameters):
            looked_up = [stages["reduce"][-1].i.payload, *sums[:-1]]
            m.d.comb += row.next_token.eq(Cat(beat.token for beat in looked_up))
        m.d.comb += row.first.eq(Cat(beat.clear for beat in looked_up))
        if self.parameters.tokens > 1:
            m.d.comb += row.token.eq(Cat(beat.token for beat in sums))
        last = -2 if self.parameters.in_dsp else -1
        beat = stages["columns"][last].o.payload
        if self.parameters.has_low_bits:
            m.d.comb += row.kind.eq(beat.kind)
        if self.parameters.word_beats > 1:
            m.d.comb += row.part.eq(beat.part)

    def _results(
        self,
        m: Module,
        rows: list[wiring.PureInterface],
        sequencer: wiring.PureInterface,
        stages: dict[str, list[StreamRegister]],
    ) -> None:
        """From the last stage to the port."""
        stage, payload = stages["round"][-1], self.results.payload
        if self.parameters.in_dsp:
            depth = sum(self.parameters.stages.values()) + OUTLET_CYCLES
            m.submodules.outlet = outlet = Outlet(payload.shape(), depth)
            wiring.connect(m, outlet.o, wiring.flipped(self.results))
            payload, beat, entry = (
                outlet.result,
                sequencer.beat,
                _where_beats_enter(stages["columns"]),
            )
            m.d.comb += [
                entry.i.payload.eq(beat.payload),
                entry.i.valid.eq(beat.valid & outlet.room),
                beat.ready.eq(outlet.room),
                outlet.enters.eq(entry.take & beat.payload.emit),
                outlet.valid.eq(stage.o.valid),
                stage.o.ready.eq(1),
            ]
        else:
            m.d.comb += [
                self.results.valid.eq(stage.o.valid),
                stage.o.ready.eq(self.results.ready),
            ]
        m.d.comb += [
            payload.last.eq(stage.o.payload.last),
            *(payload.values[r].eq(row.value) for r, row in enumerate(rows)),
        ]
        if self.parameters.tokens > 1:
            m.d.comb += payload.token.eq(stage.o.payload.token)


def _where_beats_enter(columns: list[StreamRegister]) -> StreamRegister:
    """The stage of columns in which activations meet their tile: the second, if there is one."""
    return columns[min(1, len(columns) - 1)]


def _later(m: Module, name: str, value: Any, cycles: int) -> Any:
    """The value so many cycles later; stages in between never stop."""
    for number in range(cycles):
        held = Signal.like(value, name=f"{name}_{number}", reset_less=name != "load")
        m.d.sync += held.eq(value)
        value = held
    return value


def _copied(target: data.View, source: data.View) -> list[object]:
    """Assignments of the fields that both structs have."""
    names = {name for name, _ in source.shape()}
    return [target[name].eq(source[name]) for name, _ in target.shape() if name in names]
