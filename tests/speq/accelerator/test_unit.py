"""The whole accelerator, emitted, behind bus models: every mode is the golden model's, bit for bit.

Jobs follow each other in all modes, with and without new activations, with stalls on every bus.
"""

import json

import numpy as np
import pytest

from speq.accelerator.emission import emit
from speq.formats import family, pack
from speq.formats.image import Extent
from speq.formats.packing import PackedTensor
from speq.parameters import PRESETS, ParameterError, Parameters
from speq_sim.benches.accelerator.plan import IDEAL, Memory, Plan, Round, Step
from speq_sim.benches.accelerator.running import carry_out
from speq_sim.benches.simulators import lint

TINY = PRESETS["tiny"].replace(activation_values=1024, burst_beats=8)

DESIGNS = {
    "four_lanes": TINY,
    "two_lanes": TINY.replace(draft_lanes=2, family="speq", result_format="fp16", outstanding=1),
    "one_lane": TINY.replace(draft_lanes=1, tokens=2, family="fitted-8"),
    "narrow_port": Parameters(
        rows=5, columns=8, port_words=2, tokens=3, activation_values=1024, burst_beats=4
    ),
    "wide_port": Parameters(rows=4, columns=16, port_words=16, tokens=1, activation_values=2048),
    "verify_only": TINY.verify_only(),
}
"""Every number of lanes, both formats, one token, records of part of a beat and of several."""

SLOW = Memory(3, 40, 2)


def a_matrix(design, outputs, inputs, seed, columns=False):
    """Weights that need row powers of two and, where asked for, column powers; packed."""
    generator = np.random.default_rng(seed)
    weights = generator.standard_normal((outputs, inputs))
    weights *= np.exp2(generator.integers(-6, 2, (outputs, 1)))
    if columns:
        weights *= np.exp2(generator.integers(-7, 1, inputs))
    weights = weights.astype(np.float16)
    if design.drafts:
        tensor = pack(weights, family(design.family))
        assert not tensor.is_plain
        assert np.any(tensor.scale.columns) or not columns
        return tensor
    bits = weights.view(np.uint16)
    return PackedTensor(design.family, bits.shape, plain=bits, reason="no decoder")


def a_plan(design):
    generator = np.random.default_rng(1)

    def activations(tokens, inputs):
        values = generator.standard_normal((tokens, inputs)) * 8.0 ** generator.integers(
            -4, 4, (tokens, inputs)
        )
        return values.astype(np.float16)

    plain = a_matrix(design.verify_only(), 6, 19, 3)
    matrices = {
        "wide": a_matrix(design, 9, 83, 1, columns=True),
        "even": a_matrix(design, 2 * design.rows, 2 * design.group_inputs, 2),
        "plain": PackedTensor(design.family, plain.shape, plain=plain.plain, reason="test"),
    }
    most = design.tokens
    vectors = {
        f"{name}_{tokens}": activations(tokens, matrix.shape[1])
        for name, matrix in matrices.items()
        for tokens in {1, most}
    }
    modes = ("draft", "verify") if design.drafts else ("verify",)
    orders = {
        "each": [
            Step(name, mode, f"{name}_{tokens}")
            for name in matrices
            for mode, tokens in zip(modes, (1, most), strict=False)
        ],
        "kept": [
            Step("wide", modes[0], f"wide_{most}"),
            Step("wide", modes[-1], None),
            Step("even", modes[-1], "even_1"),
            Step("even", modes[0], None),
            Step("wide", modes[0], "wide_1"),
        ],
    }
    rounds = [Round("each", SLOW, orders["each"], 0.4), Round("kept", IDEAL, orders["kept"])]
    return Plan(matrices, vectors, rounds)


@pytest.mark.parametrize("name", DESIGNS)
def test_jobs_are_bit_exact_and_read_their_planes_alone(name, tmp_path):
    design = DESIGNS[name]
    files = emit(design, tmp_path)
    plan = a_plan(design)
    outcome = carry_out(plan, files.verilog, files.side_car, tmp_path / "sim")
    assert outcome.wrong == {round_.name: 0 for round_ in plan.rounds}
    for round_ in plan.rounds:
        measured = outcome.measured[round_.name]
        beats = words = 0
        for step in round_.steps:
            matrix = plan.matrices[step.matrix]
            extent = Extent(design, *matrix.shape, plain=matrix.is_plain)
            beats += sum(extent.beats[: extent.planes_read(step.mode)])
            tiles = 1 if step.mode == "draft" and not matrix.is_plain else design.group_tiles
            words += extent.output_tiles * extent.groups * tiles * design.load_cycles
        assert (measured["beats"], measured["words"]) == (beats, words)


def test_the_next_jobs_weights_are_fetched_while_this_one_works(tmp_path):
    design = TINY.replace(burst_beats=64)
    files = emit(design, tmp_path)
    matrix = a_matrix(design, 40, 64, 1)
    vector = np.ones((1, 64), np.float16)
    steps = [Step("m", "draft", "x")] + [Step("m", "draft", None)] * 2
    far = Memory(150, 150, 4)
    rounds = [Round(str(count), far, steps[:count]) for count in (1, 2, 3)]
    outcome = carry_out(
        Plan({"m": matrix}, {"x": vector}, rounds), files.verilog, files.side_car, tmp_path / "sim"
    )
    assert not any(outcome.wrong.values())
    cycles = [outcome.measured[str(count)]["cycles"] for count in (1, 2, 3)]
    beats = Extent(design, *matrix.shape).beats[0]
    assert cycles[0] > beats + far.low
    # Every further job takes its own beats, and the latency of none of its bursts.
    for more, fewer in zip(cycles[1:], cycles, strict=False):
        assert beats <= more - fewer < beats + 10


@pytest.mark.parametrize("name", ["four_lanes", "verify_only"])
def test_the_emitted_files_are_clean_and_describe_the_unit(name, tmp_path):
    design = DESIGNS[name]
    files = emit(design, tmp_path)
    assert lint(files.verilog, files.top) == []
    side_car = json.loads(files.side_car.read_text())
    assert side_car["schema"] == "speq-accelerator/1"
    assert side_car["top"] == f"speq_{design.name}_accelerator"
    assert Parameters.from_mapping(side_car["parameters"]) == design
    assert side_car["buses"]["m_axi"]["m_axi_rdata"] == {"direction": "in", "bits": 64}
    assert side_car["buses"]["m_axis"]["m_axis_tuser"] == {"direction": "out", "bits": 1}
    depths = side_car["derived"]["fifo_beats"]
    assert set(depths) == ({"draft", "middle", "low"} if design.drafts else {"draft"})
    assert {path.suffix for path in files.headers} == {".h", ".vh"}
    assert f"{files.top}_registers.vh: {{is_include_file: true}}" in files.core.read_text()
    again = emit(design, tmp_path / "again")
    assert again.verilog.read_bytes() == files.verilog.read_bytes()


def test_designs_without_an_axi_width_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="AXI bus needs 2, 4, 8, 16, 32 or 64"):
        emit(TINY.replace(port_words=1), tmp_path / "new")
    assert not (tmp_path / "new").exists()
