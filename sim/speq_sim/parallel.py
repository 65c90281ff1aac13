"""Independent pieces of work on Dask workers: processes of this machine, or a cluster.

A piece of work is a function of one argument, called *batch* here, in a module that workers can
import. Whoever hands out the batches gets the results one by one and is the only one to write.
"""

import asyncio
import itertools
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["WorkerError", "map_batches", "workers"]

ANSWER_SECONDS = 10
"""How long a scheduler may take to answer."""

_AHEAD = 2
"""Batches that are handed out per thread of the workers, so that none waits for the next."""

Batch = TypeVar("Batch")
Result = TypeVar("Result")


class WorkerError(RuntimeError):
    """Workers cannot be had, or were lost. The message names the address and the mend."""


@contextmanager
def workers(
    scheduler: str | None = None, count: int | None = None, *, seconds: float = ANSWER_SECONDS
) -> Iterator["Client | None"]:
    """Workers for :func:`map_batches`, as long as the block lasts.

    Parameters
    ----------
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``, whose workers have this package.
    count : int, optional
        Without `scheduler`: so many processes of one thread each, one for each core by default; 0
        for none, so that all is done in this process.
    seconds : float
        How long the scheduler may take to answer.

    Yields
    ------
    Client or None
        None stands for this process.

    Raises
    ------
    WorkerError
        If the scheduler does not answer, or `count` is negative or given beside `scheduler`.
    """
    if scheduler is not None and count is not None:
        raise WorkerError(
            f"{count} workers are asked for beside the scheduler {scheduler}, which has workers of "
            f"its own: give one of the two"
        )
    if count is not None and count < 0:
        raise WorkerError(f"the number of workers is {count}, but must be 0 or more")
    if count == 0:
        yield None
        return
    with ExitStack() as stack:
        if scheduler is not None:
            client = _connected(scheduler, seconds)
        else:
            client = _local(stack, count or os.cpu_count() or 1)
        yield stack.enter_context(client)


def map_batches(
    client: "Client | None",
    function: Callable[[Batch], Result],
    batches: Sequence[Batch],
    step: Callable[[Batch], None] = lambda batch: None,
) -> Iterator[tuple[Batch, Result]]:
    """Call a function with each batch, and give the results as they come.

    Parameters
    ----------
    client : Client or None
        From :func:`workers`.
    function : callable
        Of one batch. An error of it comes out of here, and the batches that wait are dropped.
    batches : sequence
        In the order in which they are handed out.
    step : callable
        Is told of batch n of them when n - 1 are done: for a display of progress.

    Yields
    ------
    tuple
        A batch and its result; in this process in order, else as they are done.

    Raises
    ------
    WorkerError
        If workers die over a batch.
    """
    if client is None:
        for batch in batches:
            step(batch)
            yield batch, function(batch)
        return
    from distributed import KilledWorker, as_completed

    threads = max(1, sum(client.nthreads().values()))
    waiting = iter(batches)
    given = {}

    def hand_out(most: int) -> list:
        futures = []
        for batch in itertools.islice(waiting, most):
            future = client.submit(function, batch, pure=False)
            given[future.key] = batch
            futures.append(future)
        return futures

    done = as_completed(hand_out(_AHEAD * threads), loop=client.loop)
    turns = iter(batches)
    step_for = next(turns, None)
    try:
        if step_for is not None:
            step(step_for)
        for future in done:
            try:
                result = future.result()
            except KilledWorker:
                raise WorkerError(
                    "a worker died several times over the same piece of work, perhaps for lack of "
                    "memory: give fewer workers"
                ) from None
            batch = given.pop(future.key)
            future.release()
            for more in hand_out(1):
                done.add(more)
            yield batch, result
            for turn in itertools.islice(turns, 1):
                step(turn)
    finally:
        client.cancel(list(done.futures))


def _connected(scheduler: str, seconds: float) -> "Client":
    from distributed import Client
    from distributed.comm import connect

    async def knock() -> None:
        (await connect(scheduler, timeout=seconds)).abort()

    # A client that got no answer would complain again when it is collected.
    try:
        asyncio.run(knock())
    except (OSError, ValueError, TypeError):
        raise WorkerError(
            f"no Dask scheduler answers at {scheduler} within {seconds:g} s: start one with "
            f"'dask scheduler', or leave out the address to use this machine"
        ) from None
    return Client(scheduler, timeout=seconds, set_as_default=False)


def _local(stack: ExitStack, count: int) -> "Client":
    from distributed import Client, LocalCluster

    # What workers spill goes to a folder of its own, which is gone at the end.
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="speq-workers-"))
    cluster = LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        local_directory=folder,
        silence_logs=logging.CRITICAL,
        memory_limit=None,
    )
    stack.enter_context(cluster)
    return Client(cluster, set_as_default=False)
