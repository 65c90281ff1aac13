"""The formula of the accelerator's cycles: parts, limits, monotony, refusals, and the record."""

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from speq.formats.image import Extent
from speq.modes import INTEGER_MODES, MODES
from speq.parameters import PRESETS, ParameterError, Parameters
from speq_sim.decoding import ModelError
from speq_sim.performance.unit_cycles import chain_cycles, unit_cycles

SMALL = PRESETS["small"].replace(modes=MODES)
RECORD = Path(__file__).parents[3] / "docs" / "results" / "cycles.json"

designs = st.sampled_from(
    [
        SMALL,
        PRESETS["edge"],
        PRESETS["server"],
        SMALL.replace(draft_lanes=1, port_words=4, outstanding=2, burst_beats=16),
        Parameters(
            rows=4, columns=16, port_words=8, modes=MODES, draft_lanes=2, result_format="fp16"
        ),
        SMALL.replace(modes=("verify",)),
    ]
)


@st.composite
def jobs(draw):
    design = draw(designs)
    mode = draw(st.sampled_from(design.modes))
    tokens = draw(st.integers(1, design.tokens))
    outputs, inputs = draw(st.integers(1, 600)), draw(st.integers(1, 600))
    return design, outputs, inputs, mode, tokens


@given(jobs(), st.booleans())
def test_parts_are_positive_and_counts_are_those_of_the_image(job, keep):
    design, outputs, inputs, mode, tokens = job
    found = unit_cycles(*job, keep=keep)
    parts = (found.activations, found.headers, found.tiles, found.fixed)
    assert found.total == sum(parts)
    assert min(parts) >= 0
    assert found.fixed > 0
    extent = Extent(
        design, outputs, inputs, plain=not design.packs, int4=mode in INTEGER_MODES and design.packs
    )
    planes = {"verify": 3, "middle": 2}.get(mode, 1)
    assert found.beats == sum(extent.beats[:planes])
    assert found.words == sum(extent.beats[:planes]) - (
        extent.shift_beats + extent.output_tiles * extent.record_beats
    )
    assert found.packet == (0 if keep else tokens * extent.groups * design.group_inputs) // (
        design.port_words
    )
    assert found.total > max(found.beats, found.words)
    assert chain_cycles([found]) == found.total


@given(jobs(), st.integers(0, 300), st.integers(0, 300), st.integers(0, 7))
def test_more_work_never_takes_less(job, more_outputs, more_inputs, more_tokens):
    design, outputs, inputs, mode, tokens = job
    most = min(design.tokens, tokens + more_tokens)
    assume(most * (inputs + more_inputs + design.group_inputs) <= design.activation_values)
    less = unit_cycles(*job)
    # A VERIFY job waits more or less for its last burst of the draft plane, whatever its size.
    spare = less.late if mode == "verify" else 0
    for grown in (
        (outputs + more_outputs, inputs, tokens),
        (outputs, inputs + more_inputs, tokens),
        (outputs, inputs, most),
    ):
        more = unit_cycles(design, grown[0], grown[1], mode, grown[2])
        assert more.total >= less.total - spare
        assert more.words >= less.words
        assert more.beats >= less.beats


