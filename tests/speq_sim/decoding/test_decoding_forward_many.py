"""Several sequences, and trees, in one pass: the bits of each alone, and of each path alone."""

import numpy as np
import pytest
from decoding_models import CONFIG, TOKENS, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from speculative_models import TokenwiseBackend

from speq_sim.decoding import (
    CaptureBackend,
    FastBackend,
    GoldenBackend,
    Llama,
    ModelError,
    PackedLayers,
    Segment,
)

WEIGHTS = random_model(5)
PACKED = PackedLayers.pack(WEIGHTS.matrices, "fitted-8")
MODELS = {
    "tokenwise": Llama(WEIGHTS, TokenwiseBackend(WEIGHTS.matrices)),
    **{mode: Llama(WEIGHTS, GoldenBackend(PACKED, mode)) for mode in ("verify", "draft")},
}
token_lists = st.lists(st.integers(0, CONFIG.vocabulary - 1), min_size=1, max_size=6)


def same(found, wanted):
    assert found.dtype == wanted.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), wanted.view(np.uint32))


def after(model, prefix):
    cache = model.cache(40, spare=20)
    if prefix:
        model.forward(prefix, cache)
    return cache


@pytest.mark.parametrize("name", sorted(MODELS))
@settings(max_examples=8)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 60), max_size=5), token_lists), min_size=1, max_size=4
    )
)
def test_sequences_together_are_each_alone(name, sequences):
    model = MODELS[name]
    alone = [model.forward(tokens, after(model, prefix)) for prefix, tokens in sequences]
    caches = [after(model, prefix) for prefix, _ in sequences]
    # Some give all logits, some those of their last tokens.
    rows = [None if len(tokens) % 2 else len(tokens) // 2 for _, tokens in sequences]
    together = model.forward_many(
        [
            Segment(tokens, cache, rows=count)
            for (_, tokens), cache, count in zip(sequences, caches, rows, strict=True)
        ]
    )
    for found, wanted, count, (prefix, tokens), cache in zip(
        together, alone, rows, sequences, caches, strict=True
    ):
        same(found, wanted[0 if count is None else len(tokens) - count :])
        assert cache.length == len(prefix) + len(tokens)
    # What they wrote into the caches is the same, too.
    more = model.forward_many([Segment([7], cache) for cache in caches])
    for found, (prefix, tokens) in zip(more, sequences, strict=True):
        same(found, model.forward([*tokens, 7], after(model, prefix), rows=1))


@st.composite
def trees(draw):
    """A prefix, tokens, and for each the place of its parent: -1 for the last of the prefix."""
    prefix = draw(st.lists(st.integers(0, 60), max_size=5))
    tokens = draw(token_lists)
    parents = [draw(st.integers(-1, place - 1)) for place in range(len(tokens))]
    return prefix, tokens, parents


def path_of(place, parents):
    path = []
    while place >= 0:
        path.insert(0, place)
        place = parents[place]
    return path


@pytest.mark.parametrize("name", sorted(MODELS))
@settings(max_examples=15)
@given(trees(), st.data())
def test_every_node_of_a_tree_is_the_end_of_a_chain(name, tree, data):
    model = MODELS[name]
    prefix, tokens, parents = tree
    start = len(prefix)
    slots = [start + parent for parent in parents]
    cache = after(model, prefix)
    other = after(model, [1, 2])
    logits = model.forward_many([Segment([5, 6], other), Segment(tokens, cache, slots)])[1]
    # The same tree in two passes, the second behind slots of the first.
    split = data.draw(st.integers(0, len(tokens)))
    again = after(model, prefix)
    for part in (slice(0, split), slice(split, None)):
        if tokens[part]:
            found = model.forward_many([Segment(tokens[part], again, slots[part])])[0]
            same(found, logits[part])
    for place in range(len(tokens)):
        path = path_of(place, parents)
        chain = after(model, prefix)
        same(model.forward([tokens[node] for node in path], chain), logits[path])
        kept = cache.copy(spare=20)
        kept.keep(start, [start + node for node in path])
        assert kept.length == chain.length
        same(model.forward([9, 3], kept), model.forward([9, 3], chain))


def test_the_head_multiplies_only_what_is_asked_for():
    watched = CaptureBackend(FastBackend(WEIGHTS.matrices))
    model = Llama(WEIGHTS, watched)
    caches = [model.cache() for _ in range(3)]
    found = model.forward_many(
        [
            Segment(TOKENS, caches[0], rows=1),
            Segment(TOKENS, caches[1], rows=0),
            Segment([1, 2], caches[2]),
        ]
    )
    assert [logits.shape for logits in found] == [(1, 61), (0, 61), (2, 61)]
    assert len(watched.inputs()["head"]) == 3
    assert len(watched.inputs()["layer.1.down"]) == 2 * len(TOKENS) + 2
    assert model.forward(TOKENS, model.cache(), rows=0).shape == (0, 61)
    assert len(watched.inputs()["head"]) == 3
    assert model.forward_many([]) == []


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        (
            lambda cache: [Segment([1], cache), Segment([2], cache)],
            "two sequences .* share a cache",
        ),
        (lambda cache: [Segment([1], cache, rows=2)], "the last 2 of 1 tokens .* give 0 to 1"),
        (lambda cache: [Segment([1], cache, rows=-1)], "the last -1 of 1 tokens"),
        (lambda cache: [Segment([1, 2], cache, parents=[-1])], "no tree of 2 tokens"),
        (lambda cache: [Segment([1], MODELS["draft"].cache()), Segment([], cache)], "one or more"),
    ],
)
def test_wrong_segments_are_refused(segments, message):
    cache = MODELS["tokenwise"].cache()
    with pytest.raises(ModelError, match=message):
        MODELS["tokenwise"].forward_many(segments(cache))
    assert cache.length == 0


def broken(name, value, **changes):
    weights = random_model(5, **changes)
    weights.matrices[name] = weights.matrices[name].copy()
    weights.matrices[name][1, 1] = value
    return Llama(weights, FastBackend(weights.matrices))


@pytest.mark.parametrize(
    ("name", "value", "cause"),
    [
        ("layer.1.down", np.nan, r"layer 'layer\.1\.down' gave the first, from finite inputs: its"),
        ("head", np.inf, "layer 'head' gave the first, from finite inputs: its weights are"),
        (
            "layer.0.up",
            6e4,
            r"layer 'layer\.0\.down' .* as an activation of .*e\+0. is beyond what",
        ),
    ],
)
def test_an_infinite_logit_names_its_cause(name, value, cause):
    model = broken(name, value)
    good, bad = model.cache(), model.cache()
    with pytest.raises(ModelError, match=f"a logit of Inf or NaN: {cause}"):
        model.forward_many([Segment(TOKENS, good, rows=1), Segment([3], bad)])
    assert good.length == bad.length == 0


def test_damage_outside_of_the_matrices_is_named_even_without_logits():
    weights = random_model(5)
    weights.norms["layer.1.ffn_norm"][0] = np.nan
    model = Llama(weights, FastBackend(weights.matrices))
    with pytest.raises(ModelError, match=r"layer 'layer\.1\.gate' .* the embedding, a norm or the"):
        model.forward(TOKENS, model.cache(), rows=0)
