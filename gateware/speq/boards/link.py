"""Host link: the serial line on one side, the accelerator's buses on the other.

What goes over the line is defined in :mod:`speq.boards.protocol`.
"""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from speq.accelerator.registers import ADDRESS_BITS
from speq.block import Block, place
from speq.boards.executor import Executor
from speq.boards.frames import FrameReceiver, FrameSender
from speq.boards.memory import memory_access
from speq.boards.settings import BoardSettings
from speq.boards.uart import Receiver, Transmitter
from speq.bus import axi_lite, axi_stream
from speq.parameters import Parameters

__all__ = ["Link"]


class Link(Block):
    """Carries out what a host asks for over a serial line.

    A request is kept until its answer is sent, the answer until the next request is carried out.

    Parameters
    ----------
    parameters : Parameters
        The design point.
    settings : BoardSettings

    Members
    -------
    rx, tx : 1 bit each, in and out
        The line.
    registers : AXI4-Lite, manager
    activations : AXI4-Stream, transmitter
    results : AXI4-Stream, receiver
    memory : :func:`speq.boards.memory.memory_access`, out
    reset_unit : 1 bit, out
        Resets the accelerator and its memory port.
    asked, dropped : 1 bit each, out
        High for a cycle: a request came, or a broken one.
    """

    stem = "link"

    def __init__(self, parameters: Parameters, settings: BoardSettings) -> None:
        self.settings = settings
        self.executor = Executor(parameters, settings)
        super().__init__(
            parameters,
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "registers": Out(axi_lite(ADDRESS_BITS)),
                "activations": Out(axi_stream(parameters.port_bits)),
                "results": In(axi_stream(parameters.port_bits, user_bits=1)),
                "memory": Out(memory_access(settings.memory_bytes)),
                "reset_unit": Out(1),
                "asked": Out(1),
                "dropped": Out(1),
            },
            self.executor,
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = Receiver(self.settings.divisor)
        m.submodules.transmitter = transmitter = Transmitter(self.settings.divisor)
        m.submodules.requests = requests = FrameReceiver(self.settings.idle_cycles)
        m.submodules.answers = answers = FrameSender()
        executor = place(m, "executor", self.executor)
        wiring.connect(m, receiver.o, requests.bytes)
        wiring.connect(m, answers.bytes, transmitter.i)
        for name in ("registers", "activations", "results", "memory"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(executor, name))
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            requests.broken.eq(receiver.broken),
            requests.hold.eq(executor.busy),
            executor.asked.eq(requests.done),
            executor.sequence.eq(requests.sequence),
            executor.code.eq(requests.code),
            executor.length.eq(requests.length),
            requests.address.eq(executor.address),
            executor.data.eq(requests.data),
            answers.start.eq(executor.send),
            answers.sequence.eq(requests.sequence),
            answers.status.eq(executor.status),
            answers.length.eq(executor.answer_length),
            answers.write.eq(executor.write),
            answers.write_address.eq(executor.write_address),
            answers.write_data.eq(executor.write_data),
            executor.sending.eq(answers.busy),
            self.reset_unit.eq(executor.reset_unit),
            self.asked.eq(requests.done),
            self.dropped.eq(requests.dropped),
        ]
        return m
