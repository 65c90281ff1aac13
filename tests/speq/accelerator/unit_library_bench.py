"""Cocotb test: cocotbext-axi drives every port of the unit, under the host library.

Its drivers share no code with ours, whose monitors watch every port.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiRamRead,
    AxiResp,
    AxiStreamBus,
    AxiStreamSink,
    AxiStreamSource,
)
from unit_workload import DESIGN, activations, int4, packed, plain

from speq_sim.benches.accelerator.faults import SIDE_CAR_VARIABLE, Valve
from speq_sim.benches.axi import AxiLiteMonitor, AxiReadMonitor, AxiStreamMonitor
from speq_sim.benches.axi.library import read_bus
from speq_sim.golden import quantise_activations
from speq_sim.host import Device, DeviceError, Packet
from speq_sim.host.matrix import split_groups
from speq_sim.host.unit_jobs import unit_job
from speq_sim.jobs import Job, expected

QUIET = 200
"""Cycles without a packet after which none came."""


class LibraryTransport:
    """Drivers of cocotbext-axi on every port, behind the calls of a transport."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        ports = dut.aclk, dut.aresetn, False
        self.memory = AxiRamRead(read_bus(dut), *ports, size=1 << DESIGN.address_bits)
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), *ports)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *ports)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *ports)
        self.read_monitor = AxiReadMonitor(dut)
        self.register_monitor = AxiLiteMonitor(dut)
        self.stream_monitors = AxiStreamMonitor(dut, "s_axis"), AxiStreamMonitor(dut, "m_axis")
        lite = self.registers.write_if, self.registers.read_if
        for model in (self.memory, *lite, self.source, self.sink):
            model.log.setLevel(logging.WARNING)

    def pause(self, share: float) -> None:
        """Pause every channel at random."""
        channels = (
            self.memory.ar_channel,
            self.memory.r_channel,
            self.registers.write_if.aw_channel,
            self.registers.write_if.w_channel,
            self.registers.write_if.b_channel,
            self.registers.read_if.ar_channel,
            self.registers.read_if.r_channel,
            self.source,
            self.sink,
        )
        for number, channel in enumerate(channels):
            channel.set_pause_generator(Valve(share, number))

    async def start(self) -> None:
        cocotb.start_soon(Clock(self.dut.aclk, 2, "ns").start())
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 4)
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 2)

    @resume
    async def read(self, offset: int) -> int:
        answer = await self.registers.read(offset, 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    @resume
    async def write(self, offset: int, value: int) -> None:
        answer = await self.registers.write(offset, value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY

    def write_memory(self, address: int, data: bytes) -> None:
        self.memory.write(address, data)

    def send(self, packet: bytes) -> None:
        self.source.send_nowait(packet)

    @resume
    async def flush(self) -> None:
        await self.source.wait()

    @resume
    async def receive(self) -> Packet | None:
        edge = RisingEdge(self.dut.aclk)
        for _ in range(QUIET):
            if not self.sink.empty():
                frame = self.sink.recv_nowait(compact=False)
                return Packet(bytes(frame.tdata), bool(frame.tuser[-1]))
            await edge
        return None


def work(transport: LibraryTransport) -> None:
    """A job in each mode and a plain one, bit-exact; a stop, and a job after it."""
    side_car = json.loads(Path(os.environ[SIDE_CAR_VARIABLE]).read_text(encoding="utf-8"))
    device = Device(transport, side_car)
    coded, words = packed(7, 21), plain(5, 21)
    matrices = {id(tensor): device.load(tensor) for tensor in (coded, words)}
    many, one = activations(2, 21, seed=5), activations(1, 21, seed=6)
    jobs = [(coded, "draft", one), (coded, "verify", many), (words, "verify", many)]
    if DESIGN.integers:
        integers = int4(6, 21)
        matrices[id(integers)] = device.load(integers)
        jobs += [(coded, "middle", many), (integers, "qdraft", one), (integers, "qverify", many)]
    for round_ in range(2):
        for tensor, mode, values in jobs:
            device.submit(matrices[id(tensor)], mode, values)
        for tensor, mode, values in jobs:
            wanted = expected(unit_job(tensor, mode, values), DESIGN)
            assert device.collect().raw.tobytes() == wanted.tobytes()
        if not round_:
            device.submit(matrices[id(coded)], "verify", many)
            device.stop()
            with pytest.raises(DeviceError, match="STOPPED"):
                device.collect()
            device.resume()


def whole_products(transport: LibraryTransport) -> None:
    """Tokens and groups of inputs beyond those of a job are cut into jobs, and put together."""
    side_car = json.loads(Path(os.environ[SIDE_CAR_VARIABLE]).read_text(encoding="utf-8"))
    device = Device(transport, side_car)
    tensor = int4(6, 21, group=8)
    matrix = device.load(tensor)
    values = activations(2 * DESIGN.tokens + 1, 21)
    for mode in ("qdraft", "qverify"):
        given, scales = quantise_activations(values) if mode == "qdraft" else (values, None)
        total = np.float32(0)
        for number, part in enumerate(split_groups(tensor)):
            inputs = np.ascontiguousarray(given[:, 8 * number :][:, : part.shape[1]])
            job = Job.integer(part.nibbles, inputs, verify=mode == "qverify")
            raw = expected(job, DESIGN).astype(np.float32)
            total = total + raw * part.scale.astype(np.float32)
        if scales is not None:
            total = total * scales.astype(np.float32)[:, None]
        np.testing.assert_array_equal(device.run(matrix, mode, values), total)


@cocotb.test()
async def products_of_groups_and_many_tokens(dut: Any):
    if not DESIGN.integers:
        return
    transport = LibraryTransport(dut)
    await transport.start()
    await bridge(whole_products)(transport)


@cocotb.test()
@cocotb.parametrize(share=[0.0, 0.4])
async def cocotbext_axi_drives_every_port(dut: Any, share: float):
    transport = LibraryTransport(dut)
    transport.pause(share)
    await transport.start()
    await bridge(work)(transport)
    sent, received = transport.stream_monitors
    assert transport.read_monitor.beats > 0
    assert transport.register_monitor.writes > 0
    assert len(received.packets) >= 6
    assert len(sent.packets) >= 6
