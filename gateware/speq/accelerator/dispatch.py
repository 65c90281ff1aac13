"""Dispatch: the queue of jobs, one for each block that works on them at its own pace."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from speq.accelerator.layouts import job
from speq.block import Block
from speq.dsp.streams import Skid
from speq.parameters import Parameters

__all__ = ["Dispatch"]


class Dispatch(Block):
    """Gives every block its part of each job.

    Fetching runs ahead of loading activations, that ahead of playing them, and results come last;
    so each has a queue of its own. A job is taken when all have room.

    Members
    -------
    jobs : stream, in
        :func:`speq.accelerator.layouts.job`.
    fetch, load, play, tiles, results : streams, out
        The parts of that struct.
    """

    stem = "dispatch"

    def __init__(self, parameters: Parameters) -> None:
        parts = {name: Out(stream.Signature(field.shape)) for name, field in job(parameters)}
        super().__init__(parameters, {"jobs": In(stream.Signature(job(parameters)))} | parts)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        room = self.jobs.ready
        queues = {}
        for name, field in job(self.parameters):
            queue = SyncFIFOBuffered(width=field.width, depth=self.parameters.queue_depth + 1)
            queues[name] = m.submodules[f"{name}_queue"] = queue
            out = getattr(self, name)
            if self.parameters.in_dsp:
                # What takes a job does not wait for the queue behind it.
                m.submodules[f"{name}_skid"] = skid = Skid(field.shape)
                wiring.connect(m, skid.o, wiring.flipped(out))
                out = skid.i
            m.d.comb += [
                queue.w_data.eq(self.jobs.payload[name]),
                queue.w_en.eq(self.jobs.valid & room),
                out.payload.eq(queue.r_data),
                out.valid.eq(queue.r_rdy),
                queue.r_en.eq(out.ready),
            ]
        rooms = Cat(queue.w_rdy for queue in queues.values()).all()
        if self.parameters.in_dsp:
            # Room stays until a job takes it, so that it may be told a cycle late.
            held = Signal()
            m.d.sync += held.eq(rooms & ~(self.jobs.valid & room))
            rooms = held
        m.d.comb += room.eq(rooms)
        return m
