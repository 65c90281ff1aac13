"""The space of designs, figures of points, fronts, and files that a later run goes on with."""

import dataclasses
import itertools
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from performance_toys import TOY

from speq.parameters import ParameterError, check_accelerator
from speq_sim.decoding import ModelError
from speq_sim.exploration_plot import plot_exploration
from speq_sim.performance import design_space
from speq_sim.performance.area import AreaModel
from speq_sim.performance.design_space import METHOD_MODES, Point, Space
from speq_sim.performance.dram_presets import find_dram
from speq_sim.performance.exploration import Conditions, Figures, Result, evaluate
from speq_sim.performance.exploration_file import ExplorationFile
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Setting
from speq_sim.performance.models import model_config
from speq_sim.performance.pareto import best_within, pareto_front, smallest_as_fast, thinned
from speq_sim.performance.predicting import predict
from speq_sim.performance.unit_engine import UnitEngine

SMALL = Space(
    rows=(4, 8),
    columns=(4, 8),
    port_words=(2, 4, 8),
    tokens=(4,),
    draft_lanes=(1, 4),
    units=(1, 2),
)
CONDITIONS = Conditions(Setting(TOY, context=16, acceptance=0.8, longest=4))
POINT = Point(
    memory="lpddr5",
    method="speq",
    rows=8,
    columns=8,
    port_words=8,
    tokens=8,
    draft_lanes=4,
    modes=("verify", "draft"),
    units=2,
    draft_length=None,
    clock_mhz=500.0,
)


def result(transistors, speed, name=0, bits=0):
    figures = Figures(
        seconds_per_token=1 / speed if speed else 1e9,
        tokens_per_second=speed,
        transistors=transistors,
        extrapolated=False,
        sram_bits=bits,
        joules_per_token=1.0,
        limited_by="memory",
        settings={},
    )
    return Result(dataclasses.replace(POINT, units=name), figures)


@st.composite
def results(draw):
    small = st.integers(0, 6)
    figures = draw(st.lists(st.tuples(small, small, small), max_size=30))
    return [
        result(transistors, speed, name, bits)
        for name, (transistors, speed, bits) in enumerate(figures)
    ]


def beats(one, other):
    area = one.figures.transistors, other.figures.transistors
    speed = one.figures.tokens_per_second, other.figures.tokens_per_second
    return (
        area[0] <= area[1] and speed[0] >= speed[1] and (area[0] < area[1] or speed[0] > speed[1])
    )


def place(each):
    return each.figures.transistors, each.figures.tokens_per_second


# The space -------------------------------------------------------------------------------------


def test_the_default_space_has_ten_thousand_designs():
    points, refused = Space().points(model_config("llama-2-7b"))
    assert len(points) >= 10_000
    assert len({point.key for point in points}) == len(points)
    assert {"port_words", "rows * columns / port_words"} <= set(refused)
    assert {point.method for point in points} == {"fp16", "speq", "hierarchical", "qspec"}


def test_points_are_the_legal_combinations_and_the_others_are_counted():
    points, refused = SMALL.points(TOY)
    every = [
        (method, rows, columns, words, lanes, units)
        for method in SMALL.methods
        for rows in (4, 8)
        for columns in (4, 8)
        for words in (2, 4, 8)
        for lanes in ((1,) if method == "fp16" else (1, 4))
        for units in (1, 2)
    ]
    assert len(points) + sum(refused.values()) == len(every)
    # W divides C; a tile of a design beyond FP16 loads in quarters, which R = 4 always gives.
    legal = [each for each in every if each[2] % each[3] == 0]
    found = [(p.method, p.rows, p.columns, p.port_words, p.draft_lanes, p.units) for p in points]
    assert found == legal
    for point in points:
        design = point.design(TOY)
        check_accelerator(design)
        assert design.modes == tuple(m for m in _ordered() if m in METHOD_MODES[point.method])


def _ordered():
    return "verify", "draft", "middle", "qdraft", "qverify"


def test_buffers_hold_all_tokens_of_a_tile():
    config = model_config("llama-2-7b")
    values = POINT.design(config).activation_values
    padded = 344 * 32  # 11,008 inputs are whole groups of 4 * 8
    assert values == 131072
    assert 8 * padded <= values < 16 * padded


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Point)])
def test_each_field_is_in_the_key(field):
    others = {"memory": "ddr5", "method": "fp16", "modes": ("verify",), "draft_length": 3}
    changed = others.get(field) or 3 * getattr(POINT, field)
    assert dataclasses.replace(POINT, **{field: changed}).key != POINT.key


