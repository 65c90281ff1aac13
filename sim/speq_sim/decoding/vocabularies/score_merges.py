"""BPE by scores, as SentencePiece and llama2.c do it.

The two neighbours whose text together is the token of the best score become one, the leftmost of
equals first, until none are left. The library ``tokenizers`` cannot say that: it ranks pairs, so
that it takes equal scores (all runs of spaces in Llama's vocabulary) in another order.
"""

import heapq
from collections.abc import Mapping, Sequence

from speq_sim.decoding.errors import ModelError

__all__ = ["ScoreEncoder"]


class ScoreEncoder:
    """Encodes a text by the scores of tokens.

    Parameters
    ----------
    scores : mapping of str to tuple of int and float
        Token and score of every text that can be one.
    byte_tokens : sequence of int
        The 256 tokens that stand for bytes, for characters that are no token; or none.
    unknown : int or None
        Token of such a character where there are no byte tokens.
    leading_space : bool
        Whether a space is put before each text.
    """

    def __init__(
        self,
        scores: Mapping[str, tuple[int, float]],
        byte_tokens: Sequence[int],
        unknown: int | None,
        leading_space: bool,
    ) -> None:
        self._scores = scores
        self._byte_tokens = byte_tokens
        self._unknown = unknown
        self._leading_space = leading_space

    def __call__(self, text: str) -> list[int]:
        """Tokens of a text.

        Raises
        ------
        ModelError
            If a character is no token, and there are neither byte tokens nor an unknown one.
        """
        return [
            token
            for part in self._merge(" " + text if self._leading_space else text)
            for token in self._tokens(part)
        ]

    def _tokens(self, part: str) -> list[int]:
        if part in self._scores:
            return [self._scores[part][0]]
        if self._byte_tokens:
            return [self._byte_tokens[byte] for byte in part.encode()]
        if self._unknown is None:
            raise ModelError(
                f"the vocabulary has no token for {part!r}, and none for single bytes: leave the "
                f"character out"
            )
        return [self._unknown]

    def _merge(self, text: str) -> list[str]:
        """The text in parts that no merge can join."""
        parts: list[str] = list(text)
        before, behind = list(range(-1, len(parts) - 1)), list(range(1, len(parts) + 1))
        queue: list[tuple[float, int, int, str]] = []

        def offer(left: int, right: int) -> None:
            if left >= 0 and right < len(parts):
                both = parts[left] + parts[right]
                if both in self._scores:
                    heapq.heappush(queue, (-self._scores[both][1], left, right, both))

        for left in range(len(parts) - 1):
            offer(left, left + 1)
        while queue:
            _, left, right, both = heapq.heappop(queue)
            # Parts that were joined meanwhile are empty or longer; what they offered is void.
            if not parts[left] or not parts[right] or parts[left] + parts[right] != both:
                continue
            parts[left], parts[right] = both, ""
            behind[left] = behind[right]
            if behind[left] < len(parts):
                before[behind[left]] = left
            offer(before[left], left)
            offer(left, behind[left])
        return [part for part in parts if part]
