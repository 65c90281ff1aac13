"""What each lever does for a 4-bit draft that stores nothing more: agreement and KL, one by one.

Every lever is a way to choose powers of two, tables, codes, or constants of rows. The draft runs on
BLAS with FP16 activations (the array's rounding of activations is left out, and is the same for
all), against the FP16 model at every position of its own greedy text, the LM head verified.
Calibration text is the model's own, behind prompts that nothing is measured on.

  python scripts/compare_levers.py --model smollm2-135m --limit 4 --json levers.json
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

import _cli
from calibrate import STORY_KIND, prompts_of
from speq.formats import Family, PackedTensor, family, pack
from speq_sim.decoding import (
    FastBackend,
    Llama,
    LlamaWeights,
    PackedLayer,
    capture,
    load_model,
    load_tokenizer,
    own_prompts,
    plain_many,
    prefill_many,
)
from speq_sim.decoding.calibration import SKIPPED, calibration_texts, second_moments
from speq_sim.decoding.evaluation import agree, contexts
from speq_sim.decoding.evaluation.drafts import stands_for

HEAD = "head"

MEAN_TEXTS = 16
"""Calibration texts over which the mean of inputs is taken."""

FINEST_ALPHAS = (2.0 ** (np.arange(-16, 17) / 8)).astype(np.float32)
"""Scales over a row's root mean square that are tried where cells have no width."""

Matrices = dict[str, NDArray[np.float32]]


class Draft:
    """Draft matrices, the head's own, and a constant added to every output."""

    def __init__(self, matrices: Matrices, bias: Matrices | None = None) -> None:
        self._inner = FastBackend(matrices)
        self._bias = bias or {}

    def multiply(self, name: str, x: NDArray) -> NDArray[np.float32]:
        """Apply a layer."""
        return self._inner.multiply(name, x) + self._bias.get(name, np.float32(0))


class Levers:
    """The levers over one model.

    Parameters
    ----------
    weights : LlamaWeights
        The model.
    moments : mapping of str to NDArray
        Second moments [K, K] of the inputs, by layer.
    means : mapping of str to NDArray
        Mean of the inputs [K], by layer.
    """

    def __init__(
        self,
        weights: LlamaWeights,
        moments: Mapping[str, NDArray[np.float64]],
        means: Mapping[str, NDArray[np.float32]],
    ) -> None:
        self._weights, self._moments, self._means = weights, moments, means

    def all(self) -> Iterator[tuple[str, Callable[[], Draft]]]:
        """Names of the levers, and what makes their drafts."""
        for name in ("bsfp", "fitted-1", "fitted-4", "fitted-8"):
            yield f"{name}, rows alone", lambda name=name: Draft(self._packed(name, columns=False))
        fitted = "fitted-8"
        yield "fitted-8, one alpha per tensor", lambda: Draft(self._one_alpha(fitted))
        yield "fitted-8, columns where they gain", lambda: Draft(self._packed(fitted))
        yield "fitted-8, weighted by inputs", lambda: Draft(self._weighted(fitted))
        yield "fitted-8, alpha under H", lambda: Draft(self._alpha_under_moments(fitted))
        yield "fitted-8, bias per row", lambda: self._biased(self._packed(fitted))
        yield "fitted-8, weighted, bias", lambda: self._biased(self._weighted(fitted))
        yield "thresholds anywhere (finest cells)", lambda: Draft(self._finest(fitted))
        spare = family("spare-1")
        yield "spare-1, nearest codes", lambda: Draft(self._packed("spare-1"))
        yield "spare-1", lambda: Draft(self._compensated(spare))
        yield "spare-1, bias", lambda: self._biased(self._compensated(spare))

    def _layers(self) -> Iterator[tuple[str, NDArray[np.float16]]]:
        for name, values in self._weights.matrices.items():
            if name != HEAD:
                yield name, values

    def _made(self, make: Callable[[str, NDArray[np.float16]], NDArray[np.float32]]) -> Matrices:
        found = {name: make(name, values) for name, values in self._layers()}
        return found | {HEAD: self._weights.matrices[HEAD]}

    def _packed(self, name: str, columns: bool = True) -> Matrices:
        members = family(name)
        return self._made(
            lambda _, values: _drafted(pack(values, members, columns=columns), members)
        )

    def _weighted(self, name: str) -> Matrices:
        members = family(name)
        return self._made(
            lambda layer, values: _drafted(
                pack(values, members, importance=np.diag(self._moments[layer])), members
            )
        )

    def _compensated(self, members: Family) -> Matrices:
        return self._made(
            lambda layer, values: _drafted(
                pack(values, members, second_moments=self._moments[layer]), members
            )
        )

    def _one_alpha(self, name: str) -> Matrices:
        members = family(name)

        def make(_: str, values: NDArray[np.float16]) -> NDArray[np.float32]:
            tensor = pack(values, members, columns=False)
            if tensor.is_plain:
                return values.astype(np.float32)
            drafts = _drafted(tensor, members) / tensor.alpha[:, None]
            return drafts * (np.vdot(drafts, values) / np.vdot(drafts, drafts))

        return self._made(make)

    def _alpha_under_moments(self, name: str) -> Matrices:
        members = family(name)

        def make(layer: str, values: NDArray[np.float16]) -> NDArray[np.float32]:
            drafts = _drafted(pack(values, members, columns=False), members)
            moments = self._moments[layer].astype(np.float32)
            moments += np.eye(len(moments), dtype=np.float32) * 0.01 * np.diag(moments).mean()
            seen = drafts @ moments
            top = np.einsum("nk,nk->n", seen, values.astype(np.float32))
            return drafts * (top / np.maximum(np.einsum("nk,nk->n", seen, drafts), 1e-30))[:, None]

        return self._made(make)

    def _finest(self, name: str) -> Matrices:
        """Each weight at the draft value nearest to it, as if cells had no width."""
        magnitudes = np.array(family(name).draft_values, dtype=np.float32) / 32
        edges = (magnitudes[1:] + magnitudes[:-1]) / 2

        def make(_: str, values: NDArray[np.float16]) -> NDArray[np.float32]:
            exact = values.astype(np.float32)
            size, sign = np.abs(exact), np.where(np.signbit(exact), np.float32(-1), np.float32(1))
            least, best = np.full(len(size), np.inf), np.zeros_like(size)
            start = np.sqrt(np.mean(size**2, axis=1))
            for factor in FINEST_ALPHAS:
                drafts = magnitudes[np.digitize(size / (factor * start)[:, None], edges)]
                square = np.maximum(np.einsum("nk,nk->n", drafts, drafts), 1e-30)
                drafts *= (np.einsum("nk,nk->n", drafts, size) / square)[:, None]
                error = np.square(size - drafts).sum(axis=1)
                better = error < least
                least[better], best[better] = error[better], drafts[better]
            return sign * best

        return self._made(make)

    def _biased(self, matrices: Matrices) -> Draft:
        bias = {
            name: (values.astype(np.float32) - matrices[name]) @ self._means[name]
            for name, values in self._layers()
        }
        return Draft(matrices, bias)


