"""Composed areas: sums of parts, lines in the shape, and near flattened runs."""

import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.baselines.parameters import PRESETS as BASELINES
from speq.parameters import PRESETS, Parameters
from speq.variants import ablation
from speq_sim.decoding.errors import ModelError
from speq_sim.performance.area import DATA, AreaModel, sram_bits
from speq_sim.performance.area_parts import BASELINE_PARTS, IN_ROW, PARTS, shape_of, variant_of

RESULTS = Path(__file__).parents[3] / "docs" / "results"
LIMIT = 0.03
MODEL = AreaModel.load()
SMALL = PRESETS["small"].replace(pipeline=1)
VARIANTS = list(ablation(SMALL).values())


def shaped(design: Parameters, rows: int, columns: int, words: int, tokens: int) -> Parameters:
    return design.replace(
        rows=rows, columns=columns, port_words=words, tokens=tokens, activation_values=1 << 16
    )


def flat(file: str) -> dict:
    return json.loads((RESULTS / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("label", list(ablation(SMALL)))
def test_near_the_flattened_ablation(label: str) -> None:
    measured = flat("ablation-small-pipeline-1.json")["variants"][label]
    found = MODEL.area(ablation(SMALL)[label])
    assert found.transistors == pytest.approx(measured["transistors"], rel=LIMIT)
    assert found.area == pytest.approx(measured["area"], rel=LIMIT)
    assert found.flip_flops == pytest.approx(measured["flip_flops"], rel=0.001)
    assert found.extrapolated == ()


def test_near_the_flattened_array_with_spare_codes() -> None:
    found = MODEL.area(SMALL.replace(family="spare-1"))
    assert found.transistors == pytest.approx(
        flat("area-small-spare.json")["transistors"], rel=LIMIT
    )
    assert found.transistors < MODEL.area(SMALL).transistors


@pytest.mark.parametrize("name", list(BASELINES))
def test_near_the_flattened_baselines(name: str) -> None:
    measured = next(
        each for each in flat("baselines.json")["designs"] if each["design"]["name"] == name
    )
    found = MODEL.baseline_area(BASELINES[name])
    assert found.transistors == pytest.approx(measured["transistors"], rel=LIMIT)
    assert found.area == pytest.approx(measured["area"], rel=LIMIT)
    assert found.flip_flops == measured["flip_flops"]
    assert found.sram_bits == 0


def test_parts_at_a_measured_shape_are_those_of_the_hierarchical_run() -> None:
    found = {part.name: part for part in MODEL.area(SMALL).parts}
    measured = {
        part["module"].removeprefix("speq_small_"): part
        for part in flat("area-small-pipeline-1.json")["parts"]
    }
    for name in ("pe", "multiplier", "column", "round", "decoder"):
        own = measured[name]["own_cells_of_all_instances"]
        assert found[name].instances == measured[name]["instances"]
        assert found[name].flip_flops == pytest.approx(own["flip_flops"])
        # The names of a module's wires alone move the mapping by a per cent or two.
        assert found[name].transistors == pytest.approx(own["transistors"], rel=0.03)


@pytest.mark.parametrize(
    "design", [*VARIANTS, PRESETS["server"].replace(pipeline=1)], ids=lambda each: each.name
)
def test_an_array_is_the_sum_of_its_parts(design: Parameters) -> None:
    found = MODEL.area(design)
    record = found.as_dict()
    assert record["transistors"] == pytest.approx(
        sum(part["transistors"] for part in record["parts"].values()), abs=20
    )
    assert found.area == pytest.approx(sum(part.area for part in found.parts))
    assert (
        record["combinational_transistors"] + record["flip_flop_transistors"]
        == (record["transistors"])
    )
    present = {part.name for part in PARTS if part.count(design)}
    assert set(record["parts"]) == present


def test_rows_and_elements_count_once_for_each_instance() -> None:
    design = SMALL
    wide = shaped(design, 32, 8, 8, 8)
    small = {part.name: part for part in MODEL.area(design).parts}
    large = {part.name: part for part in MODEL.area(wide).parts}
    for name in IN_ROW:
        assert large[name].transistors == pytest.approx(4 * small[name].transistors)
        assert large[name].area == pytest.approx(4 * small[name].area)
    assert large["column"] == small["column"]


@pytest.mark.parametrize("design", VARIANTS, ids=lambda each: each.name)
def test_flip_flops_are_exact_at_shapes_not_measured(design: Parameters) -> None:
    """A PE has 64, a column or a row has as many in any shape, an accumulator 100."""
    few, more = (shaped(design, 8, 24, 8, tokens) for tokens in (16, 32))
    added = MODEL.area(more).flip_flops - MODEL.area(few).flip_flops
    # Sixteen accumulators of 97 bits and 3 flags per row; a token's number in five stages, the
    # sequencer's counter and the two headers is a bit longer.
    assert added == pytest.approx(8 * 16 * 100 + 8, abs=1)


SIZES = st.sampled_from([4, 8, 12, 16, 24, 32, 48])


@settings(deadline=None, max_examples=60)
@given(
    design=st.sampled_from(VARIANTS),
    rows=SIZES,
    columns=SIZES,
    tokens=st.integers(2, 60),
    more=st.integers(1, 4),
)
def test_larger_shapes_are_larger(
    design: Parameters, rows: int, columns: int, tokens: int, more: int
) -> None:
    base = MODEL.area(shaped(design, rows, columns, 4, tokens))
    for grown in (
        shaped(design, rows + 4 * more, columns, 4, tokens),
        shaped(design, rows, columns + 4 * more, 4, tokens),
        shaped(design, rows, columns, 4, tokens + more),
    ):
        found = MODEL.area(grown)
        assert found.transistors > base.transistors
        assert found.area > base.area
        assert found.flip_flops > base.flip_flops


@settings(deadline=None, max_examples=40)
@given(rows=SIZES, columns=SIZES, words=st.sampled_from([1, 2]), more=st.sampled_from([2, 4]))
def test_a_wider_port_of_packed_words_is_larger(
    rows: int, columns: int, words: int, more: int
) -> None:
    """Decoders outweigh the enables of fewer groups."""
    narrow, wide = (
        MODEL.area(shaped(SMALL, rows, columns, each, 8)).parts
        for each in (words, words * more // 2)
    )
    decoders = [
        next(p.transistors for p in parts if p.name == "decoder") for parts in (narrow, wide)
    ]
    assert decoders[1] == pytest.approx(decoders[0] * more / 2)


@given(rows=SIZES, columns=SIZES)
def test_more_lanes_are_larger(rows: int, columns: int) -> None:
    """Of activations of 12 bits (11 with one lane): shorter ones save more than a lane costs."""
    draft = SMALL
    areas = [
        MODEL.area(shaped(design, rows, columns, 4, 8)).transistors
        for design in (
            draft.verify_only(),
            draft.replace(draft_lanes=1),
            draft.replace(draft_lanes=2, draft_activations="bfp12"),
            draft.replace(draft_activations="bfp12"),
        )
    ]
    assert areas == sorted(areas)
    assert len(set(areas)) == 4


def test_sizes_beyond_those_measured_are_said() -> None:
    within = MODEL.area(shaped(SMALL, 64, 64, 16, 16))
    beyond = MODEL.area(shaped(SMALL, 128, 128, 64, 8))
    assert within.extrapolated == ()
    assert "reduce: C = 128" in beyond.extrapolated
    assert not any(text.startswith("pe:") for text in beyond.extrapolated)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"family": "bsfp"}, "bsfp"),
        ({"result_format": "fp16"}, "fp16"),
        ({"modes": ("verify", "middle", "qdraft", "qverify")}, "verify+middle+qdraft"),
    ],
)
def test_what_was_not_measured_is_refused(changes: dict, part: str) -> None:
    with pytest.raises(ModelError, match="never measured: run scripts/measure_parts") as refusal:
        MODEL.area(SMALL.replace(**changes))
    assert part in str(refusal.value)


