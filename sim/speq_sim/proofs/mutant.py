"""A planted fault."""

import dataclasses

__all__ = ["Mutant"]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One fault.

    Parameters
    ----------
    name : str
        Unique; letters, digits and underscores.
    file : str
        File of the package ``speq`` that is changed.
    old, new : str
        Text that the file has exactly once, and what takes its place.
    design : str
        Design of the bench that plays it first (:data:`speq_sim.proofs.mutation_bench.DESIGNS`).
    """

    name: str
    file: str
    old: str
    new: str
    design: str = "four"
