"""A bench for test_simulators.py: counts clock cycles; fails where the environment says so."""

import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles


@cocotb.test()
async def counts(dut):
    Clock(dut.clk, 10, unit="ns").start()
    await ClockCycles(dut.clk, 3)
    before = int(dut.count.value)
    await ClockCycles(dut.clk, 5)
    assert int(dut.count.value) == before + 5 * int(os.environ.get("STEP", "1"))


@cocotb.test()
async def always_passes(dut):
    pass
