"""Cocotb tests of cocotbext-axi on the toys, with our monitors beside it."""

import logging
import random

import cocotb
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiRamRead,
    AxiResp,
    AxiStreamBus,
    AxiStreamSink,
    AxiStreamSource,
)
from toy_axi import ADDRESS, BURSTS, LENGTH
from toy_axi_bench import MEMORY, pauses, reset

from speq_sim.benches.axi import AxiLiteMonitor, AxiReadMonitor, AxiStreamMonitor
from speq_sim.benches.axi.library import read_bus


def ports(dut) -> tuple:
    return dut.aclk, dut.aresetn, False


def quiet(*models) -> None:
    for model in models:
        model.log.setLevel(logging.WARNING)


@cocotb.test()
@cocotb.parametrize(paused=[False, True])
async def reads(dut, paused: bool):
    memory = AxiRamRead(read_bus(dut), *ports(dut), size=1 << 16)
    memory.write(0, MEMORY)
    registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), *ports(dut))
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *ports(dut))
    monitors = AxiReadMonitor(dut), AxiLiteMonitor(dut), AxiStreamMonitor(dut, "m_axis")
    quiet(memory, registers.write_if, registers.read_if, sink)
    if paused:
        memory.r_channel.set_pause_generator(pauses(1))
        memory.ar_channel.set_pause_generator(pauses(2))
        sink.set_pause_generator(pauses(3))
        registers.write_if.w_channel.set_pause_generator(pauses(4))
    await reset(dut)
    for register, value in ((ADDRESS, 0x400), (LENGTH, 15), (BURSTS, 20)):
        answer = await registers.write(register, value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY
    size = 16 * monitors[0].beat_bytes
    for index in range(20):
        frame = await sink.recv()
        assert bytes(frame.tdata) == MEMORY[0x400 + index * size : 0x400 + (index + 1) * size]
    assert await registers.read_dword(BURSTS) == 0
    assert monitors[0].bytes_read(0, 1 << 16) == 20 * size
    assert (monitors[1].writes, monitors[1].reads) == (3, 1)
    assert len(monitors[2].packets) == 20


@cocotb.test()
async def loop_carries_packets(dut):
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *ports(dut))
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *ports(dut))
    monitor = AxiStreamMonitor(dut, "m_axis")
    source.set_pause_generator(pauses(1))
    sink.set_pause_generator(pauses(2))
    quiet(source, sink)
    await reset(dut)
    sent = [random.Random(index).randbytes(8 * (index + 1)) for index in range(20)]
    for packet in sent:
        await source.send(packet)
    for packet in sent:
        assert bytes((await sink.recv()).tdata) == packet
    assert [packet.to_bytes(monitor.beat_bytes) for packet in monitor.packets] == sent
