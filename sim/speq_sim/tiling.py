"""Tiling: matrix jobs to transfers of an array's four streams, and results back to matrices.

The array takes three streams and gives one (R rows, C columns, W port words, L lanes):

=============  ==================================================================================
tiles          one transfer per tile: ``mode`` (place in ``speq.parameters.MODES``), ``plain`` (the
               words bypass the decoder), ``first`` and ``last`` (tile of its output tile),
               ``last_token`` (tokens - 1), ``row_table[R]``, ``row_exponent[R]``
weights        ``words[W]``, R*C words of a tile, in the order of :mod:`speq_sim.orders`
activations    ``values[C*L]`` (FP16 patterns), ``shifts[C*L]``: one transfer per beat, the beats of
               a token together, tokens in order; places that a beat does not use are 0
results        ``values[R]`` (patterns), ``token``, ``last`` (last token): after the last tile of an
               output tile, one transfer per token
=============  ==================================================================================

An output tile is R outputs of one pass; its tiles follow each other in the order of k. A job of
more tokens than the design serves at once takes several passes over its weights. A smaller design
has fewer fields: ask for those of its side-car.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speq.parameters import MODES, ParameterError, Parameters
from speq_sim.golden.rounding import RESULT_TYPES
from speq_sim.jobs import Job, expected
from speq_sim.orders import activation_transfers, weight_transfers

__all__ = ["Columns", "Job", "Schedule", "expected", "transfers"]

Columns = dict[str, NDArray[np.int64]]
"""Transfers of one stream: for each field an array of (transfers,) or (transfers, elements)."""


class Schedule:
    """The transfers of a sequence of jobs, run one after the other.

    Parameters
    ----------
    parameters : Parameters
        The design.
    jobs : sequence of Job
        One or more; modes, shapes and numbers of tokens may differ from job to job.

    Raises
    ------
    ParameterError
        If the design cannot run a job.
    ValueError
        If there is no job.
    """

    def __init__(self, parameters: Parameters, jobs: Sequence[Job]) -> None:
        if not jobs:
            raise ValueError("there are no jobs: give at least one")
        for job in jobs:
            _check_runnable(job, parameters)
        self.parameters = parameters
        self.jobs = tuple(jobs)
        # Streams are made of jobs whose outputs fill whole tiles.
        self._filled = [job.with_rows(_up(job.outputs, parameters.rows)) for job in jobs]

    def tiles(self, fields: Iterable[str] | None = None) -> Columns:
        """Transfers of the stream ``tiles``, or some `fields` of them."""
        return _select(_join(self._tiles(job, tokens) for job, tokens in self._passes()), fields)

    def weights(self, fields: Iterable[str] | None = None) -> Columns:
        """Transfers of the stream ``weights``, or some `fields` of them."""
        return _select(_join({"words": self._words(job)} for job, _ in self._passes()), fields)

    def activations(self, fields: Iterable[str] | None = None) -> Columns:
        """Transfers of the stream ``activations``, or some `fields` of them."""
        parts = (self._activations(job, tokens) for job, tokens in self._passes())
        return _select(_join(parts), fields)

    def results(self, fields: Iterable[str] | None = None) -> Columns:
        """Transfers that the stream ``results`` must give, from the golden model.

        Padded rows are included with what their zero words give.
        """
        parts = []
        for job in self._filled:
            patterns = expected(job, self.parameters)
            patterns = patterns.view(f"u{patterns.itemsize}").astype(np.int64)
            for tokens in self._token_ranges(job):
                count = tokens.stop - tokens.start
                values = patterns[tokens].reshape(count, -1, self.parameters.rows).swapaxes(0, 1)
                part = self._result_order(job, count)
                parts.append(part | {"values": values.reshape(-1, self.parameters.rows)})
        return _select(_join(parts), fields)

    def expected(self) -> list[NDArray[np.floating]]:
        """What the golden model computes of each job, M x N."""
        return [expected(job, self.parameters) for job in self.jobs]

    def collect(
        self, results: Mapping[str, ArrayLike] | Iterable[Mapping[str, Any]]
    ) -> list[NDArray[np.floating]]:
        """Put the transfers of the stream ``results`` together.

        Parameters
        ----------
        results : mapping or iterable of mappings
            All transfers as columns, or one mapping per transfer.

        Returns
        -------
        list of NDArray
            For each job M x N float32 or float16, without padded rows.

        Raises
        ------
        ValueError
            If the number of transfers, a token number or a last mark is not what the jobs give.
        """
        rows = self.parameters.rows
        if not isinstance(results, Mapping):
            listed = list(results)
            results = {name: [r[name] for r in listed] for name in ("values", "token", "last")}
        order = _join(
            self._result_order(job, tokens.stop - tokens.start) for job, tokens in self._passes()
        )
        values = np.asarray(results["values"], dtype=np.int64)
        if len(values) != len(order["token"]):
            raise ValueError(
                f"{len(values)} results were collected, but the jobs give {len(order['token'])}"
            )
        for name, wanted in order.items():
            found = np.asarray(results[name], dtype=np.int64).reshape(-1)
            wrong = np.flatnonzero(found != wanted)
            if wrong.size:
                raise ValueError(
                    f"result {wrong[0]} has {name} = {found[wrong[0]]}, but must have "
                    f"{wanted[wrong[0]]}: results are out of order"
                )
        dtype = RESULT_TYPES[self.parameters.result_format]
        patterns = values.reshape(-1, rows).astype(f"u{dtype.itemsize}").view(dtype)
        collected = [np.empty((job.tokens, job.outputs), dtype=dtype) for job in self.jobs]
        start = 0
        for matrix, job in zip(collected, self._filled, strict=True):
            for tokens in self._token_ranges(job):
                count = tokens.stop - tokens.start
                stop = start + count * (job.outputs // rows)
                part = patterns[start:stop].reshape(-1, count, rows).swapaxes(0, 1)
                matrix[tokens] = part.reshape(count, -1)[:, : matrix.shape[1]]
                start = stop
        return collected

    # One pass of one job: its M is within what the design serves, its N is whole tiles ----------

    def _passes(self) -> Iterator[tuple[Job, slice]]:
        for job in self._filled:
            for tokens in self._token_ranges(job):
                yield job, tokens

    def _token_ranges(self, job: Job) -> list[slice]:
        step = self.parameters.tokens
        starts = range(0, job.tokens, step)
        return [slice(start, min(start + step, job.tokens)) for start in starts]

    def _depth(self, job: Job) -> int:
        return _up(job.depth, self.parameters.tile_depth(job.mode))

    def _grid(self, job: Job) -> tuple[int, int]:
        """Output tiles of a pass, and tiles of each."""
        depth = self.parameters.tile_depth(job.mode)
        return job.outputs // self.parameters.rows, self._depth(job) // depth

    def _tiles(self, job: Job, tokens: slice) -> Columns:
        down, across = self._grid(job)
        step = np.tile(np.arange(across), down)

        def per_row(values: NDArray) -> NDArray[np.int64]:
            return np.repeat(values.reshape(down, -1), across, axis=0).astype(np.int64)

        return {
            "mode": np.full(down * across, MODES.index(job.mode)),
            "plain": np.full(down * across, int(job.mode == "verify" and job.family is None)),
            "first": (step == 0).astype(np.int64),
            "last": (step == across - 1).astype(np.int64),
            "last_token": np.full(down * across, tokens.stop - tokens.start - 1),
            "row_table": per_row(job.row_tables),
            "row_exponent": per_row(job.row_exponents),
        }

    def _words(self, job: Job) -> NDArray[np.int64]:
        return weight_transfers(job.padded_codes(self._depth(job)), job.mode, self.parameters)

    def _activations(self, job: Job, tokens: slice) -> Columns:
        down, _ = self._grid(job)
        extra = ((0, 0), (0, self._depth(job) - job.depth))

        def per_beat(values: NDArray) -> NDArray[np.int64]:
            beats = activation_transfers(np.pad(values, extra), job.mode, self.parameters)
            return np.tile(beats, (down, 1))

        patterns = job.activations.view(np.uint16)[tokens]
        shifts = np.broadcast_to(job.shifts, patterns.shape)
        return {"values": per_beat(patterns), "shifts": per_beat(shifts)}

    def _result_order(self, job: Job, count: int) -> Columns:
        token = np.tile(np.arange(count), job.outputs // self.parameters.rows)
        return {"token": token, "last": (token == count - 1).astype(np.int64)}


def transfers(columns: Mapping[str, NDArray]) -> Iterator[dict[str, Any]]:
    """One dictionary of plain integers and lists of them per transfer."""
    lists = {name: values.tolist() for name, values in columns.items()}
    for row in zip(*lists.values(), strict=True):
        yield dict(zip(lists, row, strict=True))


def _check_runnable(job: Job, parameters: Parameters) -> None:
    parameters.beats_per_token(job.mode)  # raises for a mode that is not built in
    if job.family is None:
        return
    if not parameters.packs:
        raise ParameterError(
            f"design {parameters.name!r} has neither mode 'draft' nor 'middle' and so no decoder "
            f"of packed words: give it plain weights, or add a mode"
        )
    if job.family.name != parameters.family:
        raise ParameterError(
            f"design {parameters.name!r} decodes family {parameters.family!r}, but the job is "
            f"packed with {job.family.name!r}: pack it anew, or set family of the design"
        )


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def _join(parts: Iterable[Columns]) -> Columns:
    listed = list(parts)
    return {name: np.concatenate([part[name] for part in listed]) for name in listed[0]}


def _select(columns: Columns, fields: Iterable[str] | None) -> Columns:
    if fields is None:
        return columns
    fields = list(fields)
    missing = sorted(set(fields) - set(columns))
    if missing:
        raise ValueError(f"a stream has the fields {', '.join(columns)}, but not {missing[0]!r}")
    return {name: columns[name] for name in fields}
