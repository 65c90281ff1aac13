"""Which drafted tokens stay: the rules that keep speculation lossless.

The rule for sampling is that of Leviathan et al. (arXiv 2211.17192) and Chen et al. (arXiv
2302.01318).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.speculative.sampling import checked_logits, draw

__all__ = ["Verdict", "accept_greedy", "accept_sampled", "accept_tree", "residual"]


@dataclass(frozen=True)
class Verdict:
    """What a verify pass makes of a draft of L tokens.

    Attributes
    ----------
    accepted : int
        Drafted tokens that stay, from the first: 0 to L.
    token : int
        The target's own token behind them: a correction, or the bonus if all stay.
    """

    accepted: int
    token: int


def accept_greedy(draft_tokens: Sequence[int], target_logits: ArrayLike) -> Verdict:
    """Accept while the draft is the target's likeliest token (the lowest among equals).

    Parameters
    ----------
    draft_tokens : sequence of int
        L tokens, 0 or more.
    target_logits : array_like
        [L+1, V]; row i is for the place of ``draft_tokens[i]``, the last one for the bonus.

    Raises
    ------
    ModelError
        If a logit is NaN, or there are not L+1 rows.
    """
    logits = checked_logits(target_logits)
    _check_rows("target logits", logits, len(draft_tokens) + 1)
    likeliest = logits.argmax(axis=-1)
    wrong = np.flatnonzero(likeliest[:-1] != np.asarray(draft_tokens, dtype=np.int64))
    accepted = int(wrong[0]) if wrong.size else len(draft_tokens)
    return Verdict(accepted, int(likeliest[accepted]))


def accept_tree(
    draft_tokens: Sequence[int], parents: Sequence[int], target_logits: ArrayLike
) -> tuple[list[int], int]:
    """Accept the path of a tree whose every token is the target's likeliest there.

    Parameters
    ----------
    draft_tokens : sequence of int
        N tokens, 0 or more, no two children of one parent the same.
    parents : sequence of int
        N: the place of each one's parent among them, or -1 for the first level.
    target_logits : array_like
        [N+1, V]; the first row is for the first level, row i + 1 for the children of node i.

    Returns
    -------
    list of int
        Places of the accepted tokens, each the parent of the next one.
    int
        The target's own token behind them.

    Raises
    ------
    ModelError
        If a logit is NaN, or there are not N+1 rows.
    """
    logits = checked_logits(target_logits)
    _check_rows("target logits", logits, len(draft_tokens) + 1)
    likeliest = logits.argmax(axis=-1)
    children = {
        (parent, token): place
        for place, (parent, token) in enumerate(zip(parents, draft_tokens, strict=True))
    }
    path, place = [], -1
    while (child := children.get((place, int(likeliest[place + 1])))) is not None:
        path.append(child)
        place = child
    return path, int(likeliest[place + 1])


def accept_sampled(
    draft_tokens: Sequence[int],
    draft_probabilities: NDArray[np.float64],
    target_probabilities: NDArray[np.float64],
    random: np.random.Generator,
) -> Verdict:
    """Accept token x with probability min(1, p(x) / q(x)), so that what is emitted follows p.

    The first token that is rejected is replaced by one drawn from :func:`residual`; if all stay,
    the bonus is drawn from p. This is exact for every q, if token i was drawn from row i of q.

    Parameters
    ----------
    draft_tokens : sequence of int
        L tokens, 0 or more.
    draft_probabilities : NDArray
        q [L, V]: what each token was drawn from.
    target_probabilities : NDArray
        p [L+1, V].
    random : Generator
        Gives one number for each token judged, and one for the token behind them.

    Raises
    ------
    ModelError
        If the rows do not fit to the tokens, or q says that a drafted token never comes.
    """
    length = len(draft_tokens)
    _check_rows("draft probabilities", draft_probabilities, length)
    _check_rows("target probabilities", target_probabilities, length + 1)
    for place, token in enumerate(draft_tokens):
        q, p = draft_probabilities[place], target_probabilities[place]
        if not q[token] > 0:
            raise ModelError(
                f"token {token} was drafted with probability {q[token]}: give the probabilities "
                f"that it was drawn from"
            )
        if random.random() * q[token] >= p[token]:
            return Verdict(place, draw(residual(p, q), random))
    return Verdict(length, draw(target_probabilities[length], random))


def residual(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """``max(0, p - q)`` [V], not normalised: what acceptance leaves to be drawn."""
    left = np.maximum(p - q, 0)
    # Where a token is rejected, some p is above q; only rounding can hide that, where p is q.
    return left if left.any() else p


def _check_rows(what: str, values: NDArray, rows: int) -> None:
    if values.ndim != 2 or len(values) != rows:
        raise ModelError(f"{what} of shape {values.shape} were given: give {rows} rows")