def _drafted(tensor: PackedTensor, members: Family) -> NDArray[np.float32]:
    return stands_for(PackedLayer.of(tensor, members), "draft")


def input_means(weights: LlamaWeights, texts: list[list[int]]) -> dict[str, NDArray[np.float32]]:
    """Mean input [K] of every layer over some texts, their first positions left out."""
    backend = FastBackend(weights.matrices)
    sums: dict[str, NDArray] = {}
    tokens = 0
    for text in texts:
        tokens += len(text) - SKIPPED
        for name, x in capture(weights, backend, text).items():
            sums[name] = sums.get(name, 0) + x[SKIPPED:].astype(np.float64).sum(axis=0)
    return {name: (total / tokens).astype(np.float32) for name, total in sums.items()}


def measure(arguments: argparse.Namespace, step: Callable[[str], None]) -> dict[str, Any]:
    """Calibrate, then measure every lever."""
    step("reading the model")
    weights = load_model(arguments.model)
    prompts, stop, _ = prompts_of(arguments.model)
    texts = calibration_texts(weights, prompts, arguments.calibration, stop=stop, step=step)
    moments = second_moments(weights, texts, step)
    levers = Levers(weights, moments, input_means(weights, texts[:MEAN_TEXTS]))
    found = _contexts(arguments, weights, step)
    results = {}
    for name, make in levers.all():
        if arguments.lever and not any(wanted in name for wanted in arguments.lever):
            continue
        step(name)
        agreed = agree(Llama(weights, make()), found)
        matches = np.concatenate([each.matches for each in agreed])
        divergences = np.concatenate([each.divergences for each in agreed])
        results[name] = {
            "agreement": round(float(matches.mean()), 4),
            "kl_mean": round(float(divergences.mean()), 4),
            "kl_median": round(float(np.median(divergences)), 4),
        }
    return {
        "model": weights.origin,
        "prompts": len(found),
        "positions": sum(len(each.tokens) for each in found),
        "calibration_tokens": sum(map(len, texts)),
        "levers": results,
    }


def _contexts(
    arguments: argparse.Namespace, weights: LlamaWeights, step: Callable[[str], None]
) -> list[Any]:
    """What the model says behind each of our prompts."""
    step("the model's own text")
    tokenizer = load_tokenizer(arguments.model)
    stories = tokenizer.template is None
    make = tokenizer.completion if stories else tokenizer.chat
    kinds: dict[str, list[list[int]]] = {}
    for prompt in own_prompts():
        if (prompt.kind == STORY_KIND) == stories:
            kinds.setdefault(prompt.kind, []).append(make(prompt.text))
    prompts = [tokens for group in kinds.values() for tokens in group[: arguments.limit]]
    target = Llama(weights, FastBackend(weights.matrices))
    caches = prefill_many(target, prompts)
    stop = frozenset(tokenizer.stop)
    generations = plain_many(target, prompts, arguments.tokens, stop=stop, caches=caches)
    return contexts(target, prompts, [each.tokens for each in generations], caches)


def main() -> None:
    """Run the command."""
    parser = _cli.parser(__doc__, design=False)
    parser.add_argument("--model", required=True, help="smollm2-135m, stories15m, or a path")
    parser.add_argument("--limit", type=int, metavar="N", help="only N prompts of each kind")
    parser.add_argument("--tokens", type=int, default=64, help="tokens behind each (64)")
    parser.add_argument(
        "--calibration", type=int, default=8192, help="tokens of calibration text (8192)"
    )
    parser.add_argument(
        "--lever", action="append", metavar="TEXT", help="only levers with this in their name"
    )
    arguments = parser.parse_args()
    with _cli.progress(None, "reading") as step:
        figures = measure(arguments, step)
    table = Table(title=f"{figures['positions']} positions of {figures['prompts']} prompts")
    for column in ("lever", "agreement", "KL, mean", "KL, median"):
        table.add_column(column, justify="left" if column == "lever" else "right")
    for name, each in figures["levers"].items():
        values = (each["agreement"], each["kl_mean"], each["kl_median"])
        table.add_row(name, *(f"{value:.4f}" for value in values))
    _cli.console.print(table)
    _cli.write_json(arguments.json, figures)


if __name__ == "__main__":
    _cli.main(main)
