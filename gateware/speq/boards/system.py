"""System: accelerator, memory and host link, with nothing of a board but a serial line."""

from amaranth.hdl import ClockSignal, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from speq.accelerator.unit import Accelerator, buses
from speq.block import Block, module_name, place
from speq.boards.link import Link
from speq.boards.memory import BlockMemory
from speq.boards.settings import BoardSettings
from speq.emission import design_rtlil
from speq.parameters import Parameters, check_accelerator
from speq.yosys import verilog_from_rtlil

__all__ = ["System", "place_system"]


class System(Block):
    """A complete design for a board.

    Parameters
    ----------
    parameters : Parameters
        The design point, an accelerator.
    settings : BoardSettings

    Members
    -------
    rx, tx : 1 bit each, in and out
        Serial line (:mod:`speq.boards.protocol`).
    asked : 1 bit, out
        Changes with every request.
    dropped : 1 bit, out
        A broken request came since the reset.
    irq : 1 bit, out
        The accelerator's.

    Raises
    ------
    ParameterError
        If the design point is no accelerator, or cannot address the memory.
    """

    stem = "system"

    def __init__(self, parameters: Parameters, settings: BoardSettings) -> None:
        check_accelerator(parameters)
        settings.check_design(parameters)
        self.settings = settings
        self.link = Link(parameters, settings)
        self.memory = BlockMemory(parameters, settings)
        self.accelerator = Accelerator(parameters)
        super().__init__(
            parameters,
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "asked": Out(1),
                "dropped": Out(1),
                "irq": Out(1),
            },
            self.link,
            self.memory,
            self.accelerator,
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        link = place(m, "link", self.link)
        # In reset until it has a clock edge out of it: a register, which reaches far.
        released = Signal()
        m.d.sync += released.eq(~link.reset_unit)
        memory = place(m, "memory", self.memory, reset=~released)
        unit = self._accelerator(m, released)
        wiring.connect(m, link.memory, memory.link)
        m.d.comb += [
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            self.irq.eq(unit["irq"]),
        ]
        bridges = {
            "m_axi": memory.axi,
            "s_axi": link.registers,
            "s_axis": link.activations,
            "m_axis": link.results,
        }
        for prefix, (signature, manager) in buses(self.parameters).items():
            for name, member in signature.members.items():
                given, other = unit[f"{prefix}_{name}"], getattr(bridges[prefix], name)
                driven = (member.flow is Out) == manager
                m.d.comb += other.eq(given) if driven else given.eq(Value.cast(other))
        with m.If(link.asked):
            m.d.sync += self.asked.eq(~self.asked)
        with m.If(link.dropped):
            m.d.sync += self.dropped.eq(1)
        return m

    def _accelerator(self, m: Module, released: Value) -> dict[str, Signal]:
        """Place the accelerator, which has the ports of an SoC's block; returns them by name."""
        signals: dict[str, Signal] = {}
        ports: dict[str, object] = {"i_aclk": ClockSignal(), "i_aresetn": released}
        for name, member in self.accelerator.signature.members.items():
            if name in ("aclk", "aresetn"):
                continue
            signals[name] = Signal(member.shape, name=f"unit_{name}")
            direction = "i" if member.flow is In else "o"
            ports[f"{direction}_{name}"] = Value.cast(signals[name])
        m.submodules.accelerator = Instance(module_name(self.accelerator), **ports)
        return signals


def place_system(m: Module, platform: object, system: System) -> wiring.PureInterface:
    """Place a system in the top of a board, and hand its Verilog to the board's tools."""
    platform.add_file(f"{module_name(system)}.v", verilog_from_rtlil(design_rtlil(system)))
    return place(m, "system", system)