@given(designs, st.data())
def test_large_layers_take_the_steady_state_of_the_closed_formulas(design, data):
    mode = data.draw(st.sampled_from(design.modes))
    tokens = data.draw(st.integers(1, min(4, design.tokens)))
    inputs = design.group_inputs * 16
    first, second = (
        unit_cycles(design, output_tiles * design.rows, inputs, mode, tokens)
        for output_tiles in (20_000, 40_000)
    )
    tiles = 20_000 * inputs // (design.tile_depth(mode) if design.packs else design.columns)
    steady = tiles * design.tile_cycles(mode, tokens)
    records = 20_000 * -(-design.rows // design.port_words) if design.packs else 0
    assert steady <= second.total - first.total <= steady + records
    assert second.tiles - first.tiles == steady
    load_bound = design.load_cycles >= design.compute_cycles(mode, tokens)
    assert second.bound == ("load" if load_bound else "compute")


def test_results_can_be_the_bound():
    # Two beats a token and output tile of one tile of eight words, in FP32.
    found = unit_cycles(SMALL, 800, 32, "draft", 8)
    assert found.bound == "results"
    assert found.tiles == 100 * SMALL.load_cycles + 99 * (8 * 2 - SMALL.load_cycles - 1)
    assert unit_cycles(SMALL.replace(result_format="fp16"), 800, 32, "draft", 8).bound == "load"


def test_latency_moves_the_start_alone_unless_activations_hide_it():
    near, far = (unit_cycles(SMALL, 64, 64, "verify", 1, latency=n) for n in (1, 101))
    assert far.total == near.total + 100
    late = [unit_cycles(SMALL, 64, 1024, "draft", 8, latency=n).total for n in (1, 101)]
    assert late[0] == late[1]


def test_kept_activations_take_no_time():
    sent, kept = (unit_cycles(SMALL, 64, 512, "draft", 8, keep=keep) for keep in (False, True))
    assert sent.packet == 8 * 512 // 8
    assert kept.packet == kept.activations == 0
    assert sent.total - kept.total == sent.activations > 0


def test_jobs_in_a_row_hide_packets_start_and_end():
    job = unit_cycles(SMALL, 256, 512, "draft", 1)
    many = chain_cycles([job] * 4)
    assert many == job.total + 3 * (job.tiles + job.headers)
    wide = unit_cycles(SMALL, 8, 2000, "draft", 8)  # its packet takes longer than its work
    assert chain_cycles([wide] * 4) > 4 * wide.packet
    exact = unit_cycles(SMALL, 256, 512, "verify", 8)
    ahead = exact.tiles + exact.headers
    assert chain_cycles([exact, exact]) == exact.total + ahead
    # Nothing was fetched ahead behind a job that takes every beat as it comes.
    bare = unit_cycles(SMALL, 256, 512, "draft", 1, keep=True)
    assert chain_cycles([bare, exact]) - chain_cycles([bare]) >= ahead + exact.prefetch


def test_what_the_unit_refuses_is_refused():
    for changed, message in (
        ({"outputs": 0}, "outputs is 0"),
        ({"inputs": 0}, "inputs is 0"),
        ({"inputs": 65_537}, "inputs is 65537"),
        ({"tokens": 0}, "tokens is 0"),
        ({"tokens": 9}, "tokens is 9"),
        ({"latency": 0}, "latency is 0"),
    ):
        values = {"outputs": 8, "inputs": 8, "mode": "draft", "tokens": 1} | changed
        with pytest.raises(ModelError, match=message):
            unit_cycles(SMALL, **values)
    with pytest.raises(ParameterError, match="mode 'middle' is not built into design 'edge'"):
        unit_cycles(PRESETS["edge"], 8, 8, "middle", 1)
    with pytest.raises(ParameterError, match="plain words are verified: use 'verify'"):
        unit_cycles(SMALL, 8, 8, "draft", 1, plain=True)
    with pytest.raises(ParameterError, match="activation_values is 16384, but 8 tokens of 2049"):
        unit_cycles(SMALL, 8, 2049, "draft", 8)
    with pytest.raises(ParameterError, match="port_words is 1"):
        unit_cycles(SMALL.replace(port_words=1), 8, 8, "draft", 1)
    with pytest.raises(ValueError, match="there are no jobs"):
        chain_cycles([])


def test_the_record_is_what_the_formula_gives():
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    made = {name: Parameters.from_mapping(each) for name, each in record["designs"].items()}
    modes = set()
    for entry in (*record["points"], *record["chains"]):
        found = []
        for job in entry["jobs"]:
            modes.add((entry["design"], job["mode"]))
            sizes = (job["outputs"], job["inputs"], job["mode"], job["tokens"])
            switches = {"plain": job["plain"], "keep": job["keep"]}
            found.append(unit_cycles(made[entry["design"]], *sizes, **switches))
        assert chain_cycles(found) == entry["predicted"], entry
        assert abs(entry["predicted"] / entry["measured"] - 1) <= 0.03
    assert len(record["points"]) >= 24
    assert {(name, mode) for name in ("small", "edge") for mode in MODES} <= modes
    errors = [abs(each["predicted"] / each["measured"] - 1) for each in record["points"]]
    assert record["largest_error"] == pytest.approx(max(errors), abs=1e-5)
