"""AXI models for cocotb 2: a memory, a register master, a packet source and sink, and monitors.

Drivers follow the source/sink/pause idiom of :mod:`speq_sim.benches.streams`. Each has a monitor
that checks the rules of its port; the monitors also work alone, beside drivers of another library
(:mod:`speq_sim.benches.axi.library`).
"""

from speq_sim.benches.axi.latency import Fixed, Uniform
from speq_sim.benches.axi.lite import AxiLiteMaster
from speq_sim.benches.axi.lite_monitor import AxiLiteMonitor
from speq_sim.benches.axi.memory import AxiMemory
from speq_sim.benches.axi.port import AxiResetError, AxiRuleError, Response
from speq_sim.benches.axi.read_monitor import AxiReadMonitor, Burst
from speq_sim.benches.axi.stream import AxiStreamSink, AxiStreamSource
from speq_sim.benches.axi.stream_monitor import AxiStreamMonitor, Packet

__all__ = [
    "AxiLiteMaster",
    "AxiLiteMonitor",
    "AxiMemory",
    "AxiReadMonitor",
    "AxiResetError",
    "AxiRuleError",
    "AxiStreamMonitor",
    "AxiStreamSink",
    "AxiStreamSource",
    "Burst",
    "Fixed",
    "Packet",
    "Response",
    "Uniform",
]
