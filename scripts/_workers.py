"""Options of scripts that hand out their work, and the workers they ask for."""

import argparse
from contextlib import AbstractContextManager
from typing import Any

from speq_sim.parallel import workers

__all__ = ["add_worker_options", "workers_of"]


def add_worker_options(parser: argparse.ArgumentParser, *, default: str) -> None:
    """``--workers`` and ``--scheduler``, of which one may be given.

    Parameters
    ----------
    parser : ArgumentParser
        Of the script.
    default : str
        What is said of the number of workers if neither is given.
    """
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help=f"worker processes on this machine; 0: all in this one ({default})",
    )
    either.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster whose workers have speq installed, such as tcp://host:8786",
    )


def workers_of(options: argparse.Namespace, default: int | None) -> AbstractContextManager[Any]:
    """The workers that are asked for.

    Parameters
    ----------
    options : Namespace
        With what :func:`add_worker_options` adds.
    default : int or None
        Workers if nothing is asked for: 0 for none, None for one on each core.

    Raises
    ------
    speq_sim.parallel.WorkerError
        On entry, if there are none.
    """
    if options.scheduler is not None:
        return workers(options.scheduler)
    return workers(None, default if options.workers is None else options.workers)
