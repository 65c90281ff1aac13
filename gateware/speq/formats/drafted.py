"""A tensor on its way to be packed: a scale that is tried, and the draft that comes of it."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from speq.formats.codec import draft_codes, draft_values, encode
from speq.formats.compensation import compensate, output_errors
from speq.formats.moments import MAX_SHIFT, Choice, choose, moments
from speq.formats.scale import ROW_EXPONENTS, Scale, apply_scale, spare_shifts
from speq.formats.spare_rows import choose_spare
from speq.formats.tables import Family, family
from speq.formats.wide import Half

__all__ = [
    "BASELINE",
    "Drafted",
    "Trial",
    "baseline_output_error",
    "compensated",
    "draft_errors",
    "finish",
    "stored_importance",
    "trial",
]

BASELINE = "bsfp"
"""Family that no fitted one may do worse than."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """Outcome of one candidate scale; errors are in units of the original weights.

    Parameters
    ----------
    scale : Scale
        What was tried.
    stored : array of uint16 [N, K]
        The tensor at this scale.
    choice : Choice
        Shift, table and alpha of each row.
    error, baseline, energy : float
        Squared errors of the draft and of the one by :data:`BASELINE`, and the weights' squares.
    """

    scale: Scale
    stored: NDArray[np.uint16]
    choice: Choice
    error: float
    baseline: float
    energy: float


def trial(
    half: Half,
    members: Family,
    scale: Scale,
    importance: NDArray[np.float64] | None,
    *,
    fixed: bool,
    spare: bool = False,
) -> Trial:
    """Choose each row's shift, table and alpha at a scale (with `fixed`, no shift).

    With `spare`, for codes that are chosen weight by weight; errors are expected ones then.
    """
    bits = half.bits
    stored = apply_scale(bits, scale)
    sums = moments(stored, stored_importance(scale, importance))
    if fixed:
        allowed = np.zeros(len(bits), dtype=np.int64)
    else:
        lower = spare_shifts(bits, scale.row_exponents, scale.columns)
        above = _original(scale, half) - ROW_EXPONENTS[0]
        allowed = np.clip(np.minimum(lower, above), 0, MAX_SHIFT)
    choice = (choose_spare if spare else choose)(sums, members, allowed)
    back = 4.0 ** -_original(scale, half).astype(np.float64)
    baseline = choose(sums, family(BASELINE), allowed)
    return Trial(
        scale,
        stored,
        choice,
        float(choice.error @ back),
        float(baseline.error @ back),
        float(sums.energy @ back),
    )


@dataclasses.dataclass(frozen=True)
class Drafted:
    """A tensor at its final scale; `codes` are those of the cells where None.

    Parameters
    ----------
    scale : Scale
        Powers of two.
    stored : array of uint16 [N, K]
        The tensor at this scale.
    tables : array of uint8 [N]
        Table of each row.
    alpha : array of float64 [N]
        Scale of each row's draft values.
    back : array of float64 [N]
        Turns squares of each row's stored weights into those of the original ones.
    error, energy : float
        Squared error of the draft and the weights' squares, in units of the original weights.
    codes : array of uint8 [N, K], optional
        Code of each weight.
    """

    scale: Scale
    stored: NDArray[np.uint16]
    tables: NDArray[np.uint8]
    alpha: NDArray[np.float64]
    back: NDArray[np.float64]
    error: float
    energy: float
    codes: NDArray[np.uint8] | None = None


def finish(half: Half, trial: Trial) -> Drafted:
    """The outcome of a trial, rows stored as much lower as they chose."""
    choice, scale, stored = trial.choice, trial.scale, trial.stored
    if np.any(choice.shift):
        scale = Scale.of(scale.row_exponents - choice.shift, scale.columns)
        stored = apply_scale(half.bits, scale)
    back = 4.0 ** -_original(scale, half).astype(np.float64)
    return Drafted(scale, stored, choice.table, choice.alpha, back, trial.error, trial.energy)


def compensated(
    drafted: Drafted,
    members: Family,
    second_moments: NDArray[np.float64],
    importance: NDArray[np.float64],
) -> tuple[Drafted, float, float]:
    """Codes chosen so that errors cancel; error and energy of the output.

    Raises
    ------
    FormatError
        If the moments are of no inputs.
    """
    scale = drafted.scale
    found = compensate(
        drafted.stored, scale.columns, members, drafted.tables, drafted.alpha, second_moments
    )
    drafted = dataclasses.replace(drafted, codes=found.codes, alpha=found.alpha)
    weight = stored_importance(scale, importance)
    error = float(drafted.back @ (np.square(draft_errors(drafted, members)) @ weight))
    drafted = dataclasses.replace(drafted, error=error)
    return drafted, float(found.error @ drafted.back), float(found.energy @ drafted.back)


def baseline_output_error(
    half: Half, scales: list[Scale], second_moments: NDArray[np.float64], *, fixed: bool
) -> float:
    """Least error of the output that the baseline's draft has at one of some scales."""
    members, importance = family(BASELINE), np.diag(second_moments)
    errors = []
    for scale in scales:
        drafted = finish(half, trial(half, members, scale, importance, fixed=fixed))
        undo = 2.0 ** -drafted.scale.columns.astype(np.float64)
        error = draft_errors(drafted, members) * undo.astype(np.float32)
        errors.append(float(output_errors(error, second_moments) @ drafted.back))
    return min(errors)


def draft_errors(drafted: Drafted, members: Family) -> NDArray[np.float32]:
    """Stored weights less their drafts [N, K]."""
    words = encode(drafted.stored, members, drafted.tables, drafted.codes)
    drafts = draft_values(draft_codes(words), members)
    exact = drafted.stored.view(np.float16).astype(np.float32)
    return exact - drafts * drafted.alpha[:, None].astype(np.float32)


def stored_importance(
    scale: Scale, importance: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Weight of a stored weight's squared error: 2**(-2c) undoes its column's power of two."""
    if not np.any(scale.columns):
        return importance
    weight = 4.0 ** -scale.columns.astype(np.float64)
    return weight if importance is None else weight * importance


def _original(scale: Scale, half: Half) -> NDArray[np.int64]:
    """Row exponents of a scale, counted from the original weights."""
    return scale.row_exponents + (0 if half.moved is None else half.moved)
