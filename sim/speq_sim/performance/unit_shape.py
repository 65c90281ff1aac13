"""A job of the accelerator in tiles and beats (docs/accelerator.md, Memory layout and Jobs)."""

from typing import NamedTuple

from speq.parameters import MAX_PRODUCTS, WORD_BITS, ParameterError, Parameters, check_accelerator
from speq_sim.performance.checks import check_count

__all__ = ["JobShape", "job_shape"]

_MAX_OUTPUT_TILES = (1 << 20) - 1
"""NT of a command at most."""


class JobShape(NamedTuple):
    """A job in tiles and beats.

    Attributes
    ----------
    output_tiles, tiles : int
        NT, and T tiles of each.
    shifts, records : int
        S and H in beats, 0 of plain words.
    load, compute, token_beats : int
        G, beats of all tokens, and of one.
    draft, middle, low : int
        AXI beats of each plane.
    results : int
        Beats of one token's results of an output tile.
    """

    output_tiles: int
    tiles: int
    shifts: int
    records: int
    load: int
    compute: int
    token_beats: int
    draft: int
    middle: int
    low: int
    results: int

    @property
    def pace(self) -> int:
        """P."""
        return max(self.load, self.compute)

    @property
    def hidden(self) -> int:
        """Cycles that loading is ahead of computing where an output tile begins."""
        return min(self.tiles, 2) * (self.pace - self.load)

    @property
    def record_cycles(self) -> int:
        """Cycles that records of an output tile hold up loading and computing."""
        return max(0, self.records - self.hidden)


def job_shape(
    p: Parameters, outputs: int, inputs: int, mode: str, tokens: int, plain: bool
) -> JobShape:
    """Tiles and beats of a job that the unit takes.

    Parameters
    ----------
    p : Parameters
        The design.
    outputs, inputs, mode, tokens, plain
        As for :func:`speq_sim.performance.unit_cycles.unit_cycles`.

    Raises
    ------
    ParameterError, speq_sim.decoding.ModelError
        As there.
    """
    check_accelerator(p)
    token_beats = p.beats_per_token(mode)
    if plain and mode != "verify":
        raise ParameterError(f"mode is {mode!r}, but plain words are verified: use 'verify'")
    check_count("outputs", outputs, 1, _MAX_OUTPUT_TILES * p.rows)
    check_count("inputs", inputs, 1, MAX_PRODUCTS)
    check_count("tokens", tokens, 1, p.tokens)
    groups, output_tiles = -(-inputs // p.group_inputs), -(-outputs // p.rows)
    values = tokens * groups * p.group_inputs
    if values > p.activation_values:
        raise ParameterError(
            f"activation_values is {p.activation_values}, but {tokens} tokens of {inputs} inputs "
            f"take {values} with padding: raise it, or give fewer tokens or inputs"
        )
    plain = plain or not p.packs
    tiles = groups * p.group_tiles // (p.weights_per_word(mode) if p.packs else 1)
    shifts = 0 if plain else groups * p.columns // p.port_words
    records = 0 if plain else -(-p.rows // p.port_words)
    plane = output_tiles * groups * p.load_cycles
    exact = mode == "verify" and not plain
    words = output_tiles * tiles * p.load_cycles
    return JobShape(
        output_tiles=output_tiles,
        tiles=tiles,
        shifts=shifts,
        records=records,
        load=p.load_cycles,
        compute=tokens * token_beats,
        token_beats=token_beats,
        draft=words if plain else shifts + output_tiles * records + plane,
        middle=plane if exact or mode == "middle" else 0,
        low=2 * plane if exact else 0,
        results=-(-p.rows * p.result_bits // (p.port_words * WORD_BITS)),
    )
