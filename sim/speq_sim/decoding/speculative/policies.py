"""How many tokens to draft before the next verify pass."""

from typing import Protocol

from speq_sim.decoding.errors import ModelError

__all__ = ["Adaptive", "Confidence", "Fixed", "Policy", "expected_tokens"]


class Policy(Protocol):
    """What a round of speculation asks.

    No answer may depend on the token that is about to be judged other than through `confidence`,
    or sampling would not be lossless.
    """

    def longest(self) -> int:
        """Most tokens of the next draft, 1 or more."""
        ...

    def goes_on(self, confidence: float) -> bool:
        """Whether to draft another token.

        Parameters
        ----------
        confidence : float
            The greatest probability of the draft at the last token, at temperature 1.
        """
        ...

    def record(self, drafted: int, accepted: int) -> None:
        """Learn how many tokens of a draft were accepted; `drafted` is 0 where none had room."""
        ...


class Fixed:
    """Always the same number of tokens.

    Parameters
    ----------
    length : int
        1 or more.
    """

    def __init__(self, length: int) -> None:
        self._length = _checked_length(length)

    def longest(self) -> int:
        """`length`."""
        return self._length

    def goes_on(self, confidence: float) -> bool:
        """Always."""
        return True

    def record(self, drafted: int, accepted: int) -> None:
        """Nothing is learnt."""


class Confidence:
    """Stop behind the first token that the draft is not sure of.

    That token is still verified: its draft pass is paid for.

    Parameters
    ----------
    threshold : float
        0 to 1: stop where the greatest probability of the draft is below it.
    longest : int
        Most tokens, 1 or more.
    """

    def __init__(self, threshold: float, longest: int) -> None:
        if not 0 <= threshold <= 1:
            raise ModelError(f"a threshold of {threshold} is no probability: give 0 to 1")
        self._threshold = threshold
        self._longest = _checked_length(longest)

    def longest(self) -> int:
        """As constructed."""
        return self._longest

    def goes_on(self, confidence: float) -> bool:
        """Whether the confidence is not below the threshold."""
        return confidence >= self._threshold

    def record(self, drafted: int, accepted: int) -> None:
        """Nothing is learnt."""


class Adaptive:
    """The length that would be fastest at the running acceptance rate.

    The rate is a = hits / trials. A round that accepts n of L tokens has n hits, in n trials if
    n = L, else in n + 1 (the tokens behind a rejection were not judged). Before a round is added,
    both sums are multiplied by `decay`; they begin with `weight` trials of rate `initial`. The
    length is the L of 1 .. `longest` with the greatest speedup ``expected_tokens(a, L) / (L * c +
    1)``, the least among equals. (0 is left out: nothing would be learnt any more.)

    The rate stays from one generation to the next.

    Parameters
    ----------
    cost : float
        c: time of a draft pass over that of a verify pass, above 0.
    longest : int
        Most tokens, 1 or more.
    initial : float
        Rate assumed before any round, 0 to 1.
    weight : float
        Trials that the assumption counts for, above 0.
    decay : float
        What a round keeps of the weight of those before, above 0, up to 1.
    """

    def __init__(
        self,
        cost: float,
        longest: int = 16,
        initial: float = 0.8,
        weight: float = 8.0,
        decay: float = 0.95,
    ) -> None:
        if not cost > 0:
            raise ModelError(f"a draft pass of cost {cost} is none: give more than 0")
        if not (0 <= initial <= 1 and weight > 0 and 0 < decay <= 1):
            raise ModelError(
                f"initial {initial}, weight {weight}, decay {decay}: give 0 to 1, more than 0, and "
                f"more than 0 up to 1"
            )
        self._cost = cost
        self._longest = _checked_length(longest)
        self._decay = decay
        self._hits = initial * weight
        self._trials = weight

    @property
    def rate(self) -> float:
        """The running acceptance rate."""
        return self._hits / self._trials

    def longest(self) -> int:
        """The fastest length at the running rate."""
        return max(range(1, self._longest + 1), key=self._speedup)

    def goes_on(self, confidence: float) -> bool:
        """Always."""
        return True

    def record(self, drafted: int, accepted: int) -> None:
        """Add a round to the running rate."""
        self._hits = self._decay * self._hits + accepted
        self._trials = self._decay * self._trials + accepted + (accepted < drafted)

    def _speedup(self, length: int) -> float:
        return expected_tokens(self.rate, length) / (length * self._cost + 1)


def expected_tokens(rate: float, length: int) -> float:
    """Tokens of a round if each of `length` is accepted with probability `rate` by itself.

    ``(1 - rate**(length + 1)) / (1 - rate)`` (Leviathan et al., equation 1), as the sum of powers
    that it is, which also serves a rate of 1.
    """
    return sum(rate**place for place in range(length + 1))


def _checked_length(length: int) -> int:
    if length < 1:
        raise ModelError(f"a draft of {length} tokens is none: give 1 or more")
    return length
