"""What speculation gives: tokens, and statistics by round."""

from dataclasses import dataclass
from math import nan

__all__ = ["Generation", "Round"]


@dataclass(frozen=True)
class Round:
    """One verify pass and the drafts before it.

    Attributes
    ----------
    tokens : tuple of int
        Emitted: the accepted ones, and one of the target's own.
    drafted : int
        Tokens that the target was given to judge.
    """

    tokens: tuple[int, ...]
    drafted: int

    @property
    def emitted(self) -> int:
        """Tokens emitted."""
        return len(self.tokens)

    @property
    def accepted(self) -> int:
        """Drafted tokens that stayed."""
        return len(self.tokens) - 1

    @property
    def judged(self) -> int:
        """Drafted tokens up to the first rejected one; those behind it are not judged."""
        return min(self.drafted, self.accepted + 1)


@dataclass(frozen=True)
class Generation:
    """A continuation, round by round."""

    rounds: tuple[Round, ...]

    @property
    def tokens(self) -> list[int]:
        """All tokens, without the prompt."""
        return [token for each in self.rounds for token in each.tokens]

    @property
    def acceptance(self) -> float:
        """Accepted over judged tokens: estimates the chance of one token. NaN if none was judged.

        Accepted over *drafted* is less, and depends on the length of drafts.
        """
        judged = sum(each.judged for each in self.rounds)
        return sum(each.accepted for each in self.rounds) / judged if judged else nan

    @property
    def accepted_length(self) -> float:
        """Accepted tokens per round."""
        return sum(each.accepted for each in self.rounds) / len(self.rounds)

    @property
    def tokens_per_round(self) -> float:
        """Emitted tokens per round."""
        return sum(each.emitted for each in self.rounds) / len(self.rounds)
