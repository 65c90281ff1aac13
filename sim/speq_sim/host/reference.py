"""What a job must give: a packed matrix as a job of the golden model."""

import numpy as np
from numpy.typing import NDArray

from speq.formats import decode, family, from_planes
from speq.formats.codec import draft_codes
from speq.formats.packing import PackedTensor
from speq_sim.jobs import Job

__all__ = ["job_of"]


def job_of(tensor: PackedTensor, mode: str, activations: NDArray[np.float16]) -> Job:
    """The product of a matrix [N, K] and activations [M, K] in a mode.

    A plain matrix is verified in every mode, since it has no draft.
    """
    if tensor.is_plain:
        return Job.plain(tensor.plain.view(np.float16), activations)
    members, words = family(tensor.family), from_planes(tensor.planes)
    rest = (
        activations,
        members,
        tensor.tables.astype(np.int64),
        -tensor.scale.columns.astype(np.int64),
        tensor.scale.row_exponents,
    )
    if mode == "draft":
        return Job.draft(draft_codes(words), *rest)
    values = decode(words, members, tensor.tables).view(np.float16)
    return Job.middle(values, *rest) if mode == "middle" else Job.packed(values, *rest)
