"""Figures of a generation, and methods side by side on one prompt."""

import dataclasses
import time
from collections.abc import Callable, Collection, Sequence
from math import isnan
from typing import Any

from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.preparation import METHODS, Preparation
from speq_sim.decoding.session import Session
from speq_sim.decoding.speculative import Generation, Policy, Tree, prefill

__all__ = ["Comparison", "compare", "figures_of"]

_ORDER = (
    ("plain", None),
    ("speq", "plain"),
    ("hierarchical", "plain"),
    ("qspec-plain", None),
    ("qspec", "qspec-plain"),
)
"""Methods, each behind the plain decoding that it must equal."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Methods on one prompt.

    Parameters
    ----------
    methods : dict
        By the name of the method, the figures of :func:`figures_of`, and ``equal_to``: the plain
        decoding beside it; ``equal_tokens``: how many first tokens are the same; ``equal``: whether
        all are. All three are None for plain decoding; the last two are None if tokens are sampled.
    left_out : dict of str to str
        Methods that do not apply to the model, and why.
    """

    methods: dict[str, dict[str, Any]]
    left_out: dict[str, str]


def compare(
    preparation: Preparation,
    prompt: Sequence[int],
    count: int,
    policy: Callable[[Session], Policy | Tree],
    temperature: float = 0.0,
    seed: int = 0,
    *,
    min_draft_length: int = 6,
    stop: Collection[int] = (),
    step: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Run every method that applies on one prompt.

    Parameters
    ----------
    preparation : Preparation
        The model.
    policy : callable
        Gives a method that drafts its policy or tree.
    step : callable
        Called with a text before each method.
    prompt, count, temperature, seed, min_draft_length, stop
        As :meth:`Session.rounds`.

    Raises
    ------
    ModelError
        As :meth:`Preparation.session` and :meth:`Session.rounds`.
    """
    found: dict[str, dict[str, Any]] = {}
    left_out = _left_out(preparation)
    for method, reference in _ORDER:
        if method.removesuffix("-plain") in left_out:
            continue
        session = preparation.session(method)
        step(f"decoding: {method}")
        cache = prefill(session.target, prompt)
        begun = time.monotonic()
        rounds = session.rounds(
            prompt,
            count,
            None if session.draft is None else policy(session),
            temperature,
            seed,
            min_draft_length=min_draft_length,
            stop=stop,
            cache=cache,
        )
        generation = Generation(tuple(rounds))
        figures = figures_of(session, generation, len(prompt), time.monotonic() - begun)
        equal = None
        if reference is not None and temperature == 0:
            equal = _equal(figures["tokens"], found[reference]["tokens"])
        length = max(len(each["tokens"]) for each in (figures, found.get(reference, figures)))
        found[method] = figures | {
            "equal_to": reference,
            "equal_tokens": equal,
            "equal": None if equal is None else equal == length,
        }
    return Comparison(found, left_out)


def figures_of(
    session: Session, generation: Generation, prompt_tokens: int, seconds: float
) -> dict[str, Any]:
    """What there is to say of a generation, as JSON values.

    Parameters
    ----------
    session : Session
        What made it.
    generation : Generation
        At least one round.
    prompt_tokens : int
    seconds : float
        What it took here, without reading the prompt.

    Returns
    -------
    dict
        ``passes`` has passes and their tokens by kind; ``bytes_per_token`` is of all passes of one
        sequence (:mod:`speq_sim.performance.passes`); ``acceptance`` is None if nothing was judged.
    """
    kinds = {
        "draft": generation.draft_passes,
        "middle": generation.middle_passes,
        "verify": generation.verify_passes,
    }
    tokens = generation.tokens
    moved = session.costs.bytes(generation, prompt_tokens)
    acceptance = generation.acceptance
    return {
        "tokens": tokens,
        "rounds": len(generation.rounds),
        "acceptance": None if isnan(acceptance) else round(acceptance, 4),
        "accepted_length": round(generation.accepted_length, 4),
        "tokens_per_round": round(generation.tokens_per_round, 4),
        "passes": {
            kind: {"passes": len(passes), "tokens": sum(passes)}
            for kind, passes in kinds.items()
            if passes
        },
        "draft_bits_per_weight": session.draft_bits and round(session.draft_bits, 4),
        "bytes_per_token": round(moved / len(tokens)),
        "predicted_speedup": round(session.speedup(generation, prompt_tokens), 4),
        "seconds": round(seconds, 2),
        "tokens_per_second": round(len(tokens) / seconds, 2),
    }


def _left_out(preparation: Preparation) -> dict[str, str]:
    found = {}
    for method in METHODS:
        try:
            preparation.check(method)
        except ModelError as error:
            found[method] = str(error)
    return found


def _equal(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens are the same."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