def test_a_point_keeps_its_key():
    assert POINT.key == "lpddr5/speq/r8/c8/w8/m8/l4/verify+draft/u2/dbest/500MHz"


def test_a_table_of_clocks_goes_by_columns():
    space = dataclasses.replace(SMALL, clock_mhz={4: 600.0, 8: 450.0})
    clocks = {(p.columns, p.design(TOY).clock_mhz) for p in space.points(TOY)[0]}
    assert clocks == {(4, 600.0), (8, 450.0)}


def test_sets_of_modes_without_what_a_method_needs_are_none():
    sets = (("verify", "draft"), ("verify", "draft", "middle"))
    space = dataclasses.replace(SMALL, modes=sets, rows=(8,), columns=(8,), port_words=(8,))
    points, refused = space.points(TOY)
    assert refused == {"modes": 1 * 4 + 2 * 4}  # hierarchical without MIDDLE; QSpec in both
    speq = {p.modes for p in points if p.method == "speq"}
    assert speq == {("verify", "draft"), ("verify", "draft", "middle")}


def test_designs_of_unknown_area_are_none(monkeypatch):
    known = SMALL.points(TOY)[0]

    class Partial:
        def area(self, design):
            if "middle" in design.modes:
                raise ModelError("never measured")

    design_space._is_measured.cache_clear()
    monkeypatch.setattr(design_space, "areas", Partial)
    points, refused = SMALL.points(TOY)
    design_space._is_measured.cache_clear()
    assert points == [point for point in known if "middle" not in point.modes]
    assert refused["area"] == len(known) - len(points) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": ()}, "the space has no rows"),
        ({"methods": ("olive8",)}, "method 'olive8' is not explored: use fp16, speq"),
        ({"memories": ("sdram",)}, "memory 'sdram' is unknown"),
        ({"units": (0,)}, "units is 0, but must be an integer from 1 to 1024"),
        ({"clock_mhz": {4: 500.0}}, "the table of clocks has no 8 columns"),
    ],
)
def test_bad_spaces_are_one_error(changes, message):
    with pytest.raises(ModelError, match=message):
        dataclasses.replace(SMALL, **changes)


# Figures ---------------------------------------------------------------------------------------


def test_figures_are_those_of_the_prediction_and_of_the_area():
    setting = CONDITIONS.setting
    design = POINT.design(TOY)
    for length in (None, 2):
        (found,) = evaluate(CONDITIONS, [dataclasses.replace(POINT, draft_length=length)])
        machine = Machine(UnitEngine(design, 2), find_dram("lpddr5"))
        wanted = predict("speq", dataclasses.replace(setting, draft_length=length), machine)
        area = AreaModel.load().area(design)
        assert found.figures == Figures(
            seconds_per_token=wanted.seconds_per_token,
            tokens_per_second=wanted.tokens_per_second,
            transistors=2 * area.transistors,
            extrapolated=False,
            sram_bits=2 * area.sram_bits,
            joules_per_token=wanted.energy.joules,
            limited_by=wanted.cost.limited_by,
            settings=dict(wanted.cost.round.settings),
        )
        assert length is None or found.figures.settings == {"draft_length": length}


