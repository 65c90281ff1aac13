"""Where a weight and an activation of a tile lie in an array's transfers, mode by mode.

The definition is in ``docs/numerics.md`` (Word order) and ``docs/architecture.md`` (Ports). R rows,
C columns, W port words, L lanes; matrices are whole tiles, padded.
"""

import numpy as np
from numpy.typing import NDArray

from speq.parameters import Parameters

__all__ = ["activation_transfers", "weight_transfers"]

NIBBLES = 4
BYTES = 2


def weight_transfers(codes: NDArray, mode: str, parameters: Parameters) -> NDArray[np.int64]:
    """The stream ``weights`` of some tiles: (transfers, W).

    Tiles follow each other row of tiles by row of tiles, in the order of k, each in R*C/W transfers
    of W words of 16 bits.

    Parameters
    ----------
    codes : NDArray
        N x K words, high bytes or nibbles, as :class:`speq_sim.jobs.Job` has them.
    mode : str
        Mode of the tiles; N and K are multiples of R and of the tile's depth.
    parameters : Parameters
        The design.
    """
    rows, columns, width = parameters.rows, parameters.columns, parameters.port_words
    down, codes = len(codes) // rows, codes.astype(np.int64)
    if mode == "verify":
        tiles = codes.reshape(down, rows, -1, columns)
        return tiles.transpose(0, 2, 1, 3).reshape(-1, width)
    if mode == "middle":
        tiles = codes.reshape(down, rows, -1, BYTES, columns)
        # Low byte of a transfer's words: one group of W neighbouring PEs. High byte: the next one.
        pairs = tiles.transpose(0, 2, 3, 1, 4).reshape(-1, BYTES, width)
        return pairs[:, 0] | pairs[:, 1] << 8
    lanes = parameters.lanes
    tiles = codes.reshape(down, rows, -1, NIBBLES // lanes, columns, lanes)
    quarters = tiles.transpose(0, 2, 3, 5, 1, 4).reshape(-1, width, NIBBLES)
    return np.bitwise_or.reduce(quarters << 4 * np.arange(NIBBLES), axis=2)


def activation_transfers(values: NDArray, mode: str, parameters: Parameters) -> NDArray[np.int64]:
    """The stream ``activations`` over some tiles: (tiles * M * beats of a token, C*L).

    Parameters
    ----------
    values : NDArray
        M x K patterns or shifts; K is a multiple of the tile's depth.
    mode : str
        Mode of the tiles.
    parameters : Parameters
        The design.
    """
    columns, lanes = parameters.columns, parameters.lanes
    tokens, values = len(values), values.astype(np.int64)
    if mode in ("verify", "middle"):
        beats = values.reshape(tokens, -1, parameters.beats_per_token(mode), columns)
        beats = beats.swapaxes(0, 1).reshape(-1, columns)
        return np.pad(beats, ((0, 0), (0, columns * (lanes - 1))))
    used = parameters.mode_lanes(mode)
    # With fewer lanes in use the inputs of one DRAFT beat take several, a part of each column's.
    whole = values.reshape(tokens, -1, NIBBLES // lanes, columns, lanes // used, used)
    beats = whole.transpose(1, 0, 2, 4, 3, 5).reshape(-1, columns, used)
    return np.pad(beats, ((0, 0), (0, 0), (0, lanes - used))).reshape(-1, columns * lanes)
