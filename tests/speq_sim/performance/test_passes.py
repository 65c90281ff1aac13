"""Bytes of passes: by hand on a toy model, and the closed formula of speculative decoding."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speq.parameters import ParameterError, Parameters
from speq_sim.decoding import Generation, LlamaConfig, ModelError, RopePairing, Round
from speq_sim.performance import (
    Costs,
    PassCost,
    draft_bits,
    draft_cost,
    matrix_bytes,
    predicted_speedup,
)

TOY = LlamaConfig(
    hidden=6,
    layers=1,
    heads=3,
    kv_heads=1,
    head_dim=2,
    intermediate=5,
    vocabulary=10,
    context=64,
    rope_theta=10000.0,
    norm_epsilon=1e-5,
    tied_head=False,
    rope_pairing=RopePairing.HALVES,
)
"""q, o 6 x 6; k, v 2 x 6; gate, up 5 x 6; down 6 x 5; head 10 x 6: 246 weights."""

WIDE = dataclasses.replace(
    TOY, hidden=4096, heads=32, kv_heads=1, head_dim=128, intermediate=16384, vocabulary=32000,
    context=2048,
)  # fmt: skip
"""A model whose cache and integers are next to nothing beside its weights."""

ALL = {name: "verify" for name in TOY.matrix_shapes()}


def test_a_matrix_by_hand():
    # 7 x 5: three bytes of nibbles a row; two bytes of exponent and table a row, one a column.
    assert matrix_bytes((7, 5), "draft") == 7 * 3 + 7 * 2 + 5 + 7 * 4
    assert matrix_bytes((7, 5), "middle") == 7 * 6 + 7 * 2 + 5
    assert matrix_bytes((7, 5), "verify") == 7 * 6 + 35 + 7 * 2 + 5
    assert matrix_bytes((7, 5), "plain") == 70
    assert matrix_bytes((7, 5), "qdraft") == matrix_bytes((7, 5), "qverify") == 7 * 3 + 7 * 2
    assert matrix_bytes((7, 5), "qdraft", group=4) == 7 * 3 + 7 * 2 * 2
    with pytest.raises(ModelError, match="mode 'half' is not counted: use one of draft, middle"):
        matrix_bytes((7, 5), "half")


def test_a_pass_by_hand():
    plain = PassCost.of(TOY, "plain")
    # Three norms of FP32; a row of the embedding, and keys and values in FP16, of every token.
    others = 3 * 6 * 4
    assert plain.position_bytes == 8
    assert plain.bytes(1, 0) == 2 * 246 + others + 12 + 8
    assert plain.bytes(4, 20) == 2 * 246 + others + 4 * 12 + (20 + 4) * 8
    rows, columns = 6 * 3 + 2 * 2 + 5 * 2 + 10, 6 * 7 + 5
    nibbles = 123 + 3  # down has rows of five
    draft = PassCost.of(TOY, "draft")
    assert draft.weights == {"draft": nibbles + 6 * rows + columns}
    assert draft.bytes(1, 7) == nibbles + 6 * rows + columns + others + 12 + 8 * 8


def test_recipes_and_layers_that_are_not_packed():
    bits = {"head": "middle", "layer.0.down": "verify"}
    cost = PassCost.of(TOY, "draft", bits, plain=["layer.0.q"])
    assert cost.weights["middle"] == matrix_bytes((10, 6), "middle")
    assert cost.weights["verify"] == matrix_bytes((6, 5), "verify")
    assert cost.weights["plain"] == 72
    assert draft_bits(TOY) == 4
    assert draft_bits(TOY, ALL) == 16
    expected = (4 * (246 - 60 - 30 - 36) + 8 * 60 + 16 * 30 + 16 * 36) / 246
    assert draft_bits(TOY, bits, ["layer.0.q"]) == pytest.approx(expected)


def test_four_bit_matrices_with_a_head_in_half_precision():
    cost = PassCost.of(TOY, "qdraft", plain=["head"], group=4)
    layers = sum(
        matrix_bytes(shape, "qdraft", 4)
        for name, shape in TOY.matrix_shapes().items()
        if name != "head"
    )
    assert cost.weights == {"qdraft": layers, "plain": 120}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"tail": "draft"}, "the recipe names layer 'tail', which the model has not"),
        ({"head": "plain"}, "in mode 'plain': use one of draft, middle, verify"),
    ],
)
def test_wrong_recipes(recipe, message):
    for function in (lambda: PassCost.of(TOY, "draft", recipe), lambda: draft_bits(TOY, recipe)):
        with pytest.raises(ModelError, match=message):
            function()


def test_a_generation_by_hand():
    draft, target = PassCost.of(TOY, "draft"), PassCost.of(TOY, "verify")
    plain = PassCost.of(TOY, "plain")
    rounds = (Round((1, 2, 3), 2, 2, 2, (1, 1)), Round((4,), 1, 0, 1, (1,)))
    found = Generation(rounds)
    costs = Costs(plain, target, draft)
    # A prompt of 5: 4 positions are there before the first round, 7 before the second.
    bytes_moved = 2 * draft.bytes(1, 4 + 2) + target.bytes(3, 4)
    bytes_moved += draft.bytes(1, 7 + 1) + target.bytes(2, 7)
    assert costs.bytes(found, 5) == bytes_moved
    plain_bytes = sum(plain.bytes(1, context) for context in (4, 5, 6, 7))
    assert predicted_speedup(found, 5, costs) == pytest.approx(plain_bytes / bytes_moved)


def test_a_middle_model_by_hand():
    draft, middle, target = (PassCost.of(TOY, mode) for mode in ("draft", "middle", "verify"))
    found = Generation((Round((1, 2, 3), 2, 2, 2, (1,), (2,)),))
    costs = Costs(target, target, draft, middle)
    assert costs.bytes(found, 3) == (
        draft.bytes(1, 2 + 2) + middle.bytes(2, 2 + 2) + target.bytes(3, 2)
    )
    for missing, kind in ((Costs(target, target, draft), "middle"), (Costs(target, target), "dra")):
        with pytest.raises(ModelError, match=f"has {kind}.* passes, whose cost was not given"):
            missing.bytes(found, 3)


def test_plain_decoding_is_as_fast_as_itself():
    cost = PassCost.of(TOY, "plain")
    found = Generation(tuple(Round((token,), 0, 0, 0) for token in range(9)))
    assert predicted_speedup(found, 4, Costs(cost, cost)) == 1


@pytest.mark.parametrize("length", [1, 2, 3, 5])
@pytest.mark.parametrize("mode", ["draft", "middle", "verify"])
def test_the_closed_formula_of_leviathan(length, mode):
    # Of 2**L rounds in which each token is accepted with chance 1/2, these are the expected ones.
    lengths = [n for n in range(length) for _ in range(2 ** (length - n - 1))] + [length]
    rounds = tuple(
        Round((0,) * (n + 1), length, n, min(n + 1, length), (1,) * length) for n in lengths
    )
    found = Generation(rounds)
    assert found.tokens_per_round == (1 - 0.5 ** (length + 1)) / (1 - 0.5)
    target = PassCost.of(WIDE, "verify")
    costs = Costs(target, target, PassCost.of(WIDE, mode))
    cost = {"draft": 0.25, "middle": 0.5, "verify": 1}[mode]
    expected = found.tokens_per_round / (length * cost + 1)
    assert predicted_speedup(found, 10, costs) == pytest.approx(expected, rel=3e-3)


def test_the_cost_of_a_draft():
    assert draft_cost(WIDE, None, 100) == pytest.approx(0.25, rel=3e-3)
    assert draft_cost(TOY, ALL, 100) == 1
    verify, draft = PassCost.of(TOY, "verify"), PassCost.of(TOY, "draft")
    assert draft_cost(TOY, None, 50) == draft.bytes(1, 50) / verify.bytes(1, 50)
    # A long context costs the same in both.
    assert draft_cost(TOY, None, 10**9) == pytest.approx(1, abs=1e-6)


@st.composite
def generations(draw):
    rounds = []
    for _ in range(draw(st.integers(1, 6))):
        drafted = draw(st.integers(0, 6))
        accepted = draw(st.integers(0, drafted))
        judged = accepted + (accepted < drafted)
        rounds.append(Round((0,) * (accepted + 1), drafted, accepted, judged, (1,) * drafted))
    return Generation(tuple(rounds))


@settings(deadline=None)
@given(found=generations(), prompt=st.integers(1, 50), all_planes=st.booleans())
def test_a_draft_that_reads_everything_gains_nothing(found, prompt, all_planes):
    target = PassCost.of(TOY, "verify")
    draft = PassCost.of(TOY, "draft", ALL) if all_planes else PassCost.of(TOY, "verify")
    for plain in (target, PassCost.of(TOY, "plain")):
        assert predicted_speedup(found, prompt, Costs(plain, target, draft)) <= 1


def test_a_copy_is_counted_as_given():
    cost = PassCost.copied(TOY, 1000)
    assert cost.bytes(2, 3) == 1000 + 72 + 2 * 12 + 5 * 8
    design = Parameters(name="mine", rows=4, columns=4, port_words=4, tokens=4)
    assert cost.time(100, 3, design) == cost.bytes(100, 3)


def test_a_design_is_slower_where_a_pass_is_longer_than_its_array():
    # 16 words, 4 a cycle: loading and computing are equal at 4 tokens with full lanes.
    design = Parameters(
        name="mine", rows=4, columns=4, port_words=4, tokens=4, modes=("verify", "draft")
    )
    assert design.balance_tokens("verify") == 4
    for mode in ("verify", "plain", "draft"):
        cost = PassCost.of(TOY, mode)
        weights = sum(cost.weights.values())
        assert cost.time(4, 9, design) == cost.bytes(4, 9)
        assert cost.time(6, 9, design) == cost.bytes(6, 9) + weights / 2
    single = design.replace(draft_lanes=1)
    draft = PassCost.of(TOY, "draft")
    assert draft.time(2, 0, single) == draft.bytes(2, 0) + sum(draft.weights.values())
    with pytest.raises(ParameterError):
        PassCost.of(TOY, "middle").time(1, 0, design)
