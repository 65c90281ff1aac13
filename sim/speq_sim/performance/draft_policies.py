"""How long drafts are: policies as distributions of the draft's length, in closed form."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Protocol

from speq_sim.performance.checks import check_count, check_number
from speq_sim.performance.speculation import LONGEST, best_length, expected_tokens, greatest

__all__ = ["BestLength", "Confidence", "DraftPolicy", "DraftRound", "FixedLength"]


@dataclasses.dataclass(frozen=True)
class DraftRound:
    """A round of drafting and verifying under a policy.

    Attributes
    ----------
    lengths : mapping of int to float
        Chances of drafts of so many tokens; those of 0 are left out.
    tokens : float
        Expected tokens that a sequence is given.
    """

    lengths: Mapping[int, float]
    tokens: float

    @property
    def drafted(self) -> float:
        """Expected tokens of a draft, which are its passes."""
        return math.fsum(length * chance for length, chance in self.lengths.items())

    def in_lock_step(self, batch: int) -> "DraftRound":
        """The round of independent sequences that wait for the longest draft among them.

        Parameters
        ----------
        batch : int
            Sequences, 1 or more.

        Returns
        -------
        DraftRound
            Its lengths are those of the longest draft; `tokens` remain those of one sequence.
        """
        check_count("batch", batch, 1, 1 << 16)
        return DraftRound(greatest(self.lengths, batch), self.tokens)


class DraftPolicy(Protocol):
    """What decides how many tokens to draft."""

    def round(
        self, acceptance: float, draft_cost: float, verify_cost: Callable[[int], float]
    ) -> DraftRound:
        """The round at an acceptance and at costs, in any one unit.

        Parameters
        ----------
        acceptance : float
            Chance of each drafted token that is judged, 0 to 1.
        draft_cost : float
            Of one draft pass, 0 or more.
        verify_cost : callable
            Cost of a pass of the target over so many tokens, above 0.
        """
        ...


@dataclasses.dataclass(frozen=True)
class FixedLength:
    """Always the same number of tokens.

    Parameters
    ----------
    length : int
        0 (plain decoding) or more.
    """

    length: int

    def __post_init__(self) -> None:
        check_count("draft length", self.length, 0, LONGEST)

    def round(
        self, acceptance: float, draft_cost: float, verify_cost: Callable[[int], float]
    ) -> DraftRound:
        """That of the length, whatever passes cost."""
        return DraftRound({self.length: 1.0}, expected_tokens(acceptance, self.length))


@dataclasses.dataclass(frozen=True)
class BestLength:
    """The length that is fastest at the acceptance and the costs, which are known beforehand.

    Parameters
    ----------
    longest : int
        Longest draft, 0 or more.
    """

    longest: int

    def __post_init__(self) -> None:
        check_count("longest draft", self.longest, 0, LONGEST)

    def round(
        self, acceptance: float, draft_cost: float, verify_cost: Callable[[int], float]
    ) -> DraftRound:
        """That of :func:`speq_sim.performance.speculation.best_length`."""
        length = best_length(acceptance, draft_cost, verify_cost, self.longest)
        return FixedLength(length).round(acceptance, draft_cost, verify_cost)


@dataclasses.dataclass(frozen=True)
class Confidence:
    """Early stop: behind each drafted token the drafter stops with a chance, at `longest` surely.

    The token behind which it stops is still judged, as by
    :class:`speq_sim.decoding.speculative.Confidence`. So a draft has 1 to N tokens, and with s = 1
    - `stop` it has l or more with the chance ``s**(l - 1)``.

    **An assumption**: whether the drafter stops is independent of what would be accepted. In truth
    a drafter stops where it is unsure, which is where tokens are rejected more often: a real early
    stop gives up fewer tokens that would have been accepted, so that this one understates it.

    Parameters
    ----------
    stop : float
        Chance to stop behind a token, 0 to 1; 0 is a fixed length, 1 drafts one token.
    longest : int
        N, most tokens, 1 or more.
    """

    stop: float
    longest: int

    def __post_init__(self) -> None:
        check_number("chance to stop", self.stop, 0.0, 1.0)
        check_count("longest draft", self.longest, 1, LONGEST)

    def round(
        self, acceptance: float, draft_cost: float, verify_cost: Callable[[int], float]
    ) -> DraftRound:
        """Expected tokens are ``1 + a (1 - (a s)**N) / (1 - a s)``, whatever passes cost.

        Token l is given if the draft is that long, with the chance ``s**(l - 1)``, and all up to it
        are accepted, with the chance ``a**l``.
        """
        check_number("acceptance", acceptance, 0.0, 1.0)
        going = 1 - self.stop
        lengths = {
            length: going ** (length - 1) * (self.stop if length < self.longest else 1.0)
            for length in range(1, self.longest + 1)
        }
        tokens = 1 + acceptance * expected_tokens(acceptance * going, self.longest - 1)
        return DraftRound({length: each for length, each in lengths.items() if each > 0}, tokens)
