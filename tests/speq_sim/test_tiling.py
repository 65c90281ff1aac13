"""The streams of jobs, played on a slow model of the array, give what the golden model gives."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from speq.formats import CodeTable, Family, family
from speq.parameters import PRESETS, ParameterError, Parameters
from speq_sim import golden
from speq_sim.tiling import Job, Schedule, expected, transfers

VERIFY, DRAFT, MIDDLE, QDRAFT, QVERIFY = range(5)
EVERY_MODE = ("verify", "draft", "middle", "qdraft", "qverify")

TINY = PRESETS["tiny"].replace(family="fitted-8")
ALL = TINY.replace(modes=EVERY_MODE)


def make_family(seed):
    """Eight legal tables, under the name that the designs below have."""
    rng = np.random.default_rng(seed)
    pool = np.repeat(np.arange(8), 16)
    tables = tuple(CodeTable(tuple(rng.permutation(pool)[:64].tolist())) for _ in range(8))
    return Family("fitted-8", tables, tuple(rng.integers(0, 64, 8).tolist()))


class ArrayModel:
    """The array at the level of its definition: transfers in, transfers out, no cycles.

    It gathers what each PE row multiplies, in the order of the streams, and has the golden model
    compute that.
    """

    def __init__(self, parameters, tables):
        self.p = parameters
        self.tables = tables

    def run(self, tiles, weights, activations):
        weights, activations = iter(weights), iter(activations)
        results = []
        gathered = []
        for tile in tiles:
            tokens = range(tile["last_token"] + 1)
            words = [word for _ in range(self.p.load_cycles) for word in next(weights)["words"]]
            words = self.of_elements(tile, words)
            if tile["first"]:
                gathered = [[] for _ in tokens]
            for token in tokens:
                gathered[token] += self.multiply(tile, words, activations)
            if tile["last"]:
                results += [
                    {
                        "values": self.reduce(tile, gathered[token]),
                        "token": token,
                        "last": int(token == tokens[-1]),
                    }
                    for token in tokens
                ]
        assert next(weights, None) is None
        assert next(activations, None) is None
        return results

    def of_elements(self, tile, words):
        """What each PE holds, R x C, of the words of a tile."""
        if tile["mode"] == VERIFY:
            return np.array(words).reshape(self.p.rows, self.p.columns)
        held = np.zeros((self.p.rows, self.p.columns), dtype=int)
        if tile["mode"] == MIDDLE:
            return self.of_pairs(held, words)
        nibbles = iter([word >> place & 15 for word in words for place in (0, 4, 8, 12)])
        for quarter in range(4):
            for row in range(self.p.rows):
                for column in range(self.p.columns):
                    held[row, column] |= next(nibbles) << 4 * quarter
        return held

    def of_pairs(self, held, words):
        """High bytes, two groups of W PEs to a transfer, byte 0 of all PEs before byte 1."""
        width, elements = self.p.port_words, self.p.rows * self.p.columns
        words = iter(words)
        for byte in (0, 1):
            for pair in range(elements // width // 2):
                for place in range(width):
                    word = next(words)
                    for half in (0, 1):
                        element = (2 * pair + half) * width + place
                        held.flat[element] |= (word >> 8 * half & 0xFF) << 8 * byte
        return held

    def multiply(self, tile, words, activations):
        """Pairs of one token: (column of R weights, FP16 pattern, shift), one per product."""
        lanes, mode = self.p.draft_lanes, tile["mode"]
        if mode in (VERIFY, MIDDLE):
            used, beats, spacing = 1, 1 if mode == VERIFY else 2, 1
        else:
            used = min(lanes, 2) if mode == QVERIFY else lanes
            beats, spacing = 4 // used, lanes
        for beat in range(beats):
            transfer = next(activations)
            assert len(transfer["values"]) == self.p.columns * self.p.lanes
            elements = list(zip(transfer["values"], transfer["shifts"], strict=True))
            for column in range(self.p.columns):
                for lane in range(used):
                    value, shift = elements[column * spacing + lane]
                    elements[column * spacing + lane] = (0, 0)
                    yield self.weights(tile, words[:, column], beat * used + lane), value, shift
            assert not any(value or shift for value, shift in elements)

    def weights(self, tile, words, part):
        """What the PEs of a column multiply: patterns, or nibbles."""
        if tile["mode"] == VERIFY:
            return self.decode(tile, words)
        if tile["mode"] == MIDDLE:
            return self.decode(tile, (words >> 8 * part & 0xFF) << 8 | 0x80)
        return words >> 4 * part & 15

    def decode(self, tile, words):
        if tile["plain"]:
            return words
        return [
            (word & 0x8000) | self.cell(table, word) << 8 | word & 0xFF
            for word, table in zip(words.tolist(), tile["row_table"], strict=True)
        ]

    def cell(self, table, word):
        return self.tables.tables[table].inverse[word >> 12 & 7][word >> 8 & 15]

    def reduce(self, tile, pairs):
        weights = np.array([weight for weight, _, _ in pairs]).T
        x = np.array([[value for _, value, _ in pairs]], dtype=np.uint16).view(np.float16)
        shifts = np.array([shift for _, _, shift in pairs])
        exponents = np.array(tile["row_exponent"])
        if tile["mode"] in (QDRAFT, QVERIFY):
            assert not tile["plain"]
            assert not shifts.any()
            assert not exponents.any()
            nibbles, lanes = weights.astype(np.uint8), self.p.draft_lanes
            form = golden.qverify_format(lanes)
            if tile["mode"] == QDRAFT:
                form = golden.block_format(self.p.activation_format, lanes)
            y = golden.integer_draft(nibbles, x, form, self.p.result_format)
        elif tile["mode"] == DRAFT:
            nibbles, d = weights.astype(np.uint8), self.tables.draft_values
            form = golden.block_format(self.p.activation_format, self.p.draft_lanes)
            y = golden.draft(nibbles, d, x, shifts, exponents, form, self.p.result_format)
        else:
            values = weights.astype(np.uint16).view(np.float16)
            y = golden.verify_packed(values, x, shifts, exponents, self.p.result_format)
        return y.view(f"u{y.itemsize}")[0].tolist()


def play(parameters, jobs, tables):
    schedule = Schedule(parameters, jobs)
    results = ArrayModel(parameters, tables).run(
        transfers(schedule.tiles()),
        transfers(schedule.weights()),
        transfers(schedule.activations()),
    )
    return schedule, results


def make_activations(rng, tokens, depth, special):
    patterns = rng.integers(0, 1 << 16, (tokens, depth), dtype=np.uint16)
    finite = (patterns & 0x7C00) != 0x7C00
    return np.where(finite | special, patterns, 0).astype(np.uint16).view(np.float16)


def make_job(rng, kind, outputs, depth, tokens, tables, special=False):
    x = make_activations(rng, tokens, depth, special)
    if kind == "plain":
        patterns = rng.integers(0, 1 << 16, (outputs, depth), dtype=np.uint16)
        return Job.plain(patterns.view(np.float16), x)
    if kind in ("qdraft", "qverify"):
        nibbles = rng.integers(0, 16, (outputs, depth), dtype=np.uint8)
        return Job.integer(nibbles, x, verify=kind == "qverify")
    rest = (
        rng.integers(0, len(tables.tables), outputs),
        rng.integers(0, 16, depth),
        rng.integers(-64, 64, outputs),
    )
    if kind == "draft":
        nibbles = rng.integers(0, 16, (outputs, depth), dtype=np.uint8)
        return Job.draft(nibbles, x, tables, *rest)
    patterns = rng.integers(0, 1 << 16, (outputs, depth), dtype=np.uint16) & 0xBFFF
    make = Job.middle if kind == "middle" else Job.packed
    return make(patterns.view(np.float16), x, tables, *rest)


KINDS = {"packed": "verify"} | {mode: mode for mode in EVERY_MODE[1:]}
"""Kinds of jobs and their modes; of VERIFY also "plain"."""


def same(found, wanted):
    pattern = f"u{wanted.itemsize}"
    return found.dtype == wanted.dtype and (found.view(pattern) == wanted.view(pattern)).all()


ACTIVATIONS = {1: ["fp16"], 2: ["bfp12"], 4: ["bfp6", "bfp8", "bfp12"]}


@st.composite
def designs(draw):
    lanes = draw(st.sampled_from(list(ACTIVATIONS)))
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    elements = rows * columns
    ports = [
        words
        for words in range(1, elements // 4 + 1)
        if elements % (4 * words) == 0 and (words % columns == 0 or columns % words == 0)
    ]
    assume(ports)
    return Parameters(
        family="fitted-8",
        rows=rows,
        columns=columns,
        port_words=draw(st.sampled_from(ports)),
        draft_lanes=lanes,
        draft_activations=draw(st.sampled_from(ACTIVATIONS[lanes])),
        modes=EVERY_MODE,
        tokens=draw(st.integers(1, 3)),
        result_format=draw(st.sampled_from(["fp32", "fp16"])),
    )


@settings(max_examples=150, deadline=None)
@given(
    design=designs(),
    shapes=st.lists(
        st.tuples(
            st.sampled_from(["plain", *KINDS]),
            st.integers(1, 9),
            st.integers(1, 40),
            st.integers(1, 7),
        ),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 1 << 32),
    special=st.booleans(),
)
def test_streams_give_the_golden_results(design, shapes, seed, special):
    rng, tables = np.random.default_rng(seed), make_family(seed)
    jobs = [make_job(rng, *shape, tables, special) for shape in shapes]
    schedule, results = play(design, jobs, tables)
    wanted = [expected(job, design) for job in jobs]
    for found, matrix in zip(schedule.collect(results), wanted, strict=True):
        assert same(found, matrix)
    # What a bench compares with, padded rows and all, is the same to the bit.
    assert results == list(transfers(schedule.results(["values", "token", "last"])))


def test_mode_changes_at_every_tile():
    design, tables = ALL, make_family(7)
    rng = np.random.default_rng(7)
    kinds = ["draft", "packed", "middle", "plain", "draft", "qdraft", "qverify"]
    jobs = [
        make_job(
            rng,
            kind,
            design.rows,
            design.tile_depth(KINDS.get(kind, "verify")),
            min(1 + index, 5),
            tables,
        )
        for index, kind in enumerate(kinds)
    ]
    schedule, results = play(design, jobs, tables)
    tiles = schedule.tiles()
    assert tiles["mode"].tolist() == [1, 0, 2, 0, 1, 1, 3, 3, 4, 4]  # 5 tokens take two passes
    assert tiles["plain"].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert tiles["first"].all()
    assert tiles["last"].all()
    assert tiles["last_token"].tolist() == [0, 1, 2, 3, 3, 0, 3, 0, 3, 0]
    for found, wanted in zip(schedule.collect(results), schedule.expected(), strict=True):
        assert same(found, wanted)


def test_word_order_of_a_draft_tile():
    """Spelled out for R = C = 2, L = 2: 8 inputs in two beats, quarter after quarter.

    The rows' draft weights are 0..7 and 8..15: column 0 takes k = 0, 1 and 4, 5.
    """
    design = Parameters(rows=2, columns=2, port_words=1, draft_lanes=2, family="fitted-8")
    x = np.arange(8, dtype=np.uint16).view(np.float16)[None, :]
    nibbles = np.arange(16, dtype=np.uint8).reshape(2, 8)
    schedule = Schedule(design, [Job.draft(nibbles, x, make_family(0))])
    assert schedule.weights()["words"].tolist() == [[0xA820], [0xB931], [0xEC64], [0xFD75]]
    assert schedule.activations()["values"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_word_order_of_a_middle_tile():
    """Spelled out for R = 4, C = 2, W = 2: 4 inputs in two beats.

    Groups of two PEs are the rows here. A pair of rows comes in one transfer: first inputs 0 and 1
    (byte 0) of rows 0 and 1, then of rows 2 and 3, then inputs 2 and 3 (byte 1).
    """
    design = Parameters(
        rows=4, columns=2, port_words=2, modes=("verify", "middle"), family="fitted-8"
    )
    tables = make_family(0)
    values = (np.arange(16, dtype=np.uint16).reshape(4, 4) << 8).view(np.float16)
    x = np.arange(4, dtype=np.uint16).view(np.float16)[None, :]
    job = Job.middle(values, x, tables, [0] * 4)
    byte = job.codes.astype(int)
    assert Schedule(design, [job]).weights()["words"].tolist() == [
        [byte[0, 0] | byte[1, 0] << 8, byte[0, 1] | byte[1, 1] << 8],
        [byte[2, 0] | byte[3, 0] << 8, byte[2, 1] | byte[3, 1] << 8],
        [byte[0, 2] | byte[1, 2] << 8, byte[0, 3] | byte[1, 3] << 8],
        [byte[2, 2] | byte[3, 2] << 8, byte[2, 3] | byte[3, 3] << 8],
    ]
    assert Schedule(design, [job]).activations()["values"].tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("lanes", "beats"),
    [
        (1, [[0, 1], [2, 3], [4, 5], [6, 7]]),
        (2, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (4, [[0, 1, 0, 0, 4, 5, 0, 0], [2, 3, 0, 0, 6, 7, 0, 0]]),
    ],
)
def test_beats_of_a_qverify_tile(lanes, beats):
    """Spelled out for C = 2; the words are those of DRAFT and of QDRAFT."""
    design = Parameters(
        rows=2, columns=2, port_words=1, draft_lanes=lanes, modes=EVERY_MODE, family="fitted-8"
    )
    x = np.arange(8, dtype=np.uint16).view(np.float16)[None, :]
    nibbles = np.arange(16, dtype=np.uint8).reshape(2, 8)
    verify, draft = (Schedule(design, [Job.integer(nibbles, x, verify=v)]) for v in (True, False))
    assert verify.activations()["values"].tolist() == beats
    packed = Schedule(design, [Job.draft(nibbles, x, make_family(0))])
    for stream in ("weights", "activations"):
        for name, wanted in getattr(packed, stream)().items():
            np.testing.assert_array_equal(getattr(draft, stream)()[name], wanted)
    np.testing.assert_array_equal(verify.weights()["words"], packed.weights()["words"])


def test_padding_words_are_zero_in_the_table_of_their_row():
    design = Parameters(rows=4, columns=4, port_words=4, family="fitted-8")
    tables = make_family(3)
    values = np.full((2, 3), 0.75, dtype=np.float16)
    job = Job.packed(values, np.ones((1, 3), np.float16), tables, [5, 2])
    words = Schedule(design, [job]).weights()["words"]
    codes = [tables.tables[index].codes[0] for index in (5, 2)]
    assert words[:2, 3].tolist() == [code << 12 for code in codes]
    assert (words[2:] == tables.tables[0].codes[0] << 12).all()
    # Of MIDDLE the high bytes: transfer 0 has rows 0 and 1, byte 1 is inputs 4..7.
    middle = Job.middle(values, np.ones((1, 3), np.float16), tables, [5, 2])
    words = Schedule(design.replace(modes=EVERY_MODE), [middle]).weights()["words"]
    pair = codes[0] << 4 | codes[1] << 12
    assert words[0, 3] == words[2, 0] == words[2, 3] == pair
    assert (words[1::2] == tables.tables[0].codes[0] * 0x1010).all()


def test_a_design_without_draft_runs_plain_jobs():
    design = TINY.verify_only()
    rng = np.random.default_rng(1)
    job = make_job(rng, "plain", 5, 9, 6, make_family(1))
    schedule, results = play(design, [job], make_family(1))
    assert same(schedule.collect(results)[0], expected(job, design))
    chosen = schedule.tiles(["first", "last", "last_token"])
    assert list(chosen) == ["first", "last", "last_token"]
    with pytest.raises(ValueError, match="but not 'colour'"):
        schedule.tiles(["colour"])


def test_results_out_of_order_are_refused():
    design, tables = TINY, make_family(1)
    job = make_job(np.random.default_rng(1), "plain", 4, 4, 3, tables)
    schedule, results = play(design, [job], tables)
    assert same(schedule.collect(schedule.results())[0], expected(job, design))
    with pytest.raises(ValueError, match="2 results were collected, but the jobs give 3"):
        schedule.collect(results[:2])
    with pytest.raises(ValueError, match="result 1 has token = 2, but must have 1"):
        schedule.collect([results[0], results[2], results[1]])
    with pytest.raises(ValueError, match="result 2 has last = 0, but must have 1"):
        schedule.collect([*results[:2], results[2] | {"last": 0}])


def test_jobs_that_a_design_cannot_run():
    tiny, tables = TINY, make_family(1)
    rng = np.random.default_rng(1)
    with pytest.raises(ParameterError, match="mode 'draft' is not built into design"):
        Schedule(tiny.verify_only(), [make_job(rng, "draft", 4, 4, 1, tables)])
    for mode in ("middle", "qdraft", "qverify"):
        with pytest.raises(ParameterError, match=f"mode '{mode}' is not built into design 'tiny'"):
            Schedule(tiny, [make_job(rng, mode, 4, 4, 1, tables)])
    integers = tiny.replace(modes=("verify", "qdraft", "qverify"))
    for design in (tiny.verify_only(), integers):
        with pytest.raises(ParameterError, match=r"neither .* and so no decoder of packed words"):
            Schedule(design, [make_job(rng, "packed", 4, 4, 1, tables)])
    middle = tiny.replace(modes=("verify", "middle"))
    assert Schedule(middle, [make_job(rng, "packed", 4, 4, 1, tables)]).expected()
    with pytest.raises(ParameterError, match=r"decodes family 'fitted-8', but .* with 'bsfp'"):
        Schedule(tiny, [make_job(rng, "draft", 4, 4, 1, family("bsfp"))])
    with pytest.raises(ValueError, match="there are no jobs"):
        Schedule(tiny, [])


def test_jobs_with_wrong_parts():
    tables = make_family(1)
    x = np.ones((2, 4), np.float16)
    with pytest.raises(ValueError, match="weights have K = 3 columns and activations 4"):
        Job.plain(np.ones((2, 3), np.float16), x)
    with pytest.raises(ValueError, match="M = 0, N = 2, K = 4 cannot be run"):
        Job.plain(np.ones((2, 4), np.float16), x[:0])
    with pytest.raises(TypeError, match=r"weights are float32 .* but must be .* float16"):
        Job.plain(np.ones((2, 4), np.float32), x)
    with pytest.raises(ValueError, match="nibbles reach 16"):
        Job.draft(np.full((2, 4), 16, np.uint8), x, tables)
    with pytest.raises(ValueError, match="nibbles reach 16"):
        Job.integer(np.full((2, 4), 16, np.uint8), x, verify=True)
    with pytest.raises(ValueError, match="magnitude 2 or above"):
        Job.middle(np.full((2, 4), 2.0, np.float16), x, tables)
    with pytest.raises(ValueError, match=r"row tables reach from 0 to 8, but .* 0\.\.7"):
        Job.draft(np.zeros((2, 4), np.uint8), x, tables, [0, 8])
    with pytest.raises(ValueError, match=r"column shifts reach from 0 to 16"):
        Job.packed(np.zeros((2, 4), np.float16), x, tables, shifts=np.array([0, 0, 0, 16]))


@pytest.mark.parametrize("plain", [True, False])
def test_a_dot_product_that_could_overflow_is_refused(plain):
    depth = 65_536
    for extra in (0, 1):
        activations = np.zeros((1, depth + extra), np.float16)
        weights = np.zeros((1, depth + extra), np.float16 if plain else np.uint8)
        make = Job.plain if plain else lambda w, x: Job.draft(w, x, family("bsfp"))
        if extra:
            with pytest.raises(ValueError, match="K 65536 at most: split a longer matrix along k"):
                make(weights, activations)
        else:
            assert make(weights, activations).depth == depth
