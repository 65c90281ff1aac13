"""Decoding as events on a clock (SimPy): passes take time, coins say what is accepted.

It checks the closed formulas of :mod:`speq_sim.performance.speculation`, and answers what they
cannot: sequences that wait for each other, that end at different times, and requests in a queue.

All sequences share one accelerator, in lock step as those of
:func:`speq_sim.decoding.speculative.speculate_many`: the cheapest stage that a sequence waits for
runs first, for all that wait for it, and the round ends with one verify pass for all. Between
rounds, requests take the places of those that ended (continuous batching).
"""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence

import numpy as np
import simpy

from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.speculative.passes import Stage
from speq_sim.performance.checks import check_count, check_number
from speq_sim.performance.event_drafts import Coins, Draft, Pass, Steps, judge

__all__ = ["IDLE", "EventRun", "PassTimes", "Request", "Served", "Times", "serve", "simulate"]

Seed = int | np.random.SeedSequence

PassTimes = Callable[[str, int, Sequence[int]], float]
"""Seconds of a pass, by its kind (``"draft"``, ``"middle"``, ``"verify"``), its tokens per sequence
(the most of any, to which others are padded), and the positions that the cache of each sequence in
it holds before."""

Times = dict[str, float]
"""Seconds by kind of pass, and :data:`IDLE`."""

IDLE = "idle"
"""Kind of the time in which no request is there."""

_KINDS = {stage: stage.name.lower() for stage in Stage}

_ENDLESS = 1 << 62
"""Tokens left of a sequence that does not end."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A continuation that is asked for.

    Parameters
    ----------
    tokens : int
        Tokens to give, 1 or more; its last round drafts no more than can still be given.
    context : int
        Positions in its cache when it begins.
    arrival : float
        Seconds on the clock, 0 or more.
    """

    tokens: int
    context: int = 0
    arrival: float = 0.0

    def __post_init__(self) -> None:
        check_count("tokens of a request", self.tokens, 1, _ENDLESS)
        check_count("context of a request", self.context, 0, 1 << 24)
        check_number("arrival of a request", self.arrival, 0.0)


@dataclasses.dataclass(frozen=True)
class Served:
    """What became of a request: seconds on the clock, and the tokens that it was given."""

    request: Request
    tokens: int
    started: float
    finished: float

    @property
    def latency(self) -> float:
        """Seconds from its arrival to its last token."""
        return self.finished - self.request.arrival


@dataclasses.dataclass(frozen=True)
class EventRun:
    """What a run gave.

    Attributes
    ----------
    tokens : int
        Of all sequences.
    seconds : float
        The clock at the end.
    rounds : int
        Verify passes of the accelerator.
    sequence_rounds : int
        Rounds of each sequence, summed.
    sequence_seconds : float
        Seconds of rounds, each times the sequences in it.
    seconds_by_kind : dict of str to float
        Seconds of passes by kind, and of :data:`IDLE`; they add up to `seconds`.
    round_tokens : dict of int to int
        How many rounds of a sequence gave so many tokens.
    requests : tuple of Served
        In the order of the requests; empty where sequences do not end.
    """

    tokens: int
    seconds: float
    rounds: int
    sequence_rounds: int
    sequence_seconds: float
    seconds_by_kind: Times
    round_tokens: dict[int, int]
    requests: tuple[Served, ...] = ()

    @property
    def tokens_per_round(self) -> float:
        """Tokens that a round gives a sequence, on average."""
        return self.tokens / self.sequence_rounds

    @property
    def seconds_per_token(self) -> float:
        """Seconds between two tokens of a sequence, on average; waiting in the queue is apart."""
        return self.sequence_seconds / self.tokens

    @property
    def tokens_per_second(self) -> float:
        """Tokens of all sequences together."""
        return self.tokens / self.seconds


def simulate(
    draft: Draft,
    time: PassTimes,
    *,
    rounds: int,
    batch: int = 1,
    context: int = 0,
    seed: Seed = 0,
) -> EventRun:
    """Run sequences that do not end for a number of rounds.

    Parameters
    ----------
    draft : Draft
        One of :mod:`speq_sim.performance.event_drafts`.
    time : callable
        Seconds of each pass: see :data:`PassTimes`.
    rounds : int
        1 or more.
    batch : int
        Sequences, 1 or more.
    context : int
        Positions in the cache of each at the start; it grows by the tokens given.
    seed : int or SeedSequence
        Of all tosses: the same seed gives the same run.

    Raises
    ------
    ModelError
        If a number is out of its range, or a pass takes no number of seconds, 0 or more.
    """
    check_count("rounds", rounds, 1, 1 << 32)
    check_count("batch", batch, 1, 1 << 16)
    accelerator = _Accelerator(draft, time, seed)
    active = [_Sequence(Request(_ENDLESS, context), 0.0) for _ in range(batch)]

    def process() -> Generator[simpy.Event, object, None]:
        for _ in range(rounds):
            yield from accelerator.round(active)

    accelerator.run(process())
    return accelerator.result(())


