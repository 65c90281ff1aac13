"""Tokens that a round of speculation gives, as closed formulas.

A drafted token that is judged is accepted with a given chance, whatever became of others: that is
the assumption of Leviathan et al. (arXiv 2211.17192), and of every formula here. A round gives the
accepted tokens and one of the judge's own, so that it gives at least one.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.checks import check_count, check_number

__all__ = [
    "LONGEST",
    "HierarchyRound",
    "best_length",
    "expected_tokens",
    "expected_tree_tokens",
    "greatest",
    "hierarchy",
    "path_distribution",
    "speedup",
    "tokens_distribution",
]

LONGEST = 4096
"""Longest draft or chain that a formula is asked for."""


def expected_tokens(acceptance: float, length: int) -> float:
    """Expected tokens of a round: ``(1 - a**(L + 1)) / (1 - a)``, and ``L + 1`` where a is 1.

    Equation 1 of Leviathan et al. (arXiv 2211.17192). Exact where a is 0 or 1 and where L is 0, and
    within a few units in the last place elsewhere.

    Parameters
    ----------
    acceptance : float
        a, chance of each drafted token, 0 to 1.
    length : int
        L, drafted tokens, 0 or more.

    Raises
    ------
    ModelError
        If the acceptance is no chance, or the length no such integer.
    """
    check_number("acceptance", acceptance, 0.0, 1.0)
    check_count("draft length", length, 0, LONGEST)
    if length == 0 or acceptance in (0.0, 1.0):
        return 1.0 + length * acceptance
    # 1 - a is exact from 0.5 on, and so is its logarithm by log1p: nothing cancels near 1.
    logarithm = math.log1p(acceptance - 1) if acceptance >= 0.5 else math.log(acceptance)
    return math.expm1((length + 1) * logarithm) / (acceptance - 1)


def tokens_distribution(acceptance: float, length: int) -> tuple[float, ...]:
    """Chances that a round gives 1, 2, ... L + 1 tokens: a capped geometric distribution.

    Parameters and errors as :func:`expected_tokens`.
    """
    check_number("acceptance", acceptance, 0.0, 1.0)
    check_count("draft length", length, 0, LONGEST)
    return path_distribution([acceptance] * length)


def path_distribution(level_acceptance: Sequence[float]) -> tuple[float, ...]:
    """Chances that a round gives 1, 2, ... D + 1 tokens, where every level has its own chance.

    Parameters
    ----------
    level_acceptance : sequence of float
        D chances. Of a chain: of each drafted token. Of a tree: that one of the nodes at this level
        is the target's token, if the path before it was accepted.

    Raises
    ------
    ModelError
        If one is no chance.
    """
    check_count("levels of a tree", len(level_acceptance), 0, LONGEST)
    reached, found = 1.0, []
    for level, chance in enumerate(level_acceptance, 1):
        check_number(f"acceptance at level {level}", chance, 0.0, 1.0)
        found.append(reached * (1 - chance))
        reached *= chance
    return (*found, reached)


def expected_tree_tokens(level_acceptance: Sequence[float]) -> float:
    """Expected tokens of a tree's accepted path and the target's own: 1 + a1 + a1 * a2 + ...

    Parameters and errors as :func:`path_distribution`. With the same chance at every level, that of
    a chain.
    """
    return _mean(enumerate(path_distribution(level_acceptance), 1))


def speedup(
    acceptance: float, length: int, draft_cost: float, verify_cost: Callable[[int], float]
) -> float:
    """Time of a token in plain decoding over that with drafts: ``E(a, L) v(1) / (L c + v(L + 1))``.

    Theorem 3.8 of Leviathan et al., but that a verify pass may cost more than a plain one.

    Parameters
    ----------
    acceptance : float
        a, 0 to 1.
    length : int
        L, 0 or more.
    draft_cost : float
        c of one draft pass, in any unit, 0 or more.
    verify_cost : callable
        v: cost, in the same unit, of a pass of the target over so many tokens; above 0.

    Raises
    ------
    ModelError
        If a parameter or a cost is out of its range.
    """
    tokens = expected_tokens(acceptance, length)
    return tokens * _cost(0, 0.0, verify_cost) / _cost(length, draft_cost, verify_cost)


def best_length(
    acceptance: float, draft_cost: float, verify_cost: Callable[[int], float], longest: int
) -> int:
    """The L of 0 .. `longest` with the most tokens in a unit of time; the least among equals.

    Its figure of merit is ``E(a, L) / (L c + v(L + 1))``. 0 is plain decoding.

    Parameters
    ----------
    longest : int
        0 or more.
    acceptance, draft_cost, verify_cost
        As :func:`speedup`; but no pass costs less than one over a single token.

    Raises
    ------
    ModelError
        As :func:`speedup`.
    """
    check_count("longest draft", longest, 0, LONGEST)
    check_number("cost of a draft pass", draft_cost, 0.0)
    plain = _cost(0, 0.0, verify_cost)
    best, most = 0, expected_tokens(acceptance, 0) / plain
    for length in range(1, longest + 1):
        tokens = expected_tokens(acceptance, length)
        # Asking for the cost of a pass may take long: lengths that cannot win are left out.
        if tokens / (length * draft_cost + plain) <= most:
            continue
        merit = tokens / _cost(length, draft_cost, verify_cost)
        if merit > most:
            best, most = length, merit
    return best


@dataclasses.dataclass(frozen=True)
class HierarchyRound:
    """A round of the target, of which a middle model gathers the chain.

    Attributes
    ----------
    inner_round_chances : mapping of int to float
        Chances of numbers of inner rounds.
    chain_lengths : mapping of int to float
        Chances of the tokens that the target judges; those of 0 are left out.
    tokens : float
        Expected tokens that a sequence is given.
    """

    inner_round_chances: Mapping[int, float]
    chain_lengths: Mapping[int, float]
    tokens: float

    @property
    def inner_rounds(self) -> float:
        """Expected number of inner rounds."""
        return _mean(self.inner_round_chances.items())

    def in_lock_step(self, batch: int) -> "HierarchyRound":
        """The round of independent sequences that wait for each other.

        Inner rounds go on until the last sequence has its chain, and all chains are padded to the
        longest one, as :func:`speq_sim.decoding.speculative.speculate_many` and its verify pass
        have it.

        Parameters
        ----------
        batch : int
            Sequences, 1 or more.

        Returns
        -------
        HierarchyRound
            Of the whole batch; `tokens` remain those of one sequence.
        """
        check_count("batch", batch, 1, 1 << 16)
        return HierarchyRound(
            greatest(self.inner_round_chances, batch),
            greatest(self.chain_lengths, batch),
            self.tokens,
        )


def hierarchy(inner: Sequence[float], outer_acceptance: float, minimum: int) -> HierarchyRound:
    """A round with a middle model, as HierSpec has it (arXiv 2505.22179).

    Inner rounds go on until the chain has `minimum` tokens or more. Each adds what the middle model
    accepts of a draft, and its own next token. All tokens of the chain are the middle model's; the
    target judges them in one pass, and adds one. An exact finite recursion over the chain's length,
    for a sequence that does not end: its last round may be shorter.

    Parameters
    ----------
    inner : sequence of float
        Chances that an inner round adds 1, 2, ... tokens: of :func:`tokens_distribution` or
        :func:`path_distribution`.
    outer_acceptance : float
        Chance of each token of the chain to be the target's, 0 to 1.
    minimum : int
        Least tokens of the chain, 1 or more.

    Raises
    ------
    ModelError
        If `inner` is no distribution, or another parameter is out of its range.
    """
    check_number("acceptance of the middle model", outer_acceptance, 0.0, 1.0)
    check_count("least tokens of a chain", minimum, 1, LONGEST)
    for tokens, chance in enumerate(inner, 1):
        check_number(f"chance of {tokens} tokens in an inner round", chance, 0.0, 1.0)
    if not math.isclose(math.fsum(inner), 1.0, abs_tol=1e-9):
        raise ModelError(
            f"the chances of tokens in an inner round sum to {math.fsum(inner)!r}, but must sum "
            f"to 1: use tokens_distribution"
        )
    counts, lengths = _gather(tuple(inner), minimum)
    tokens = sum(
        chance * expected_tokens(outer_acceptance, length) for length, chance in lengths.items()
    )
    return HierarchyRound(dict(counts), dict(lengths), tokens)


def greatest(chances: Mapping[int, float], count: int) -> dict[int, float]:
    """Distribution of the greatest of `count` independent numbers, each distributed as given.

    ``P(greatest <= x) = P(one <= x)**count``. Numbers that never come are left out.
    """
    values = sorted(chances)
    below = np.cumsum([chances[value] for value in values])
    found = np.diff((below / below[-1]) ** count, prepend=0.0)
    return {value: float(chance) for value, chance in zip(values, found, strict=True) if chance > 0}


# A search over designs asks for the same few chains again and again.
@functools.lru_cache(maxsize=4096)
def _gather(inner: tuple[float, ...], minimum: int) -> tuple[dict[int, float], dict[int, float]]:
    """Distributions of the number of inner rounds and of the tokens that they gather."""
    counts: dict[int, float] = {}
    ended = np.zeros(len(inner))
    going = np.ones(1)  # by tokens gathered, which are fewer than the minimum
    for count in range(1, minimum + 1):
        longer = np.zeros(minimum + len(inner))
        longer[1 : len(going) + len(inner)] = np.convolve(going, inner)
        going, over = longer[:minimum], longer[minimum:]
        ended += over
        counts[count] = float(over.sum())
    return (
        {count: chance for count, chance in counts.items() if chance > 0},
        {minimum + more: float(chance) for more, chance in enumerate(ended) if chance > 0},
    )


def _cost(length: int, draft_cost: float, verify_cost: Callable[[int], float]) -> float:
    """Cost of a round."""
    check_number("cost of a draft pass", draft_cost, 0.0)
    cost = verify_cost(length + 1)
    check_number(f"cost of a verify pass over {length + 1} tokens", cost, 0.0)
    if cost == 0:
        raise ModelError(
            f"a verify pass over {length + 1} tokens costs 0, but must cost more: give its time"
        )
    return length * draft_cost + cost


def _mean(chances: Iterable[tuple[int, float]]) -> float:
    return math.fsum(value * chance for value, chance in chances)
