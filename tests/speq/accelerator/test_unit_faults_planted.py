"""Faults planted in the RTL: the benches of the whole unit notice each."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from unit_simulation import simulate
from unit_workload import DESIGN

import speq
from speq_sim.benches.simulators import SimulationError

pytestmark = pytest.mark.slow

EMIT = """
import sys
from speq.accelerator.emission import emit
from unit_workload import DESIGN
import speq
assert speq.__file__.startswith(sys.argv[1]), speq.__file__
emit(DESIGN, sys.argv[2])
"""


@dataclasses.dataclass(frozen=True)
class Planted:
    """A text of a file of the package, another in its place, and who must notice."""

    file: str
    text: str
    instead: str
    bench: str
    tests: tuple[str, ...]


FAULTS = {
    "errors of one kind count as data": Planted(
        "fetch.py",
        "faulty = (axi.rresp == Response.SLVERR) | (axi.rresp == Response.DECERR)",
        "faulty = axi.rresp == Response.SLVERR",
        "unit_faults_bench",
        ("a_read_error_stays_until_it_is_removed", "outside_of_all_memory_is_a_decode_error"),
    ),
    "reads under way are not waited for": Planted(
        "fetch.py",
        "self.drained.eq(self.stop & ~due[0].any())",
        "self.drained.eq(self.stop)",
        "unit_stops_bench",
        ("a_stop_with_a_full_queue",),
    ),
    "a stop leaves data in the FIFOs": Planted(
        "fetch.py",
        'm.submodules[f"{name}_fifo"] = ResetInserter(self.stop)(fifo)',
        'm.submodules[f"{name}_fifo"] = fifo',
        "unit_stops_bench",
        ("a_stop_with_a_full_queue", "stops_in_every_cycle_of_a_short_job"),
    ),
    "a stop leaves the engine as it is": Planted(
        "unit.py",
        "reset=domain.rst | control.reset_engine",
        "reset=domain.rst",
        "unit_stops_bench",
        ("a_stop_with_a_full_queue", "stops_in_every_cycle_of_a_short_job"),
    ),
    "an open packet of results is never closed": Planted(
        "gates.py",
        "beat.i.valid.eq(Mux(self.stop, begun, self.packets.valid))",
        "beat.i.valid.eq(Mux(self.stop, 0, self.packets.valid))",
        "unit_faults_bench",
        ("read_error_while_results_of_the_job_before_leave/taken=1",),
    ),
    "the last beat is not waited for": Planted(
        "gates.py",
        "self.closed.eq(self.stop & ~beat.o.valid & ~begun)",
        "self.closed.eq(self.stop & ~begun)",
        "unit_faults_bench",
        ("read_error_while_results_of_the_job_before_leave/taken=7",),
    ),
    "a void packet is closed without TUSER": Planted(
        "gates.py",
        "beat.i.payload.user.eq(self.stop)",
        "beat.i.payload.user.eq(0)",
        "unit_faults_bench",
        ("read_error_while_results_of_the_job_before_leave/taken=1",),
    ),
    "activations are not swallowed while stopped": Planted(
        "gates.py",
        "swallow.eq(self.stop | lost)",
        "swallow.eq(lost)",
        "unit_faults_bench",
        ("activations_too_long/extra=9",),
    ),
    "the rest of a packet passes after resume": Planted(
        "gates.py",
        "lost.eq(swallow & begins)",
        "lost.eq(0)",
        "unit_faults_bench",
        ("activations_too_long/extra=None",),
    ),
    "a packet that is too long is not noticed": Planted(
        "activation_loader.py",
        "wrong.eq(step & due & (packet.last != last_of_packet))",
        "wrong.eq(step & due & packet.last & ~last_of_packet)",
        "unit_faults_bench",
        ("activations_too_long/extra=1",),
    ),
    "the last cause is told, not the first": Planted(
        "control.py",
        "with m.If(~self.stop & (cause != Fault.NONE)):",
        "with m.If(cause != Fault.NONE):",
        "unit_faults_bench",
        ("read_error_while_results_of_the_job_before_leave/taken=0",),
    ),
    "activations are kept over a stop": Planted(
        "commands.py",
        "with m.If(~self.running):\n            m.d.sync += known.eq(0)",
        "with m.If(0):\n            m.d.sync += known.eq(0)",
        "unit_commands_bench",
        ("keep_needs_the_same_shape_as_the_job_before",),
    ),
    "plain jobs use the records of the job before": Planted(
        "feeder.py",
        "Mux(self.jobs.payload.plain, 0, held[row].exponent.as_signed())",
        "held[row].exponent.as_signed()",
        "unit_faults_bench",
        ("a_plain_job_after_a_packed_one",),
    ),
}


def emit_with(fault: Planted, folder: Path) -> SimpleNamespace:
    """Emit the design from a copy of the package with a fault in it."""
    package = folder / "gateware" / "speq"
    shutil.copytree(Path(speq.__file__).parent, package)
    path = package / "accelerator" / fault.file
    text = path.read_text(encoding="utf-8")
    assert text.count(fault.text) == 1, f"{fault.file} has changed: plant the fault anew"
    path.write_text(text.replace(fault.text, fault.instead), encoding="utf-8")
    out = folder / "design"
    paths = [str(package.parent), str(Path(__file__).parent)]
    subprocess.run(
        [sys.executable, "-c", EMIT, str(package.parent), str(out)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        check=True,
    )
    top = f"speq_{DESIGN.name}_accelerator"
    return SimpleNamespace(top=top, verilog=out / f"{top}.v", side_car=out / f"{top}.json")


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_noticed(tmp_path, name):
    fault = FAULTS[name]
    emission = emit_with(fault, tmp_path)
    with pytest.raises(SimulationError) as caught:
        simulate(emission, tmp_path / "run", fault.bench, fault.tests)
    assert {test for test, _ in caught.value.failures} == set(fault.tests)
