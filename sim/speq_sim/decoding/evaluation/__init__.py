"""How often a draft is right: what ``scripts/measure_acceptance.py`` is made of.

* :mod:`~speq_sim.decoding.evaluation.agreement`: draft against target, position by position;
* :mod:`~speq_sim.decoding.evaluation.copies`: drafts that are a second copy of the weights;
* :mod:`~speq_sim.decoding.evaluation.codecs`: their names, and what makes a draft another one;
* :mod:`~speq_sim.decoding.evaluation.drafts`: models that draft, and their targets;
* :mod:`~speq_sim.decoding.evaluation.measuring`: one codec on some prompts;
* :mod:`~speq_sim.decoding.evaluation.statistics`: intervals, by resampling prompts;
* :mod:`~speq_sim.decoding.evaluation.summary`: figures from the counts of prompts;
* :mod:`~speq_sim.decoding.evaluation.record`: results that a later run goes on with;
* :mod:`~speq_sim.decoding.evaluation.plot`: bars with intervals.
"""

from speq_sim.decoding.evaluation.agreement import Agreement, Context, agree, contexts
from speq_sim.decoding.evaluation.codecs import (
    DraftOptions,
    check_codec,
    codec_names,
    identity,
    target_of,
)
from speq_sim.decoding.evaluation.copies import COPIES, CopyBackend
from speq_sim.decoding.evaluation.drafts import Draft, Target, make_draft, make_target
from speq_sim.decoding.evaluation.measuring import measure_draft

__all__ = [
    "COPIES",
    "Agreement",
    "Context",
    "CopyBackend",
    "Draft",
    "DraftOptions",
    "Target",
    "agree",
    "check_codec",
    "codec_names",
    "contexts",
    "identity",
    "make_draft",
    "make_target",
    "measure_draft",
    "target_of",
]
