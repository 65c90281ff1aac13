"""Trees of drafted tokens: how they grow, which path is kept, and that no token changes."""

import numpy as np
import pytest
from decoding_models import CONFIG, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from speculative_models import VOCABULARY, TableModel, model

from speq_sim.decoding import (
    Fixed,
    GoldenBackend,
    Llama,
    ModelError,
    PackedLayers,
    Tree,
    accept_greedy,
    accept_tree,
    plain,
    speculate,
    speculate_hierarchically,
)
from speq_sim.decoding.speculative.passes import Stage, run
from speq_sim.decoding.speculative.proposals import ChainDrafter, judge
from speq_sim.decoding.speculative.rules import Greedy
from speq_sim.decoding.speculative.trees import TreeDrafter

PERFECT, GOOD, BAD = 0.0, 0.1, 1.0
PROMPT = [3, 60, 17, 17, 0]
prompts = st.lists(st.integers(0, CONFIG.vocabulary - 1), min_size=1, max_size=20)
shapes = st.builds(Tree, st.integers(1, 4), st.integers(1, 4), st.integers(1, 9))
noises = st.sampled_from([PERFECT, GOOD, BAD])


@settings(max_examples=20)
@given(prompt=prompts, count=st.integers(1, 16), noise=noises, shape=shapes)
def test_tokens_are_those_of_plain_decoding(prompt, count, noise, shape):
    found = speculate(model(), model(noise, tokenwise=False), prompt, count, shape)
    assert found.tokens == plain(model(), prompt, count)
    for each in found.rounds:
        assert each.emitted == each.accepted + 1
        assert each.accepted <= each.judged <= min(shape.depth, each.drafted)
        assert each.drafted <= shape.nodes
        assert len(each.draft_passes) <= shape.depth
        assert all(tokens <= shape.width for tokens in each.draft_passes)


@settings(max_examples=20)
@given(
    prompt=prompts,
    count=st.integers(1, 24),
    pair=st.tuples(noises, noises),
    shape=shapes,
    least=st.integers(1, 7),
)
def test_hierarchical_tokens_are_those_of_plain_decoding(prompt, count, pair, shape, least):
    middle, draft = (model(noise, tokenwise=False) for noise in pair)
    found = speculate_hierarchically(
        model(), middle, draft, prompt, count, shape, min_draft_length=least
    )
    assert found.tokens == plain(model(), prompt, count)
    left = count
    for each in found.rounds:
        assert min(least, left - 1) <= each.drafted <= min(least + shape.depth, left - 1)
        left -= each.emitted


def test_tokens_are_those_of_plain_decoding_on_the_golden_model():
    weights = random_model(5)
    layers = PackedLayers.pack(weights.matrices, "fitted-8")
    target, middle, draft = (
        Llama(weights, GoldenBackend(layers, mode)) for mode in ("verify", "middle", "draft")
    )
    wanted = plain(target, PROMPT, 24)
    for shape in (Fixed(3), Tree(3, 3, 8)):
        assert speculate(target, draft, PROMPT, 24, shape).tokens == wanted
        found = speculate_hierarchically(target, middle, draft, PROMPT, 24, shape)
        assert found.tokens == wanted
        assert found.acceptance > 0.5


def held(drafter, cache, draft, target, stop=()):
    """One round on a cache: what is accepted."""
    start = cache.length
    models = {Stage.DRAFT: draft, Stage.VERIFY: target}
    proposal = run(drafter.propose(9, cache, 8), models)
    return run(judge(Stage.VERIFY, 9, proposal, cache, start, Greedy()), models)


@settings(max_examples=10)
@given(prompt=prompts, shape=shapes, noise=noises)
def test_the_cache_holds_what_the_target_wrote_and_nothing_else(prompt, shape, noise):
    drafter = TreeDrafter(shape, ())
    cache = model().cache(40, spare=drafter.spare)
    model().forward(prompt, cache, rows=0)
    judged = held(drafter, cache, model(noise), model())
    alone = model().cache(40)
    logits = model().forward([*prompt, 9, *judged.tokens[:-1]], alone)
    np.testing.assert_array_equal(np.stack(judged.logits), logits[len(prompt) :])
    assert cache.length == alone.length
    np.testing.assert_array_equal(model().forward([1], cache), model().forward([1], alone))


def test_a_tree_of_width_one_is_a_chain():
    for count in (1, 4):
        found = []
        for drafter in (
            TreeDrafter(Tree(4, 1, count), ()),
            ChainDrafter(Fixed(count), Greedy(), ()),
        ):
            cache = model().cache(40, spare=8)
            judged = held(drafter, cache, model(GOOD), model())
            found.append((judged.tokens, judged.drafted, judged.accepted, judged.judged))
        assert found[0] == found[1]


def table(rows):
    """A table of probabilities [V, V]; what is left of a row goes to its own token."""
    found = np.zeros((VOCABULARY, VOCABULARY))
    for token, row in rows.items():
        for follower, share in row.items():
            found[token, follower] = share
    found[np.arange(VOCABULARY), np.arange(VOCABULARY)] = 1 - found.sum(axis=1)
    return TableModel(found)


def grown(draft, shape, most=8, stop=()):
    cache = draft.cache(30, spare=20)
    cache.reserve(2)
    cache.advance(2)
    return run(TreeDrafter(shape, stop).propose(0, cache, most), {Stage.DRAFT: draft})


