"""Accelerator: the unit that goes into an SoC (docs/accelerator.md)."""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, PureInterface, Signature

from speq.accelerator.control import Control
from speq.accelerator.engine import Engine, plane_names
from speq.accelerator.fetch import Fetch
from speq.accelerator.gates import ActivationGate, ResultGate
from speq.accelerator.registers import ADDRESS_BITS
from speq.block import Block, place
from speq.bus import axi_lite, axi_read, axi_stream, flat
from speq.parameters import Parameters

__all__ = ["Accelerator", "buses"]


def buses(parameters: Parameters) -> dict[str, tuple[Signature, bool]]:
    """Prefix of each bus, its signature seen from its manager or transmitter, and whether that is
    the accelerator.
    """
    return {
        "m_axi": (axi_read(parameters.address_bits, parameters.port_bits), True),
        "s_axi": (axi_lite(ADDRESS_BITS), False),
        "s_axis": (axi_stream(parameters.port_bits), False),
        "m_axis": (axi_stream(parameters.port_bits, user_bits=1), True),
    }


class Accelerator(Block):
    """Array, buffers and control between AXI4, AXI4-Lite and AXI4-Stream ports.

    For design points that :func:`speq.parameters.check_accelerator` lets pass.

    Members
    -------
    aclk, aresetn : 1 bit each, in
        The only clock; the reset, synchronous, active low.
    m_axi_* : AXI4, read channels
        Weights from memory.
    s_axi_* : AXI4-Lite
        Registers.
    s_axis_*, m_axis_* : AXI4-Stream
        Activations in, results out.
    irq : 1 bit, out
        An enabled event is pending.
    """

    stem = "accelerator"

    def __init__(self, parameters: Parameters) -> None:
        self.control = Control(parameters)
        self.fetch = Fetch(parameters)
        self.activation_gate = ActivationGate(parameters)
        self.result_gate = ResultGate(parameters)
        self.engine = Engine(parameters)
        ports: dict[str, object] = {"aclk": In(1), "aresetn": In(1), "irq": Out(1)}
        for prefix, (signature, manager) in buses(parameters).items():
            ports |= flat(prefix, signature if manager else signature.flip())
        super().__init__(
            parameters,
            ports,
            self.control,
            self.fetch,
            self.activation_gate,
            self.result_gate,
            self.engine,
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = domain = ClockDomain(local=True)
        m.d.comb += [domain.clk.eq(self.aclk), domain.rst.eq(~self.aresetn)]
        control = place(m, "control", self.control)
        fetch = place(m, "fetch", self.fetch)
        activation_gate = place(m, "activation_gate", self.activation_gate)
        result_gate = place(m, "result_gate", self.result_gate)
        engine = place(m, "engine", self.engine, reset=domain.rst | control.reset_engine)

        wiring.connect(m, self._bus("s_axi"), control.bus)
        wiring.connect(m, fetch.axi, self._bus("m_axi"))
        wiring.connect(m, self._bus("s_axis"), activation_gate.bus)
        wiring.connect(m, result_gate.bus, self._bus("m_axis"))
        wiring.connect(m, control.jobs, engine.jobs)
        wiring.connect(m, engine.fetch, fetch.jobs)
        for name in plane_names(self.parameters):
            wiring.connect(m, getattr(fetch, name), getattr(engine, name))
        wiring.connect(m, activation_gate.packets, engine.activations)
        wiring.connect(m, engine.results, result_gate.packets)
        m.d.comb += [
            control.room.eq(engine.jobs.ready),
            control.done.eq(result_gate.done),
            control.beat.eq(fetch.beat),
            control.word.eq(engine.word),
            control.read_fault.eq(fetch.fault),
            control.response.eq(fetch.response),
            control.activation_fault.eq(engine.fault),
            control.drained.eq(fetch.drained),
            control.closed.eq(result_gate.closed),
            fetch.stop.eq(control.stop),
            activation_gate.stop.eq(control.stop),
            result_gate.stop.eq(control.stop),
            self.irq.eq(control.irq),
        ]
        return m

    def _bus(self, prefix: str) -> PureInterface:
        """The flat ports of a bus as an interface, seen from the inside."""
        signature, manager = buses(self.parameters)[prefix]
        seen = signature.flip() if manager else signature
        interface = seen.create()
        for name in signature.members:
            setattr(interface, name, getattr(self, f"{prefix}_{name}"))
        return interface