def serve(
    draft: Draft, time: PassTimes, requests: Sequence[Request], *, batch: int, seed: Seed = 0
) -> EventRun:
    """Serve requests until the last one has its tokens.

    Parameters
    ----------
    requests : sequence of Request
        One or more. They queue in the order of their arrival.
    batch : int
        Most sequences at a time, 1 or more.
    draft, time, seed
        As :func:`simulate`.

    Raises
    ------
    ModelError
        As :func:`simulate`, or if there is no request.
    """
    check_count("requests", len(requests), 1, 1 << 32)
    check_count("batch", batch, 1, 1 << 16)
    accelerator = _Accelerator(draft, time, seed)
    clock = accelerator.clock
    queue = simpy.Store(clock)
    served: dict[int, Served] = {}

    def arrive(index: int) -> Generator[simpy.Event, object, None]:
        yield clock.timeout(requests[index].arrival)
        queue.put(index)

    def process() -> Generator[simpy.Event, object, None]:
        active: dict[int, _Sequence] = {}
        while len(served) < len(requests):
            while len(active) < batch and (queue.items or not active):
                waited_since = clock.now
                index = yield queue.get()
                accelerator.seconds[IDLE] += clock.now - waited_since
                active[index] = _Sequence(requests[index], clock.now)
            yield from accelerator.round(list(active.values()))
            for index in [index for index, each in active.items() if not each.left]:
                served[index] = active.pop(index).served(clock.now)

    for index in range(len(requests)):
        clock.process(arrive(index))
    accelerator.run(process())
    return accelerator.result(tuple(served[index] for index in range(len(requests))))


class _Sequence:
    """A sequence as it grows."""

    def __init__(self, request: Request, started: float) -> None:
        self.context = request.context
        self.left = request.tokens
        self._request = request
        self._started = started

    def steps(self, draft: Draft, coins: Coins) -> Steps[int]:
        """The passes of one round; returns the tokens that it gave."""
        proposal = yield from draft.propose(coins, self.left - 1)
        tokens = yield from judge(Stage.VERIFY, proposal, coins)
        self.context += tokens
        self.left -= tokens
        return tokens

    def served(self, now: float) -> Served:
        tokens = self.context - self._request.context
        return Served(self._request, tokens, self._started, now)


class _Accelerator:
    """Runs one pass at a time, and keeps account of it."""

    def __init__(self, draft: Draft, time: PassTimes, seed: Seed) -> None:
        self.clock = simpy.Environment()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._draft = draft
        self._time = time
        self._coins = Coins(np.random.default_rng(seed))
        self._rounds = 0
        self._sequence_seconds = 0.0
        self._round_tokens: Counter[int] = Counter()

    def run(self, process: Generator[simpy.Event, object, None]) -> None:
        """Let the clock go until the process ends."""
        self.clock.run(until=self.clock.process(process))

    def round(self, active: Sequence[_Sequence]) -> Generator[simpy.Event, object, None]:
        """One round of all sequences."""
        began = self.clock.now
        steps = [each.steps(self._draft, self._coins) for each in active]
        waiting: dict[int, Pass] = {}

        def go_on(index: int) -> None:
            try:
                waiting[index] = next(steps[index])
            except StopIteration as end:
                self._round_tokens[end.value] += 1

        for index in range(len(active)):
            go_on(index)
        while waiting:
            stage = min(each.stage for each in waiting.values())
            here = sorted(index for index, each in waiting.items() if each.stage == stage)
            passes = [waiting.pop(index) for index in here]
            contexts = [
                active[index].context + each.ahead for index, each in zip(here, passes, strict=True)
            ]
            seconds = self._time(_KINDS[stage], max(each.tokens for each in passes), contexts)
            if not 0 <= seconds < float("inf"):
                raise ModelError(
                    f"a {_KINDS[stage]} pass takes {seconds!r} seconds, but must take a finite "
                    f"number of 0 or more: mend the times of passes"
                )
            self.seconds[_KINDS[stage]] += seconds
            yield self.clock.timeout(seconds)
            for index in here:
                go_on(index)
        self._rounds += 1
        self._sequence_seconds += len(active) * (self.clock.now - began)

    def result(self, requests: tuple[Served, ...]) -> EventRun:
        """What all rounds gave."""
        return EventRun(
            tokens=sum(tokens * count for tokens, count in self._round_tokens.items()),
            seconds=float(self.clock.now),
            rounds=self._rounds,
            sequence_rounds=self._round_tokens.total(),
            sequence_seconds=self._sequence_seconds,
            seconds_by_kind=dict(self.seconds),
            round_tokens=dict(self._round_tokens),
            requests=requests,
        )
