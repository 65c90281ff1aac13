"""Speculative decoding: cheap passes draft tokens, one pass over all of them verifies.

* :func:`speculate` continues a prompt, :func:`speculate_rounds` gives it round by round;
* :func:`speculate_hierarchically` has a middle model between draft and target;
* :func:`plain` is what both are compared with;
* :class:`Fixed`, :class:`Confidence` and :class:`Adaptive` say how long a draft is.
"""

from speq_sim.decoding.speculative.acceptance import Verdict, accept_greedy, accept_sampled
from speq_sim.decoding.speculative.generation import Generation, Round
from speq_sim.decoding.speculative.hierarchical import speculate_hierarchically
from speq_sim.decoding.speculative.loop import plain, speculate, speculate_rounds
from speq_sim.decoding.speculative.policies import Adaptive, Confidence, Fixed, Policy
from speq_sim.decoding.speculative.sampling import probabilities

__all__ = [
    "Adaptive",
    "Confidence",
    "Fixed",
    "Generation",
    "Policy",
    "Round",
    "Verdict",
    "accept_greedy",
    "accept_sampled",
    "plain",
    "probabilities",
    "speculate",
    "speculate_hierarchically",
    "speculate_rounds",
]
