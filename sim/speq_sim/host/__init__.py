"""Host library: packed matrices and activations in, NumPy arrays out, over any transport.

What it knows of a design comes from the accelerator's JSON side-car alone.
"""

from speq_sim.host.device import Device, Result
from speq_sim.host.matrix import GroupedMatrix, Matrix
from speq_sim.host.registers import RegisterBlock
from speq_sim.host.transport import Packet, Transport
from speq_sim.host.unit import DeviceError

__all__ = [
    "Device",
    "DeviceError",
    "GroupedMatrix",
    "Matrix",
    "Packet",
    "RegisterBlock",
    "Result",
    "Transport",
]
