"""Measure the area of a design: transistors, flip-flops, library area, and where it goes."""

import dataclasses
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from speq.synthesis.flow import (
    Switches,
    liberty_commands,
    library_free_commands,
    synthesis_commands,
)
from speq.synthesis.liberty import Liberty, unpack
from speq.synthesis.parts import Part, parts_of
from speq.synthesis.transistors import (
    ENABLE_TRANSISTORS,
    FLIP_FLOP_TRANSISTORS,
    Count,
    count_cells,
)
from speq.yosys import YosysError, run_yosys, yosys_version

__all__ = ["Area", "Job", "LibraryArea", "measure", "measure_all"]

WORKERS = 2
"""Yosys processes at a time."""


@dataclasses.dataclass(frozen=True)
class LibraryArea:
    """Area in the cells of one Liberty library.

    Parameters
    ----------
    library : str
        Name the library gives itself.
    area : float
        Sum over all cells, in the library's own unit (square micrometres in all those we name).
    sequential_area : float
        The flip-flops' part of it.
    cells : dict of str to int
        Number of cells by type.
    delay_ps : float or None
        Longest combinational path by ABC's estimate, without wires, in picoseconds; None without a
        constraint file.
    constraint : str or None
        Name of the constraint file that ABC sized the gates under.
    """

    library: str
    area: float
    sequential_area: float
    cells: dict[str, int]
    delay_ps: float | None
    constraint: str | None

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Area:
    """What one design, or one module of it, takes.

    Parameters
    ----------
    top : str
        Module that was synthesised.
    switches : Switches
        How the headline figures were made.
    count : Count
        Transistors and flip-flops.
    libraries : tuple of LibraryArea
        Areas in cell libraries, in the order they were asked for.
    parts : tuple of Part
        Modules of a second run that keeps the hierarchy, largest first. Their sum is a few
        per cent off a flattened `count`, whose logic is shared across module borders.
    yosys : str
        Version of Yosys.
    """

    top: str
    switches: Switches
    count: Count
    libraries: tuple[LibraryArea, ...] = ()
    parts: tuple[Part, ...] = ()
    yosys: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values; ``area`` is that of the first library."""
        first = self.libraries[0] if self.libraries else None
        return {
            "module": self.top,
            **self.count.as_dict(),
            "transistors_per_flip_flop": FLIP_FLOP_TRANSISTORS,
            "transistors_per_enable": ENABLE_TRANSISTORS,
            "area": first.area if first else None,
            "area_library": first.library if first else None,
            "switches": dataclasses.asdict(self.switches),
            "yosys": self.yosys,
            "libraries": [library.as_dict() for library in self.libraries],
            "parts": [part.as_dict() for part in self.parts],
        }


@dataclasses.dataclass(frozen=True)
class Job:
    """One measurement to make.

    Parameters
    ----------
    source : Path
        Verilog or RTLIL file.
    top : str
        Module to measure.
    switches : Switches
        How to make the headline figures.
    libraries : sequence of (Liberty, Path or None)
        Cell libraries, each with its constraint file.
    parts : bool
        Whether to break the area down by module, which takes a run of its own unless the headline
        run keeps the hierarchy anyway.
    """

    source: Path
    top: str
    switches: Switches = dataclasses.field(default_factory=Switches)
    libraries: Sequence[tuple[Liberty, Path | None]] = ()
    parts: bool = True


def measure(job: Job, *, timeout: float | None = None) -> Area:
    """Measure one design. See :func:`measure_all`."""
    return measure_all([job], timeout=timeout)[0]


def measure_all(
    jobs: Sequence[Job],
    *,
    timeout: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Area]:
    """Measure several designs, two Yosys processes at a time.

    Parameters
    ----------
    jobs : sequence of Job
        What to measure.
    timeout : float, optional
        Seconds that one Yosys process may take.
    progress : callable, optional
        Called with a text whenever a process has ended, :func:`runs_of` times in all.

    Returns
    -------
    list of Area
        In the order of the jobs.

    Raises
    ------
    YosysError
        If a run fails; the message names the module.
    """
    tasks = [(job, switches) for job in jobs for switches in _runs(job)]
    # The flattened runs take longest: started first, the two processes end about together.
    tasks.sort(key=lambda task: not task[1].flatten)

    def work(task: tuple[Job, Switches]) -> tuple[Count, tuple[LibraryArea, ...], tuple[Part, ...]]:
        job, switches = task
        try:
            result = _run(job, switches, timeout)
        except YosysError as error:
            raise YosysError(f"synthesis of {job.top}: {error}", error.log_tail) from error
        if progress is not None:
            progress(f"{job.top}: {switches}")
        return result

    pool = ThreadPoolExecutor(max_workers=WORKERS)
    try:
        results = list(pool.map(work, tasks))
    finally:
        pool.shutdown(cancel_futures=True)
    done = {
        (id(job), switches): result for (job, switches), result in zip(tasks, results, strict=True)
    }
    areas = []
    for job in jobs:
        count, libraries, parts = done[id(job), job.switches]
        if job.parts and job.switches.flatten:
            parts = done[id(job), _kept(job.switches)][2]
        areas.append(Area(job.top, job.switches, count, libraries, parts, yosys_version()))
    return areas


def runs_of(jobs: Sequence[Job]) -> int:
    """Number of Yosys processes that :func:`measure_all` will run."""
    return sum(len(_runs(job)) for job in jobs)


def _kept(switches: Switches) -> Switches:
    return dataclasses.replace(switches, flatten=False)


def _runs(job: Job) -> list[Switches]:
    extra = [_kept(job.switches)] if job.parts and job.switches.flatten else []
    return [job.switches, *extra]


def _run(
    job: Job, switches: Switches, timeout: float | None
) -> tuple[Count, tuple[LibraryArea, ...], tuple[Part, ...]]:
    headline = switches == job.switches
    libraries = job.libraries if headline else ()
    with tempfile.TemporaryDirectory(prefix="speq-") as name:
        directory = Path(name)
        free = directory / "free.json"
        commands = synthesis_commands(job.source.resolve(), job.top, switches)
        commands += ["design -save gates", *library_free_commands(free)]
        for index, (library, constraint) in enumerate(libraries):
            folder = directory / str(index)
            folder.mkdir()
            commands += [
                "design -load gates",
                f"log speq-library-{index}",
                *liberty_commands(
                    unpack(library, folder),
                    constraint.resolve() if constraint else None,
                    directory / f"library{index}.json",
                ),
            ]
        log = run_yosys(commands, directory=directory, timeout=timeout)
        statistics = _read(free)
        parts = () if switches.flatten else parts_of(statistics, job.top)
        count = (
            count_cells(statistics["design"]["num_cells_by_type"])
            if switches.flatten
            else _inclusive(parts, job.top)
        )
        areas = tuple(
            _library_area(
                library,
                constraint,
                _read(directory / f"library{index}.json"),
                _section(log, index),
            )
            for index, (library, constraint) in enumerate(libraries)
        )
    return count, areas, parts


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _inclusive(parts: Sequence[Part], top: str) -> Count:
    return next(part.inclusive for part in parts if part.module == top)


def _section(log: str, index: int) -> str:
    return log.split(f"\nspeq-library-{index}\n")[-1].split("\nspeq-library-")[0]


def _library_area(
    library: Liberty, constraint: Path | None, statistics: dict[str, Any], log: str
) -> LibraryArea:
    design = statistics["design"]
    if "area" not in design:
        raise YosysError(f"library {library.name} gave no areas: are these its cell files?")
    delays = [float(delay) for delay in re.findall(r"Delay\s*=\s*([0-9.]+) ps", log)]
    cells = {
        cell: number
        for cell, number in design["num_cells_by_type"].items()
        if not cell.startswith("$scopeinfo")
    }
    return LibraryArea(
        library=library.name,
        area=float(design["area"]),
        sequential_area=float(design.get("sequential_area", 0.0)),
        cells=cells,
        delay_ps=max(delays, default=None),
        constraint=constraint.name if constraint else None,
    )
