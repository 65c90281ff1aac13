"""Figures that the papers report. Results are for comparing alone; inputs are what they measured.

SPEQ: arXiv 2510.18525, abstract; its acceptance from two independent public notes. QSpec: arXiv
2410.11305v3 and the screenshots of its repository. HierSpec: arXiv 2505.22179, abstract and
repository.
"""

import dataclasses

__all__ = [
    "EAGLE_ON_W4A16",
    "HIERSPEC",
    "HIERSPEC_OVER_EAGLE",
    "QSPEC",
    "QSPEC_ACCEPTANCES",
    "QSPEC_LENGTH",
    "QSPEC_TOKENS_PER_ROUND",
    "SPEQ",
    "SPEQ_ACCEPTANCE",
    "SPEQ_OVER_OLIVE",
    "SPEQ_OVER_TENDER",
    "TREE_VERIFY_FP16",
    "TREE_VERIFY_W4A16",
    "Headline",
]


@dataclasses.dataclass(frozen=True)
class Headline:
    """A result of a paper.

    Parameters
    ----------
    value : float
        As reported.
    what : str
        Of what, against what.
    """

    value: float
    what: str


SPEQ = Headline(2.07, "SPEQ over FP16, average over 15 pairs of model and task")
SPEQ_OVER_OLIVE = Headline(1.53, "SPEQ over OliVe, the same average")
SPEQ_OVER_TENDER = Headline(1.45, "SPEQ over Tender, the same average")
QSPEC = Headline(1.64, "QSpec over W4A16 on a GPU, at most")
QSPEC_TOKENS_PER_ROUND = Headline(3.78, "tokens of a round of QSpec (repository)")
HIERSPEC = Headline(2.78, "HierSpec over W4A16, Llama-3-70B on one A100, average")
HIERSPEC_OVER_EAGLE = Headline(1.31, "HierSpec over EAGLE-2, the same average")
EAGLE_ON_W4A16 = Headline(2.78 / 1.31, "EAGLE-2 over W4A16: the quotient of the two above")
TREE_VERIFY_W4A16 = Headline(1.8, "time of verifying a tree over that of a token, W4A16")
TREE_VERIFY_FP16 = Headline(1.2, "the same in FP16, at most")

SPEQ_ACCEPTANCE = 0.976
"""Input: average acceptance of a drafted token."""

QSPEC_ACCEPTANCES = (0.955, 0.961)
"""Input: acceptance, least and most (Llama-3-8B-Instruct, GSM8K)."""

QSPEC_LENGTH = 3
"""Input: tokens of a draft."""
