"""Control: the registers, the command check, stopping and the interrupt."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, connect, flipped

from speq.accelerator import layouts
from speq.accelerator.axi_lite import AxiLite
from speq.accelerator.commands import CommandCheck
from speq.accelerator.layouts import ActivationFault
from speq.accelerator.register_file import RegisterFile
from speq.accelerator.registers import (
    ADDRESS_BITS,
    COUNTER_BITS,
    PENDING_BITS,
    REGISTER_BITS,
    Fault,
    Interrupt,
    Rejection,
    register_map,
)
from speq.block import Block
from speq.bus import Response, axi_lite
from speq.parameters import Parameters

__all__ = ["Control"]


class Control(Block):
    """What the processor sees of the unit (docs/accelerator.md, docs/registers.md).

    Members
    -------
    bus : AXI4-Lite, in
        Registers. The write to PUSH is answered once the command is accepted or rejected.
    jobs : stream, out
        Legal commands. One is offered only while there is room, and must be taken at once then.
    room : 1 bit, in
        The queue can take a job. Once high it stays high until a job is given.
    done : 1 bit, in
        A job's last result was taken, in this cycle.
    beat, word : 1 bit each, in
        A beat of weights came from memory; a transfer of weights went into the array.
    read_fault : 1 bit, in
        A read was answered with `response`, which is an error.
    activation_fault : ActivationFault, in
        A level: what is wrong with the packet of activations, if anything.
    stop : 1 bit, out
        From the cycle after a fault or request until resume: issue nothing, drain everything.
    drained : 1 bit, in
        No read is under way.
    closed : 1 bit, in
        No packet of results is begun.
    reset_engine : 1 bit, out
        From the cycle after both until resume: the unit is stopped; reset all that holds data.
    irq : 1 bit, out
        An enabled event is pending.
    """

    stem = "control"

    def __init__(self, parameters: Parameters) -> None:
        ports = {
            "bus": In(axi_lite(ADDRESS_BITS)),
            "jobs": Out(stream.Signature(layouts.job(parameters))),
            "room": In(1),
            "done": In(1),
            "beat": In(1),
            "word": In(1),
            "read_fault": In(1),
            "response": In(Response),
            "activation_fault": In(ActivationFault),
            "stop": Out(1),
            "drained": In(1),
            "closed": In(1),
            "reset_engine": Out(1),
            "irq": Out(1),
        }
        super().__init__(parameters, ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.axi_lite = port = AxiLite(ADDRESS_BITS)
        m.submodules.registers = file = RegisterFile(register_map(self.parameters))
        m.submodules.check = check = CommandCheck(self.parameters)
        connect(m, flipped(self.bus), port.bus)
        connect(m, flipped(self.jobs), check.jobs)
        connect(m, port.access, file.access)
        m.d.comb += port.hold.eq(check.busy)

        shown, asked = file.shown, file.asked
        pending = self._count_jobs(m, shown)
        cause = self._stop(m, shown, asked)
        m.d.comb += [
            check.push.eq(asked.push.any),
            check.running.eq(~self.stop),
            check.room.eq(self.room & ~pending.all()),
            shown.status.busy.eq(pending.any()),
            shown.status.pending.eq(pending),
            shown.status.room.eq(check.room),
        ]
        m.d.comb += _command(check.command, asked, self.parameters)
        self._record_rejections(m, shown, asked, check)
        self._count_work(m, file, pending.any())
        self._interrupt(
            m,
            shown,
            asked,
            {
                Interrupt.DONE: self.done & ~self.reset_engine,
                Interrupt.FAULT: ~self.stop & (cause != Fault.NONE) & (cause != Fault.STOPPED),
                Interrupt.REJECTED: check.rejected,
                Interrupt.STOPPED: self.stop & ~self.reset_engine & self.drained & self.closed,
            },
        )
        return m

    def _stop(self, m: Module, shown: data.View, asked: data.View) -> Value:
        """The states run, stopping, stopped; returns what asks for a stop now."""
        cause = Signal(Fault)
        fault = Signal(Fault)
        with m.If(asked.control.stop):
            m.d.comb += cause.eq(Fault.STOPPED)
        for code, name in (("SHORT", "ACTIVATION_SHORT"), ("LONG", "ACTIVATION_LONG")):
            with m.If(self.activation_fault == ActivationFault[code]):
                m.d.comb += cause.eq(Fault[name])
        with m.If(self.read_fault):
            decode = self.response == Response.DECERR
            m.d.comb += cause.eq(Mux(decode, Fault.READ_DECERR, Fault.READ_SLVERR))

        with m.If(~self.stop & (cause != Fault.NONE)):
            m.d.sync += [self.stop.eq(1), fault.eq(cause)]
        with m.If(self.stop & self.drained & self.closed):
            m.d.sync += self.reset_engine.eq(1)
        with m.If(self.reset_engine & asked.control.resume):
            m.d.sync += [self.stop.eq(0), self.reset_engine.eq(0), fault.eq(Fault.NONE)]
        m.d.comb += [
            shown.status.stopping.eq(self.stop & ~self.reset_engine),
            shown.status.stopped.eq(self.reset_engine),
            shown.fault.code.eq(fault),
        ]
        return cause

    def _count_jobs(self, m: Module, shown: data.View) -> Value:
        """Jobs accepted and not completed; none once the unit is stopped."""
        pending = Signal(PENDING_BITS)
        completed = Signal(REGISTER_BITS)
        begun = self.jobs.valid & self.jobs.ready
        m.d.comb += shown.jobs_completed.count.eq(completed)
        with m.If(self.reset_engine | (self.stop & self.drained & self.closed)):
            m.d.sync += pending.eq(0)
        with m.Else():
            m.d.sync += [
                pending.eq(pending + begun - self.done),
                completed.eq(completed + self.done),
            ]
        return pending

    def _record_rejections(
        self, m: Module, shown: data.View, asked: data.View, check: CommandCheck
    ) -> None:
        code = Signal(Rejection)
        count = Signal(REGISTER_BITS)
        m.d.comb += [shown.rejection.code.eq(code), shown.rejections.count.eq(count)]
        with m.If(asked.rejection.code.any()):
            m.d.sync += code.eq(Rejection.NONE)
        with m.If(check.rejected):
            m.d.sync += [code.eq(check.rejection), count.eq(count + 1)]

    def _count_work(self, m: Module, file: RegisterFile, busy: Value) -> None:
        """Performance counters; the upper part is kept as it was when the lower one was read."""
        for name, event in (("cycles", busy), ("beats", self.beat), ("words", self.word)):
            count = Signal(COUNTER_BITS, name=name)
            high = Signal(COUNTER_BITS - REGISTER_BITS, name=f"{name}_high")
            with m.If(file.asked.control.clear_counters):
                m.d.sync += count.eq(0)
            with m.Elif(event):
                m.d.sync += count.eq(count + 1)
            with m.If(file.captured[name]):
                m.d.sync += high.eq(count[REGISTER_BITS:])
            m.d.comb += [
                file.shown[name].count.eq(count[:REGISTER_BITS]),
                file.shown[f"{name}_high"].count.eq(high),
            ]

    def _interrupt(
        self, m: Module, shown: data.View, asked: data.View, events: dict[Interrupt, Value]
    ) -> None:
        pending = Signal(len(Interrupt))
        cleared, enabled = asked.irq_pending.as_value(), asked.irq_enable.as_value()
        now = Cat(events[member] for member in Interrupt)
        m.d.comb += shown.irq_pending.eq(pending)
        m.d.sync += [
            pending.eq(pending & ~cleared | now),
            self.irq.eq((pending & enabled).any()),
        ]


def _command(target: data.View, asked: data.View, parameters: Parameters) -> list[object]:
    """The command registers as a command."""
    fields = asked.command
    names = ("mode", "keep", "tokens", *(("plain",) if parameters.packs else ()))
    statements = [target[name].eq(fields[name]) for name in names]
    statements += [
        target.inputs.eq(asked.inputs.count),
        target.output_tiles.eq(asked.output_tiles.count),
    ]
    for number in range(layouts.planes(parameters)):
        name = layouts.Plane(number).name.lower()
        low, high = asked[f"{name}_base"], asked[f"{name}_base_high"]
        statements.append(target.bases[number].eq(Cat(low.address, high.address)))
    return statements
