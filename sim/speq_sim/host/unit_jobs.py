"""What a job of the unit must give, packed, plain or INT4: as a job of the golden model."""

import numpy as np
from numpy.typing import NDArray

from speq.formats.int4 import Int4Tensor
from speq.formats.packing import PackedTensor
from speq_sim.golden import quantise_activations
from speq_sim.host.reference import job_of
from speq_sim.jobs import Job

__all__ = ["unit_job"]


def unit_job(tensor: PackedTensor | Int4Tensor, mode: str, activations: NDArray[np.float16]) -> Job:
    """The product of a matrix [N, K] and activations [M, K] in a mode, before the epilogue.

    Activations are those that the host library is given: it quantises them for QDRAFT. An INT4
    tensor is taken as one product over all of K; its groups are jobs of their own
    (:func:`speq_sim.host.matrix.split_groups`).
    """
    if not isinstance(tensor, Int4Tensor):
        return job_of(tensor, mode, activations)
    if mode == "qdraft":
        activations, _ = quantise_activations(activations)
    return Job.integer(tensor.nibbles, activations, verify=mode == "qverify")
