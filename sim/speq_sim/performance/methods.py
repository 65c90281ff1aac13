"""Methods of decoding, as rounds of passes: what a user may compare.

Closed formulas throughout: acceptances are chances per token, independent of each other (Leviathan
et al., arXiv 2211.17192). All passes of a round are charged with the cache that it starts with.
"""

import dataclasses
import functools
from typing import Protocol

from speq_sim.decoding.config import LlamaConfig
from speq_sim.performance.checks import check_count, check_number
from speq_sim.performance.draft_policies import (
    BestLength,
    Confidence,
    DraftPolicy,
    FixedLength,
)
from speq_sim.performance.machine import Machine
from speq_sim.performance.rounds import PlannedPass, Round, RoundCost
from speq_sim.performance.speculation import (
    expected_tree_tokens,
    hierarchy,
    tokens_distribution,
)
from speq_sim.performance.transformer import PassSpec, Recipe

__all__ = ["Chain", "Hierarchy", "Method", "Plain", "Setting", "Tree"]

LONGEST_INNER = 6
"""Longest draft of a hierarchy that is searched; longer ones are for the target to judge."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a method is run on.

    Parameters
    ----------
    config : LlamaConfig
        The model.
    context : int
        Positions in the cache of each sequence.
    batch : int
        Sequences.
    acceptance : float
        Chance of a drafted token to be the target's (in a hierarchy: the middle model's).
    middle_acceptance : float
        Chance of a token of the middle model to be the target's.
    draft_length : int or None
        Tokens of a draft, 0 for plain decoding; None for the best up to `longest`.
    longest : int
        Longest draft that is searched.
    stop : float
        Chance that the drafter stops behind a token, for drafts of no fixed length
        (:class:`speq_sim.performance.draft_policies.Confidence`); chains alone.
    minimum : int or None
        Least tokens of a hierarchy's chain; None for the best up to `longest`.
    recipe : Recipe
        Matrices that the draft pass reads in another form.
    """

    config: LlamaConfig
    context: int = 1024
    batch: int = 1
    acceptance: float = 0.9
    middle_acceptance: float = 0.98
    draft_length: int | None = None
    longest: int = 24
    stop: float = 0.0
    minimum: int | None = None
    recipe: Recipe = ()

    def __post_init__(self) -> None:
        check_count("context", self.context, 0, 1 << 24)
        check_count("batch", self.batch, 1, 1 << 16)
        check_number("acceptance", self.acceptance, 0.0, 1.0)
        check_number("acceptance of the middle model", self.middle_acceptance, 0.0, 1.0)
        check_count("longest draft", self.longest, 1, 256)
        check_number("chance to stop", self.stop, 0.0, 1.0)
        if self.draft_length is not None:
            check_count("draft length", self.draft_length, 0, 256)
        if self.minimum is not None:
            check_count("least tokens of a chain", self.minimum, 1, 256)

    @property
    def policy(self) -> DraftPolicy:
        """What decides how long a chain is."""
        if self.stop > 0:
            return Confidence(self.stop, self.draft_length or self.longest)
        if self.draft_length is not None:
            return FixedLength(self.draft_length)
        return BestLength(self.longest)

    def spec(self, form: str, tokens: int = 1, recipe: Recipe = ()) -> PassSpec:
        """A pass of the model."""
        return PassSpec(self.config, form, tokens, self.context, self.batch, recipe)


class Method(Protocol):
    """A way to decode."""

    @property
    def title(self) -> str:
        """For reports."""
        ...

    def cost(self, setting: Setting, machine: Machine) -> RoundCost:
        """Its best round within the setting, on a machine."""
        ...


@dataclasses.dataclass(frozen=True)
class Plain:
    """A pass a token, of weights in one form."""

    title: str
    form: str

    def cost(self, setting: Setting, machine: Machine) -> RoundCost:
        """One pass."""
        return Round((PlannedPass("verify", setting.spec(self.form)),), 1.0).cost(machine)


@dataclasses.dataclass(frozen=True)
class Chain:
    """L draft passes, then a verify pass over L + 1 tokens.

    Parameters
    ----------
    title : str
        For reports.
    draft, target : str
        Forms of the weights in both passes.
    """

    title: str
    draft: str
    target: str

    def cost(self, setting: Setting, machine: Machine) -> RoundCost:
        """The round of the setting's policy."""
        draft = setting.spec(self.draft, 1, setting.recipe)

        def verify(tokens: int) -> PassSpec:
            return setting.spec(self.target, tokens)

        found = setting.policy.round(
            setting.acceptance,
            machine.time(draft).seconds,
            lambda tokens: machine.time(verify(tokens)).seconds,
        ).in_lock_step(setting.batch)
        passes = [PlannedPass("draft", draft, found.drafted)] if found.drafted else []
        passes += [
            PlannedPass("verify", verify(length + 1), chance)
            for length, chance in found.lengths.items()
        ]
        settings = {"draft_length": max(found.lengths)}
        return Round(tuple(passes), found.tokens, found.drafted, settings).cost(machine)


