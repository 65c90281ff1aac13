"""Run a bench of the whole unit on its emitted Verilog."""

from speq_sim.benches.accelerator.faults import SIDE_CAR_VARIABLE
from speq_sim.benches.simulators import run


def simulate(emission, folder, bench, testcases=None, **environment):
    """Names of the tests that were run; all have passed, or it raises SimulationError."""
    return run(
        emission.verilog,
        emission.top,
        bench,
        build_dir=emission.verilog.parent / "models",
        test_dir=folder,
        testcases=testcases,
        extra_env={SIDE_CAR_VARIABLE: str(emission.side_car)} | environment,
    ).tests
