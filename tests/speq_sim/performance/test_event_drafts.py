"""The steps of event runs are those of the decoder's own loop, pass by pass.

The decoder runs without a model here: it is sent logits by which a judge accepts all or nothing.
"""

import numpy as np
import pytest
from performance_toys import TOY

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.speculative import Fixed, Tree
from speq_sim.decoding.speculative.loop import Continuation
from speq_sim.decoding.speculative.passes import Stage
from speq_sim.decoding.speculative.proposals import ChainDrafter, Gatherer, NoDraft
from speq_sim.decoding.speculative.rules import rule_of
from speq_sim.decoding.speculative.trees import TreeDrafter
from speq_sim.performance import event_drafts
from speq_sim.performance.events import Request, serve

RULE = rule_of(0.0, 0)
SPARE = 64


def decoded(proposer, count: int, accepting: dict[Stage, bool]):
    """Passes of the decoder (kind, tokens, cache before) and tokens of its rounds."""
    cache = KVCache(TOY, 1 + count, np.float16, SPARE)
    cache.reserve(1)
    cache.advance(1)
    steps = Continuation([1, 1], cache, count, proposer, RULE, ()).whole()
    passes, request = [], next(steps)
    try:
        while True:
            passes.append((request.stage.name.lower(), request.tokens, cache.length))
            cache.reserve(request.tokens, request.segment.parents)
            cache.advance(request.tokens)
            logits = np.zeros((request.tokens, TOY.vocabulary))
            if not accepting.get(request.stage, True):
                logits[:, -1] = 1  # all drafts are of token 0, 1, ...: never the last one
            request = steps.send(logits)
    except StopIteration as end:
        return passes, [each.emitted for each in end.value.rounds]


def simulated(draft, count: int):
    passes = []

    def noted(kind, tokens, contexts):
        passes.append((kind, tokens, *contexts))
        return 1.0

    run = serve(draft, noted, [Request(count, context=1)], batch=1)
    return passes, run.round_tokens


def assert_same(proposer, draft, count: int, accepting: dict[Stage, bool]) -> None:
    passes, emitted = decoded(proposer, count, accepting)
    found, round_tokens = simulated(draft, count)
    assert found == passes
    assert round_tokens == {tokens: emitted.count(tokens) for tokens in emitted}


@pytest.mark.parametrize("count", [1, 2, 9, 20])
@pytest.mark.parametrize("accepts", [False, True])
def test_chains(accepts, count):
    assert_same(
        ChainDrafter(Fixed(4), RULE, ()),
        event_drafts.ChainDraft(float(accepts), 4),
        count,
        {Stage.VERIFY: accepts},
    )


def test_plain_decoding():
    assert_same(NoDraft(), event_drafts.NoDraft(), 5, {})


@pytest.mark.parametrize("count", [1, 2, 3, 20])
@pytest.mark.parametrize("nodes", [4, 29])
@pytest.mark.parametrize("accepts", [False, True])
def test_trees(accepts, nodes, count):
    # Of a flat distribution, four nodes are the first level and one child of its first node.
    depths = {29: 3, 4: 2}
    levels = tuple(float(accepts and level < depths[nodes]) for level in range(3))
    assert_same(
        TreeDrafter(Tree(depth=3, width=3, nodes=nodes), ()),
        event_drafts.TreeDraft(levels, width=3, nodes=nodes),
        count,
        {Stage.VERIFY: accepts},
    )


@pytest.mark.parametrize("count", [1, 2, 6, 7, 8, 30])
@pytest.mark.parametrize("middle_accepts", [False, True])
@pytest.mark.parametrize("target_accepts", [False, True])
def test_hierarchies(target_accepts, middle_accepts, count):
    # A middle model that rejects gives the last token; so must a target that accepts it.
    target_agrees = target_accepts == middle_accepts
    assert_same(
        Gatherer(ChainDrafter(Fixed(3), RULE, ()), RULE, (), 6),
        event_drafts.HierarchyDraft(
            event_drafts.ChainDraft(float(middle_accepts), 3), float(target_agrees), 6
        ),
        count,
        {Stage.MIDDLE: middle_accepts, Stage.VERIFY: target_accepts},
    )
