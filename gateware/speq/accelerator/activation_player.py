"""Activation player: which row of activations goes to the array in each cycle."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from speq.accelerator.activation_loader import lines, rows_per_line
from speq.accelerator.layouts import OUTPUT_TILE_BITS, play_job
from speq.layouts import Mode
from speq.parameters import DRAFTS_PER_WORD, Parameters

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
        Row of the line; this and the rest with DRAFT only.
    lane : unsigned
        VERIFY: which of each column's L values.
    mode : Mode
    group : unsigned
        Which group of the shifts.
    plain : 1 bit
        There are no shifts.
    renew_shifts : 1 bit
        The first beat of a job with shifts.
    """
    fields: dict[str, object] = {"line": range(lines(parameters)), "last": 1, "renew": 1}
    if parameters.drafts:
        fields |= {
            "row": range(rows_per_line(parameters)),
            "lane": range(parameters.lanes),
            "mode": Mode,
            "group": range(lines(parameters)),
            "plain": 1,
            "renew_shifts": 1,
        }
    return data.StructLayout(fields)


class ActivationPlayer(wiring.Component):
    """Walks through the rows of each job: one beat per cycle, no gap inside or between jobs.

    For each output tile, for each group: DRAFT takes each token's 4/L rows in turn, VERIFY each
    quarter of the group from every token in turn. The line of token m and group g is
    ``m * groups + g``.

    Members
    -------
    plays : stream, in
        Jobs; each leaves with its last beat.
    waits : 1 bit, in
        The next packet is complete. Stays high until a beat with `renew`.
    shifts_wait : 1 bit, in
        The next job's shifts are complete, likewise; only with DRAFT.
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
        if parameters.drafts:
            ports["shifts_wait"] = In(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        job, read = self.plays.payload, self.reads.payload
        begun = Signal()
        take = Signal()
        here = job.keep | self.waits
        if self.parameters.drafts:
            here = here & (job.plain | self.shifts_wait)
        m.d.comb += [
            self.reads.valid.eq(self.plays.valid & (begun | here)),
            take.eq(self.reads.valid & self.reads.ready),
            read.renew.eq(~begun & ~job.keep),
            read.last.eq(self._walk(m, take)),
            self.plays.ready.eq(take & read.last),
        ]
        if self.parameters.drafts:
            m.d.comb += [
                read.mode.eq(job.mode),
                read.plain.eq(job.plain),
                read.renew_shifts.eq(~begun & ~job.plain),
            ]
        with m.If(take):
            m.d.sync += begun.eq(~read.last)
        return m

    def _walk(self, m: Module, take: Value) -> Value:
        """Count beats in the mode's order; returns whether this one is the job's last."""
        job, read = self.plays.payload, self.reads.payload
        token = Signal(range(self.parameters.tokens))
        group = Signal(range(lines(self.parameters)))
        line = Signal.like(group)
        tile = Signal(OUTPUT_TILE_BITS)
        part_first, part_step, last_part = Signal(), Signal(), Signal()
        last_token = token == job.last_token if self.parameters.tokens > 1 else Const(1)
        last_group, last_tile = group + 1 == job.groups, tile + 1 == job.output_tiles
        m.d.comb += [
            read.line.eq(line),
            # Either the parts of a token follow each other, or the tokens of a part.
            part_step.eq(take & (part_first | last_token)),
            last_part.eq(self._parts(m, part_step, part_first)),
        ]
        if self.parameters.drafts:
            m.d.comb += read.group.eq(group)
        with m.If(take & (last_part | ~part_first)):
            m.d.sync += [token.eq(token + 1), line.eq(line + job.groups)]
            with m.If(last_token):
                m.d.sync += [token.eq(0), line.eq(group)]
        with m.If(take & last_part & last_token):
            m.d.sync += [group.eq(group + 1), line.eq(group + 1)]
            with m.If(last_group):
                m.d.sync += [group.eq(0), line.eq(0), tile.eq(Mux(last_tile, 0, tile + 1))]
        return last_part & last_token & last_group & last_tile

    def _parts(self, m: Module, step: Value, part_first: Signal) -> Value:
        """Count the rows (DRAFT) or quarters (VERIFY) of a group; returns whether it is the last.

        Drives `part_first`: whether they follow each other within a token.
        """
        if not self.parameters.drafts:
            m.d.comb += part_first.eq(1)
            return Const(1)
        read = self.reads.payload
        part = Signal(range(DRAFTS_PER_WORD))
        of_row = exact_log2(rows_per_line(self.parameters))
        of_lane = exact_log2(self.parameters.lanes)
        m.d.comb += [
            part_first.eq(self.plays.payload.mode == Mode.DRAFT),
            read.row.eq(Mux(part_first, part[:of_row], part[of_lane:])),
            read.lane.eq(Mux(part_first, 0, part[:of_lane])),
        ]
        last = part == Mux(part_first, rows_per_line(self.parameters) - 1, DRAFTS_PER_WORD - 1)
        with m.If(step):
            m.d.sync += part.eq(Mux(last, 0, part + 1))
        return last
