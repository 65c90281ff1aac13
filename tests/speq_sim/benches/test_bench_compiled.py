"""The compiled player against the toy design."""

import numpy as np
import pytest
from toy_stream import emit, payloads

from speq_sim.benches.cases import STREAMS
from speq_sim.benches.compiled import Compiled, CompiledError
from speq_sim.cplusplus import CompilerError

TRANSFERS = 1000


def test_plays_at_full_rate_and_with_pauses(tmp_path):
    verilog, side_car = emit(tmp_path)
    compiled = Compiled(verilog, side_car, tmp_path / "build")
    work = payloads(compiled.design, TRANSFERS, seed=3)
    ideal = compiled.play(work, TRANSFERS)
    np.testing.assert_array_equal(ideal.results, work["results"])
    assert ideal.cycles == TRANSFERS + 1
    assert all(counts["stall_cycles"] == 0 for counts in ideal.counts.values())
    paused = compiled.play(work, TRANSFERS, pauses=dict.fromkeys(STREAMS, 0.4), seed=5)
    np.testing.assert_array_equal(paused.results, work["results"])
    assert paused.cycles > 1.5 * TRANSFERS
    assert all(counts["stall_cycles"] > 0 for counts in paused.counts.values())


def test_an_unchanged_design_is_not_compiled_again(tmp_path):
    verilog, side_car = emit(tmp_path)
    Compiled(verilog, side_car, tmp_path / "build")
    (library,) = (tmp_path / "build").glob("*.so")
    before = library.stat().st_mtime_ns
    Compiled(verilog, side_car, tmp_path / "build")
    assert library.stat().st_mtime_ns == before


def test_a_design_that_stops_is_reported(tmp_path):
    verilog, side_car = emit(tmp_path, "stops")
    compiled = Compiled(verilog, side_car, tmp_path / "build")
    work = payloads(compiled.design, TRANSFERS, seed=3)
    with pytest.raises(CompiledError, match="no transfer in 500 cycles"):
        compiled.play(work, TRANSFERS, patience=500)


def test_without_a_compiler(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(CompilerError, match=r"install g\+\+"):
        Compiled(*emit(tmp_path), tmp_path / "build")
