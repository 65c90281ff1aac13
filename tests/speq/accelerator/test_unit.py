"""The whole accelerator, emitted, behind bus models: every mode is the golden model's, bit for bit.

Jobs follow each other in all modes, with and without new activations, with stalls on every bus.
"""

import json

import numpy as np
import pytest

from speq.accelerator.emission import emit
from speq.formats import family, pack
from speq.formats.image import Extent
from speq.formats.int4 import Int4Tensor, quantise_int4
from speq.formats.packing import PackedTensor
from speq.modes import INTEGER_MODES
from speq.parameters import MODES, PRESETS, ParameterError, Parameters
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
    "all_modes": TINY.replace(modes=MODES),
    "all_modes_one_lane": TINY.replace(modes=MODES, draft_lanes=1, outstanding=1),
    "all_modes_narrow": Parameters(
        modes=MODES,
        rows=6,
        columns=8,
        port_words=2,
        tokens=2,
        activation_values=1024,
        burst_beats=4,
        draft_lanes=2,
    ),
    "middle_alone": TINY.replace(modes=("verify", "middle"), tokens=2),
}
"""Every number of lanes with two modes and with all, both formats, one token, records of part of a
beat and of several."""

SLOW = Memory(3, 40, 2)

TILES = {"verify": 4, "middle": 2}
"""Tiles of a group in each mode, 1 in all others."""


def a_matrix(design, outputs, inputs, seed, columns=False):
    """Weights that need row powers of two and, where asked for, column powers; packed."""
    generator = np.random.default_rng(seed)
    weights = generator.standard_normal((outputs, inputs))
    weights *= np.exp2(generator.integers(-6, 2, (outputs, 1)))
    if columns:
        weights *= np.exp2(generator.integers(-7, 1, inputs))
    weights = weights.astype(np.float16)
    if design.packs:
        tensor = pack(weights, family(design.family))
        assert not tensor.is_plain
        assert np.any(tensor.scale.columns) or not columns
        return tensor
    bits = weights.view(np.uint16)
    return PackedTensor(design.family, bits.shape, plain=bits, reason="no decoder")


def an_int4_matrix(outputs, inputs, seed):
    generator = np.random.default_rng(seed)
    weights = generator.standard_normal((outputs, inputs)) * 0.1
    return quantise_int4(weights.astype(np.float32))


def extent_of(matrix, design):
    if isinstance(matrix, Int4Tensor):
        return Extent(design, *matrix.shape, int4=True)
    return Extent(design, *matrix.shape, plain=matrix.is_plain)


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
    if design.integers:
        matrices["int4"] = an_int4_matrix(9, 83, 4)
    most = design.tokens
    vectors = {
        f"{name}_{tokens}": activations(tokens, matrix.shape[1])
        for name, matrix in matrices.items()
        for tokens in {1, most}
    }
    packed = [mode for mode in ("draft", "middle", "verify") if mode in design.modes]
    integer = [mode for mode in ("qdraft", "qverify") if mode in design.modes]
    # The mode changes with each job, and all pairs of modes meet in some order.
    each = [
        Step(name, mode, f"{name}_{tokens}")
        for name, modes in {
            "wide": packed,
            "even": packed,
            "plain": ["verify"],
            "int4": integer,
        }.items()
        for mode, tokens in zip(modes, (1, most, most), strict=False)
    ]
    generator.shuffle(each)
    first, last = packed[0], packed[-1]
    orders = {
        "each": each,
        "kept": [
            Step("wide", first, f"wide_{most}"),
            *[Step("wide", mode, None) for mode in packed[1:]],
            *[Step("int4", mode, None) for mode in integer[1:]],
            *[Step("int4", "qdraft", tokens) for _ in integer[1:] for tokens in ("int4_1", None)],
            Step("even", last, "even_1"),
            Step("even", first, None),
            Step("wide", first, "wide_1"),
        ],
    }
    rounds = [Round("each", SLOW, orders["each"], 0.4), Round("kept", IDEAL, orders["kept"])]
    return Plan(matrices, vectors, rounds)


LONGER = ("two_lanes", "one_lane", "narrow_port", "all_modes_narrow", "all_modes_one_lane")
"""What sets these apart is in arrays of the fast suite, or in the other designs."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in LONGER else name for name in DESIGNS],
)
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
            extent = extent_of(plan.matrices[step.matrix], design)
            tiles = design.group_tiles if extent.plain else TILES.get(step.mode, 1)
            beats += sum(extent.beats[: extent.planes_read(step.mode)])
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


def test_the_weight_port_has_a_transfer_in_every_cycle_of_every_mode(tmp_path):
    """But for records and shifts, in which the memory port is busy, and for start and end."""
    design = DESIGNS["all_modes"]
    files = emit(design, tmp_path)
    matrices = {"packed": a_matrix(design, 48, 64, 1), "int4": an_int4_matrix(48, 64, 1)}
    matrix_of = {mode: "int4" if mode in INTEGER_MODES else "packed" for mode in MODES}
    steps = {mode: Step(matrix_of[mode], mode, "x") for mode in MODES}
    rounds = [Round(mode, IDEAL, [step]) for mode, step in steps.items()]
    rounds.append(Round("all", IDEAL, list(steps.values())))
    plan = Plan(matrices, {"x": np.ones((1, 64), np.float16)}, rounds)
    outcome = carry_out(plan, files.verilog, files.side_car, tmp_path / "sim")
    assert not any(outcome.wrong.values())
    for round_ in rounds:
        extents = [extent_of(matrices[step.matrix], design) for step in round_.steps]
        headers = sum(e.shift_beats + e.output_tiles * e.record_beats for e in extents)
        measured = outcome.measured[round_.name]
        words, beats, cycles = (measured[name] for name in ("words", "beats", "cycles"))
        assert beats == words + headers
        # A first word of each plane must have come: after a burst of each plane before it.
        assert cycles - beats < 50 + 10 * len(round_.steps)


@pytest.mark.parametrize("name", ["four_lanes", "verify_only", "all_modes"])
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
    assert set(depths) == ({"draft", "middle", "low"} if design.packs else {"draft"})
    assert {path.suffix for path in files.headers} == {".h", ".vh"}
    assert f"{files.top}_registers.vh: {{is_include_file: true}}" in files.core.read_text()
    again = emit(design, tmp_path / "again")
    assert again.verilog.read_bytes() == files.verilog.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"port_words": 1}, "AXI bus needs 2, 4, 8, 16, 32 or 64"),
        ({"modes": ("verify", "qdraft", "qverify")}, 'like packed ones: add "draft" or "middle"'),
    ],
)
def test_designs_that_are_no_accelerator_are_refused(changes, message, tmp_path):
    with pytest.raises(ParameterError, match=message):
        emit(TINY.replace(**changes), tmp_path / "new")
    assert not (tmp_path / "new").exists()
