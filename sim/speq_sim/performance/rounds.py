"""A round of a method: passes, and the tokens that it gives; what both come to on a machine."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping

from speq_sim.performance.machine import BOUNDS, Machine, PassTime
from speq_sim.performance.transformer import PassSpec

__all__ = ["PlannedPass", "Round", "RoundCost"]


@dataclasses.dataclass(frozen=True)
class PlannedPass:
    """A pass, and how often a round has it.

    Parameters
    ----------
    kind : str
        ``"draft"``, ``"middle"`` or ``"verify"``.
    spec : PassSpec
        What it is.
    count : float
        Expected number in a round.
    """

    kind: str
    spec: PassSpec
    count: float = 1.0


@dataclasses.dataclass(frozen=True)
class Round:
    """What a method does between two verified states.

    Parameters
    ----------
    passes : tuple of PlannedPass
        All of them.
    tokens : float
        Expected tokens that each sequence is given.
    drafted : float
        Expected tokens that the target judges.
    settings : mapping of str to int
        What was chosen, such as ``draft_length``.
    """

    passes: tuple[PlannedPass, ...]
    tokens: float
    drafted: float = 0.0
    settings: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def cost(self, machine: Machine) -> "RoundCost":
        """Time and bytes on a machine."""
        return RoundCost(self, tuple(machine.time(each.spec) for each in self.passes))


@dataclasses.dataclass(frozen=True)
class RoundCost:
    """A round on a machine. All figures are expectations.

    Seconds per token are those between two tokens of a sequence; bytes, MACs and bits per token
    are shared by the tokens of all sequences.
    """

    round: Round
    times: tuple[PassTime, ...]

    @property
    def seconds(self) -> float:
        """Time of the round."""
        return sum(
            each.count * time.seconds
            for each, time in zip(self.round.passes, self.times, strict=True)
        )

    @property
    def batch(self) -> int:
        """Sequences, the same in all passes."""
        return self.round.passes[0].spec.batch

    @property
    def seconds_per_token(self) -> float:
        """Time between two tokens of a sequence."""
        return self.seconds / self.round.tokens

    @property
    def by_bound(self) -> dict[str, float]:
        """Seconds per token by what limits (:data:`speq_sim.performance.machine.BOUNDS`)."""
        return {
            bound: self.batch * self._per_token(lambda time, bound=bound: time.by_bound[bound])
            for bound in BOUNDS
        }

    @property
    def limited_by(self) -> str:
        """The bound with the most time."""
        by_bound = self.by_bound
        return max(by_bound, key=by_bound.__getitem__)

    @property
    def bytes_per_token(self) -> dict[str, float]:
        """Bytes of one device by what they are: ``weights``, ``kv``, ``other``, ``written``."""
        found = {
            kind: self._per_token(lambda time, kind=kind: time.read_bytes[kind])
            for kind in ("weights", "kv", "other")
        }
        return found | {"written": self._per_token(lambda time: time.written_bytes)}

    @property
    def macs_per_token(self) -> dict[str, float]:
        """Multiply-accumulates of one device by mode."""
        found: defaultdict[str, float] = defaultdict(float)
        for each, time in zip(self.round.passes, self.times, strict=True):
            for mode, macs in time.macs.items():
                found[mode] += each.count * macs / self.round.tokens / self.batch
        return dict(found)

    @property
    def sram_bits_per_token(self) -> float:
        """Bits into and out of buffers on one device."""
        return self._per_token(lambda time: time.sram_bits)

    def seconds_by_kind(self) -> dict[str, float]:
        """Seconds per token by kind of pass."""
        found: defaultdict[str, float] = defaultdict(float)
        for each, time in zip(self.round.passes, self.times, strict=True):
            found[each.kind] += each.count * time.seconds / self.round.tokens
        return dict(found)

    def _per_token(self, figure: Callable[[PassTime], float]) -> float:
        total = sum(
            each.count * figure(time)
            for each, time in zip(self.round.passes, self.times, strict=True)
        )
        return total / self.round.tokens / self.batch
