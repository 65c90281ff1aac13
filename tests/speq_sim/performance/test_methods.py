"""Methods at their limits: no computing, acceptances of 1 and 0, no draft; and monotony."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from performance_toys import BITS, TOY, ToyEngine, bytes_alone

from speq_sim.decoding import ModelError
from speq_sim.performance.dram import Dram
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Chain, Hierarchy, Plain, Setting, Tree
from speq_sim.performance.speculation import expected_tokens
from speq_sim.performance.transformer import recipe_of

SPEQ = Chain("SPEQ", "draft", "verify")
HIERARCHY = Hierarchy("hierarchy", "draft", "middle", "verify")
VERIFIED = Plain("verified", "verify")
WEIGHTS = sum(n * k for n, k in TOY.matrix_shapes().values())

chances = st.floats(0, 1)


def read(form: str, tokens: int, context: int) -> float:
    """Bytes of a pass, by hand."""
    norms, embedding = 5 * 8 * 4, tokens * 8 * 2
    kept = 2 * 2 * 4 * 2 * (context + 2 * tokens)  # those of the pass are written, then read
    return WEIGHTS * BITS[form] / 8 + norms + embedding + kept


@pytest.mark.parametrize("length", [1, 3, 8])
@pytest.mark.parametrize("acceptance", [0.0, 0.5, 0.976, 1.0])
def test_with_infinite_computing_speedup_is_the_ratio_of_bytes(acceptance, length):
    setting = Setting(TOY, context=20, acceptance=acceptance, draft_length=length)
    machine = bytes_alone(1e12)
    plain, speq = VERIFIED.cost(setting, machine), SPEQ.cost(setting, machine)
    drafts = length * read("draft", 1, 20)
    tokens = expected_tokens(acceptance, length)
    by_hand = read("verify", 1, 20) * tokens / (drafts + read("verify", length + 1, 20))
    assert plain.seconds_per_token / speq.seconds_per_token == pytest.approx(by_hand, rel=1e-2)
    moved = [sum(cost.bytes_per_token.values()) for cost in (plain, speq)]
    assert moved[0] / moved[1] == pytest.approx(by_hand)


def test_acceptance_of_one_gives_every_draft_and_one_more():
    setting = Setting(TOY, acceptance=1.0, draft_length=7)
    assert SPEQ.cost(setting, bytes_alone()).round.tokens == 8
    # The longer the better: draft passes alone are the limit.
    best = SPEQ.cost(dataclasses.replace(setting, draft_length=None, longest=20), bytes_alone())
    assert best.round.settings == {"draft_length": 20}


def test_acceptance_of_zero_makes_plain_decoding_the_best():
    setting = Setting(TOY, acceptance=0.0)
    best = SPEQ.cost(setting, bytes_alone())
    assert best.round.settings == {"draft_length": 0}
    assert best.seconds_per_token == VERIFIED.cost(setting, bytes_alone()).seconds_per_token


@given(st.integers(0, 200), st.integers(1, 5), chances)
def test_no_draft_is_plain_decoding(context, batch, acceptance):
    setting = Setting(TOY, context, batch, acceptance, draft_length=0)
    machine = Machine(ToyEngine(3.0, 2.0), Dram.ideal(7.0))
    plain, speq = VERIFIED.cost(setting, machine), SPEQ.cost(setting, machine)
    assert speq.seconds_per_token == plain.seconds_per_token
    assert speq.by_bound == plain.by_bound
    assert speq.round.tokens == 1


@given(chances, chances, st.floats(0.1, 100))
def test_more_acceptance_is_never_slower(first, second, rate):
    machine = Machine(ToyEngine(rate, 1.0), Dram.ideal(10.0))
    for method in (SPEQ, HIERARCHY):
        worse, better = (
            method.cost(Setting(TOY, acceptance=each, longest=6), machine).seconds_per_token
            for each in sorted((first, second))
        )
        assert better <= worse * (1 + 1e-9)


@given(chances, st.integers(1, 8), st.floats(0.1, 100))
def test_the_best_length_is_no_slower_than_any(acceptance, length, rate):
    machine = Machine(ToyEngine(rate), Dram.ideal(10.0))
    setting = Setting(TOY, acceptance=acceptance, longest=8)
    best = SPEQ.cost(setting, machine)
    given_ = SPEQ.cost(dataclasses.replace(setting, draft_length=length), machine)
    assert best.seconds_per_token <= given_.seconds_per_token


def test_early_stop_by_hand():
    setting = Setting(TOY, acceptance=0.5, draft_length=2, stop=0.25)
    cost = SPEQ.cost(setting, bytes_alone(1e12))
    passes = [(each.kind, each.spec.tokens, each.count) for each in cost.round.passes]
    assert passes == [("draft", 1, 1.75), ("verify", 2, 0.25), ("verify", 3, 0.75)]
    assert cost.round.tokens == pytest.approx(1 + 0.5 + 0.75 * 0.25)


def test_a_batch_waits_for_its_longest_draft():
    setting = Setting(TOY, batch=2, draft_length=2, stop=0.25)
    cost = SPEQ.cost(setting, bytes_alone(1e12))
    assert [each.count for each in cost.round.passes[1:]] == [0.0625, 0.9375]


def test_a_hierarchy_by_hand_where_everything_is_accepted():
    setting = Setting(
        TOY, context=20, acceptance=1.0, middle_acceptance=1.0, draft_length=2, minimum=6
    )
    cost = HIERARCHY.cost(setting, bytes_alone(1e12))
    # Two inner rounds of three tokens, judged at once, and one of the target's own.
    assert cost.round.tokens == 7
    kinds = [
        (each.kind, each.spec.form, each.spec.tokens, each.count) for each in cost.round.passes
    ]
    assert kinds == [
        ("draft", "draft", 1, 4), ("middle", "middle", 3, 2), ("verify", "verify", 7, 1),
    ]  # fmt: skip
    moved = 4 * read("draft", 1, 20) + 2 * read("middle", 3, 20) + read("verify", 7, 20)
    assert sum(cost.bytes_per_token.values()) == pytest.approx(moved / 7)
    by_kind = cost.seconds_by_kind()
    assert sum(by_kind.values()) == pytest.approx(cost.seconds_per_token)


def test_a_tree_by_hand():
    setting = Setting(TOY, context=20, acceptance=0.5)
    tree = Tree("tree", "qverify", depth=3, width=4, nodes=9).cost(setting, bytes_alone())
    assert tree.round.tokens == pytest.approx(1 + 0.5 + 0.25 + 0.125)
    passes = [(each.kind, each.spec.tokens, each.count) for each in tree.round.passes]
    assert passes == [("draft", 1, 1.0), ("draft", 4, 2), ("verify", 9, 1.0)]
    drafter = tree.round.passes[0].spec
    assert drafter.config.layers == 1
    assert drafter.extra == ((8, 16, "fp16"),)


def test_a_recipe_is_of_the_draft_pass_alone():
    setting = Setting(TOY, draft_length=2, recipe=recipe_of({"head": "middle"}))
    draft, verify = SPEQ.cost(setting, bytes_alone()).round.passes
    assert draft.spec.recipe
    assert not verify.spec.recipe


def test_tokens_of_a_batch_share_the_bytes_of_weights():
    machine = bytes_alone(1e12)
    one, four = (VERIFIED.cost(Setting(TOY, context=0, batch=batch), machine) for batch in (1, 4))
    assert four.bytes_per_token["weights"] == one.bytes_per_token["weights"] / 4
    assert four.bytes_per_token["kv"] == one.bytes_per_token["kv"]
    assert sum(four.by_bound.values()) == pytest.approx(four.seconds_per_token)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acceptance": 1.5}, r"acceptance is 1\.5, but must be a number from 0 to 1"),
        ({"middle_acceptance": -0.1}, "acceptance of the middle model is -0.1"),
        ({"draft_length": -1}, "draft length is -1, but must be an integer from 0 to 256"),
        ({"longest": 0}, "longest draft is 0"),
        ({"stop": 2.0}, "chance to stop is 2.0, but must be a number from 0 to 1"),
        ({"minimum": 0}, "least tokens of a chain is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"context": -1}, "context is -1"),
    ],
)
def test_refusals(change, message):
    with pytest.raises(ModelError, match=message):
        Setting(TOY, **change)
