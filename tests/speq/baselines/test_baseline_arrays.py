"""Emitted baseline arrays against their golden models, with stalls on every stream."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from baseline_jobs import DESIGNS, Tile, golden, payloads, random_of, random_tile, random_tiles

from speq.baselines import array, pe, sequencer
from speq.baselines.emission import emit
from speq.baselines.parameters import PRESETS, BaselineParameters
from speq_sim.benches.cases import STREAMS, Case
from speq_sim.benches.compiled import Compiled, CompiledError
from speq_sim.benches.payload import Design
from speq_sim.benches.running import play
from speq_sim.benches.simulators import lint
from speq_sim.golden.baselines.accumulators import wrapped
from speq_sim.proofs.mutation import mutated_module

STALLS = dict.fromkeys(STREAMS, 0.3)

FULL_RATE = [[20], [3, 0, 5], [1], [0], [7, 7]]
"""Beats of the groups of tiles whose cycles are counted."""


def _counted(parameters: BaselineParameters) -> list[Tile]:
    random = random_of("counted", parameters.name)
    # The last is long enough to overflow narrow accumulators.
    long = [[200, 200]] if parameters.accumulator_bits < 32 else []
    return [random_tile(random, parameters, beats) for beats in FULL_RATE + long]


def _cases(design: Design, parameters: BaselineParameters) -> list[Case]:
    random = random_of(parameters.name)

    def case(name: str, count: int, **options: object) -> Case:
        tiles = random_tiles(random, parameters, count)
        return Case(name=name, payloads=payloads(design, parameters, tiles), **options)

    counted = _counted(parameters)
    return [
        Case(name="full_rate", payloads=payloads(design, parameters, counted)),
        case("stalls", 8, pauses=STALLS, probe_ready=True),
        case("slow_results", 3, pauses={"results": 0.8}),
        case("slow_weights", 3, pauses={"weights": 0.7}),
        case("slow_activations", 3, pauses={"activations": 0.7}),
        case("slow_tiles", 3, pauses={"tiles": 0.9}),
        case("shy_sink", 3, ready_after_valid=True),
        case("resets", 3, pauses=STALLS, resets=[3, 17, 40, 41]),
    ]


@pytest.mark.parametrize("name", DESIGNS)
def test_every_sum_is_the_golden_one(name: str, tmp_path: Path) -> None:
    parameters = DESIGNS[name]
    emission = emit(parameters, tmp_path)
    design = Design.load(emission.side_car)
    cases = _cases(design, parameters)
    played = play(emission.verilog, emission.side_car, cases, tmp_path / "run")
    for case in cases:
        for stream in STREAMS:
            transferred = played.cases[case.name]["streams"][stream]["transfers"]
            assert transferred == len(case.payloads[stream])
    stalled = played.cases["stalls"]["streams"]
    assert all(stalled[stream]["stall_cycles"] for stream in STREAMS), "every stream must stall"

    counts = played.cases["full_rate"]["streams"]
    cycles = counts["results"]["last_cycle"] - counts["tiles"]["first_cycle"] + 1
    inputs = parameters.inputs_per_beat
    predicted = [
        parameters.tile_cycles(sum(tile.beats) * inputs, len(tile.beats))
        for tile in _counted(parameters)
    ]
    # A header's last step is its transfer, the first result's a cycle behind; the first header's
    # first step is as many cycles before its transfer as the group has beats.
    assert cycles == sum(predicted) + 1 - predicted[0] + 1


@pytest.mark.parametrize(
    "name",
    [
        "olive4",
        "tender8",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("olive8", "olive8_shared", "tender4")),
    ],
)
def test_many_tiles_of_the_presets(name: str, tmp_path: Path) -> None:
    """8 x 8, compiled: long dot products, at full rate and with pauses."""
    parameters = PRESETS[name]
    emission = emit(parameters, tmp_path)
    compiled = Compiled(emission.verilog, emission.side_car, tmp_path / "build")
    random = random_of("many", name)
    tiles = random_tiles(random, parameters, 40)
    tiles += [random_tile(random, parameters, beats) for beats in ([2000], [900, 0, 700, 11])]
    work = payloads(compiled.design, parameters, tiles)
    for seed, pauses in enumerate(({}, dict.fromkeys(STREAMS, 0.5)), start=1):
        played = compiled.play(work, len(work["results"]), pauses=pauses, seed=seed)
        assert np.array_equal(played.results, work["results"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        (sequencer, "draining.eq(empty & header.last)", "draining.eq(0)"),
        (sequencer, "multiplying.eq(~last_beat)", "multiplying.eq(0)"),
        (sequencer, "beat_take.eq(taken & whole_beat)", "beat_take.eq(taken & last_beat)"),
        (sequencer, "draining.eq(~step.last)", "draining.eq(0)"),
        (pe, "doubled = (total << 1)[:bits]", "doubled = total"),
    ],
)
def test_a_faulty_array_is_seen(
    part: ModuleType, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = mutated_module(part.__name__, old, new)
    (name,) = part.__all__
    monkeypatch.setattr(array, name, getattr(faulty, name))
    parameters = DESIGNS["tender4_3x2"]
    emission = emit(parameters, tmp_path)
    compiled = Compiled(emission.verilog, emission.side_car, tmp_path / "build")
    work = payloads(compiled.design, parameters, random_tiles(random_of(old), parameters, 20))
    try:
        played = compiled.play(work, len(work["results"]), pauses=STALLS, patience=1000)
    except CompiledError:
        return
    assert not np.array_equal(played.results, work["results"])


@pytest.mark.parametrize("name", ["olive4_narrow", "olive8_3x2", "tender8_narrow"])
def test_the_tiles_do_overflow(name: str) -> None:
    """That accumulators wrap is tested by the cases above only if their sums leave the range."""
    parameters = DESIGNS[name]
    random = random_of(name)
    tiles = [random_tile(random, parameters, [400]) for _ in range(20)]
    wide = parameters.replace(accumulator_bits=48)
    exact = np.concatenate([golden(wide, tile) for tile in tiles])
    assert (wrapped(exact, parameters.accumulator_bits) != exact).any()


@pytest.mark.parametrize("name", ["olive8_3x2", "tender4_3x2"])
def test_the_verilog_is_clean_and_deterministic(name: str, tmp_path: Path) -> None:
    emissions = [emit(DESIGNS[name], tmp_path / folder) for folder in ("one", "two")]
    assert emissions[0].verilog.read_bytes() == emissions[1].verilog.read_bytes()
    assert emissions[0].side_car.read_bytes() == emissions[1].side_car.read_bytes()
    assert lint(emissions[0].verilog, emissions[0].top) == []


def test_each_module_is_emitted_once(tmp_path: Path) -> None:
    text = emit(PRESETS["olive4"], tmp_path).verilog.read_text()
    assert text.count("module speq_olive4_pe(") == 1
    assert text.count("module speq_olive4_decoder(") == 1
    assert text.count("speq_olive4_pe pe_") == 64
    assert text.count("speq_olive4_border ") == 16
