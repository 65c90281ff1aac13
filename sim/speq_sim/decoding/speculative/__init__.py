"""Speculative decoding: cheap passes draft tokens, one pass over all of them verifies.

* :func:`speculate` continues a prompt, :func:`speculate_rounds` gives it round by round;
* :func:`speculate_hierarchically` has a middle model between draft and target;
* :func:`plain` is what both are compared with;
* :func:`speculate_many` and :func:`plain_many` continue many prompts in lock step;
* :func:`prefill` and :func:`prefill_many` read prompts once for many generations;
* :class:`Fixed`, :class:`Confidence` and :class:`Adaptive` say how long a draft is, and
  :class:`Tree` makes it a tree.
"""

from speq_sim.decoding.speculative.acceptance import (
    Verdict,
    accept_greedy,
    accept_sampled,
    accept_tree,
)
from speq_sim.decoding.speculative.generate import (
    plain,
    plain_many,
    plain_rounds,
    speculate,
    speculate_hierarchically,
    speculate_many,
    speculate_rounds,
)
from speq_sim.decoding.speculative.generation import Generation, Round
from speq_sim.decoding.speculative.policies import Adaptive, Confidence, Fixed, Policy
from speq_sim.decoding.speculative.reading import prefill, prefill_many
from speq_sim.decoding.speculative.sampling import probabilities
from speq_sim.decoding.speculative.trees import Tree

__all__ = [
    "Adaptive",
    "Confidence",
    "Fixed",
    "Generation",
    "Policy",
    "Round",
    "Tree",
    "Verdict",
    "accept_greedy",
    "accept_sampled",
    "accept_tree",
    "plain",
    "plain_many",
    "plain_rounds",
    "prefill",
    "prefill_many",
    "probabilities",
    "speculate",
    "speculate_hierarchically",
    "speculate_many",
    "speculate_rounds",
]
