"""Cocotb tests that must fail: each breaks a rule of AXI (see ``test_axi_rules.py``)."""

import enum
import itertools

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from toy_axi import BURSTS, LENGTH, LOOP_FAULTS, READ_FAULTS, REGISTER_FAULTS, Fault
from toy_axi_bench import MEMORY, PATIENCE, Reader, pauses, reset

from speq_sim.benches.axi import AxiLiteMaster, AxiMemory, AxiStreamSink, AxiStreamSource


class AddressFault(enum.Enum):
    """Bursts that may not be asked for: address and beats."""

    crosses = (0xFF0, 16)
    crosses_in_its_last_beat = (0xF80, 17)
    unaligned = (0x104, 4)


@cocotb.test()
@cocotb.parametrize(fault=READ_FAULTS)
async def fault_of_reads(dut, fault: Fault):
    bench = Reader(dut, address_gap=pauses(1, 0.8), ready_after_valid=True)
    await reset(dut, fault)
    await bench.read(0, 4, 30)


@cocotb.test()
@cocotb.parametrize(fault=list(AddressFault))
async def fault_of_addresses(dut, fault: AddressFault):
    bench = Reader(dut)
    await reset(dut)
    await bench.read(*fault.value, 1)


class MemoryFault(enum.Enum):
    """What a memory can do wrong."""

    wrong_rlast = enum.auto()
    unasked_rvalid = enum.auto()


@cocotb.test()
@cocotb.parametrize(fault=list(MemoryFault))
async def fault_of_memory(dut, fault: MemoryFault):
    class Wrong(AxiMemory):
        def _drive(self, signal, value: int) -> None:
            if fault is MemoryFault.wrong_rlast and signal is dut.m_axi_rlast:
                value = 1 - value
            if fault is MemoryFault.unasked_rvalid and signal is dut.m_axi_rvalid:
                value = int(not self.in_reset)
            super()._drive(signal, value)

    Wrong(dut, contents=MEMORY)
    registers = AxiLiteMaster(dut)
    AxiStreamSink(dut)
    await reset(dut)
    await registers.write(LENGTH, 3)
    await registers.write(BURSTS, 1)
    await ClockCycles(dut.aclk, 20)


@cocotb.test()
@cocotb.parametrize(fault=REGISTER_FAULTS)
async def fault_of_registers(dut, fault: Fault):
    master = AxiLiteMaster(dut, delays=itertools.cycle([0, 9, 9, 9, 9]))
    await reset(dut, fault)
    await master.write(0, 1)
    await master.read(0)
    await ClockCycles(dut.aclk, 20)
    await master.write(0, 1)
    await master.read(0)


@cocotb.test()
@cocotb.parametrize(fault=LOOP_FAULTS)
async def loop_fault(dut, fault: Fault):
    source = AxiStreamSource(dut)
    sink = AxiStreamSink(dut, pauses=pauses(2, 0.7), ready_after_valid=True)
    await reset(dut, fault)
    source.send(range(200))
    for _ in range(PATIENCE):
        await RisingEdge(dut.aclk)
        if sink.packets:
            return
    raise AssertionError("deadlock")
