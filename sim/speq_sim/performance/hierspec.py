"""HierSpec as its authors run it: an EAGLE head, a small model, a large one (arXiv 2505.22179)."""

import dataclasses

from speq_sim.decoding.errors import ModelError
from speq_sim.performance.machine import Machine
from speq_sim.performance.methods import Setting, Tree
from speq_sim.performance.models import model_config, parameter_count
from speq_sim.performance.rounds import PlannedPass, Round, RoundCost
from speq_sim.performance.speculation import hierarchy, tokens_distribution

__all__ = ["HierSpec"]


@dataclasses.dataclass(frozen=True)
class HierSpec:
    """The EAGLE head of a small model drafts trees, which that model turns into a chain.

    Inner rounds: `depth` passes of the head, one of the small model over `nodes` tokens. When the
    chain has `minimum` tokens the target judges all of it in one pass. Sizes are those of the
    authors' repository (PAPERS: depth 3, ten nodes a level, 30 nodes, chains of 6 to 9 tokens).

    Parameters
    ----------
    title : str
        For reports.
    form : str
        Of the small model's and the target's weights.
    small : str
        Name of the small model.
    depth, width, nodes, minimum : int
        As above.
    """

    title: str
    form: str
    small: str = "llama-3-8b"
    depth: int = 3
    width: int = 10
    nodes: int = 30
    minimum: int = 6

    def cost(self, setting: Setting, machine: Machine) -> RoundCost:
        """The only round. `acceptance` is of a level of the tree by the small model, and
        `middle_acceptance` of the small model's tokens by the target.

        Raises
        ------
        ModelError
            If the small model is no smaller than the target.
        """
        return self.round(setting).cost(machine)

    def round(self, setting: Setting) -> Round:
        """Passes of head, small model and target."""
        config = model_config(self.small)
        if parameter_count(config) >= parameter_count(setting.config):
            raise ModelError(
                f"HierSpec drafts with {self.small}, which is no smaller than this model: use a "
                f"larger one, such as llama-3-70b"
            )
        small = dataclasses.replace(setting, config=config)
        tree = Tree(self.title, self.form, self.depth, self.width, self.nodes)
        inner = tokens_distribution(setting.acceptance, self.depth)
        outer = hierarchy(inner, setting.middle_acceptance, self.minimum).in_lock_step(
            setting.batch
        )
        passes = [
            PlannedPass(
                "middle" if each.kind == "verify" else each.kind,
                each.spec,
                each.count * outer.inner_rounds,
            )
            for each in tree.round(small).passes
        ]
        passes += [
            PlannedPass("verify", setting.spec(self.form, chain + 1), chance)
            for chain, chance in outer.chain_lengths.items()
            if chance > 0
        ]
        drafted = sum(chain * chance for chain, chance in outer.chain_lengths.items())
        return Round(tuple(passes), outer.tokens, drafted, {"minimum": self.minimum})
