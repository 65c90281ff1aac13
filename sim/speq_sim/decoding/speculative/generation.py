"""What decoding gives: tokens, and statistics by round."""

from dataclasses import dataclass
from math import nan

__all__ = ["Generation", "Round"]


@dataclass(frozen=True)
class Round:
    """One verify pass and the cheaper passes before it.

    Attributes
    ----------
    tokens : tuple of int
        Emitted: the accepted ones, and, unless a stop token is among them, one of the target's own.
    drafted : int
        Tokens that the target was given to judge: of a chain, or nodes of a tree.
    accepted : int
        Drafted tokens that stayed.
    judged : int
        Places at which a drafted token was accepted, or all were rejected. (What lies behind a
        rejection is not judged.)
    draft_passes, middle_passes : tuple of int
        Tokens of each pass of the draft, and of the middle model.
    """

    tokens: tuple[int, ...]
    drafted: int
    accepted: int
    judged: int
    draft_passes: tuple[int, ...] = ()
    middle_passes: tuple[int, ...] = ()

    @property
    def emitted(self) -> int:
        """Tokens emitted."""
        return len(self.tokens)

    @property
    def verify_tokens(self) -> int:
        """Tokens of the verify pass: those drafted, and the one before them."""
        return self.drafted + 1


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

    @property
    def draft_passes(self) -> tuple[int, ...]:
        """Tokens of every pass of the draft, in their order."""
        return tuple(tokens for each in self.rounds for tokens in each.draft_passes)

    @property
    def middle_passes(self) -> tuple[int, ...]:
        """Tokens of every pass of the middle model, in their order."""
        return tuple(tokens for each in self.rounds for tokens in each.middle_passes)

    @property
    def verify_passes(self) -> tuple[int, ...]:
        """Tokens of every pass of the target, in their order; the prompt's is not among them."""
        return tuple(each.verify_tokens for each in self.rounds)