DRAFT = table({0: {1: 0.5, 2: 0.4}, 1: {3: 0.6, 4: 0.3}, 2: {5: 0.9}, 3: {6: 0.5}, 5: {7: 0.8}})


def test_growth_by_hand():
    # Level 1: 1 (0.5), 2 (0.4). Level 2: 3 (0.3), 4 (0.15), 5 (0.36), 2 again (0.04). Of these 5
    # and 3 are grown: 7 (0.288), 5 again (0.072), and 3 again and 6 (0.15 each).
    found = grown(DRAFT, Tree(3, 2, 5))
    assert found.tokens == [1, 2, 3, 5, 7]
    assert found.parents == [-1, -1, 0, 1, 3]
    everything = grown(DRAFT, Tree(3, 2, 100))
    assert everything.tokens == [1, 2, 3, 4, 5, 2, 3, 6, 7, 5]
    assert everything.parents == [-1, -1, 0, 0, 1, 1, 2, 2, 4, 4]
    assert grown(DRAFT, Tree(3, 2, 100), most=2).tokens == [1, 2, 3, 4, 5, 2]
    assert grown(DRAFT, Tree(3, 2, 100), most=0).tokens == []


@settings(max_examples=10)
@given(prompt=prompts)
def test_children_are_the_likeliest_behind_the_path_of_their_parent(prompt):
    width, depth = 3, 4
    cache = model().cache(40, spare=20)
    model().forward(prompt, cache, rows=0)
    steps = TreeDrafter(Tree(depth, width, 100), ()).propose(9, cache, depth)
    found = run(steps, {Stage.DRAFT: model()})
    assert len(found.tokens) == width + width**2 * (depth - 1)

    def path(place):
        return [] if place < 0 else [*path(found.parents[place]), found.tokens[place]]

    for parent in set(found.parents):
        logits = model().forward([*prompt, 9, *path(parent)], model().cache(), rows=1)[0]
        children = {
            token
            for token, above in zip(found.tokens, found.parents, strict=True)
            if above == parent
        }
        assert children == set(np.argsort(logits)[-width:])


def test_nothing_grows_behind_a_stop_token():
    found = grown(DRAFT, Tree(3, 2, 100), stop={5})
    # 3 and 4 are grown instead of 5; no token follows 4 but 4 itself.
    assert found.tokens == [1, 2, 3, 4, 5, 2, 3, 6, 4]
    assert found.parents == [-1, -1, 0, 0, 1, 1, 2, 2, 3]
    assert grown(DRAFT, Tree(3, 2, 100), stop={1, 2}).tokens == [1, 2]


def test_accepting_by_hand():
    logits = np.eye(VOCABULARY)[[2, 7, 5, 0, 0, 6, 6]]
    #  - 1
    #  - 2 - 4
    #      - 5 - 6 (the last node is the child of the last but one)
    tokens, parents = [1, 2, 4, 5, 1], [-1, -1, 1, 1, 3]
    assert accept_tree(tokens, parents, logits[[0, 1, 2, 3, 4, 5]]) == ([1, 3], 0)
    assert accept_tree(tokens, parents, logits[[0, 1, 2, 3, 1, 5]]) == ([1, 3], 7)
    assert accept_tree([1, 2, 4, 5, 6], parents, logits[[0, 1, 2, 3, 5, 1]]) == ([1, 3, 4], 7)
    assert accept_tree([3], [-1], logits[:2]) == ([], 2)
    assert accept_tree([], [], logits[:1]) == ([], 2)
    with pytest.raises(ModelError, match="give 2 rows"):
        accept_tree([1], [-1], logits)


@given(st.integers(0, 2**32), st.integers(0, 6))
def test_a_chain_is_the_tree_of_one_path(seed, length):
    random = np.random.default_rng(seed)
    logits = random.integers(0, 3, (length + 1, 2)).astype(np.float32)
    tokens = list(random.integers(0, 2, length))
    path, token = accept_tree(tokens, range(-1, length - 1), logits)
    verdict = accept_greedy(tokens, logits)
    assert (path, token) == (list(range(verdict.accepted)), verdict.token)


def test_judged_places_by_hand():
    # The target takes 2, then 5, then 6. At first 5 is a leaf; then 6 is no child of it.
    target = table({0: {2: 1}, 2: {5: 1}, 5: {6: 1}, 6: {0: 1}})
    found = speculate(target, DRAFT, [0], 3, Tree(3, 2, 5)).rounds[0]
    assert (found.tokens, found.drafted, found.judged) == ((2, 5, 6), 5, 2)
    found = speculate(target, DRAFT, [0], 5, Tree(3, 2, 5)).rounds[0]
    assert (found.tokens, found.drafted, found.judged) == ((2, 5, 6), 5, 3)


def test_a_tree_accepts_more_than_its_likeliest_path():
    chain = speculate(model(), model(0.3), PROMPT, 59, Fixed(3))
    tree = speculate(model(), model(0.3), PROMPT, 59, Tree(3, 3, 12))
    assert tree.accepted_length > chain.accepted_length
    assert tree.tokens == chain.tokens


def test_wrong_trees_are_refused():
    for sizes in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(
            ModelError, match=r"a tree of depth ., width .* is none: give 1 or more"
        ):
            Tree(*sizes)
    with pytest.raises(ModelError, match="a tree is judged greedily only: set the temperature to"):
        speculate(model(), model(), PROMPT, 4, Tree(), 0.7)
