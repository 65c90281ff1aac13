"""scripts/decode_rtl.py: what it compares and counts, and a whole run on a toy model."""

import json

import numpy as np
import pytest

import decode_rtl
from speq.parameters import ParameterError
from speq_sim.decoding import LlamaConfig, LlamaWeights, ModelError, RopePairing
from speq_sim.decoding.rtl_backend import Pass

CONFIG = LlamaConfig(
    hidden=32,
    layers=1,
    heads=4,
    kv_heads=2,
    head_dim=8,
    intermediate=56,
    vocabulary=19,
    context=32,
    rope_theta=10000.0,
    norm_epsilon=1e-5,
    tied_head=False,
    rope_pairing=RopePairing.HALVES,
)
TINY = ["tiny", "--set", "modes=['verify','draft','middle']", "--set", "port_words=2"]


def a_model():
    generator = np.random.default_rng(3)

    def half(shape):
        return (generator.standard_normal(shape) * shape[1] ** -0.5).astype(np.float16)

    matrices = {name: half(shape) for name, shape in CONFIG.matrix_shapes().items()}
    norms = {name: np.ones(CONFIG.hidden, np.float32) for name in CONFIG.norm_names()}
    embedding = half((CONFIG.vocabulary, CONFIG.hidden))
    return LlamaWeights(CONFIG, embedding, matrices, norms, "random")


class Scaled:
    """A back end of one matrix, off by a factor in one layer."""

    def __init__(self, name="", factor=1.0):
        self.name, self.factor = name, factor
        self.matrices = a_model().matrices

    def multiply(self, name, x):
        found = (x @ self.matrices[name].T.astype(np.float32)).astype(np.float32)
        return found * np.float32(self.factor if name == self.name else 1)


def decoded(backend):
    backends = {"verify": backend, "draft": Scaled()}
    return decode_rtl.decode(a_model(), backends, "speq", [3, 7, 1], 6, 2)


def test_what_is_equal_is_counted():
    found = decode_rtl.compared(decoded(Scaled()), decoded(Scaled()))
    assert found["same_tokens"]
    assert found["bit_exact"]
    # The draft is perfect: two rounds of two drafts and a pass of three; the prompt has no head.
    assert (found["products"], found["logits"]) == (2 * 3 * 8 + 7, 2 * (2 + 3) * CONFIG.vocabulary)


@pytest.mark.parametrize(("name", "first"), [("head", 1), ("layer.0.q", 2)])
def test_the_last_bit_of_a_single_layer_is_seen(name, first):
    found = decode_rtl.compared(decoded(Scaled(name, 1 + 2**-23)), decoded(Scaled()))
    assert not found["bit_exact"]
    assert found["differing_products"] >= first


def test_passes_are_gathered_by_mode_and_tokens():
    passes = [
        Pass("draft", 1, 8, 100, 90, 60, 70),
        Pass("draft", 1, 8, 300, 290, 140, 130),
        Pass("verify", 3, 8, 500, 490, 450, 475),
    ]
    first, second = decode_rtl.by_mode(passes)
    assert (first["mode"], first["passes"], first["cycles_per_pass"]) == ("draft", 2, 200)
    assert (first["port_busy"], first["memory_port_busy"]) == (0.5, 0.5)
    assert (second["tokens"], second["port_busy"], second["memory_port_busy"]) == (3, 0.9, 0.95)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["--tokens", "1,x"], ModelError, "--tokens '1,x' are no numbers"),
        (["--set", "rows=8"], ParameterError, "--set changes a design: name one"),
        (["tiny", "--method", "hierarchical"], ParameterError, "'tiny' has no mode 'middle'"),
    ],
)
def test_illegal_words_are_named(monkeypatch, words, error, message):
    monkeypatch.setattr("sys.argv", ["decode_rtl.py", "--model", "none", *words])
    with pytest.raises(error, match=message):
        decode_rtl.run()


@pytest.mark.slow
def test_a_toy_model_is_decoded_in_all_ways(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(decode_rtl, "load_model", lambda name: a_model())
    monkeypatch.setattr(decode_rtl, "BUILD", tmp_path)
    record = tmp_path / "rtl.json"
    words = [*TINY, "--model", "toy", "--tokens", "3,7,1", "--count", "6", "--draft-length", "2"]
    methods = [word for name in decode_rtl.METHODS for word in ("--method", name)]
    monkeypatch.setattr("sys.argv", ["decode_rtl.py", *words, *methods, "--json", str(record)])
    assert decode_rtl.run() == 0
    found = json.loads(record.read_text())["methods"]
    assert set(found) == set(decode_rtl.METHODS)
    for method, figures in found.items():
        assert figures["bit_exact"]
        assert figures["same_tokens"]
        assert figures["tokens"] == figures["golden_tokens"] == found["plain"]["tokens"]
        assert {row["mode"] for row in figures["by_mode"]} == set(decode_rtl.METHODS[method])
        assert all(0 < row["port_busy"] < 1 for row in figures["by_mode"])
        assert sum(each["cycles"] for each in figures["passes"]) <= figures["simulated_cycles"]
    assert "all are the golden model's" in capsys.readouterr().out
