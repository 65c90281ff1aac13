"""Each rule of AXI, broken by a toy design: the monitors name signal, cycle and rule."""

import re
import shutil

import pytest
from toy_axi import emit

from speq_sim.benches.simulators import SimulationError, run

HELD = r"changed from \w+ to \w+ before the transfer"
WITHDRAWN = "withdrawn before the transfer"

READER_FAULTS = {
    "fault_of_reads/fault=drops_arvalid": rf"m_axi_arvalid, cycle \d+: {WITHDRAWN}",
    "fault_of_reads/fault=changes_araddr": rf"m_axi_araddr, cycle \d+: {HELD}",
    "fault_of_reads/fault=changes_arlen": rf"m_axi_arlen, cycle \d+: {HELD}",
    "fault_of_reads/fault=narrow_arsize": r"m_axi_arsize, cycle \d+: 2 is 4 bytes; .* 8 bytes",
    "fault_of_reads/fault=fixed_arburst": r"m_axi_arburst, cycle \d+: 0; .* incrementing",
    "fault_of_reads/fault=arvalid_in_reset": "m_axi_arvalid: high in reset",
    "fault_of_reads/fault=waits_for_arready": "deadlock: 0 of 30 packets",
    "fault_of_reads/fault=undefined_araddr": r"m_axi_araddr, cycle \d+: X+ has undefined bits",
    "fault_of_addresses/fault=crosses": "from 0xff0 to 0x106f crosses a boundary of 4096 bytes",
    "fault_of_addresses/fault=crosses_in_its_last_beat": "from 0xf80 to 0x1007 crosses",
    "fault_of_addresses/fault=unaligned": "m_axi_araddr, .* 0x104 is not a multiple of 8 bytes",
    "fault_of_memory/fault=wrong_rlast": r"m_axi_rlast, cycle \d+: wrong in beat 1 of 4",
    "fault_of_memory/fault=unasked_rvalid": "m_axi_rvalid, .* without a burst under way",
    "fault_of_registers/fault=drops_bvalid": rf"s_axi_bvalid, cycle \d+: {WITHDRAWN}",
    "fault_of_registers/fault=changes_bresp": rf"s_axi_bresp, cycle \d+: {HELD}",
    "fault_of_registers/fault=answers_write_twice": "s_axi_bvalid, .* without a write",
    "fault_of_registers/fault=answers_write_early": "s_axi_bvalid, .* without a write",
    "fault_of_registers/fault=drops_rvalid": rf"s_axi_rvalid, cycle \d+: {WITHDRAWN}",
    "fault_of_registers/fault=changes_rdata": rf"s_axi_rdata, cycle \d+: {HELD}",
    "fault_of_registers/fault=answers_read_twice": "s_axi_rvalid, .* without a read",
    "fault_of_registers/fault=answers_read_early": "s_axi_rvalid, .* without a read",
}
LOOP_FAULTS = {
    "loop_fault/fault=drops_tvalid": rf"m_axis_tvalid, cycle \d+: {WITHDRAWN}",
    "loop_fault/fault=changes_tdata": rf"m_axis_tdata, cycle \d+: {HELD}",
    "loop_fault/fault=changes_tlast": rf"m_axis_tlast, cycle \d+: {HELD}",
    "loop_fault/fault=changes_tuser": rf"m_axis_tuser, cycle \d+: {HELD}",
    "loop_fault/fault=tvalid_in_reset": "m_axis_tvalid: high in reset",
    "loop_fault/fault=tvalid_after_reset": "m_axis_tvalid, cycle 0: .* edge after reset",
    "loop_fault/fault=waits_for_tready": "deadlock",
}


@pytest.mark.parametrize(
    ("top", "faults"), [("toy_reader", READER_FAULTS), ("toy_loop", LOOP_FAULTS)]
)
def test_each_broken_rule_is_named(tmp_path, top, faults):
    if shutil.which("iverilog") is None:  # Verilator has no undefined bits
        faults = {test: what for test, what in faults.items() if "undefined" not in test}
    with pytest.raises(SimulationError) as caught:
        run(
            emit(tmp_path, top),
            top,
            "toy_axi_rules_bench",
            build_dir=tmp_path / "models",
            test_dir=tmp_path / "run",
            testcases=list(faults),
        )
    failures = dict(caught.value.failures)
    assert failures.keys() == faults.keys(), "every fault must be caught"
    for test, what in faults.items():
        assert re.search(what, failures[test]), f"{test}: {failures[test]}"
