"""What a generation begins with: its models, its proposers and its caches."""

from collections.abc import Callable, Collection, Sequence

from speq_sim.decoding.cache import KVCache
from speq_sim.decoding.errors import ModelError
from speq_sim.decoding.llama import Llama
from speq_sim.decoding.speculative.loop import Continuation
from speq_sim.decoding.speculative.passes import Models, Stage
from speq_sim.decoding.speculative.policies import Policy
from speq_sim.decoding.speculative.proposals import ChainDrafter, Gatherer, NoDraft, Proposer
from speq_sim.decoding.speculative.reading import begin
from speq_sim.decoding.speculative.rules import Rule, rule_of
from speq_sim.decoding.speculative.trees import Tree, TreeDrafter

__all__ = ["Make", "drafting", "models_of", "no_draft", "start"]

Make = Callable[[Rule], Proposer]
"""Makes the proposer of a sequence."""


def models_of(target: Llama, draft: Llama, middle: Llama | None) -> Models:
    """The models by stage."""
    models = {Stage.DRAFT: draft, Stage.VERIFY: target}
    return models if middle is None else models | {Stage.MIDDLE: middle}


def no_draft(rule: Rule) -> Proposer:
    """The proposer of plain decoding."""
    return NoDraft()


def drafting(
    policy: Callable[[], Policy | Tree],
    middle: Llama | None,
    min_draft_length: int,
    stop: Collection[int],
) -> Make:
    """What makes the proposer of a sequence that drafts.

    Parameters
    ----------
    policy : callable
        Gives a sequence its policy or tree.
    middle : Llama or None
        Whether there is a level between draft and target.
    min_draft_length : int
        Least tokens of that level's chains.
    stop : collection of int

    Raises
    ------
    ModelError
        If `min_draft_length` is below 1, or, when a proposer is made, a tree is to be sampled from.
    """
    if min_draft_length < 1:
        raise ModelError(f"a min_draft_length of {min_draft_length} is none: give 1 or more")

    def make(rule: Rule) -> Proposer:
        found = policy()
        drafter: Proposer
        if not isinstance(found, Tree):
            drafter = ChainDrafter(found, rule, stop)
        elif not rule.is_greedy:
            raise ModelError(
                "a tree is judged greedily only: set the temperature to 0, or give a policy for "
                "chains"
            )
        else:
            drafter = TreeDrafter(found, stop)
        return drafter if middle is None else Gatherer(drafter, rule, stop, min_draft_length)

    return make


def start(
    models: Models,
    make: Make,
    prompts: Sequence[Sequence[int]],
    count: int,
    temperature: float,
    seed: int,
    stop: Collection[int],
    caches: Sequence[KVCache] | None,
) -> list[Continuation]:
    """One sequence for each prompt, ready for its first round; sequence i has seed + i.

    Raises
    ------
    ModelError
        As :func:`speq_sim.decoding.speculative.reading.begin`.
    """
    rules = [rule_of(temperature, seed + index) for index in range(len(prompts))]
    proposers = [make(rule) for rule in rules]
    spare = max((each.spare for each in proposers), default=0)
    target = models[Stage.VERIFY]
    held = begin(target, list(models.values()), prompts, count, spare, caches)
    return [
        Continuation(prompt, cache, count, proposer, rule, stop)
        for prompt, cache, proposer, rule in zip(prompts, held, proposers, rules, strict=True)
    ]
