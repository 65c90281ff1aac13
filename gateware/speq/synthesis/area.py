"""Measure the area of a design: transistors, flip-flops, library area, and where it goes."""

import dataclasses
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from speq.synthesis.flow import (
    Switches,
    liberty_commands,
    library_free_commands,
    synthesis_commands,
)
from speq.synthesis.liberty import Liberty, nand2_area, unpack
from speq.synthesis.library_area import LibraryArea, library_area
from speq.synthesis.parts import Part, parts_of
from speq.synthesis.sources import SYNCHRONOUS_RESETS, Sources
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
    source : Path or Sources
        Verilog or RTLIL file of ours, or the files of a design that is not.
    top : str
        Module to measure.
    switches : Switches
        How to make the headline figures.
    libraries : sequence of (Liberty, Path or None)
        Cell libraries, each with its constraint file.
    parts : bool
        Whether to break the area down by module, which takes a run of its own unless the headline
        run keeps the hierarchy anyway.
    clocks : mapping of str to float
        Clock period in picoseconds by the name of a library. Without one ABC makes the longest path
        as short as it can.
    """

    source: Path | Sources
    top: str
    switches: Switches = dataclasses.field(default_factory=Switches)
    libraries: Sequence[tuple[Liberty, Path | None]] = ()
    parts: bool = True
    clocks: Mapping[str, float] = dataclasses.field(default_factory=dict)


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
            cause = _cause(error) if isinstance(job.source, Sources) else str(error)
            raise YosysError(f"synthesis of {job.top}: {cause}", error.log_tail) from error
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
        (directory / "synchronous_resets.v").write_text(SYNCHRONOUS_RESETS, encoding="utf-8")
        source = job.source if isinstance(job.source, Sources) else job.source.resolve()
        commands = synthesis_commands(source, job.top, switches)
        commands += ["design -save gates", *library_free_commands(free)]
        files = []
        for index, (library, constraint) in enumerate(libraries):
            folder = directory / str(index)
            folder.mkdir()
            files.append(unpack(library, folder))
            commands += [
                "design -load gates",
                f"log speq-library-{index}",
                *liberty_commands(
                    files[-1],
                    constraint.resolve() if constraint else None,
                    folder / "statistics.json",
                    script=switches.script,
                    period_ps=job.clocks.get(library.name),
                    registers=folder / "registers.il",
                ),
            ]
        log = run_yosys(commands, directory=directory, timeout=timeout)
        _refuse_conflicts(log)
        statistics = _read(free)
        parts = () if switches.flatten else parts_of(statistics, job.top)
        count = (
            count_cells(statistics["design"]["num_cells_by_type"])
            if switches.flatten
            else _inclusive(parts, job.top)
        )
        areas = tuple(
            library_area(
                library.name,
                _read(directory / str(index) / "statistics.json"),
                _section(log, index),
                (directory / str(index) / "registers.il").read_text(encoding="utf-8"),
                constraint=constraint.name if constraint else None,
                clock_ps=job.clocks.get(library.name),
                nand2_area=nand2_area(files[index]),
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


def _refuse_conflicts(log: str) -> None:
    """Several drivers of one signal are no circuit, which Yosys only warns of."""
    signals = re.findall(r"multiple conflicting drivers for (.*?):?$", log, flags=re.MULTILINE)
    if signals:
        # One that the source names says more than one that Yosys numbers.
        named = next((signal for signal in signals if "\\" in signal), signals[0])
        signal = named.replace("\\", "") if "\\" in named else f"in {named.split('.')[0]}"
        raise YosysError(f"a signal {signal} has several drivers: leave one of them")


def _cause(error: YosysError) -> str:
    """What is wrong with a design that is not ours; its front end says it before it gives up."""
    found = re.search(r"^(\S+):(\d+): ERROR: (.*)$", error.log_tail, flags=re.MULTILINE)
    if found:
        return f"{Path(found.group(1)).name}, line {found.group(2)}: {found.group(3)}"
    if "is not part of the design" in str(error):
        return f"{error} Name its file as well (--verilog)"
    if "async set or reset" in str(error):
        return f"{error}: make resets synchronous (--synchronous-resets), as ours are"
    return str(error)