@dataclasses.dataclass(frozen=True)
class Hierarchy:
    """A draft of a middle model, whose tokens the target judges (arXiv 2505.22179).

    Inner rounds, a draft of L tokens and a pass of the middle model, go on until the chain has n
    tokens; then the target judges it in one pass.

    Parameters
    ----------
    title : str
        For reports.
    draft, middle, target : str
        Forms of the weights.
    """

    title: str
    draft: str
    middle: str
    target: str

    def cost(self, setting: Setting, machine: Machine) -> RoundCost:
        """The round of the given or the best L and n."""
        length, minimum = setting.draft_length, setting.minimum
        lengths = range(1, LONGEST_INNER + 1) if length is None else (max(length, 1),)
        minima = range(1, setting.longest + 1) if minimum is None else (minimum,)
        plain = machine.time(setting.spec(self.target)).seconds
        best: RoundCost | None = None
        for each in lengths:
            for least in minima:
                found = _hierarchy_round(self, setting, each, least)
                if best is None or _least_seconds(found, plain, machine) < best.seconds_per_token:
                    cost = found.cost(machine)
                    if best is None or cost.seconds_per_token < best.seconds_per_token:
                        best = cost
        return best

    def round(self, setting: Setting, length: int, minimum: int) -> Round:
        """The round of drafts of a length, and chains of no fewer tokens than the minimum."""
        inner = tokens_distribution(setting.acceptance, length)
        outer = hierarchy(inner, setting.middle_acceptance, minimum).in_lock_step(setting.batch)
        draft = setting.spec(self.draft, 1, setting.recipe)
        passes = [
            PlannedPass("draft", draft, length * outer.inner_rounds),
            PlannedPass("middle", setting.spec(self.middle, length + 1), outer.inner_rounds),
        ]
        passes += [
            PlannedPass("verify", setting.spec(self.target, chain + 1), chance)
            for chain, chance in outer.chain_lengths.items()
            if chance > 0
        ]
        drafted = sum(chain * chance for chain, chance in outer.chain_lengths.items())
        settings = {"draft_length": length, "minimum": minimum}
        return Round(tuple(passes), outer.tokens, drafted, settings)


# A search over designs asks for the same rounds at each.
@functools.lru_cache(maxsize=4096)
def _hierarchy_round(method: Hierarchy, setting: Setting, length: int, minimum: int) -> Round:
    return method.round(setting, length, minimum)


def _least_seconds(found: Round, plain: float, machine: Machine) -> float:
    """What a token takes at least, since no verify pass is shorter than one over a single token.

    Rounds that cannot win are not timed, which spares most passes of long chains.
    """
    return (
        sum(
            each.count * (plain if each.kind == "verify" else machine.time(each.spec).seconds)
            for each in found.passes
        )
        / found.tokens
    )


@dataclasses.dataclass(frozen=True)
class Tree:
    """A drafted tree, of which the target keeps the best path (EAGLE-2, arXiv 2406.16858).

    The drafter is a small model beside the target, as EAGLE's: one transformer layer of the
    target's width, a matrix [H, 2H] before it, and the target's own LM head. A level of the tree
    is a pass of `width` tokens, the first of one.

    Parameters
    ----------
    title : str
        For reports.
    target : str
        Form of the target's weights.
    depth, width, nodes : int
        Levels; nodes that are extended at each; nodes that the target is given, the root included.
    drafter : str
        Form of the drafter's weights, and of the head in its passes.
    """

    title: str
    target: str
    depth: int
    width: int
    nodes: int
    drafter: str = "fp16"

    def cost(self, setting: Setting, machine: Machine) -> RoundCost:
        """The only round there is; the acceptance is that of a level."""
        return self.round(setting).cost(machine)

    def round(self, setting: Setting) -> Round:
        """Passes of the drafter level by level, then of the target over all nodes."""
        config = setting.config
        head = dataclasses.replace(config, layers=1)
        fusion = ((config.hidden, 2 * config.hidden, self.drafter),)

        def level(tokens: int) -> PassSpec:
            return PassSpec(
                head, self.drafter, tokens, setting.context, setting.batch, extra=fusion
            )

        passes = [PlannedPass("draft", level(1))]
        if self.depth > 1:
            passes.append(PlannedPass("draft", level(self.width), self.depth - 1))
        passes.append(PlannedPass("verify", setting.spec(self.target, self.nodes)))
        tokens = expected_tree_tokens([setting.acceptance] * self.depth)
        return Round(tuple(passes), tokens, self.nodes - 1, {"depth": self.depth})