def test_an_accumulator_of_another_width_is_refused() -> None:
    with pytest.raises(ModelError, match="sum=24"):
        MODEL.baseline_area(BASELINES["olive4"].replace(accumulator_bits=24))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("{}", "no record of parts"),
        ('{"library": "x", "rows": {}, "baselines": {}, "parts": {"pe": {"any": [[1]]}}}', "long"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "parts.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        AreaModel.load(path)
    with pytest.raises(ModelError, match="cannot be read"):
        AreaModel.load(tmp_path / "absent.json")


def test_memories_are_those_of_the_manual() -> None:
    """docs/accelerator.md: `edge` has 160, 512, 128 and 4 Kbit."""
    edge = PRESETS["edge"]
    assert sram_bits(edge) == (160 + 512 + 128 + 4) << 10
    assert MODEL.area(edge.replace(pipeline=1)).sram_bits == sram_bits(edge)
    # One FIFO of four bursts, no column shifts.
    assert sram_bits(edge.verify_only()) == (64 + 512 + 4) << 10


def test_each_figure_has_one_record() -> None:
    """A shape that is measured twice would weigh twice."""
    record = json.loads(DATA.read_text(encoding="utf-8"))
    for group, parts in (("parts", PARTS), ("baselines", BASELINE_PARTS)):
        assert set(record[group]) == {part.name for part in parts}
        for part in parts:
            for key, rows in record[group][part.name].items():
                shapes = [tuple(row[:5]) for row in rows]
                assert len(set(shapes)) == len(rows), (part.name, key)


def test_fits_stand_on_more_than_they_need() -> None:
    residuals = MODEL.residuals()
    assert residuals["reduce"] < LIMIT
    assert residuals["accumulate"] < LIMIT
    assert all(math.isfinite(each) for each in residuals.values())


def test_shape_and_variant() -> None:
    shape = shape_of(SMALL.replace(tokens=5))
    assert (shape["G"], shape["log2 M"], shape["log2 C"]) == (8, 3, 3)
    assert variant_of(SMALL) == "verify+draft L4 bfp6"
    assert variant_of(SMALL.verify_only()) == "verify"


def test_a_thousand_points_take_less_than_a_second() -> None:
    points = [
        shaped(design, rows, columns, 4, tokens)
        for design in VARIANTS[:5]
        for rows in (4, 8, 16, 32, 64)
        for columns in (8, 16, 32, 64)
        for tokens in (1, 2, 4, 8, 12, 16, 20, 24, 28, 32)
    ]
    begun = time.process_time()
    areas = [MODEL.area(point).transistors for point in points]
    assert time.process_time() - begun < 1.0
    assert len(areas) == 1000


def test_depths_are_parts_of_their_own() -> None:
    deep = SMALL.replace(pipeline=4)
    depends = {"pe", "multiplier", "reduce", "accumulate", "round", "column", "stages", "array"}
    flat = deep.replace(pipeline=1)
    assert {part.name for part in PARTS if part.key(deep) != part.key(flat)} == depends
    record = json.loads(DATA.read_text(encoding="utf-8"))
    record["rows"] = {}
    with pytest.raises(ModelError, match=r"row \(.* pipeline=4\) that was never measured"):
        AreaModel(record).area(deep)
    for part in PARTS:
        keys = record["parts"][part.name]
        keys[part.key(deep)] = keys[part.key(flat)]
    record["rows"][variant_of(deep)] = [[8, 1.0]]
    assert AreaModel(record).area(deep).transistors == MODEL.area(flat).transistors


def test_products_in_dsp_blocks_are_no_standard_cells() -> None:
    with pytest.raises(ModelError, match="products are in DSP blocks"):
        MODEL.area(SMALL.replace(target="fpga", pipeline=4))
