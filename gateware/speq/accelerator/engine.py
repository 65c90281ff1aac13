"""Engine: everything between the weights' FIFOs, the packets and the queue of jobs."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from speq.accelerator.activations import ActivationBuffer
from speq.accelerator.dispatch import Dispatch
from speq.accelerator.feeder import Feeder
from speq.accelerator.layouts import ActivationFault, Plane, fetch_job, job, packet_stream, planes
from speq.accelerator.results import Results
from speq.array import Array
from speq.block import Block, place
from speq.dsp.streams import PingPong
from speq.parameters import Parameters

__all__ = ["Engine", "plane_names"]


def plane_names(parameters: Parameters) -> list[str]:
    """Streams of AXI beats that a design has, in the order of :class:`Plane`."""
    return [plane.name.lower() for plane in Plane][: planes(parameters)]


class Engine(Block):
    """The part of the accelerator that a fault resets as a whole.

    Members
    -------
    jobs : stream, in
        :func:`speq.accelerator.layouts.job`; ready means that the queue has room.
    fetch : stream, out
        What to read for each job.
    draft, middle, low : streams, in
        What was read; the first only in an FP16-only design.
    activations, results : streams, in and out
        :func:`speq.accelerator.layouts.packet_stream`.
    fault : ActivationFault, out
        A packet of activations was too short or too long.
    word : 1 bit, out
        The array's weight port has a transfer in this cycle.
    """

    stem = "engine"

    def __init__(self, parameters: Parameters) -> None:
        self.dispatch = Dispatch(parameters)
        self.feeder = Feeder(parameters)
        self.buffer = ActivationBuffer(parameters)
        self.array = Array(parameters)
        self.sender = Results(parameters)
        ports = {
            "jobs": In(stream.Signature(job(parameters))),
            "fetch": Out(stream.Signature(fetch_job(parameters))),
            "activations": In(packet_stream(parameters)),
            "results": Out(packet_stream(parameters)),
            "fault": Out(ActivationFault),
            "word": Out(1),
        }
        beats = stream.Signature(parameters.port_bits)
        ports |= {name: In(beats) for name in plane_names(parameters)}
        super().__init__(
            parameters, ports, self.dispatch, self.feeder, self.buffer, self.array, self.sender
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dispatch = place(m, "dispatch", self.dispatch)
        feeder = place(m, "feeder", self.feeder)
        buffer = place(m, "activation_buffer", self.buffer)
        array = place(m, "array", self.array)
        sender = place(m, "sender", self.sender)

        wiring.connect(m, wiring.flipped(self.jobs), dispatch.jobs)
        wiring.connect(m, dispatch.fetch, wiring.flipped(self.fetch))
        wiring.connect(m, dispatch.load, buffer.loads)
        wiring.connect(m, dispatch.play, buffer.plays)
        wiring.connect(m, dispatch.tiles, feeder.jobs)
        wiring.connect(m, dispatch.results, sender.jobs)

        for name in plane_names(self.parameters):
            plane = self._buffered(m, name, wiring.flipped(getattr(self, name)))
            wiring.connect(m, plane, getattr(feeder, name))
        if self.parameters.packs:
            wiring.connect(m, feeder.shifts, buffer.shifts)
        wiring.connect(m, feeder.tiles, array.tiles)
        wiring.connect(m, feeder.weights, array.weights)
        packets = self._buffered(m, "activations", wiring.flipped(self.activations))
        wiring.connect(m, packets, buffer.packets)
        wiring.connect(m, buffer.beats, array.activations)
        wiring.connect(m, array.results, sender.results)
        results = self._buffered(m, "results", sender.packets)
        wiring.connect(m, results, wiring.flipped(self.results))
        m.d.comb += [
            self.fault.eq(buffer.fault),
            self.word.eq(array.weights.valid & array.weights.ready),
        ]
        return m

    def _buffered(
        self, m: Module, name: str, stream_: wiring.PureInterface
    ) -> wiring.PureInterface:
        """A stream whose ready is a register on FPGAs, where paths from unit to unit are long."""
        if not self.parameters.in_dsp:
            return stream_
        m.submodules[f"buffer_{name}"] = buffer = PingPong(stream_.payload.shape())
        wiring.connect(m, stream_, buffer.i)
        return buffer.o
