"""How far the largest element of a vector stands out."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["crest"]


def crest(x: NDArray) -> NDArray[np.float64]:
    """Largest magnitude over root mean square of every vector; 1 is flat, ``sqrt(K)`` one spike.

    An integer format with one scale per token spends ``log2(crest)`` of its bits on the distance.

    Parameters
    ----------
    x : NDArray
        [tokens, K], finite.

    Returns
    -------
    NDArray
        [tokens]; 1 where all elements are zero.
    """
    wide = x.astype(np.float64)
    largest, rms = np.abs(wide).max(axis=-1), np.sqrt(np.mean(wide**2, axis=-1))
    return np.where(rms > 0, largest / np.where(rms > 0, rms, 1), 1.0)
