"""Activation player: which row of activations goes to the array in each cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from speq.accelerator.activation_loader import lines, rows_per_line
from speq.accelerator.layouts import OUTPUT_TILE_BITS, at_last, group_tiles, play_job
from speq.layouts import Mode
from speq.parameters import Parameters

__all__ = ["ActivationPlayer", "read_layout"]


def read_layout(parameters: Parameters) -> data.StructLayout:
    """One beat as it is read.

    Members
    -------
    line : unsigned
        Token times groups plus group: which line of the bank.
    last : 1 bit
        The job's last beat.
    renew : 1 bit
        The first beat of a job with a packet of its own: reading moves on to the next bank.
    row : unsigned
        Row of the line; this and the rest are not in FP16-only designs.
    single : 1 bit
        One of each column's L values is wanted: VERIFY and MIDDLE.
    lane : unsigned
        Which it is; else the first wanted, 2 for the second half of four values in QVERIFY.
    group : unsigned
        Which group of the shifts.
    plain : 1 bit
        There are no shifts.
    renew_shifts : 1 bit
        The first beat of a job with shifts.
    """
    fields: dict[str, object] = {"line": range(lines(parameters)), "last": 1, "renew": 1}
    if parameters.packs:
        fields |= {
            "row": range(rows_per_line(parameters)),
            "single": 1,
            "lane": range(parameters.lanes),
            "group": range(lines(parameters)),
            "plain": 1,
            "renew_shifts": 1,
        }
    return data.StructLayout(fields)


class ActivationPlayer(wiring.Component):
    """Walks through the rows of each job: one beat per cycle, no gap inside or between jobs.

    On FPGAs two or three cycles lie between jobs, in which their ends and beginnings have registers
    of their own.

    For each output tile, for each group, for each of its tiles in the job's mode, for each token:
    the beats that the token takes of the tile. A beat is a row (DRAFT, QDRAFT), a row or half of
    each four of its values (QVERIFY), or a quarter of the group: VERIFY has one in a tile, MIDDLE
    two. The line of token m and group g is ``m * groups + g``.

    Members
    -------
    plays : stream, in
        Jobs; each leaves with its last beat.
    waits : 1 bit, in
        The next packet is complete. Stays high until a beat with `renew`.
    shifts_wait : 1 bit, in
        The next job's shifts are complete, likewise; not in FP16-only designs.
    reads : stream, out
        :func:`read_layout`.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        ports = {
            "plays": In(stream.Signature(play_job(parameters))),
            "waits": In(1),
            "reads": Out(stream.Signature(read_layout(parameters))),
        }
        if parameters.packs:
            ports["shifts_wait"] = In(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        job, read = self.plays.payload, self.reads.payload
        begun, ended = Signal(), Signal()
        take = Signal()
        here = job.keep | self.waits
        if self.parameters.packs:
            here = here & (job.plain | self.shifts_wait)
        if self.parameters.in_dsp:
            # Once complete, they stay so until the first beat.
            complete = Signal()
            m.d.sync += [complete.eq(here & self.plays.valid & ~ended), ended.eq(take & read.last)]
            here = complete
        else:
            m.d.comb += ended.eq(take & read.last)
        current = self.plays.valid & ~ended if self.parameters.in_dsp else self.plays.valid
        m.d.comb += [
            self.reads.valid.eq(current & (begun | here)),
            take.eq(self.reads.valid & self.reads.ready),
            read.renew.eq(~begun & ~job.keep),
            read.last.eq(self._walk(m, take)),
            self.plays.ready.eq(ended),
        ]
        if self.parameters.packs:
            m.d.comb += [
                read.plain.eq(job.plain),
                read.renew_shifts.eq(~begun & ~job.plain),
            ]
        with m.If(take):
            m.d.sync += begun.eq(~read.last)
        return m

    def _walk(self, m: Module, take: Value) -> Value:
        """Count beats in the mode's order; returns whether this one is the job's last."""
        p, job, read = self.parameters, self.plays.payload, self.reads.payload
        beat, tile = Signal(range(p.word_beats)), Signal(range(p.group_tiles))
        token = Signal(range(p.tokens))
        group, next_group = Signal(range(lines(p))), Signal(range(lines(p) + 1), init=1)
        line = Signal.like(group)
        # Counted from 1, as `next_group` is: comparisons without an addition in front of them.
        output_tile = Signal(OUTPUT_TILE_BITS, init=1)
        mode = job.mode if p.packs else Const(0)
        last_beat = at_last(beat, mode, {each: p.beats_per_token(each) for each in p.modes})
        last_tile = at_last(tile, mode, group_tiles(p))
        last_token = token == job.last_token if p.tokens > 1 else Const(1)
        last_group = next_group == job.groups
        last_output_tile = output_tile == job.output_tiles
        m.d.comb += read.line.eq(line)
        if p.packs:
            m.d.comb += read.group.eq(group)
            self._place(m, tile, beat)
        with m.If(take):
            m.d.sync += beat.eq(Mux(last_beat, 0, beat + 1))
        with m.If(take & last_beat):
            m.d.sync += [token.eq(token + 1), line.eq(line + job.groups)]
            with m.If(last_token):
                m.d.sync += [token.eq(0), line.eq(group), tile.eq(Mux(last_tile, 0, tile + 1))]
        group_done = last_beat & last_token & last_tile
        with m.If(take & group_done):
            m.d.sync += [group.eq(next_group), line.eq(next_group)]
            m.d.sync += next_group.eq(next_group + 1)
            with m.If(last_group):
                m.d.sync += [group.eq(0), line.eq(0), next_group.eq(1)]
                m.d.sync += output_tile.eq(Mux(last_output_tile, 1, output_tile + 1))
        return group_done & last_group & last_output_tile

    def _place(self, m: Module, tile: Signal, beat: Signal) -> None:
        """Row and lane of a beat of a tile: of its quarter, or of its part of a tile's four."""
        mode, read = self.plays.payload.mode, self.reads.payload
        quarter: Value = tile
        single = mode == Mode.VERIFY
        if self.parameters.middles:
            middle = mode == Mode.MIDDLE
            quarter, single = Mux(middle, Cat(beat[0], tile), tile), single | middle
        of_lane = exact_log2(self.parameters.lanes)
        # With four lanes a row has all four, and a second beat is QVERIFY's second pair.
        row, lane = (0, beat << 1) if self.parameters.lanes == 4 else (beat, 0)
        m.d.comb += [
            read.single.eq(single),
            read.row.eq(Mux(single, quarter[of_lane:], row)),
            read.lane.eq(Mux(single, quarter[:of_lane], lane)),
        ]
