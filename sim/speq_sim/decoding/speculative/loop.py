"""The loop of decoding, with drafts of any kind and without."""

from collections.abc import Collection, Sequence

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.speculative.generation import Generation, Round
from speq_sim.decoding.speculative.passes import Stage, Steps, counted
from speq_sim.decoding.speculative.proposals import Judged, Proposer, judge, until_stop
from speq_sim.decoding.speculative.rules import Rule

__all__ = ["Continuation"]


class Continuation:
    """One sequence as it grows.

    Parameters
    ----------
    prompt : sequence of int
    cache : KVCache
        Holds the prompt but its last token; it has room for `count` tokens.
    count : int
        Most tokens to give, 1 or more.
    proposer : Proposer
        Proposes tokens for the target to judge.
    rule : Rule
        Greedy or sampled.
    stop : collection of int
        Tokens behind the first of which the sequence ends.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        cache: KVCache,
        count: int,
        proposer: Proposer,
        rule: Rule,
        stop: Collection[int],
    ) -> None:
        self._cache = cache
        self._last = prompt[-1]
        self._left = count
        self._proposer = proposer
        self._rule = rule
        self._stop = stop

    @property
    def goes_on(self) -> bool:
        """Whether another round is due."""
        return self._left > 0

    def round(self) -> Steps[Round]:
        """The steps of one round: propose, then verify in one pass."""
        counts: dict[Stage, list[int]] = {stage: [] for stage in Stage}
        judged = yield from counted(self._round(), counts)
        tokens = until_stop(judged.tokens, self._stop)
        self._last = tokens[-1]
        self._left = 0 if self._last in self._stop else self._left - len(tokens)
        return Round(
            tokens,
            judged.drafted,
            # Nothing is drafted behind a stop token, so that no accepted token is cut away.
            judged.accepted,
            judged.judged,
            tuple(counts[Stage.DRAFT]),
            tuple(counts[Stage.MIDDLE]),
        )

    def whole(self) -> Steps[Generation]:
        """The steps of all rounds."""
        rounds = []
        while self.goes_on:
            rounds.append((yield from self.round()))
        return Generation(tuple(rounds))

    def _round(self) -> Steps[Judged]:
        start, last = self._cache.length, self._last
        proposal = yield from self._proposer.propose(last, self._cache, self._left - 1)
        judged = yield from judge(Stage.VERIFY, last, proposal, self._cache, start, self._rule)
        self._proposer.learn(judged)
        return judged
