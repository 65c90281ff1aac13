"""QSpec's rounds as its code has them: the LM head stays in FP16 in every pass."""

import dataclasses

from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Setting
from speq_sim.performance.rounds import PlannedPass, Round, RoundCost
from speq_sim.performance.speculation import expected_tokens
from speq_sim.performance.transformer import Recipe

__all__ = ["QSpec", "w4a16"]

_HEAD: Recipe = (("head", "fp16"),)


@dataclasses.dataclass(frozen=True)
class QSpec:
    """L W4A4 passes, then a W4A16 pass over L + 1 tokens, over the same INT4 weights.

    Parameters
    ----------
    title : str
        For reports.
    draft, target : str
        Forms of the INT4 weights, by the activations that they meet.
    """

    title: str = "QSpec"
    draft: str = "qdraft"
    target: str = "qverify"

    def cost(self, setting: Setting, machine: Machine) -> RoundCost:
        """The round of the given or the best length, 1 or more."""
        length = setting.draft_length
        lengths = range(1, setting.longest + 1) if length is None else (length,)
        rounds = (self._round(setting, each).cost(machine) for each in lengths)
        return min(rounds, key=lambda found: found.seconds_per_token)

    def _round(self, setting: Setting, length: int) -> Round:
        draft = PlannedPass("draft", setting.spec(self.draft, 1, _HEAD), length)
        verify = PlannedPass("verify", setting.spec(self.target, length + 1, _HEAD))
        tokens = expected_tokens(setting.acceptance, length)
        return Round((draft, verify), tokens, length, {"draft_length": length})


def w4a16(setting: Setting, form: str = "qverify") -> Round:
    """Plain decoding of QSpec's target."""
    return Round((PlannedPass("verify", setting.spec(form, 1, _HEAD)),), 1.0)
