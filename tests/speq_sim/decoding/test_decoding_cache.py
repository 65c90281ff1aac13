"""The cache: positions, trees behind them, and one path that is kept."""

import numpy as np
import pytest
from decoding_models import CONFIG

from speq_sim.decoding import KVCache, ModelError


def filled(count, parents=None, cache=None, mark=0):
    """A cache whose slot s holds s + mark in every place."""
    cache = KVCache(CONFIG, 20, spare=10) if cache is None else cache
    cache.reserve(count, parents)
    slots = np.arange(cache.length, cache.length + count) + mark
    rows = np.broadcast_to(slots[:, None, None], (count, CONFIG.kv_heads, CONFIG.head_dim))
    for layer in range(CONFIG.layers):
        cache.write(layer, rows, -rows)
    cache.advance(count)
    return cache


def held(cache):
    """What a layer holds by slot, once seen that all layers and heads hold the same."""
    cache.reserve(1)
    free = np.zeros((1, CONFIG.kv_heads, CONFIG.head_dim))
    found = [cache.write(layer, free, free) for layer in range(CONFIG.layers)]
    values = found[0][0][0, :-1, 0]
    for keys, negatives in found:
        np.testing.assert_array_equal(
            keys[:, :-1], np.broadcast_to(values[:, None], keys[:, :-1].shape)
        )
        np.testing.assert_array_equal(negatives[:, :-1], -keys[:, :-1])
    return list(values)


def test_a_tree_behind_positions():
    cache = filled(3)
    #     2 - 3 - 4 - 7
    #           `- 5
    #       `- 6
    np.testing.assert_array_equal(cache.reserve(3, [2, 3, 3]), [3, 4, 4])
    filled(3, [2, 3, 3], cache)
    np.testing.assert_array_equal(cache.reserve(2, [2, 4]), [3, 5])
    filled(2, [2, 4], cache)
    assert cache.length == 8
    assert [cache.seen(slot) for slot in (0, 3, 4)] == [slice(1), slice(4), slice(5)]
    np.testing.assert_array_equal(cache.seen(5), [0, 1, 2, 3, 5])
    np.testing.assert_array_equal(cache.seen(6), [0, 1, 2, 6])
    np.testing.assert_array_equal(cache.seen(7), [0, 1, 2, 3, 4, 7])
    twin = cache.copy(20, 10)
    cache.keep(3, [3, 4, 7])
    assert held(cache) == [0, 1, 2, 3, 4, 7]
    np.testing.assert_array_equal(cache.reserve(2), [6, 7])
    assert cache.seen(7) == slice(8)
    twin.keep(3, [6])
    assert held(twin) == [0, 1, 2, 6]
    np.testing.assert_array_equal(twin.reserve(1), [4])


def test_a_tree_from_the_first_slot():
    cache = filled(4, [-1, -1, 0, 1])
    np.testing.assert_array_equal(cache.seen(3), [1, 3])
    cache.keep(0, [1, 3])
    assert held(cache) == [1, 3]


def test_a_cut_forgets_a_tree():
    cache = filled(3)
    filled(3, [2, 2, 2], cache)
    cache.cut(4)
    assert cache.seen(3) == slice(4)
    np.testing.assert_array_equal(cache.reserve(2), [4, 5])
    assert cache.seen(5) == slice(6)


def test_what_was_reserved_and_not_written_is_forgotten():
    cache = filled(3)
    cache.reserve(3, [2, 2, 2])
    np.testing.assert_array_equal(cache.reserve(3), [3, 4, 5])
    assert cache.seen(5) == slice(6)


def test_a_copy_is_its_own():
    cache = filled(3)
    twin = cache.copy(5)
    assert (twin.capacity, twin.length, twin.config) == (5, 3, CONFIG)
    cache.cut(1)
    filled(2, cache=cache, mark=100)
    assert held(cache) == [0, 101, 102]
    assert held(twin) == [0, 1, 2]
    assert cache.copy().capacity == 20
    with pytest.raises(ModelError, match="3 positions do not fit into a copy of 2"):
        cache.copy(2)


def test_spare_slots_are_no_positions():
    cache = KVCache(CONFIG, 4, spare=3)
    assert cache.capacity == 4
    with pytest.raises(
        ModelError, match="5 tokens behind 0 positions do not fit into a cache of 4"
    ):
        cache.reserve(5)
    filled(4, [-1, 0, 1, 2], cache)
    np.testing.assert_array_equal(cache.reserve(3, [2, 2, 2]), [3, 3, 3])
    for parents in ([3, 2, 2], [2, 2, 2, 2]):
        with pytest.raises(ModelError, match="tokens behind 4 positions do not fit"):
            cache.reserve(len(parents), parents)


@pytest.mark.parametrize("parents", [[2], [2, 4], [2, -2], [-1, 5]])
def test_what_is_no_tree_is_refused(parents):
    with pytest.raises(ModelError, match="are no tree of 2 tokens behind 3 slots"):
        filled(3).reserve(2, parents)


@pytest.mark.parametrize(
    ("start", "path"), [(3, [4, 5]), (3, [3, 6]), (2, [3]), (5, [6]), (3, [7]), (9, []), (-1, [0])]
)
def test_what_is_no_path_is_refused(start, path):
    cache = filled(3)
    filled(4, [2, 2, 3, 4], cache)
    with pytest.raises(ModelError, match="are no path behind"):
        cache.keep(start, path)