def test_results_survive_json():
    (found,) = evaluate(CONDITIONS, [POINT])
    assert Result.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_three_hundred_points_take_seconds():
    setting = Setting(model_config("llama-2-7b"))
    every = Space().points(setting.config)[0]
    points = every[:: len(every) // 300][:300]
    assert {point.method for point in points} == set(Space.methods)
    begin = time.process_time()
    evaluate(Conditions(setting), points)
    assert time.process_time() - begin < 8


# Fronts ----------------------------------------------------------------------------------------


@given(results())
def test_the_front_is_what_nothing_beats(every):
    front = pareto_front(every)
    wanted = {place(each) for each in every if not any(beats(other, each) for other in every)}
    assert [place(each) for each in front] == sorted(wanted)


@given(results(), st.randoms())
def test_the_front_does_not_depend_on_the_order(every, random):
    shuffled = list(every)
    random.shuffle(shuffled)
    assert pareto_front(shuffled) == pareto_front(every)
    assert best_within(shuffled) == best_within(every)


@given(results(), st.one_of(st.none(), st.integers(0, 7)))
def test_the_best_is_the_fastest_that_fits_and_lies_on_the_front(every, budget):
    best = best_within(every, budget)
    fitting = [each for each in every if budget is None or each.figures.transistors <= budget]
    if not fitting:
        assert best is None
        return
    assert best in fitting
    assert not any(place(other)[1] > place(best)[1] for other in fitting)
    assert best in pareto_front(every)


@given(results(), st.integers(0, 7))
def test_the_smallest_of_a_speed_is_the_first_of_the_front_that_has_it(every, speed):
    wanted = [each for each in pareto_front(every) if place(each)[1] >= speed]
    assert smallest_as_fast(every, speed) == (wanted[0] if wanted else None)


@given(results(), st.sampled_from([0.0, 0.3, 1.0]))
def test_a_thinned_front_keeps_the_ends_and_large_steps(every, gain):
    front = pareto_front(every)
    kept = thinned(front, gain)
    assert [each for each in front if each in kept] == kept
    assert (kept[:1], kept[-1:]) == (front[:1], front[-1:])
    speeds = [place(each)[1] for each in kept[:-1]]
    assert all(b >= (1 + gain) * a for a, b in itertools.pairwise(speeds))
    for each in front:
        before = [other for other in kept if place(other)[0] <= place(each)[0]]
        assert each in kept or place(each)[1] < (1 + gain) * place(before[-1])[1]
    assert thinned(front, 0.0) == front


# Files -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    return evaluate(CONDITIONS, SMALL.points(TOY)[0][::7])


def test_a_file_gives_back_what_it_was_given(tmp_path, found):
    path = tmp_path / "new" / "a.jsonl"
    file = ExplorationFile(path, CONDITIONS)
    file.add(found[:4])
    file.add(found[4:])
    again = ExplorationFile(path, CONDITIONS)
    assert list(again.results.values()) == found == list(file.results.values())


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_an_interrupted_file_loses_the_last_line_alone(tmp_path_factory, found, data):
    path = tmp_path_factory.mktemp("cut") / "a.jsonl"
    ExplorationFile(path, CONDITIONS).add(found)
    content = path.read_bytes()
    left = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:left])
    whole = max(content[:left].count(b"\n") - 1, 0)
    file = ExplorationFile(path, CONDITIONS)
    assert list(file.results.values()) == found[:whole]
    file.add(found[whole:])
    assert path.read_bytes() == content


def test_other_conditions_leave_the_file_as_it_is(tmp_path, found, monkeypatch):
    path = tmp_path / "a.jsonl"
    ExplorationFile(path, CONDITIONS).add(found)
    before = path.read_bytes()
    setting = CONDITIONS.setting
    for other, key in (
        (Conditions(dataclasses.replace(setting, acceptance=0.7)), "acceptance: 0.8, now 0.7"),
        (dataclasses.replace(CONDITIONS, kv_bits=8), "kv_bits: 16, now 8"),
    ):
        with pytest.raises(ModelError, match=rf"a\.jsonl was made under other .*{key}.*name anoth"):
            ExplorationFile(path, other)
    monkeypatch.setattr("speq_sim.performance.exploration_file._model_version", lambda: "0")
    with pytest.raises(ModelError, match=r"other conditions \(model_version"):
        ExplorationFile(path, CONDITIONS)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["text", "[1]\n", '{"conditions": 3}\n', "{}\n"])
def test_another_file_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(ModelError, match=r"a\.jsonl holds no results of explore"):
        ExplorationFile(path, CONDITIONS)
    assert path.read_text() == content


def test_a_damaged_line_is_no_result(tmp_path, found):
    path = tmp_path / "a.jsonl"
    ExplorationFile(path, CONDITIONS).add(found)
    with path.open("a") as file:
        file.write('{"key": "x"}\n')
    with pytest.raises(ModelError, match="holds no results of explore"):
        ExplorationFile(path, CONDITIONS)


def test_the_plot_is_a_png(tmp_path, found):
    path = tmp_path / "plots" / "a.png"
    plot_exploration(path, {"speq": found}, title="toy", budget=1e5, best=found[0])
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_illegal_point_has_no_design():
    with pytest.raises(ParameterError, match="port_words is 3"):
        dataclasses.replace(POINT, port_words=3).design(TOY)
