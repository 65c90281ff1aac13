"""Feeder: turns the planes of a job into tile headers, weight words and column shifts."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import In, Out

from speq.accelerator.layouts import (
    OUTPUT_TILE_BITS,
    RowRecord,
    at_last,
    group_bits,
    group_tiles,
    shift_stream,
    tile_job,
)
from speq.accelerator.merge import Merge
from speq.block import Block, place
from speq.layouts import payload_shape, tile_stream, weight_stream
from speq.parameters import WORD_BITS, Parameters

__all__ = ["Feeder"]


class Section(enum.Enum, shape=2):
    """Part of the draft plane that comes next (docs/accelerator.md, Memory layout)."""

    SHIFTS = 0
    RECORDS = 1
    WEIGHTS = 2


class Feeder(Block):
    """Walks through a job: column shifts, then records and weights of each output tile.

    A plain job has weights only. One transfer of the weight port per cycle; each beat of shifts
    and of row records takes a cycle in which the weight port has none.

    Members
    -------
    jobs : stream, in
        :func:`speq.accelerator.layouts.tile_job`; leaves the stream with the job's last words.
    draft, middle, low : streams, in
        AXI beats of each plane; in FP16-only designs the first only, which carries plain words.
    shifts : stream, out
        :func:`speq.accelerator.layouts.shift_stream`; not in FP16-only designs.
    tiles, weights : streams, out
        What the array takes.
    """

    stem = "feeder"

    def __init__(self, parameters: Parameters) -> None:
        self.merge = Merge(parameters)
        beats = stream.Signature(parameters.port_bits)
        ports = {
            "jobs": In(stream.Signature(tile_job(parameters))),
            "draft": In(beats),
            "tiles": Out(tile_stream(parameters)),
            "weights": Out(weight_stream(parameters)),
        }
        if parameters.packs:
            ports |= {
                "middle": In(beats),
                "low": In(beats),
                "shifts": Out(shift_stream(parameters)),
            }
        super().__init__(parameters, ports, self.merge)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        due = Signal()  # weights come next
        # Counted from 1, as output tiles are: a comparison without an addition in front of it.
        group = Signal(group_bits(self.parameters), init=1)
        last_group = Signal()
        m.d.comb += last_group.eq(group == self.jobs.payload.groups)
        passes, tile_done = self._tile_ends(m, due)
        row_done, job_done = self._tiles(m, due, group, last_group, tile_done)
        current = self._leave(m, job_done)
        self._weights(m, due, passes)
        if not self.parameters.packs:
            m.d.comb += due.eq(current)
            return m

        section = Signal(Section)
        plain = self.jobs.payload.plain
        m.d.comb += due.eq(current & (plain | (section == Section.WEIGHTS)))
        with m.If(~plain & row_done):
            m.d.sync += section.eq(Mux(job_done, Section.SHIFTS, Section.RECORDS))
        at = current & ~plain & self.draft.valid
        self._shifts(m, section, at & (section == Section.SHIFTS), group, last_group)
        self._records(m, section, at & (section == Section.RECORDS))
        return m

    def _leave(self, m: Module, job_done: Value) -> Value:
        """Take the job from its stream at its end; returns whether one is there.

        On FPGAs it leaves a cycle after its last word: what words wait for, and what is then to be
        done, are two short paths.
        """
        if not self.parameters.in_dsp:
            m.d.comb += self.jobs.ready.eq(job_done)
            return self.jobs.valid
        ended = Signal()
        m.d.sync += ended.eq(job_done)
        m.d.comb += self.jobs.ready.eq(ended)
        return self.jobs.valid & ~ended

    def _tile_ends(self, m: Module, due: Value) -> tuple[Value, Value]:
        """Whether a word may pass, and whether it is a tile's last.

        The array takes a header with the tile's last word, which says so. On FPGAs it waits in a
        buffer before that, and words are counted here.
        """
        if not self.parameters.in_dsp:
            m.d.comb += self.tiles.valid.eq(due)
            return Const(1, 1), self.tiles.ready
        word = Signal(range(self.parameters.load_cycles))
        headed, last_word, takes = Signal(), Signal(), Signal()
        m.d.comb += [
            self.tiles.valid.eq(due & ~headed),
            last_word.eq(word == self.parameters.load_cycles - 1),
            takes.eq(self.weights.valid & self.weights.ready),
        ]
        with m.If(self.tiles.valid & self.tiles.ready):
            m.d.sync += headed.eq(1)
        with m.If(takes):
            m.d.sync += word.eq(Mux(last_word, 0, word + 1))
            with m.If(last_word):
                m.d.sync += headed.eq(0)
        return ~last_word | headed, takes & last_word

    def _tiles(
        self, m: Module, due: Value, group: Signal, last_group: Value, tile_done: Value
    ) -> tuple[Value, Value]:
        """Headers, and the place of each tile; returns that an output tile's last one is loaded,
        and that it is the job's last.
        """
        job, header = self.jobs.payload, self.tiles.payload
        tile = Signal(range(self.parameters.group_tiles))
        output_tile = Signal(OUTPUT_TILE_BITS, init=1)
        mode = job.mode if self.parameters.packs else Const(0)
        last_tile = at_last(tile, mode, group_tiles(self.parameters))
        last, done, job_done = Signal(), Signal(), Signal()
        m.d.comb += [
            header.first.eq((group == 1) & (tile == 0)),
            header.last.eq(last),
            last.eq(last_group & last_tile),
            done.eq(last & tile_done),
            job_done.eq(done & due & (output_tile == job.output_tiles)),
        ]
        shared = {name for name, _ in payload_shape(self.tiles.signature)} & {
            name for name, _ in job.shape()
        }
        m.d.comb += [header[name].eq(job[name]) for name in sorted(shared)]
        with m.If(tile_done & due):
            m.d.sync += tile.eq(Mux(last_tile, 0, tile + 1))
            with m.If(last_tile):
                m.d.sync += group.eq(Mux(last_group, 1, group + 1))
        with m.If(done & due):
            m.d.sync += output_tile.eq(Mux(job_done, 1, output_tile + 1))
        return done & due, job_done

    def _weights(self, m: Module, due: Value, passes: Value) -> None:
        """Planes to words."""
        merge = place(m, "merge", self.merge)
        m.d.comb += [
            merge.draft.payload.eq(self.draft.payload),
            merge.draft.valid.eq(self.draft.valid & due),
            self.draft.ready.eq(merge.draft.ready & due),
            self.weights.payload.eq(merge.weights.payload),
            self.weights.valid.eq(merge.weights.valid & passes),
            merge.weights.ready.eq(self.weights.ready & passes),
        ]
        if self.parameters.packs:
            job = self.jobs.payload
            m.d.comb += merge.join.eq(job.join)
            if self.parameters.middles:
                m.d.comb += merge.pair.eq(job.pair)
            for name in ("middle", "low"):
                plane, part = getattr(self, name), getattr(merge, name)
                m.d.comb += [
                    part.payload.eq(plane.payload),
                    part.valid.eq(plane.valid),
                    plane.ready.eq(part.ready),
                ]

    def _shifts(
        self, m: Module, section: Signal, now: Value, group: Signal, last_group: Value
    ) -> None:
        """Pass the column shifts on."""
        beats = self.parameters.columns // self.parameters.port_words
        beat = Signal(range(beats))
        last_beat = beat == beats - 1
        m.d.comb += [
            self.shifts.valid.eq(now),
            self.shifts.payload.shifts.eq(self.draft.payload),
            self.shifts.payload.last.eq(last_group & last_beat),
        ]
        with m.If(now):
            m.d.comb += self.draft.ready.eq(self.shifts.ready)
            with m.If(self.shifts.ready):
                m.d.sync += beat.eq(Mux(last_beat, 0, beat + 1))
                with m.If(last_beat):
                    m.d.sync += group.eq(Mux(last_group, 1, group + 1))
                with m.If(self.shifts.payload.last):
                    m.d.sync += section.eq(Section.RECORDS)

    def _records(self, m: Module, section: Signal, now: Value) -> None:
        """Keep the records of an output tile for its headers."""
        rows, words = self.parameters.rows, self.parameters.port_words
        beats = -(-rows // words)
        beat = Signal(range(beats))
        held = Signal(data.ArrayLayout(RowRecord, rows), reset_less=True)
        offered = data.View(data.ArrayLayout(WORD_BITS, words), self.draft.payload)
        for row in range(rows):
            with m.If(now & (beat == row // words)):
                m.d.sync += held[row].eq(offered[row % words])
            # Plain words have no records: those held are of an earlier job.
            exponent = Mux(self.jobs.payload.plain, 0, held[row].exponent.as_signed())
            m.d.comb += self.tiles.payload.row_exponent[row].eq(exponent)
            if self.parameters.tables > 1:
                m.d.comb += self.tiles.payload.row_table[row].eq(held[row].table)
        with m.If(now):
            m.d.comb += self.draft.ready.eq(1)
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat == beats - 1):
                m.d.sync += [beat.eq(0), section.eq(Section.WEIGHTS)]
