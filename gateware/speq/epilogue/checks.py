"""Checks of the numbers that shape an epilogue: each refusal names the value and the mend."""

from speq.parameter_checks import ParameterError, check_int
from speq.parameters import MAX_TOKENS, Parameters

__all__ = ["check_lanes", "queue_size"]

LEAST_QUEUE = 3
"""A queue of fewer takes a transfer in every other cycle only."""


def check_lanes(parameters: Parameters, lanes: int) -> None:
    """Refuse values per transfer that do not divide the rows."""
    check_int("lanes", lanes, 1, parameters.rows)
    if parameters.rows % lanes:
        raise ParameterError(
            f"lanes is {lanes}, but must divide rows = {parameters.rows} in an epilogue: "
            f"give it a divisor"
        )


def queue_size(parameters: Parameters, lanes: int, queue: int | None = None) -> int:
    """Tokens whose results may wait: by default those of a tile, or none where E = R.

    Raises
    ------
    ParameterError
        If the queue is not 0, or 3 to 64.
    """
    if queue is None:
        return max(parameters.tokens, LEAST_QUEUE) if lanes < parameters.rows else 0
    check_int("queue", queue, 0, MAX_TOKENS)
    if 0 < queue < LEAST_QUEUE:
        raise ParameterError(
            f"queue is {queue}, but must be 0 or {LEAST_QUEUE} at least, to take a result per "
            f"cycle: give it {LEAST_QUEUE}, or 0 for none"
        )
    return queue
